"""What enters the scores beside q and k: ALiBi's slopes, a bias and a mask for each pair, sinks.

The authority is harness/score_inputs.h; the functions of harness/score_inputs.cpp have the same
names.
"""

import numpy as np

from .fills import normal_of, stream
from .problem import lengths
from .rounding import encode

TILE = 64  # keys that kernels take per step


def draw(p: dict) -> dict:
    """The tensors that the problem has, by name: float32, the problem's type, bool, float32."""
    tensors = {}
    if p["alibi"]:
        tensors["alibi_slopes"] = alibi_slopes(p)
    if p["attn_bias"] != "none":
        tensors["attn_bias"] = attn_bias(p)
    if p["attn_mask"] != "none":
        tensors["attn_mask"] = attn_mask(p)
    if p["sink"] == "learned":
        tensors["sinks"] = sinks(p)
    return tensors


def alibi_slopes(p: dict) -> np.ndarray:
    """[H]; the float64 power may be off in its last bit, float32 then is not."""
    return np.exp2(-8 * np.arange(1, p["H"] + 1) / p["H"]).astype(np.float32)


def sinks(p: dict) -> np.ndarray:
    """[H]"""
    return (2 * normal_of(stream(p, "sinks", (1, 1, 1, p["H"])).draw())[0, 0, 0]).astype(np.float32)


def pairs(p: dict, name: str) -> tuple:
    """Words [1|B, 1|H, Sq, Sk, 4] of attn_bias or attn_mask, where its rows have keys at all, and
    where a key stays: query 0 keeps its first and its last. Both [1|B, 1, Sq, Sk]."""
    B = p["B"] if p[name] in ("batch", "full") else 1
    H = p["H"] if p[name] in ("head", "full") else 1
    words = stream(p, name, (B, p["Sq"], H, p["Sk"])).draw().transpose(0, 2, 1, 3, 4)
    keys = lengths(p) if B == p["B"] else lengths(p).max(keepdims=True)
    keys = keys[:, None, None, None]
    i, j = np.ogrid[:p["Sq"], :p["Sk"]]
    return words, (j < keys) & (i >= 0), (i == 0) & ((j == 0) | (j == keys - 1))


def attn_bias(p: dict) -> np.ndarray:
    words, inside, stays = pairs(p, "attn_bias")
    masks = (words[..., 3] % np.uint64(16) == 0) & ~stays
    bias = np.where(masks, -np.inf, normal_of(words))
    return encode(p["dtype"], np.where(inside, bias, np.nan))


def attn_mask(p: dict) -> np.ndarray:
    words, inside, stays = pairs(p, "attn_mask")
    rows = words[..., :1, 3] % np.uint64(8) == 0
    rows[:, :, 0] = False  # never query 0
    tile = np.arange(p["Sk"]) // TILE
    tiles = words[..., tile, 2] % np.uint64(4) == 0  # by the draw of the key of this number
    return inside & ~stays & (rows | tiles | (words[..., 0] % np.uint64(4) == 0))

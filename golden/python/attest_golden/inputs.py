"""Regenerates the inputs of a problem, bit for bit, with numpy alone.

    from attest_golden.inputs import regenerate
    tensors = regenerate("mha B=1 Sq=4 Sk=4 H=2 G=2 D=64 dtype=bf16 fill=peaked seed=7")

The authority is harness/inputs.h and harness/layer_inputs.h; draws and recipes are in fills.py.
"""

import hashlib

import numpy as np

from . import layers, scores
from .fills import RECIPES, tensor, uniform_of
from .problem import lengths, parse_problem
from .rounding import MAX_FINITE, encode

EIGHT_BITS = {"e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2"}


def regenerate(problem: str) -> dict:
    """q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv] of a case string, by name; of absorbed MLA
    q and latent_cache [B,Sk,D], which has the draws of k; of a layer x, its weights and its caches
    (layers.py). With page, lens and layout see place(), with what enters the scores scores.py.

    float64, float32 and float16 arrays by the problem's dtype; for bf16 its bits as uint16, for the
    e4m3 and e5m2 of kv as uint8, with k_scale and v_scale [G] beside them. Of seqlens_k and
    block_table int32, of attn_mask bool, of scales, alibi_slopes and sinks float32.
    """
    p = parse_problem(problem)
    if p["level"] == "layer":
        placed = place(p, layers.draw_caches(p))
        return layers.draw_weights(p) | placed
    dense = draw_dense(p)
    scales = {name: dense.pop(name) for name in ("k_scale", "v_scale") if name in dense}
    return place(p, dense) | scales | scores.draw(p)


def cache_scale(p: dict, t, values: np.ndarray) -> np.ndarray:
    """float32 [G]: what the 8-bit numbers of k or v are multiplied by (harness/cache_scales.h)."""
    if p["fill"] == "denormal" and t.name == "v":
        return np.ones(p["G"], np.float32)
    least = np.abs(values).max((0, 1, 3), initial=0.0) / MAX_FINITE[p["kv"]]
    if p["fill"] == "needle":
        mantissa, exponent = np.frexp(least)
        scale = np.where(mantissa == 0.5, least, np.ldexp(1.0, exponent))
    else:
        margin = t._replace(name=t.name + "_scale", shape=(1, 1, p["G"], 1)).draw()
        scale = least * (1 + uniform_of(margin)[0, 0, :, 0])
    return np.where(least > 0, scale, 1.0).astype(np.float32)


def draw_dense(p: dict) -> dict:
    """The tensors of level=core as they are without pages, every key drawn."""
    tensors = {}
    for name, recipe in zip("qkv", RECIPES[p["fill"]]):
        t = tensor(p, name)
        values = np.broadcast_to(np.asarray(recipe(t), np.float64), t.shape)
        dtype = p["dtype"]
        if p["kv"] != "dtype" and name != "q":
            dtype = p["kv"]
            tensors[name + "_scale"] = scale = cache_scale(p, t, values)
            values = values / scale.astype(np.float64)[:, None]
        tensors[name] = np.ascontiguousarray(encode(dtype, values))
        if p["form"] == "absorbed" and name == "k":
            tensors["latent_cache"] = tensors.pop("k")[:, :, 0]
            break
    return tensors


def place(p: dict, dense: dict) -> dict:
    """Cuts caches at their lengths and moves them to their pages, or rearranges q, k and v, where
    the problem says so."""
    if p["lens"]:
        dense = in_lengths(p, dense)
    return in_pages(p, dense) if p["page"] else in_layout(p, dense)


def in_layout(p: dict, dense: dict) -> dict:
    """q, k and v with their axes in another order, or as one tensor qkv [B, S, H + 2 G, D]."""
    if p["layout"] == "bshd":
        return dense
    if p["layout"] == "qkv":
        return {"qkv": np.concatenate([dense[name] for name in "qkv"], 2)}
    axes = ["bshd".index(axis) for axis in p["layout"]]
    return {name: np.ascontiguousarray(x.transpose(axes)) if x.ndim == 4 else x
            for name, x in dense.items()}


def in_lengths(p: dict, dense: dict) -> dict:
    """seqlens_k [B] beside the tensors, whose rows from there on are NaN, all bits set."""
    for name, x in dense.items():
        for b, n in enumerate(p["lens"]):
            if name != "q":
                x[b, n:].view(np.uint8)[...] = 255
    return dense | {"seqlens_k": np.array(p["lens"], np.int32)}


def in_pages(p: dict, dense: dict) -> dict:
    """k_cache and v_cache (or latent_cache) [pages, page, ...] and block_table [B, N] in place of
    the dense tensors: key j lies in page block_table[b, j // page], slot j % page. Slots that no
    key has are NaN, all bits set; entries of pages without keys are 2^31 - 1."""
    page, width = p["page"], -(-p["Sk"] // p["page"])
    pages = p["B"] * width + 2
    digest = hashlib.sha256(b"block_table").hexdigest()
    key = np.array([p["seed"], int(digest[:16], 16)], np.uint64)
    draws = np.random.Philox(key=key, counter=[0, 0, 0, 0]).random_raw(4 * pages)[::4]
    table = np.argsort(draws, kind="stable")[:p["B"] * width].astype(np.int32).reshape(-1, width)
    tensors = {}
    for name, x in dense.items():
        if name in ("q", "seqlens_k"):
            tensors[name] = x
            continue
        pool = np.full((pages, page) + x.shape[2:] + (x.itemsize,), 255, np.uint8)
        pool = pool.view(x.dtype)[..., 0]
        for b, j in np.ndindex(x.shape[:2]):
            if j < lengths(p)[b]:
                pool[table[b, j // page], j % page] = x[b, j]
        tensors[name + "_cache" if len(name) == 1 else name] = pool
    for b, n in enumerate(lengths(p)):
        table[b, -(-n // page):] = 2**31 - 1
    return tensors | {"block_table": table}


def sha256(array: np.ndarray, kv: str = "dtype") -> str:
    """SHA-256 over (torch dtype | shape | raw bytes), as golden files keep it. kv: the problem's."""
    dtype = {"uint16": "bfloat16", "uint8": EIGHT_BITS.get(kv)}.get(array.dtype.name, array.dtype.name)
    shape = "x".join(str(extent) for extent in array.shape)
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(f"{dtype}|{shape}|".encode() + raw).hexdigest()

"""Layers (level=layer): the shapes of their tensors, and the draws of what enters them.

Names and shapes are those of cases/stages.h, draws those of harness/layer_inputs.h.
"""

import numpy as np

from . import scores
from .fills import RECIPES, normal_of, stream
from .problem import lengths
from .rounding import encode


def qkv_rows(p: dict) -> int:
    return (p["H"] * (2 if p["gate"] else 1) + 2 * p["G"]) * p["D"]


def weights(p: dict) -> dict:
    """Shapes by name, x first: [rows, columns] of matrices, [rows] of biases and norms."""
    E, H, D, L, Lq = (p[key] for key in ("E", "H", "D", "L", "Lq"))
    shapes = {"x": (p["B"], p["Sq"], E)}
    if p["variant"] == "mla":
        if Lq:
            shapes |= {"w_dq": (Lq, E), "w_q_norm": (Lq,), "w_uq": (H * D, Lq)}
        else:
            shapes |= {"w_q": (H * D, E)}
        shapes |= {"w_dkv": (L + p["Dr"], E), "w_kv_norm": (L,)}
        shapes |= {"w_ukv": (H * (p["Dn"] + p["Dv"]), L)}
    else:
        shapes["w_qkv"] = (qkv_rows(p), E)
        if p["bias"] != "none":
            shapes["b_qkv"] = (qkv_rows(p),)
        if p["norm"] not in ("none", "l2"):
            shapes |= {"w_q_norm": (D,), "w_k_norm": (D,)}
        if p["norm"] == "layer":
            shapes |= {"b_q_norm": (D,), "b_k_norm": (D,)}
    shapes["w_o"] = (E, H * p["Dv"])
    if p["bias"] == "all":
        shapes["b_o"] = (E,)
    return shapes


def cache_rows(p: dict) -> dict:
    """Shape of one token's row in each cache."""
    if p["variant"] == "mla":
        return {"latent_cache": (p["L"] + p["Dr"],)}
    return {"k_cache": (p["G"], p["D"]), "v_cache": (p["G"], p["Dv"])}


def caches(p: dict) -> dict:
    """(layout, shape) of each cache, in pages where the problem has them."""
    page, layout = p["page"], {1: "C", 2: "HD"}
    pages = p["B"] * -(-p["Sk"] // page) + 2 if page else 0
    head = ("PS", (pages, page)) if page else ("BS", (p["B"], p["Sk"]))
    return {name: (head[0] + layout[len(row)], head[1] + row) for name, row in cache_rows(p).items()}


def outputs(p: dict) -> dict:
    """(layout, shape) of everything that the stages leave, in their order."""
    B, Sq, Sk, H, D, Dv, L, Lq = (p[key] for key in ("B", "Sq", "Sk", "H", "D", "Dv", "L", "Lq"))
    rotated = {"q_rot": ("BSHD", (B, Sq, H, D))} | caches(p)
    attended = {"o": ("BSHD", (B, Sq, H, Dv)), "lse": ("BHS", (B, H, Sq))}
    if p["variant"] != "mla":
        tensors = {"qkv": ("BSE", (B, Sq, qkv_rows(p)))} | rotated | attended
        if p["gate"]:
            tensors["o_gated"] = ("BSHD", (B, Sq, H, Dv))
        return tensors | {"y": ("BSE", (B, Sq, p["E"]))}
    tensors = {name: ("BSE", (B, Sq, Lq)) for name in ("c_q", "c_q_norm") if Lq}
    tensors |= {"q": ("BSHD", (B, Sq, H, D)), "kv_down": ("BSE", (B, Sq, L + p["Dr"]))} | rotated
    if p["form"] == "absorbed":
        tensors |= {"q_latent": ("BSHD", (B, Sq, H, L + p["Dr"])), "u": ("BSHD", (B, Sq, H, L)),
                    "lse": attended["lse"], "o": attended["o"]}
    else:
        tensors |= {"kv": ("BSHD", (B, Sk, H, p["Dn"] + Dv)), "k": ("BSHD", (B, Sk, H, D)),
                    "v": ("BSHD", (B, Sk, H, Dv))} | attended
    return tensors | {"y": ("BSE", (B, Sq, p["E"]))}


def draw_weights(p: dict) -> dict:
    """x, the weights and the sinks by name."""
    tensors = {}
    for name, shape in weights(p).items():
        if name == "x":
            B, Sq, E = shape
            values = RECIPES[p["fill"]][1](stream(p, "x", (B, Sq, 1, E)))  # like rows of k
            values = np.broadcast_to(np.asarray(values, np.float64), (B, Sq, 1, E))
        else:
            rows = shape[0] if len(shape) == 2 else 1
            z = normal_of(stream(p, name, (1, rows, 1, shape[-1])).draw())
            values = weight(p, name, shape, z)
        tensors[name] = np.ascontiguousarray(encode(p["dtype"], values.reshape(shape)))
    if p["sink"] == "learned":
        tensors["sinks"] = scores.sinks(p)
    return tensors


def weight(p: dict, name: str, shape: tuple, z: np.ndarray) -> np.ndarray:
    if len(shape) == 2:
        scale = 1.0  # the power of two next to 1 / sqrt(columns)
        while (2 / scale) ** 2 <= 2 * shape[1]:
            scale /= 2
        return scale * z
    if not name.endswith("_norm"):
        return z / 4
    gain = name.startswith("w") and p["norm"] != "rms_zero_centered"
    return z / 8 + (1 if gain else 0)


def draw_caches(p: dict) -> dict:
    """Caches [B,Sk,...] by name: rows of earlier tokens drawn, all others NaN, all bits set."""
    tensors = {}
    for name, row in cache_rows(p).items():
        heads, width = row if len(row) == 2 else (1, row[0])
        z = normal_of(stream(p, name, (p["B"], p["Sk"], heads, width)).draw())
        cache = np.ascontiguousarray(encode(p["dtype"], z))
        for b, n in enumerate(lengths(p)):
            cache[b, n - p["Sq"]:].view(np.uint8)[...] = 255
        tensors[name] = cache.reshape((p["B"], p["Sk"]) + row)
    return tensors

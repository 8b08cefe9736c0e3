"""Attention by golden/schema.md in numpy: what every float64 tensor of a golden must hold.

A third implementation beside reference/ and cuda/, written from the text alone.
"""

import numpy as np


class Problem:
    """The keys of a canonical case string."""

    def __init__(self, text):
        self.text = text
        self.variant, *pairs = text.split()
        self.keys = dict(pair.split("=", 1) for pair in pairs)
        for key in ("B", "Sq", "Sk", "H", "G", "D", "Dr", "L", "Lq", "E", "page", "gate"):
            setattr(self, key, int(self.keys.get(key, 0)))
        self.Dv = int(self.keys.get("Dv", self.D))
        self.Dn = int(self.keys.get("Dn", self.D - self.Dr))
        self.mask = self.keys.get("mask", "none")
        self.is_layer = self.keys.get("level") == "layer"
        self.absorbed = self.keys.get("form") == "absorbed"
        self.softcap = float(self.keys.get("softcap", 0))

    def length(self, b):
        return int(self.keys["lens"].split(",")[b]) if "lens" in self.keys else self.Sk

    def visible(self, b, i):
        n = self.length(b)
        seen = {"none": n, "causal": i + 1 + n - self.Sq, "causal_top_left": i + 1}[self.mask]
        return min(max(seen, 0), n)

    def rope(self):
        """(kind, its members as text)"""
        kind, _, members = self.keys.get("rope", "none").partition(":")
        return kind, dict(member.split(":") for member in members.split(",") if member)

    def scale(self):
        if "scale" in self.keys:
            return float(self.keys["scale"])
        if self.variant != "mla":
            return 1 / np.sqrt(self.D)
        kind, rope = self.rope()
        stretch = 1.0
        if kind == "yarn":
            stretch += 0.1 * float(rope.get("mscale_all_dim", 0)) * np.log(float(rope["factor"]))
        return stretch**2 / np.sqrt(self.Dn + self.Dr)


def gathered(p, cache, table):
    """The rows of every batch entry, [B, Sk, ...], of a cache that may lie in pages."""
    if table is None:
        return cache.copy()
    pages = np.where(table == 2**31 - 1, 0, table)  # pages without keys
    rows = cache[pages]  # [B, N, page, ...]
    return rows.reshape((rows.shape[0], -1) + rows.shape[3:])[:, :p.Sk]


def read(case):
    """The inputs in float64, integers as they are."""
    tensors = {name: dataset[()] for name, dataset in case["inputs"].items()}
    return {name: x if x.dtype == np.int32 else x.astype(np.float64) for name, x in tensors.items()}


def core_inputs(p, inputs):
    """q, k and v, those of absorbed MLA out of its latent cache."""
    table = inputs.get("block_table")
    if p.absorbed:
        k = gathered(p, inputs["latent_cache"], table)[:, :, None]
        return inputs["q"], k, k[..., :p.Dv]
    paged = "_cache" if p.page else ""
    return (inputs["q"], *(gathered(p, inputs[name + paged], table) for name in "kv"))


def row_of(q, k, v, scale, softcap):
    """Outputs and conditioning of one row with keys k [n, D], v [n, Dv], n > 0."""
    s = scale * (k @ q)
    if softcap:
        s = softcap * np.tanh(s / softcap)
    m = s.max()
    p = np.exp(s - m)
    total = p.sum()
    P = p / total
    a = scale * np.linalg.norm(q) * np.linalg.norm(k, axis=1)
    binade = np.where(p >= 2.0**-1022, np.exp2(np.frexp(p)[1] - 1.0), 0) * (s < m)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(s)[:-1]])
    return {
        "outputs/o": P @ v,
        "outputs/lse": m + np.log(total),
        "conditioning/abs_mag": P @ abs(v),
        "conditioning/abs_mag_a": (P * a) @ abs(v),
        "conditioning/abs_mag_gap": (P * (m - s)) @ abs(v),
        "conditioning/second_moment": ((binade[:, None] * v / total) ** 2).sum(0),
        "conditioning/visible_abs_v": abs(v).sum(0),
        "conditioning/row_max": m,
        "conditioning/row_sum": total,
        "conditioning/mean_a": P @ a,
        "conditioning/mean_gap": P @ (m - s),
        "conditioning/max_a": a.max(),
        "conditioning/max_gap": (m - s).max(),
        "conditioning/visible": len(s),
        "conditioning/max_raises": (s > before).sum(),
    }


def attention(p, q, k, v):
    """Outputs and conditioning of q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv], by path."""
    B, Sq, H, G, Dv = *q.shape[:3], k.shape[2], v.shape[3]
    result = {path: np.zeros((B, Sq, H, Dv) if np.ndim(value) else (B, H, Sq))
              for path, value in row_of(q[0, 0, 0], np.zeros((1, q.shape[3])), np.zeros((1, Dv)),
                                        1, 0).items()}
    for path in ("outputs/lse", "conditioning/row_max"):
        result[path][...] = -np.inf
    for b, h, i in np.ndindex(B, H, Sq):
        n, g = p.visible(b, i), h // (H // G)
        if n == 0:
            continue
        row = row_of(q[b, i, h], k[b, :n, g], v[b, :n, g], p.scale(), p.softcap)
        for path, value in row.items():
            result[path][(b, i, h) if np.ndim(value) else (b, h, i)] = value
    return result

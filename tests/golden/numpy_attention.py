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
        self.layout = self.keys.get("layout", "bshd")
        self.mask = self.keys.get("mask", "none")
        self.sink = self.keys.get("sink", "none")
        self.is_layer = self.keys.get("level") == "layer"
        self.absorbed = self.keys.get("form") == "absorbed"
        self.softcap = float(self.keys.get("softcap", 0))

    def length(self, b):
        return int(self.keys["lens"].split(",")[b]) if "lens" in self.keys else self.Sk

    def position(self, b, i):
        return i if self.mask == "causal_top_left" else i + self.length(b) - self.Sq

    def lets_see(self, b, i):
        """Whether mask and window let query i see each of its batch entry's keys, [S]."""
        ahead = np.arange(self.length(b)) - self.position(b, i)
        left, right = (int(n) for n in self.keys.get("window", "-1,-1").split(","))
        seen = ahead <= (0 if self.mask != "none" else np.inf)
        seen &= (ahead >= -left) | (left == -1)
        return seen & ((ahead <= right) | (right == -1))

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
    return {name: x if x.dtype in (np.int32, bool) else x.astype(np.float64)
            for name, x in tensors.items()}


def core_inputs(p, inputs):
    """q, k and v, those of absorbed MLA out of its latent cache."""
    table = inputs.get("block_table")
    if p.absorbed:
        k = gathered(p, inputs["latent_cache"], table)[:, :, None]
        return inputs["q"], k, k[..., :p.Dv]
    if p.layout == "qkv":
        return np.split(inputs["qkv"], [p.H, p.H + p.G], 2)
    if p.layout != "bshd":
        to_bshd = [p.layout.index(axis) for axis in "bshd"]
        return [inputs[name].transpose(to_bshd) for name in "qkv"]
    paged = "_cache" if p.page else ""
    return (inputs["q"], *(gathered(p, inputs[name + paged], table) for name in "kv"))


def of_pair(x, b, h):
    """[Sq, Sk] of a tensor [1 or B, 1 or H, Sq, Sk]"""
    return x[b if len(x) > 1 else 0, h if x.shape[1] > 1 else 0]


def keys_and_bias(p, inputs, b, h, i):
    """The keys that a row sees, and what is added to their scores."""
    seen, bias = p.lets_see(b, i), np.zeros(p.length(b))
    if "attn_mask" in inputs:
        seen &= ~of_pair(inputs["attn_mask"], b, h)[i, :len(seen)]
    if "attn_bias" in inputs:
        bias = of_pair(inputs["attn_bias"], b, h)[i, :len(seen)]
        seen &= bias > -np.inf
    if "alibi_slopes" in inputs:
        bias = -inputs["alibi_slopes"][h] * abs(p.position(b, i) - np.arange(len(seen)))
    return seen, bias[seen]


def row_of(q, k, v, scale, softcap, bias, sink):
    """Outputs and conditioning of one row with keys k [n, D], v [n, Dv]; with a sink it has one key
    more, whose score is known."""
    s = scale * (k @ q)
    if softcap:
        s = softcap * np.tanh(s / softcap)
    s = s + bias
    if sink is not None:
        s, k, v = np.append(s, sink), np.pad(k, [(0, 1), (0, 0)]), np.pad(v, [(0, 1), (0, 0)])
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


def sink_of(p, inputs, h):
    return {"none": None, "one": 0.0, "learned": inputs.get("sinks", [None] * p.H)[h]}[p.sink]


def attention(p, q, k, v, inputs):
    """Outputs and conditioning of q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv], by path."""
    B, Sq, H, G, Dv = *q.shape[:3], k.shape[2], v.shape[3]
    result = {path: np.zeros((B, Sq, H, Dv) if np.ndim(value) else (B, H, Sq))
              for path, value in row_of(q[0, 0, 0], np.zeros((1, q.shape[3])), np.zeros((1, Dv)),
                                        1, 0, 0, None).items()}
    for path in ("outputs/lse", "conditioning/row_max"):
        result[path][...] = -np.inf
    for b, h, i in np.ndindex(B, H, Sq):
        seen, bias = keys_and_bias(p, inputs, b, h, i)
        sink, g = sink_of(p, inputs, h), h // (H // G)
        if not seen.any() and sink is None:
            continue
        of_keys = (x[b, :len(seen), g][seen] for x in (k, v))
        row = row_of(q[b, i, h], *of_keys, p.scale(), p.softcap, bias, sink)
        for path, value in row.items():
            result[path][(b, i, h) if np.ndim(value) else (b, h, i)] = value
    return result

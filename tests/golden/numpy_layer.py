"""Layers (level=layer) by golden/schema.md in numpy, from hidden states to hidden states.

Where it can, it goes another way than reference/: pairs turn as complex numbers, o of absorbed MLA
comes out of expanded keys and values.
"""

import numpy as np

from numpy_attention import attention, gathered, read


def rms_norm(x, eps, gain):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def head_norm(p, x, inputs, of):
    """The norm of each head of q or k."""
    norm, eps = p.keys.get("norm", "none"), float(p.keys.get("eps", 1e-6))
    if norm == "none":
        return x
    if norm == "l2":
        return rms_norm(x, eps, 1)
    w = inputs[f"w_{of}_norm"]
    if norm == "layer":
        x = x - x.mean(-1, keepdims=True)
        return rms_norm(x, eps, w) + inputs[f"b_{of}_norm"]
    return rms_norm(x, eps, w + (norm == "rms_zero_centered"))


def frequencies(kind, rope, width):
    """Radians a position, one for each pair."""
    r = np.arange(width // 2)
    theta, factor, orig = (float(rope.get(key, default)) for key, default in
                           (("theta", 10000), ("factor", 1), ("orig", 0)))
    f = theta ** (-2 * r / width)
    if kind == "linear":
        return f / factor
    if kind == "llama3":
        low, high = float(rope.get("low_freq_factor", 1)), float(rope.get("high_freq_factor", 4))
        keep = np.clip((orig * f / (2 * np.pi) - low) / (high - low), 0, 1)
        return keep * f + (1 - keep) * f / factor
    if kind == "yarn":
        ends = [width * np.log(orig / (2 * np.pi * float(rope.get(key, default)))) /
                (2 * np.log(theta)) for key, default in (("beta_fast", 32), ("beta_slow", 1))]
        if rope.get("truncate", "true") == "true":
            ends = [np.floor(ends[0]), np.ceil(ends[1])]
        low, high = max(ends[0], 0), min(ends[1], width - 1)
        ramp = np.clip((r - low) / ((high - low) or 0.001), 0, 1)
        return f * (1 - ramp) + f / factor * ramp
    return f


def concentration(kind, rope):
    if kind != "yarn":
        return 1
    stretch = [1 + 0.1 * float(rope.get(key, default)) * np.log(float(rope["factor"]))
               for key, default in (("mscale", 1), ("mscale_all_dim", 0))]
    return stretch[0] / stretch[1]


def turned(p, x):
    """x [B, Sq, heads, width] at the positions of the new tokens."""
    kind, rope = p.rope()
    if kind == "none":
        return x
    width = int(rope.get("dim", 0)) or x.shape[-1]
    positions = np.array([[p.length(b) - p.Sq + i for i in range(p.Sq)] for b in range(p.B)])
    angles = positions[:, :, None, None] * frequencies(kind, rope, width)
    turn = concentration(kind, rope) * np.exp(1j * angles)
    pairing, part = rope.get("pairing", "half"), x[..., :width]
    if pairing == "half":
        z = (part[..., :width // 2] + 1j * part[..., width // 2:]) * turn
    else:
        z = (part[..., 0::2] + 1j * part[..., 1::2]) * turn
    if pairing == "interleaved":
        new = np.stack([z.real, z.imag], -1).reshape(part.shape)
    else:
        new = np.concatenate([z.real, z.imag], -1)
    return np.concatenate([new, x[..., width:]], -1)


class Caches:
    """Those of one call. after: whole, NaN where no token lies; rows: [B, Sk, ...] in order."""

    def __init__(self, p, inputs):
        self.p, self.inputs, self.table = p, inputs, inputs.get("block_table")
        self.after = {}

    def append(self, name, new):
        p, cache = self.p, self.inputs[name].copy()
        for b, i in np.ndindex(p.B, p.Sq):
            j = p.length(b) - p.Sq + i
            where = (b, j) if self.table is None else (self.table[b, j // p.page], j % p.page)
            cache[where] = new[b, i]
        self.after["outputs/" + name] = cache
        return gathered(p, cache, self.table)


def heads_layer(p, inputs):
    """MHA, GQA, MQA: the fused projection holds for each group its q, its gates, its k, its v."""
    R = p.H // p.G
    fused = inputs["x"] @ inputs["w_qkv"].T + inputs.get("b_qkv", 0)
    fused = fused.reshape(p.B, p.Sq, p.G, -1, p.D)  # blocks of D in each group

    def heads(first, count):
        return fused[:, :, :, first:first + count].reshape(p.B, p.Sq, -1, p.D)

    q_rot = turned(p, head_norm(p, heads(0, R), inputs, "q"))
    caches, behind = Caches(p, inputs), R * (1 + p.gate)
    k = caches.append("k_cache", turned(p, head_norm(p, heads(behind, 1), inputs, "k")))
    v = caches.append("v_cache", heads(behind + 1, 1))
    result = attention(p, q_rot, k, v, inputs) | caches.after | {"outputs/q_rot": q_rot}
    o = result["outputs/o"]
    if p.gate:
        o = o / (1 + np.exp(-heads(R, R)))
    return result, o


def latent_layer(p, inputs):
    """MLA: the cache holds normed latents and turned keys of all heads."""
    eps = float(p.keys.get("eps", 1e-6))
    x = inputs["x"]
    if p.Lq:
        q = rms_norm(x @ inputs["w_dq"].T, eps, inputs["w_q_norm"]) @ inputs["w_uq"].T
    else:
        q = x @ inputs["w_q"].T
    q = q.reshape(p.B, p.Sq, p.H, p.D)
    q_rot = np.concatenate([q[..., :p.Dn], turned(p, q[..., p.Dn:])], -1)
    down = x @ inputs["w_dkv"].T
    new = [rms_norm(down[..., :p.L], eps, inputs["w_kv_norm"]),
           turned(p, down[:, :, None, p.L:])[:, :, 0]]
    caches = Caches(p, inputs)
    latents = caches.append("latent_cache", np.concatenate(new, -1))  # [B, Sk, L + Dr]
    c, k_pe = latents[..., :p.L], latents[..., p.L:]
    w_ukv = inputs["w_ukv"].reshape(p.H, p.Dn + p.Dv, p.L)
    kv = np.einsum("bjl,hdl->bjhd", c, w_ukv)
    k = np.concatenate([kv[..., :p.Dn], np.repeat(k_pe[:, :, None], p.H, 2)], -1)
    result = attention(p, q_rot, k, kv[..., p.Dn:], inputs)
    o = result["outputs/o"]
    if p.absorbed:
        q_latent = np.einsum("bihd,hdl->bihl", q_rot[..., :p.Dn], w_ukv[:, :p.Dn])
        q_latent = np.concatenate([q_latent, q_rot[..., p.Dn:]], -1)
        result = attention(p, q_latent, latents[:, :, None], c[:, :, None], inputs)
        result |= {"outputs/u": result["outputs/o"], "outputs/o": o}
    return result | caches.after | {"outputs/q_rot": q_rot}, o


def layer(p, case):
    """Every float64 tensor of a case of level=layer, by path."""
    inputs = read(case)
    result, o = (latent_layer if p.variant == "mla" else heads_layer)(p, inputs)
    y = o.reshape(p.B, p.Sq, -1) @ inputs["w_o"].T + inputs.get("b_o", 0)
    return result | {"outputs/y": y}

"""Which tensors a case holds, by the tables of golden/schema.md."""


def layouts(p):
    """Groups with the layout of each tensor, by the tables of schema.md."""
    rows = "lse row_max row_sum mean_a mean_gap max_a max_gap max_raises visible".split()
    elements = "o abs_mag abs_mag_a abs_mag_gap second_moment visible_abs_v".split()
    result = {f"conditioning/{name}": "BHS" for name in rows[1:]}
    result |= {f"conditioning/{name}": "BSHD" for name in elements[1:]}
    result |= {"outputs/o": "BSHD", "outputs/lse": "BHS"}
    head = "PS" if p.page else "BS"
    latent = p.variant == "mla" and (p.is_layer or p.absorbed)
    if latent:
        caches = {"latent_cache": head + "C"}
    elif p.page or p.is_layer:
        caches = {"k_cache": head + "HD", "v_cache": head + "HD"}
    elif p.layout == "qkv":
        caches = {"qkv": "BSHD"}
    else:
        caches = {"k": p.layout.upper(), "v": p.layout.upper()}
    inputs = caches | ({"block_table": "BN"} if p.page else {})
    inputs |= {"seqlens_k": "B"} if "lens" in p.keys else {}
    if p.is_layer:
        inputs |= {name: "N" if name.startswith("b_") or name.endswith("norm") else "NK"
                   for name in weights(p)} | {"x": "BSE"}
        result |= {f"outputs/{name}": layout for name, layout in caches.items()}
        result |= {"outputs/q_rot": "BSHD", "outputs/y": "BSE"}
        result |= {"outputs/u": "BSHD"} if p.absorbed else {}
    elif p.layout != "qkv":
        inputs["q"] = p.layout.upper()
    inputs |= {"alibi_slopes": "H"} if "alibi" in p.keys else {}
    inputs |= {name: "BHSK" for name in ("attn_bias", "attn_mask") if name in p.keys}
    inputs |= {"sinks": "H"} if p.sink == "learned" else {}
    return result | {f"inputs/{name}": layout for name, layout in inputs.items()}


def weights(p):
    if p.variant == "mla":
        query = ["w_dq", "w_q_norm", "w_uq"] if p.Lq else ["w_q"]
        return query + ["w_dkv", "w_kv_norm", "w_ukv", "w_o"]
    norm, bias = p.keys.get("norm", "none"), p.keys.get("bias", "none")
    names = ["w_qkv", "w_o"] + ([] if norm in ("none", "l2") else ["w_q_norm", "w_k_norm"])
    names += ["b_q_norm", "b_k_norm"] if norm == "layer" else []
    return names + {"none": [], "qkv": ["b_qkv"], "all": ["b_qkv", "b_o"]}[bias]

"""Case strings (cases/problem.h): parse_problem() and what follows from the keys."""

import numpy as np

INTEGERS = ("B", "Sq", "Sk", "H", "G", "D", "Dv", "E", "L", "Lq", "tp", "gate", "Dn", "Dr", "page",
            "alibi", "seed")
NUMBERS = ("eps", "scale", "softcap")
DEFAULTS = {
    "kv": "dtype", "layout": "bshd", "level": "core", "L": 0, "Lq": 0, "tp": 1, "norm": "none", "bias": "none",
    "gate": 0, "eps": 1e-6, "form": "expanded", "rope": "none", "lens": "all", "page": 0,
    "mask": "none", "window": "none", "scale": 0.0, "softcap": 0.0, "alibi": 0, "attn_bias": "none",
    "attn_mask": "none", "sink": "none", "fill": "normal", "seed": 0,
}


def parse_problem(text: str) -> dict:
    """The keys of a case string, with defaults filled in. It must be valid: this checks little."""
    variant, *pairs = text.split(" | ")[0].split()
    problem = {"variant": variant} | DEFAULTS
    for pair in pairs:
        key, value = pair.split("=", 1)
        problem[key] = int(value) if key in INTEGERS else float(value) if key in NUMBERS else value
    lens = problem["lens"]
    problem["lens"] = None if lens == "all" else [int(n) for n in lens.split(",")]
    window = problem["window"]
    problem["window"] = (-1, -1) if window == "none" else tuple(int(n) for n in window.split(","))
    absorbed = problem["form"] == "absorbed" and problem["level"] == "core"
    derived_g = {"mha": problem["H"], "mqa": 1, "mla": 1 if absorbed else problem["H"]}
    problem.setdefault("G", derived_g.get(variant))
    problem.setdefault("Dv", problem["D"] - problem["Dr"] if absorbed else problem["D"])
    if variant == "mla":
        problem.setdefault("Dn", problem["D"] - problem["Dr"])
    return problem


def lengths(p: dict) -> np.ndarray:
    """Number of keys of each batch entry, [B]."""
    return np.array(p["lens"] or [p["Sk"]] * p["B"], np.int64)


def visible_keys(p: dict, b: np.ndarray, i: np.ndarray) -> tuple:
    """(begin, end): queries i of batch entries b see keys begin .. end - 1, of which attn_mask and
    attn_bias may take some."""
    keys = lengths(p)[b] + 0 * i
    at = i + 0 * b if p["mask"] == "causal_top_left" else i + keys - p["Sq"]
    left, right = p["window"]
    begin = at - left if left >= 0 else 0 * keys
    end = at + 1 if p["mask"] != "none" else at + right + 1 if right >= 0 else keys
    end = np.clip(end, 0, keys)
    return np.clip(begin, 0, end), end

"""Case strings (cases/problem.h): parse_problem() and what follows from the keys."""

import numpy as np

INTEGERS = ("B", "Sq", "Sk", "H", "G", "D", "Dv", "E", "L", "Lq", "tp", "gate", "Dn", "Dr", "page",
            "seed")
NUMBERS = ("eps", "scale", "softcap")
DEFAULTS = {
    "level": "core", "L": 0, "Lq": 0, "tp": 1, "norm": "none", "bias": "none", "gate": 0, "eps": 1e-6,
    "form": "expanded", "rope": "none", "lens": "all", "page": 0, "mask": "none", "scale": 0.0,
    "softcap": 0.0, "fill": "normal", "seed": 0, "kv": "dtype",
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


def visible_keys(p: dict, b: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Number of keys that queries i of batch entries b see."""
    keys = lengths(p)[b]
    if p["mask"] == "none":
        return keys + 0 * i
    last = i + keys - p["Sq"] if p["mask"] == "causal" else i + 0 * b
    return np.clip(last + 1, 0, keys)

"""Regenerates the inputs of a problem, bit for bit, with numpy alone.

    from attest_golden.inputs import regenerate
    tensors = regenerate("mha B=1 Sq=4 Sk=4 H=2 G=2 D=64 dtype=bf16 fill=peaked seed=7")

The authority is harness/philox.h (draws), harness/fills.cpp and harness/fills_needle.cpp (recipes,
with their reasons) and harness/rounding.cpp; the functions below have the same names.
"""

import hashlib
from typing import NamedTuple

import numpy as np

DIMS = ("B", "Sq", "Sk", "H", "G", "D", "Dv", "Dn", "Dr", "page")

# precision in bits, exponent of the smallest normal number, storage, torch's name
FORMATS = {
    "fp64": (53, -1022, np.float64, "float64"),
    "fp32": (24, -126, np.float32, "float32"),
    "fp16": (11, -14, np.float16, "float16"),
    "bf16": (8, -126, np.uint16, "bfloat16"),  # numpy has no bfloat16: its bits
}


def parse_problem(text: str) -> dict:
    """The keys of a case string, with defaults filled in. It must be valid: this checks little."""
    variant, *pairs = text.split(" | ")[0].split()
    problem = {
        "variant": variant, "form": "expanded", "rope": "none", "lens": "all", "page": 0, "mask": "none",
        "fill": "normal", "seed": 0,
    }
    for pair in pairs:
        key, value = pair.split("=", 1)
        problem[key] = int(value) if key in DIMS or key == "seed" else value
    lens = problem["lens"]
    problem["lens"] = None if lens == "all" else [int(n) for n in lens.split(",")]
    absorbed = problem["form"] == "absorbed"
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


class Tensor(NamedTuple):
    """One tensor while it is drawn: its shape [B, S, heads, width] and the index of each axis."""

    problem: dict
    name: str
    shape: tuple
    b: np.ndarray
    s: np.ndarray
    h: np.ndarray
    d: np.ndarray

    def draw(self, s=lambda s: s) -> np.ndarray:
        """Words [B, S, heads, width, 4]; row s uses the draws of position s(s)."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        # A plain list with an entry above 2^63 would pass through float64 and lose its low bits.
        key = np.array([self.problem["seed"], int(digest[:16], 16)], np.uint64)
        words = np.empty(self.shape + (4,), np.uint64)
        for row in np.ndindex(self.shape[:3]):
            counter = [0, s(row[1]), row[2], row[0]]
            bits = np.random.Philox(key=key, counter=counter).random_raw(4 * self.shape[3])
            words[row] = bits.reshape(-1, 4)
        return words


def tensor(p: dict, name: str) -> Tensor:
    S, heads, width = {
        "q": (p["Sq"], p["H"], p["D"]),
        "k": (p["Sk"], p["G"], p["D"]),
        "v": (p["Sk"], p["G"], p["Dv"]),
    }[name]
    shape = (p["B"], S, heads, width)
    return Tensor(p, name, shape, *np.ogrid[tuple(slice(n) for n in shape)])


def normal_of(words: np.ndarray) -> np.ndarray:
    fields = words[..., :3].copy().view("<u2")  # three words, twelve 16-bit fields
    return fields.sum(-1, dtype=np.uint64).astype(np.float64) * 2.0**-16 - 6


def uniform_of(words: np.ndarray) -> np.ndarray:
    return (words[..., 3] >> np.uint64(40)).astype(np.float64) * 2.0**-24


def heavy_of(words: np.ndarray) -> np.ndarray:
    tail = sum((words[..., 3] % np.uint64(2 << k) == 0).astype(np.int64) for k in range(8))
    return normal_of(words) * np.exp2(tail)


def normal(t: Tensor) -> np.ndarray:
    return normal_of(t.draw())


def uniform(t: Tensor) -> np.ndarray:
    return uniform_of(t.draw())


def heavy(t: Tensor) -> np.ndarray:
    return heavy_of(t.draw())


def symmetric(t: Tensor) -> np.ndarray:
    return 2 * uniform(t) - 1


def sqrt_width(t: Tensor) -> float:
    return float(np.sqrt(np.float64(t.problem["D"])))


def equal_v(t: Tensor) -> np.ndarray:
    return (2 * np.floor(16 * uniform(t)) - 15) / 8


def big_q(t: Tensor) -> np.ndarray:
    return 3 + 0.3125 * normal(t)


def big_k(t: Tensor, score: float) -> np.ndarray:
    return score / sqrt_width(t) + 0.3125 * normal(t)


def ramp_q(t: Tensor, direction: int) -> np.ndarray:
    weight = direction * sqrt_width(t) / 16 * 16.0 ** np.minimum(t.d, 2)
    return np.where(t.d < 3, weight, 0.25 * normal(t))


def ramp_k(t: Tensor) -> np.ndarray:
    c = np.minimum(t.d, 2)
    return np.where(t.d < 3, 16.0**c * (t.s >> 8 * c & 255), normal(t))


def cancel_v(t: Tensor) -> np.ndarray:
    return normal_of(t.draw(s=lambda s: s // 2 * 2)) * np.where(t.s % 2, -1, 1)


def twolevel_q(t: Tensor) -> np.ndarray:
    return np.where(t.d == 0, sqrt_width(t) * (0.5 + uniform(t)), normal(t))


def twolevel_k(t: Tensor) -> np.ndarray:
    return np.where(t.d == 0, np.where(t.s == 0, 2, 0), normal_of(t.draw(s=lambda _: 0)))


def onehot_v(t: Tensor) -> np.ndarray:
    return (7 * t.s + 13 * t.h) % t.shape[3] == t.d


def tailhot_v(t: Tensor) -> np.ndarray:
    last = visible_keys(t.problem, t.b, np.int64(t.problem["Sq"] - 1)) - 1
    edge = (t.s >= 63) & (t.s & (t.s + 1) == 0)
    return np.where((t.s >= last - 1) | edge, 64, 0) + 0 * t.d


def denormal_v(t: Tensor) -> np.ndarray:
    return symmetric(t) * 2.0 ** FORMATS[t.problem["dtype"]][1]


def code(t: Tensor, b, j, g) -> np.ndarray:
    """Row j of k under fill needle, for batches b and key/value heads g."""
    signs = tensor({**t.problem, "Sk": 1}, "k").draw()[:, 0, :, :, 3] >> np.uint64(63)  # [B, G, D]
    r = np.where(signs, 1, -1)[b, g, t.d]
    return np.where(j >> t.d % min(t.shape[3], 24) & 1, r, -r)


def needle_q(t: Tensor) -> np.ndarray:
    p = t.problem
    seen = visible_keys(p, t.b, t.s)[..., 0]
    words = t.draw()[:, :, :, 0, :]
    edge = 64 * (words[..., 0] % (seen // 64 + 1).astype(np.uint64)).astype(np.int64)
    anywhere = (words[..., 1] % np.maximum(seen, 1).astype(np.uint64)).astype(np.int64)
    choices = [0, seen - 1, seen - 2, edge - 1, edge, edge + 1, seen // 2, anywhere]
    c = np.choose((t.s + t.h)[..., 0] % 8, choices)
    c = np.clip(c, 0, np.maximum(seen - 1, 0))
    distance = p["D"] // min(p["D"], 24)
    a = 4 * np.ceil(110 * sqrt_width(t) / (2 * distance) / 4)
    return a * code(t, t.b, c[..., None], t.h // (p["H"] // p["G"]))


def needle_k(t: Tensor) -> np.ndarray:
    return code(t, t.b, t.s, t.h)


def needle_v(t: Tensor) -> np.ndarray:
    key = t.s & ((1 << min(t.problem["D"], 24)) - 1)
    digits = [key >> 4 * n for n in range(6)] + [t.h, t.h >> 4, t.b, t.b >> 4]
    return 1 + 16 * (t.d % 16) + (np.choose(t.d % 10, digits) & 15)


RECIPES = {  # fill: (q, k, v)
    "normal": (normal, normal, normal),
    "um11": (symmetric, symmetric, symmetric),
    "u01": (uniform, uniform, uniform),
    "peaked": (lambda t: 8 * normal(t), normal, normal),
    "flat": (lambda t: 0.01 * normal(t), normal, normal),
    "equal": (lambda t: 0 * t.d, normal, equal_v),
    "bigpos": (big_q, lambda t: big_k(t, 50), normal),
    "bigneg": (big_q, lambda t: big_k(t, -50), normal),
    "offset": (normal, lambda t: 16 + normal(t), normal),
    "ascend": (lambda t: ramp_q(t, 1), ramp_k, normal),
    "descend": (lambda t: ramp_q(t, -1), ramp_k, normal),
    "outlier": (
        normal,
        lambda t: np.where(t.d % 32 == 0, 20, 1) * normal(t),
        lambda t: np.where(t.d % 64 == 0, 50, 1) * normal(t),
    ),
    "heavy": (lambda t: heavy(t) / 4, normal, heavy),
    "cancel": (lambda t: normal(t) / 16, normal, cancel_v),
    "twolevel": (twolevel_q, twolevel_k, lambda t: 0.5 + uniform(t)),
    "onehot": (normal, normal, onehot_v),
    "needle": (needle_q, needle_k, needle_v),
    "tailhot": (normal, normal, tailhot_v),
    "denormal": (lambda t: 8 * normal(t), normal, denormal_v),
}


def encode(dtype: str, values: np.ndarray) -> np.ndarray:
    """Finite float64 values rounded once, to nearest even, in the storage type of `dtype`."""
    precision, min_exponent, storage, _ = FORMATS[dtype]
    if dtype == "fp64":
        return values
    # Scaled by powers of two, exactly, until an ulp is 1: rint() then rounds to nearest even.
    # np.frexp's exponent is one above the binade's.
    quantum = np.maximum(np.frexp(values)[1] - 1, min_exponent) - precision + 1
    rounded = np.ldexp(np.rint(np.ldexp(values, -quantum)), quantum)
    if dtype == "bf16":
        return (rounded.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(storage)
    return rounded.astype(storage)


def regenerate(problem: str) -> dict:
    """q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv] of a case string, by name; of absorbed MLA
    q and latent_cache [B,Sk,D], which has the draws of k. With page and lens more, see in_pages()
    and in_lengths().

    float64, float32 and float16 arrays by the problem's dtype; for bf16 its bits as uint16.
    """
    p = parse_problem(problem)
    tensors = {}
    for name, recipe in zip("qkv", RECIPES[p["fill"]]):
        t = tensor(p, name)
        values = np.broadcast_to(np.asarray(recipe(t), np.float64), t.shape)
        tensors[name] = np.ascontiguousarray(encode(p["dtype"], values))
        if p["form"] == "absorbed" and name == "k":
            tensors = {"q": tensors["q"], "latent_cache": tensors["k"][:, :, 0]}
            break
    if p["lens"]:
        tensors = in_lengths(p, tensors)
    return in_pages(p, tensors) if p["page"] else tensors


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


def sha256(dtype: str, array: np.ndarray) -> str:
    """SHA-256 over (torch dtype | shape | raw bytes), as golden files keep it."""
    dtype_name = "int32" if array.dtype == np.int32 else FORMATS[dtype][3]
    shape = "x".join(str(extent) for extent in array.shape)
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(f"{dtype_name}|{shape}|".encode() + raw).hexdigest()

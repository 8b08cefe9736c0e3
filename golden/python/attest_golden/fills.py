"""Draws and recipes: what each element holds before it is rounded.

The authority is harness/philox.h (draws), harness/fills.cpp and harness/fills_needle.cpp (recipes,
with their reasons); the functions below have the same names.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from .problem import visible_keys
from .rounding import FORMATS


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
    return stream(p, name, (p["B"], S, heads, width))


def stream(p: dict, name: str, shape: tuple) -> Tensor:
    """A tensor [b, s, h, d] of this name while it is drawn."""
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
    last = visible_keys(t.problem, t.b, np.int64(t.problem["Sq"] - 1))[1] - 1
    edge = (t.s >= 63) & (t.s & (t.s + 1) == 0)
    return np.where((t.s >= last - 1) | edge, 64, 0) + 0 * t.d


def denormal_v(t: Tensor) -> np.ndarray:
    kv, dtype = t.problem["kv"], t.problem["dtype"]
    return symmetric(t) * 2.0 ** FORMATS[dtype if kv == "dtype" else kv][1]


def code(t: Tensor, b, j, g) -> np.ndarray:
    """Row j of k under fill needle, for batches b and key/value heads g."""
    signs = tensor({**t.problem, "Sk": 1}, "k").draw()[:, 0, :, :, 3] >> np.uint64(63)  # [B, G, D]
    r = np.where(signs, 1, -1)[b, g, t.d]
    return np.where(j >> t.d % min(t.shape[3], 24) & 1, r, -r)


def needle_q(t: Tensor) -> np.ndarray:
    p = t.problem
    begin, end = (n[..., 0] for n in visible_keys(p, t.b, t.s))
    words = t.draw()[:, :, :, 0, :]
    seen = end - begin
    edge = begin + 64 * (words[..., 0] % (seen // 64 + 1).astype(np.uint64)).astype(np.int64)
    anywhere = begin + (words[..., 1] % np.maximum(seen, 1).astype(np.uint64)).astype(np.int64)
    choices = [begin, end - 1, end - 2, edge - 1, edge, edge + 1, (begin + end) // 2, anywhere]
    c = np.choose((t.s + t.h)[..., 0] % 8, choices)
    c = np.where(seen > 0, np.clip(c, begin, np.maximum(end - 1, begin)), 0)
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

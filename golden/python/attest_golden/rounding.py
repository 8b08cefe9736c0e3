"""Rounding to the types of a problem (harness/rounding.cpp): encode()."""

import numpy as np

# precision in bits, exponent of the smallest normal number, storage
FORMATS = {
    "fp64": (53, -1022, np.float64),
    "fp32": (24, -126, np.float32),
    "fp16": (11, -14, np.float16),
    "bf16": (8, -126, np.uint16),  # numpy has no bfloat16: its bits
}


def encode(dtype: str, values: np.ndarray) -> np.ndarray:
    """float64 values rounded once, to nearest even, in the storage type of `dtype`. Infinities and
    NaN stay what they are, finite values must not overflow."""
    precision, min_exponent, storage = FORMATS[dtype]
    if dtype == "fp64":
        return values
    # Scaled by powers of two, exactly, until an ulp is 1: rint() then rounds to nearest even.
    # np.frexp's exponent is one above the binade's.
    quantum = np.maximum(np.frexp(values)[1] - 1, min_exponent) - precision + 1
    rounded = np.ldexp(np.rint(np.ldexp(values, -quantum)), quantum)
    if dtype == "bf16":
        return (rounded.astype(np.float32).view(np.uint32) >> np.uint32(16)).astype(storage)
    return rounded.astype(storage)

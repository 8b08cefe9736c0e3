"""Rounding to the types of a problem (harness/rounding.cpp): encode()."""

import numpy as np

# precision in bits, exponent of the smallest normal number, storage
FORMATS = {
    "fp64": (53, -1022, np.float64),
    "fp32": (24, -126, np.float32),
    "fp16": (11, -14, np.float16),
    "bf16": (8, -126, np.uint16),  # numpy has no bfloat16: its bits
    "e4m3": (4, -6, np.uint8),
    "e5m2": (3, -14, np.uint8),
}
MAX_FINITE = {"e4m3": 448.0, "e5m2": 57344.0}


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
    if dtype == "e5m2":  # the upper half of an fp16
        return (rounded.astype(np.float16).view(np.uint16) >> np.uint16(8)).astype(storage)
    if dtype == "e4m3":  # that of an fp16 2^8 times smaller has one exponent bit more, 0
        small = np.ldexp(np.clip(rounded, -448, 448), -8).astype(np.float16).view(np.uint16)
        return (small >> np.uint16(8) & np.uint16(0x80) | small >> np.uint16(7) & np.uint16(0x7F)
                ).astype(storage)
    return rounded.astype(storage)


def widened(dtype, bits):
    """8-bit floats as float32: e5m2 is the upper half of a float16, e4m3 has a bias that is 8 less."""
    b = bits.astype("<u2")
    if dtype == "float8_e5m2":
        return (b << 8).view("<f2").astype(np.float32)
    half = ((b & 0x80) << 8 | (b & 0x7F) << 7).view("<f2").astype(np.float32)
    return np.where(b & 0x7F == 0x7F, np.float32(np.nan), half * np.float32(256))

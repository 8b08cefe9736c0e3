"""Reads Attest's golden files, and writes candidates: the same format with outputs alone.

    import attest_golden as golden

    for case_id, problem, dims in golden.cases("core.h5"):
        q = golden.load("core.h5", case_id, "q")                   # float32, exact for bf16
        want = golden.load("core.h5", case_id, "o", as_="native")  # the reference: float64
        outputs[problem] = {"o": my_attention(q, ...), "lse": ...}
    golden.write_candidate("mine.h5", outputs)

The format is golden/schema.md. Needs numpy and h5py, nothing of Attest. Open only files you trust:
h5py follows what a hostile file tells it to.
"""

from .inputs import regenerate
from .problem import parse_problem
from .reading import cases, load, verify
from .writing import write_candidate

__all__ = ["cases", "load", "parse_problem", "regenerate", "verify", "write_candidate"]

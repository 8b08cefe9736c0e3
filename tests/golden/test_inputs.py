"""numpy regenerates the inputs that the C++ program draws: every hash of input_hashes.txt."""

import pathlib
import sys
import unittest

try:
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "golden" / "python"))

from attest_golden import inputs  # noqa: E402
from attest_golden.rounding import widened  # noqa: E402


class RegenerateTest(unittest.TestCase):
    def test_every_hash_of_the_table_comes_out_again(self):
        lines = (HERE / "input_hashes.txt").read_text().splitlines()
        tensors, problem = {}, None
        for line in lines:
            digest, name, text = line.split(" ", 2)
            if text != problem:
                problem, tensors = text, inputs.regenerate(text)
            kv = inputs.parse_problem(text)["kv"]
            with self.subTest(problem=text, tensor=name):
                self.assertEqual(inputs.sha256(tensors[name], kv), digest)

    def test_the_table_covers_every_fill(self):
        lines = (HERE / "input_hashes.txt").read_text().splitlines()
        fills = {inputs.parse_problem(line.split(" ", 2)[2])["fill"] for line in lines}
        self.assertEqual(fills, set(inputs.RECIPES))

    def test_every_8_bit_number_rounds_to_itself_and_every_midpoint_to_the_even_one(self):
        for dtype, torch, numbers in (("e4m3", "float8_e4m3fn", 0x7F), ("e5m2", "float8_e5m2", 0x7C)):
            values = widened(torch, np.arange(numbers, dtype=np.uint8)).astype(np.float64)
            for sign, bit in ((1, 0), (-1, 0x80)):
                self.assertEqual((inputs.encode(dtype, sign * values) ^ bit).tolist(),
                                 list(range(numbers)))
                middle = inputs.encode(dtype, sign * (values[:-1] + values[1:]) / 2) ^ bit
                self.assertEqual(middle.tolist(), [n + n % 2 for n in range(numbers - 1)])
        self.assertEqual(inputs.encode("e4m3", np.array([1e4, -1e4])).tolist(), [0x7E, 0xFE])

    def test_the_table_covers_everything_that_enters_a_layer(self):
        lines = [line.split(" ", 2) for line in (HERE / "input_hashes.txt").read_text().splitlines()]
        keys = ("norm", "bias", "gate", "form", "tp", "dtype", "Lq", "page", "scale", "softcap")
        seen = {key: set() for key in keys}
        names = set()
        for _, name, text in lines:
            p = inputs.parse_problem(text)
            if p["level"] == "layer":
                names.add(name)
                for key in keys:
                    seen[key].add(p[key])
        self.assertEqual(seen["norm"], {"none", "rms", "rms_zero_centered", "l2", "layer"})
        self.assertEqual(seen["bias"], {"none", "qkv", "all"})
        self.assertEqual(seen["dtype"], {"bf16", "fp16", "fp32", "fp64"})
        for key in ("gate", "form", "tp", "Lq", "page", "scale", "softcap"):
            self.assertGreaterEqual(len(seen[key]), 2, key)
        self.assertEqual(names, set(
            "x w_qkv b_qkv w_q_norm w_k_norm b_q_norm b_k_norm w_o b_o k_cache v_cache block_table "
            "seqlens_k w_dq w_uq w_q w_dkv w_kv_norm w_ukv latent_cache sinks".split()))

    def test_the_table_covers_everything_that_enters_the_scores(self):
        lines = [line.split(" ", 2) for line in (HERE / "input_hashes.txt").read_text().splitlines()]
        core = [(name, inputs.parse_problem(text)) for _, name, text in lines]
        core = [(name, p) for name, p in core if p["level"] == "core"]
        for key in ("attn_bias", "attn_mask"):
            self.assertEqual({p[key] for _, p in core}, {"none", "shared", "batch", "head", "full"})
            self.assertEqual({p["lens"] is None for name, p in core if name == key}, {True, False})
        self.assertEqual({p["dtype"] for name, p in core if name == "attn_bias"},
                         {"bf16", "fp16", "fp32", "fp64"})
        self.assertEqual({p["sink"] for _, p in core}, {"none", "one", "learned"})
        self.assertEqual({p["layout"] for _, p in core}, {"bshd", "sbhd", "bhsd", "qkv"})
        self.assertIn("alibi_slopes", {name for name, _ in core})
        windows = {p["window"] for _, p in core if p["fill"] == "needle"}
        self.assertGreaterEqual(len(windows), 4)

    def test_rounding_breaks_ties_to_even_and_keeps_subnormals(self):
        u = 2.0**-8
        ties = np.array([1 + u, 1 + 3 * u, 1 + u + 2.0**-40, 2.0**-133, 2.0**-134])
        bits = inputs.encode("bf16", ties)
        self.assertEqual([hex(b) for b in bits], ["0x3f80", "0x3f82", "0x3f81", "0x1", "0x0"])
        self.assertEqual(inputs.encode("fp16", np.array([1.5 * 2.0**-24]))[0], 2.0**-23)
        self.assertEqual(inputs.encode("fp32", np.array([1 + 3 * 2.0**-24]))[0], 1 + 2.0**-22)


if __name__ == "__main__":
    unittest.main()

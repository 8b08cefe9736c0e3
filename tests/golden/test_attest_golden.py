"""The Python package reads what the C++ writer wrote, and so does h5py by itself.

Reads the file named by ATTEST_GOLDEN, by default a golden/*.h5 of this repository. The tests of
FixtureTest need the file that tests/golden/python_test.cpp writes and skip for any other. With
ATTEST_CANDIDATE the outputs are also written to that path as a candidate.
"""

import hashlib
import os
import pathlib
import shutil
import stat
import struct
import sys
import tempfile
import unittest

try:
    import h5py
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "golden" / "python"))

import attest_golden as golden  # noqa: E402

COMMITTED = sorted((HERE.parents[1] / "golden").glob("*.h5"))
GOLDEN = os.environ.get("ATTEST_GOLDEN") or (str(COMMITTED[0]) if COMMITTED else "")
FIXTURE = "mha B=1 Sq=64 Sk=0 H=1 G=1 D=1024 dtype="  # + bf16, fp16: q counts through all bits
DIGEST = "mqa B=1 Sq=2 Sk=3 H=2 G=1 D=8 dtype=bf16 seed=5"


def value_of(bits, exponent_bits):
    """Value of a 16-bit float from the definition: sign, exponent, fraction."""
    fraction_bits = 15 - exponent_bits
    sign = -1.0 if bits >> 15 else 1.0
    exponent = bits >> fraction_bits & (1 << exponent_bits) - 1
    fraction = bits & (1 << fraction_bits) - 1
    bias = (1 << exponent_bits - 1) - 1
    if exponent == (1 << exponent_bits) - 1:
        return float("nan") if fraction else sign * float("inf")
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias - fraction_bits)
    return sign * (1 + fraction / (1 << fraction_bits)) * 2.0 ** (exponent - bias)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@unittest.skipUnless(GOLDEN, "no golden file: set ATTEST_GOLDEN or commit one to golden/")
class AnyFileTest(unittest.TestCase):
    def test_every_hash_comes_out_again(self):
        with h5py.File(GOLDEN) as file:
            self.assertEqual(golden.verify(GOLDEN), file.attrs["logical_hash"].decode())

    def test_cases_are_sorted_and_named_by_their_problem(self):
        found = list(golden.cases(GOLDEN))
        self.assertGreater(len(found), 0)
        self.assertEqual(found, sorted(found, key=lambda case: case[0]))
        for case_id, problem, dims in found:
            self.assertEqual(case_id, hashlib.sha256(problem.encode()).hexdigest()[:16])
            self.assertIn(f"Sq={dims['Sq']} ", problem)

    def stored(self):
        """(case id, path, shape) of every tensor whose elements are stored."""
        with h5py.File(GOLDEN) as file:
            return [(case_id, f"{group}/{name}", dataset.shape)
                    for case_id, case in file["cases"].items()
                    for group, tensors in case.items()
                    for name, dataset in tensors.items() if dataset.shape is not None]

    def test_h5py_alone_reads_the_right_numbers(self):
        for case_id, path, shape in self.stored():
            with h5py.File(GOLDEN) as file:
                plain = file[f"cases/{case_id}/{path}"][()]
            ours = golden.load(GOLDEN, case_id, path, as_="native")
            with self.subTest(case=case_id, tensor=path):
                self.assertEqual(plain.dtype, ours.dtype)
                self.assertEqual(ours.shape, shape)
                np.testing.assert_array_equal(plain, ours)

    def test_reference_outputs_are_float64(self):
        for case_id, path, _ in self.stored():
            if path in ("outputs/o", "outputs/lse"):
                self.assertEqual(golden.load(GOLDEN, case_id, path, as_="native").dtype, np.float64)

    def test_h5py_sees_filters_that_every_reader_has(self):
        for case_id, path, shape in self.stored():
            if 0 in shape:
                continue
            with h5py.File(GOLDEN) as file:
                dataset = file[f"cases/{case_id}/{path}"]
                self.assertEqual((dataset.shuffle, dataset.compression, dataset.fletcher32),
                                 (True, "gzip", True))


class CommittedTest(unittest.TestCase):
    def test_every_input_of_committed_files_can_be_drawn_again(self):
        for path in COMMITTED:
            with h5py.File(path) as file:
                for case in file["cases"].values():
                    problem = case.attrs["problem"].decode()
                    drawn = golden.regenerate(problem)
                    self.assertEqual(set(drawn), set(case["inputs"]))
                    for name, dataset in case["inputs"].items():
                        dtype = dataset.attrs["dtype"].decode()
                        bits = drawn[name].view(f"<u{drawn[name].itemsize}")
                        with self.subTest(problem=problem, tensor=name):
                            self.assertEqual(golden.reading.digest(dtype, bits),
                                             dataset.attrs["sha256"].decode())


class FixtureTest(unittest.TestCase):
    def setUp(self):
        problems = [problem for _, problem, _ in golden.cases(GOLDEN)] if GOLDEN else []
        if FIXTURE + "bf16" not in problems:
            self.skipTest("needs the file that tests/golden/python_test.cpp writes")

    def test_all_16_bit_patterns_have_their_value(self):
        for dtype, exponent_bits in (("bf16", 8), ("fp16", 5)):
            bits = golden.load(GOLDEN, FIXTURE + dtype, "q", as_="bits").ravel()
            np.testing.assert_array_equal(bits, np.arange(65536, dtype=np.uint16))
            want = np.array([value_of(n, exponent_bits) for n in range(65536)])
            values = golden.load(GOLDEN, FIXTURE + dtype, "q").ravel()
            self.assertEqual(values.dtype, np.float32)
            np.testing.assert_array_equal(values.astype(np.float64), want)

    def test_float64_keeps_its_bits_and_float32_rounds_to_even(self):
        lse = golden.load(GOLDEN, FIXTURE + "bf16", "lse", as_="native").ravel()
        self.assertEqual(lse[0], -np.inf)
        self.assertEqual(struct.pack("<d", lse[1]), struct.pack("<Q", 0x7FF8000000000123))
        self.assertEqual(lse[2], 1 + 2.0**-24)
        single = golden.load(GOLDEN, FIXTURE + "bf16", "outputs/lse").ravel()
        self.assertEqual((single.dtype, single[2]), (np.float32, 1))

    def test_tensors_without_elements_keep_their_shape(self):
        self.assertEqual(golden.load(GOLDEN, FIXTURE + "bf16", "k").shape, (1, 0, 1, 1024))

    def test_inputs_that_are_left_out_are_drawn_again_and_outputs_are_not(self):
        with self.assertRaisesRegex(ValueError, "keeps only the hash of outputs/o"):
            golden.load(GOLDEN, DIGEST, "o")
        # The fixture hashes other bits than the seed gives: the check must see it.
        with self.assertRaisesRegex(ValueError, "inputs/q does not match its sha256"):
            golden.load(GOLDEN, DIGEST, "q")

    def test_unknown_names_are_refused(self):
        with self.assertRaisesRegex(KeyError, "has no case"):
            golden.load(GOLDEN, "mha", "q")
        with self.assertRaisesRegex(KeyError, "no tensor w"):
            golden.load(GOLDEN, DIGEST, "w")
        with self.assertRaisesRegex(ValueError, "as_ must be"):
            golden.load(GOLDEN, DIGEST, "q", as_="float8")

    def test_ml_dtypes_gives_bfloat16_where_installed(self):
        try:
            import ml_dtypes
        except ImportError:
            with self.assertRaises(ImportError):
                golden.load(GOLDEN, FIXTURE + "bf16", "q", as_="ml_dtypes")
            return
        q = golden.load(GOLDEN, FIXTURE + "bf16", "q", as_="ml_dtypes")
        self.assertEqual(q.dtype, ml_dtypes.bfloat16)

    def test_a_changed_hash_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = shutil.copy(GOLDEN, folder)
            with h5py.File(path, "r+") as file:
                case = file["cases"][hashlib.sha256((FIXTURE + "bf16").encode()).hexdigest()[:16]]
                case["outputs/lse"][0, 0, 3] = 7
            with self.assertRaisesRegex(ValueError, "outputs/lse does not match its sha256"):
                golden.verify(path)
            with self.assertRaisesRegex(ValueError, "does not match its sha256"):
                golden.load(path, FIXTURE + "bf16", "lse")


class CandidateTest(unittest.TestCase):
    PROBLEM = "mha B=2 Sq=300 Sk=4 H=4 G=4 D=64 Dv=128 dtype=bf16"

    def outputs(self):
        bits = (np.arange(2 * 300 * 4 * 128) * 40503 % 65536).astype(np.uint16)
        lse = -np.arange(2 * 4 * 300, dtype=np.float32) / 7
        lse[5] = -np.inf
        return bits.reshape(2, 300, 4, 128), lse.reshape(2, 4, 300)

    def test_a_candidate_reads_back_bit_for_bit(self):
        o, lse = self.outputs()
        with tempfile.TemporaryDirectory() as folder:
            path = os.environ.get("ATTEST_CANDIDATE") or os.path.join(folder, "candidate.h5")
            golden.write_candidate(path, {self.PROBLEM: {"o": ("bfloat16", o), "lse": lse}},
                                   producer="numpy", command="a test")
            golden.verify(path)
            self.assertTrue(same_bits(golden.load(path, self.PROBLEM, "o", as_="bits"), o))
            self.assertTrue(same_bits(golden.load(path, self.PROBLEM, "lse"), lse))

    def test_wrong_shapes_and_types_are_refused_and_leave_no_file(self):
        o, lse = self.outputs()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "candidate.h5")
            for bad in ({"o": o}, {"lse": lse[0]}, {"x": lse}):
                with self.assertRaises(ValueError):
                    golden.write_candidate(path, {self.PROBLEM: bad})
            self.assertEqual(os.listdir(folder), [])

    def test_a_candidate_of_a_layer_holds_its_stages_and_nothing_else(self):
        problem = "mla B=2 Sq=1 Sk=3 H=2 G=2 D=12 Dv=8 dtype=fp16 level=layer E=16 L=8 Dr=4 page=2"
        q_rot = np.arange(48, dtype=np.float16).reshape(2, 1, 2, 12)
        cache = np.full((6, 2, 12), 0xFFFF, np.uint16).view(np.float16)
        y = -np.arange(32, dtype=np.float32).reshape(2, 1, 16)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "candidate.h5")
            golden.write_candidate(path, {problem: {"q_rot": q_rot, "latent_cache": cache, "y": y}})
            golden.verify(path)
            self.assertTrue(same_bits(golden.load(path, problem, "y"), y))
            self.assertTrue(same_bits(golden.load(path, problem, "latent_cache", as_="native"),
                                      cache))
            with h5py.File(path) as file:
                case = next(iter(file["cases"].values()))
                self.assertEqual([case["outputs"][name].attrs["layout"].decode()
                                  for name in ("q_rot", "latent_cache", "y")],
                                 ["BSHD", "PSC", "BSE"])
            for bad in ({"y": y[:1]}, {"c_q": y}, {"latent_cache": cache[:2]}):
                with self.assertRaisesRegex(ValueError, "must have shape"):
                    golden.write_candidate(path, {problem: bad})

    def test_a_target_that_is_no_regular_file_stays_what_it_is(self):
        _, lse = self.outputs()
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(os.path.join(folder, "pipe"))
            os.symlink("nothing", os.path.join(folder, "link"))
            for name in ("pipe", "link", ""):
                with self.assertRaisesRegex(ValueError, "must be a new file or replace one"):
                    golden.write_candidate(os.path.join(folder, name), {self.PROBLEM: {"lse": lse}})
            self.assertTrue(stat.S_ISFIFO(os.stat(os.path.join(folder, "pipe")).st_mode))
            self.assertEqual(sorted(os.listdir(folder)), ["link", "pipe"])


class OtherFilesTest(unittest.TestCase):
    def test_other_hdf5_files_and_versions_are_refused(self):
        for attributes, message in (({}, "must say format=attest-golden, got nothing"),
                                    ({"format": "soup"}, "must say format=attest-golden, got soup"),
                                    ({"format": "attest-golden", "format_version": [2, 0]},
                                     "has format 2.0, this package reads 1.x")):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "other.h5")
                with h5py.File(path, "w") as file:
                    file.attrs.update(attributes)
                with self.assertRaisesRegex(ValueError, message):
                    golden.verify(path)


if __name__ == "__main__":
    unittest.main()

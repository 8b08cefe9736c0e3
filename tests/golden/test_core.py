"""golden/core.h5 is what golden/schema.md says, read with h5py and numpy alone.

The package attest_golden is not used: hashes, outputs and conditioning are worked out here from the
text of schema.md. With ATTEST_PROGRAM the file is also made again and compared.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import h5py
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from numpy_attention import Problem, attention, core_inputs, read
from numpy_layer import layer
from schema_tables import layouts

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORE = ROOT / "golden" / "core.h5"
SCHEMA = ROOT / "golden" / "schema.md"
PROGRAM = os.environ.get("ATTEST_PROGRAM")


def bits_of(dataset):
    """The elements' bytes, row-major, as they are in the file."""
    file_type = dataset.id.get_type()
    bits = np.empty(dataset.shape, f"V{file_type.get_size()}")
    if bits.size:
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, bits, file_type)
    return bits.tobytes()


def tensors(case):
    return {f"{group}/{name}": case[group][name] for group in case for name in case[group]}


def sha256(dataset):
    extents = "x".join(map(str, dataset.shape))
    head = f"{dataset.attrs['dtype'].decode()}|{extents}|".encode()
    return hashlib.sha256(head + bits_of(dataset)).hexdigest()


def logical_hash(file):
    """By the section `Hashes` of schema.md, from elements alone."""
    text = b""
    for case_id in sorted(file["cases"]):
        text += case_id.encode() + b"\n"
        case = file["cases"][case_id]
        for group in sorted(case):
            for name in sorted(case[group]):
                text += f"{group}/{name} {sha256(case[group][name])}\n".encode()
    return hashlib.sha256(text).hexdigest()


def expected(case):
    """Every float64 tensor of a case from its inputs, by schema.md."""
    p = Problem(case.attrs["problem"].decode())
    if p.is_layer:
        return layer(p, case)
    inputs = read(case)
    return attention(p, *core_inputs(p, inputs), inputs)


class CoreTest(unittest.TestCase):
    def setUp(self):
        self.file = h5py.File(CORE, "r")
        self.addCleanup(self.file.close)
        self.cases = self.file["cases"]
        self.problems = [Problem(case.attrs["problem"].decode()) for case in self.cases.values()]

    def test_the_logical_hash_comes_out_of_its_definition(self):
        self.assertEqual(logical_hash(self.file), self.file.attrs["logical_hash"].decode())

    def test_ids_are_hashes_of_problems(self):
        for case_id, case in self.cases.items():
            self.assertEqual(hashlib.sha256(case.attrs["problem"]).hexdigest()[:16], case_id)

    def test_outputs_and_conditioning_come_out_of_their_definitions(self):
        for case in self.cases.values():
            for path, want in expected(case).items():
                with self.subTest(problem=case.attrs["problem"], tensor=path):
                    got = case[path][()]
                    # o may cancel; what the roundings of o scale with is abs_mag
                    noise = case["conditioning/abs_mag"][()] if path == "outputs/o" else abs(want)
                    # m - s_j and lse lose what their larger terms round away
                    lost = 1e-13 if "gap" in path or path == "outputs/lse" else 0
                    limit = 1e-11 * noise + lost
                    if b"level=layer" in case.attrs["problem"]:  # projections cancel too
                        limit = 1e-13 * np.nanmax(abs(want))
                    with np.errstate(invalid="ignore"):  # -inf - -inf
                        near = abs(got - want) <= limit
                    same = (got == want) | (np.isnan(got) & np.isnan(want))
                    self.assertEqual(got.shape, want.shape)
                    self.assertTrue(np.all(near | same))

    def test_names_layouts_and_types_are_those_of_the_schema(self):
        for p, case in zip(self.problems, self.cases.values()):
            with self.subTest(problem=p.text):
                found = {path: dataset.attrs["layout"].decode()
                         for path, dataset in tensors(case).items()}
                self.assertEqual(found, layouts(p))
            for path, dataset in tensors(case).items():
                if not path.startswith("inputs/"):
                    self.assertEqual(dataset.dtype, np.float64)

    def test_16_bit_types_have_the_fields_that_the_schema_gives(self):
        fields = {"bfloat16": ((15, 7, 8, 0, 7), 127), "float16": ((15, 10, 5, 0, 10), 15)}
        for case in self.cases.values():
            for name, dataset in case["inputs"].items():
                if name in ("block_table", "seqlens_k", "attn_mask", "alibi_slopes", "sinks"):
                    continue
                kind = dataset.id.get_type()
                self.assertEqual((kind.get_fields(), kind.get_ebias()),
                                 fields[dataset.attrs["dtype"].decode()])

    def test_the_cases_reach_what_they_are_there_for(self):
        core = [p for p in self.problems if not p.is_layer]
        self.assertEqual({p.variant for p in core}, {"mha", "gqa", "mqa", "mla"})
        for variant in ("mha", "gqa", "mqa"):
            own = [p for p in core if p.variant == variant]
            self.assertEqual({p.keys["dtype"] for p in own}, {"bf16", "fp16"})
            self.assertEqual({p.mask for p in own}, {"none", "causal", "causal_top_left"})
        self.assertLessEqual({1, 2, 7, 8}, {p.H // p.G for p in core})
        self.assertTrue(any(p.D != p.Dv for p in core))
        self.assertTrue(any(p.softcap and "scale" in p.keys for p in core))
        self.assertTrue(any("0" in p.keys.get("lens", "").split(",") for p in core))
        self.assertTrue(any("lens" in p.keys and p.page for p in core))
        self.assertGreaterEqual(len({p.keys.get("fill", "normal") for p in core}), 10)
        for key in ("window", "alibi", "attn_bias", "attn_mask", "sink", "layout"):
            self.assertTrue(any(key in p.keys for p in core), key)
        self.assertEqual({p.sink for p in core}, {"none", "one", "learned"})
        self.assertEqual({p.mask for p in core if "window" in p.keys}, {"none", "causal"})
        self.assertTrue(any("attn_bias" in p.keys and "lens" in p.keys for p in core))
        self.assertTrue(any(np.isneginf(case["outputs/lse"][()]).any() and
                            np.isfinite(case["outputs/lse"][()]).any()
                            for case in self.cases.values()))

    def test_masks_and_windows_leave_rows_without_a_key_alone_and_beside_a_sink(self):
        empty = {key: 0 for key in ("attn_mask", "window", "sink")}
        for p, case in zip(self.problems, self.cases.values()):
            lse, visible = case["outputs/lse"][()], case["conditioning/visible"][()]
            if p.sink != "none":
                alone = visible == 1
                self.assertTrue(np.isfinite(lse).all(), p.text)
                if p.mask == "causal" and not p.is_layer and p.Sq > p.Sk:
                    sinks = case["inputs/sinks"][()][None, :, None] + 0 * lse
                    np.testing.assert_array_equal(lse[alone], sinks[alone])
                    empty["sink"] += alone.sum()
                continue
            for key in empty:
                empty[key] += (np.isneginf(lse) & (visible == 0)).sum() if key in p.keys else 0
        self.assertGreater(min(empty.values()), 0, empty)

    def test_h5py_alone_shows_masks_as_truth_values(self):
        masks = [case["inputs/attn_mask"][()] for case in self.cases.values()
                 if "attn_mask" in case["inputs"]]
        self.assertGreaterEqual(len(masks), 2)
        for mask in masks:
            self.assertEqual(mask.dtype, np.dtype(bool))
            self.assertTrue(mask.any() and not mask.all())

    @unittest.skipUnless(PROGRAM, "needs ATTEST_PROGRAM")
    def test_a_mask_that_h5py_wrote_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = shutil.copy(CORE, folder)
            with h5py.File(path, "r+") as file:
                inputs = next(case["inputs"] for case in file["cases"].values()
                              if "attn_mask" in case["inputs"])
                mask, attributes = inputs["attn_mask"][()], dict(inputs["attn_mask"].attrs)
                del inputs["attn_mask"]
                inputs["attn_mask"] = mask
                inputs["attn_mask"].attrs.update(attributes)
                good = self.verify(file)
                del inputs["attn_mask"]
                inputs["attn_mask"] = mask.view(np.uint8)
                inputs["attn_mask"].attrs.update(attributes)
                bytes_of_it = self.verify(file)
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertEqual(bytes_of_it.returncode, 3)
        self.assertIn("must store inputs/attn_mask in the type of its dtype", bytes_of_it.stderr)

    def test_the_layers_reach_what_they_are_there_for(self):
        layers = [p for p in self.problems if p.is_layer]
        values = {key: {p.keys.get(key, "") for p in layers}
                  for key in ("norm", "bias", "gate", "tp", "dtype", "lens", "page", "softcap",
                              "window", "sink")}
        self.assertEqual(values["norm"], {"", "rms", "rms_zero_centered", "l2", "layer"})
        self.assertEqual(values["bias"], {"", "qkv", "all"})
        self.assertEqual(values["dtype"], {"bf16", "fp16"})
        for key in ("gate", "tp", "lens", "page", "softcap", "window", "sink"):
            self.assertGreaterEqual(len(values[key]), 2, key)
        self.assertEqual({p.variant for p in layers}, {"mha", "gqa", "mqa", "mla"})
        self.assertEqual({(p.absorbed, p.Lq > 0) for p in layers if p.variant == "mla"},
                         {(False, False), (False, True), (True, False), (True, True)})
        ropes = [p.rope() for p in layers]
        self.assertEqual({kind for kind, _ in ropes}, {"default", "linear", "llama3", "yarn"})
        self.assertEqual({rope.get("pairing", "half") for _, rope in ropes},
                         {"half", "interleaved", "deinterleave"})
        for p in layers:  # nothing passes with two dimensions swapped
            widths = [p.E, p.H * p.Dv, p.D] + ([p.L, p.L + p.Dr] if p.L else [])
            self.assertEqual(len(set(widths)), len(widths), p.text)

    def test_the_file_is_small_and_names_no_folder(self):
        self.assertLess(CORE.stat().st_size, 5 << 19)
        for name in ("producer", "profile", "created_by_command"):
            self.assertNotIn("/", self.file.attrs[name].decode())

    def test_the_example_of_the_schema_runs(self):
        example = re.search(r"```python\n(.*?)```", SCHEMA.read_text(), re.S).group(1)
        output = subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout.splitlines()
        self.assertEqual(len(output), len(self.cases))
        self.assertIn("gqa B=1 Sq=3 Sk=13 H=4 G=2 D=64 dtype=bf16 mask=causal fill=needle float32 "
                      "(1, 3, 4, 64) float64", output)

    @unittest.skipUnless(PROGRAM, "needs ATTEST_PROGRAM")
    def test_verify_tells_other_values_from_damage(self):
        with tempfile.TemporaryDirectory() as folder:
            path = shutil.copy(CORE, folder)
            with h5py.File(path, "r+") as file:
                o = next(iter(file["cases"].values()))["outputs/o"]
                o[0, 0, 0, 0] += 1e-9
                damaged = self.verify(file)
                o.attrs["sha256"] = sha256(o)
                file.attrs["logical_hash"] = logical_hash(file)
                changed = self.verify(file)
        self.assertEqual(damaged.returncode, 3)
        self.assertIn("outputs/o must hold elements that match their SHA-256", damaged.stderr)
        self.assertEqual(changed.returncode, 1)
        self.assertRegex(changed.stdout, "DIFFERS .* outputs/o: element 0 must be")

    def verify(self, file):
        file.flush()
        return subprocess.run([PROGRAM, "golden", "verify", file.filename], capture_output=True,
                              text=True)

    @unittest.skipUnless(PROGRAM, "needs ATTEST_PROGRAM")
    def test_the_list_makes_the_same_file_again(self):
        with tempfile.TemporaryDirectory() as folder:
            again = os.path.join(folder, "again.h5")
            subprocess.run([PROGRAM, "golden", "generate", str(ROOT / "ci" / "golden.list"), "-o",
                            again], check=True, capture_output=True)
            with h5py.File(again) as file:
                self.assertEqual(sorted(file["cases"]), sorted(self.cases))
                for case_id, case in self.cases.items():
                    for path, dataset in tensors(case).items():
                        if path.startswith("inputs/"):
                            self.assertEqual(file["cases"][case_id][path].attrs["sha256"],
                                             dataset.attrs["sha256"], path)
                # Another instruction set or compiler may round the last bit of o otherwise.
                if file.attrs["profile"] == self.file.attrs["profile"]:
                    self.assertEqual(file.attrs["logical_hash"], self.file.attrs["logical_hash"])


if __name__ == "__main__":
    unittest.main()

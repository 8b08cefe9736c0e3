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


def dims_of(problem):
    variant, *pairs = problem.split()
    keys = dict(pair.split("=", 1) for pair in pairs)
    dims = {key: int(keys[key]) for key in ("B", "Sq", "Sk", "H", "G", "D")}
    dims["Dv"] = int(keys.get("Dv", dims["D"]))
    return variant, dims, keys


def scale_of(variant, dims, keys):
    """By the section `Layout` of schema.md."""
    if variant != "mla":
        return 1 / np.sqrt(dims["D"])
    kind, _, members = keys.get("rope", "none").partition(":")
    rope = dict(member.split(":") for member in members.split(",")) if kind == "yarn" else {}
    stretch = 1 + 0.1 * float(rope.get("mscale_all_dim", 0)) * np.log(float(rope.get("factor", 1)))
    Dr = int(keys["Dr"])
    return stretch**2 / np.sqrt(int(keys.get("Dn", dims["D"] - Dr)) + Dr)


def inputs_of(case, dims):
    """q, k and v, those of absorbed MLA out of its latent cache."""
    read = {name: case["inputs"][name][()].astype(np.float64) for name in case["inputs"]}
    read.pop("seqlens_k", None)  # the problem says them too
    if "block_table" in read:
        table = read.pop("block_table").astype(int)
        table[table == 2**31 - 1] = 0  # pages without keys
        for name in [name for name in read if name.endswith("_cache")]:
            rows = read.pop(name)[table]  # [B, N, page, ...]
            dense = rows.reshape((rows.shape[0], -1) + rows.shape[3:])[:, :dims["Sk"]]
            read[name if name == "latent_cache" else name[0]] = dense
    if "latent_cache" in read:
        k = read["latent_cache"][:, :, None]
        return read["q"], k, k[..., :dims["Dv"]]
    return read["q"], read["k"], read["v"]


def visible(keys, dims, b, i):
    length = int(keys["lens"].split(",")[b]) if "lens" in keys else dims["Sk"]
    n = {"none": length, "causal": i + 1 + length - dims["Sq"], "causal_top_left": i + 1}
    return min(max(n[keys.get("mask", "none")], 0), length)


def row_of(q, k, v, scale):
    """Outputs and conditioning of one row with keys k [n, D], v [n, Dv], n > 0."""
    s = scale * (k @ q)
    m = s.max()
    p = np.exp(s - m)
    total = p.sum()
    P = p / total
    a = scale * np.linalg.norm(q) * np.linalg.norm(k, axis=1)
    binade = np.where(p >= 2.0**-1022, np.exp2(np.frexp(p)[1] - 1.0), 0) * (s < m)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(s)[:-1]])
    return {
        "outputs/o": P @ v,
        "outputs/lse": m + np.log(total),
        "conditioning/abs_mag": P @ abs(v),
        "conditioning/abs_mag_a": (P * a) @ abs(v),
        "conditioning/abs_mag_gap": (P * (m - s)) @ abs(v),
        "conditioning/second_moment": ((binade[:, None] * v / total) ** 2).sum(0),
        "conditioning/visible_abs_v": abs(v).sum(0),
        "conditioning/row_max": m,
        "conditioning/row_sum": total,
        "conditioning/mean_a": P @ a,
        "conditioning/mean_gap": P @ (m - s),
        "conditioning/max_a": a.max(),
        "conditioning/max_gap": (m - s).max(),
        "conditioning/max_raises": (s > before).sum(),
    }


def expected(case):
    """Every float64 tensor of a case from its inputs, by schema.md."""
    variant, dims, keys = dims_of(case.attrs["problem"].decode())
    q, k, v = inputs_of(case, dims)
    scale = scale_of(variant, dims, keys)
    result = {path: np.zeros(dataset.shape) for path, dataset in tensors(case).items()
              if not path.startswith("inputs/")}
    for path in ("outputs/lse", "conditioning/row_max"):
        result[path][...] = -np.inf
    for b, h, i in np.ndindex(dims["B"], dims["H"], dims["Sq"]):
        n, g = visible(keys, dims, b, i), h // (dims["H"] // dims["G"])
        if n == 0:
            continue
        for path, value in row_of(q[b, i, h], k[b, :n, g], v[b, :n, g], scale).items():
            result[path][(b, i, h) if np.ndim(value) else (b, h, i)] = value
    return result


class CoreTest(unittest.TestCase):
    def setUp(self):
        self.file = h5py.File(CORE, "r")
        self.addCleanup(self.file.close)
        self.cases = self.file["cases"]
        self.problems = [case.attrs["problem"].decode() for case in self.cases.values()]

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
                    # o may cancel; what the roundings scale with is abs_mag
                    noise = case["conditioning/abs_mag"][()] if path == "outputs/o" else abs(want)
                    # m - s_j and lse lose what their larger terms round away
                    lost = 1e-13 if "gap" in path or path == "outputs/lse" else 0
                    with np.errstate(invalid="ignore"):  # -inf - -inf
                        near = abs(got - want) <= 1e-11 * noise + lost
                    self.assertTrue(np.all(near | (got == want)))

    def test_names_layouts_and_types_are_those_of_the_schema(self):
        rows = set("row_max row_sum mean_a mean_gap max_a max_gap max_raises".split())
        elements = set("abs_mag abs_mag_a abs_mag_gap second_moment visible_abs_v".split())
        for case in self.cases.values():
            self.assertEqual(set(case), {"inputs", "outputs", "conditioning"})
            problem = case.attrs["problem"]
            cached = set("kv") if b" page=" not in problem else {"k_cache", "v_cache"}
            inputs = {"q"} | ({"latent_cache"} if b"form=absorbed" in problem else cached)
            inputs |= {"block_table"} if b" page=" in problem else set()
            inputs |= {"seqlens_k"} if b" lens=" in problem else set()
            self.assertEqual(set(case["inputs"]), inputs)
            self.assertEqual(set(case["outputs"]), {"o", "lse"})
            self.assertEqual(set(case["conditioning"]), rows | elements)
            for path, dataset in tensors(case).items():
                per_row = path.split("/")[1] in rows | {"lse"}
                special = {"latent_cache": b"PSC" if b" page=" in problem else b"BSC",
                           "block_table": b"BN", "seqlens_k": b"B", "k_cache": b"PSHD",
                           "v_cache": b"PSHD"}
                layout = special.get(path.split("/")[1], b"BHS" if per_row else b"BSHD")
                self.assertEqual(dataset.attrs["layout"], layout)
                if not path.startswith("inputs/"):
                    self.assertEqual(dataset.dtype, np.float64)

    def test_16_bit_types_have_the_fields_that_the_schema_gives(self):
        fields = {"bfloat16": ((15, 7, 8, 0, 7), 127), "float16": ((15, 10, 5, 0, 10), 15)}
        for case in self.cases.values():
            for name, dataset in case["inputs"].items():
                if name in ("block_table", "seqlens_k"):
                    continue
                kind = dataset.id.get_type()
                self.assertEqual((kind.get_fields(), kind.get_ebias()),
                                 fields[dataset.attrs["dtype"].decode()])

    def test_the_cases_reach_what_they_are_there_for(self):
        parsed = [dims_of(problem) for problem in self.problems]
        self.assertEqual({variant for variant, _, _ in parsed}, {"mha", "gqa", "mqa", "mla"})
        for variant in ("mha", "gqa", "mqa"):
            keys = [k for v, _, k in parsed if v == variant]
            self.assertEqual({k["dtype"] for k in keys}, {"bf16", "fp16"})
            self.assertEqual({k.get("mask", "none") for k in keys},
                             {"none", "causal", "causal_top_left"})
        self.assertLessEqual({1, 2, 7, 8}, {d["H"] // d["G"] for _, d, _ in parsed})
        self.assertTrue(any(d["D"] != d["Dv"] for _, d, _ in parsed))
        self.assertGreaterEqual(len({k.get("fill", "normal") for _, _, k in parsed}), 10)
        self.assertTrue(any(np.isneginf(case["outputs/lse"][()]).any() and
                            np.isfinite(case["outputs/lse"][()]).any()
                            for case in self.cases.values()))

    def test_the_file_is_small_and_names_no_folder(self):
        self.assertLess(CORE.stat().st_size, 1 << 20)
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

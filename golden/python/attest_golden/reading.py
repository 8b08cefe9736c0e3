"""Reading: cases(), load(), verify()."""

import hashlib

import h5py
import numpy as np

from .inputs import regenerate
from .problem import parse_problem
from .rounding import widened

FORMAT, MAJOR = "attest-golden", 1
SEARCHED = ("inputs", "outputs", "conditioning", "got", "bound")
# numpy's type of each dtype; numpy has no bfloat16, whose bits are the upper half of a float32
NUMPY = {"float64": "<f8", "float32": "<f4", "float16": "<f2", "bfloat16": None, "int32": "<i4",
         "bool": "?"}
SIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "bool": 1,
        "float8_e4m3fn": 1, "float8_e5m2": 1}


def text(node, name):
    """A text attribute; ours are of fixed length, which h5py shows as bytes."""
    value = node.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def open_golden(path):
    file = h5py.File(path, "r")
    try:
        said = text(file, "format") if "format" in file.attrs else "nothing"
        if said != FORMAT:
            raise ValueError(f"attest_golden: {path} must say format={FORMAT}, got {said}")
        version = [int(n) for n in file.attrs["format_version"]]
        if version[0] != MAJOR:
            raise ValueError(f"attest_golden: {path} has format {version[0]}.{version[1]}, "
                             f"this package reads {MAJOR}.x")
    except BaseException:
        file.close()
        raise
    return file


def cases(path):
    """Yields (id, canonical problem, its keys as a dict) in ascending order of ids."""
    with open_golden(path) as file:
        found = [(case_id, text(node, "problem")) for case_id, node in file["cases"].items()]
    for case_id, problem in sorted(found):
        yield case_id, problem, parse_problem(problem)


def digest(dtype, bits):
    """SHA-256 over (dtype | shape | raw bytes) of an array of bits."""
    shape = "x".join(str(extent) for extent in bits.shape)
    return hashlib.sha256(f"{dtype}|{shape}|".encode() + bits.tobytes()).hexdigest()


def read_bits(dataset):
    """The elements as unsigned integers. The memory type is the file's: HDF5 converts nothing."""
    bits = np.empty(dataset.shape, f"<u{SIZE[text(dataset, 'dtype')]}")
    if bits.size:
        file_type = dataset.id.get_type()
        assert file_type.get_size() == bits.itemsize
        dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, bits, file_type)
    return bits


def is_left_out(dataset):
    return dataset.id.get_space().get_simple_extent_type() == h5py.h5s.NULL


def find_dataset(case, name):
    groups = [name.split("/", 1)] if "/" in name else [(group, name) for group in SEARCHED]
    for group, leaf in groups:
        if group in case and leaf in case[group]:
            return group, leaf, case[group][leaf]
    raise KeyError(f"attest_golden: the case has no tensor {name}")


def elements(case, name):
    """(dtype, bits) of a tensor; inputs that the file leaves out are drawn again."""
    group, leaf, dataset = find_dataset(case, name)
    dtype = text(dataset, "dtype")
    if not is_left_out(dataset):
        bits = read_bits(dataset)
    elif group == "inputs" and leaf in (drawn := regenerate(text(case, "problem"))):
        bits = drawn[leaf].view(f"<u{SIZE[dtype]}")
    else:
        raise ValueError(f"attest_golden: the file keeps only the hash of {group}/{leaf}")
    if digest(dtype, bits) != text(dataset, "sha256"):
        raise ValueError(f"attest_golden: {group}/{leaf} does not match its sha256")
    return dtype, bits


def load(path, case, name, as_="float32"):
    """One tensor, checked against its SHA-256.

    case: an id or a canonical problem. name: "q", or with its group, "inputs/q".
    as_: "float32": values (exact but for float64, which is rounded to nearest even);
         "native": float64, float32, float16, int32 or bool as stored, bfloat16 and 8-bit floats as
         float32;
         "bits": unsigned integers of the element's width;
         "ml_dtypes": like native, but bfloat16 as ml_dtypes.bfloat16 (must be installed).
    """
    if as_ not in ("float32", "native", "bits", "ml_dtypes"):
        raise ValueError(f"attest_golden: as_ must be float32, native, bits or ml_dtypes, got {as_}")
    with open_golden(path) as file:
        case_id = case if case in file["cases"] else hashlib.sha256(case.encode()).hexdigest()[:16]
        if case_id not in file["cases"]:
            raise KeyError(f"attest_golden: {path} has no case {case}")
        dtype, bits = elements(file["cases"][case_id], name)
    if as_ == "bits":
        return bits
    if as_ == "ml_dtypes" and dtype == "bfloat16":
        import ml_dtypes

        return bits.view(ml_dtypes.bfloat16)
    if dtype == "bfloat16":
        return (bits.astype("<u4") << 16).view("<f4")
    if dtype.startswith("float8"):
        return widened(dtype, bits)
    values = bits.view(NUMPY[dtype])
    return values.astype(np.float32) if as_ == "float32" else values


def verify(path):
    """Recomputes every hash that elements or texts allow. Returns the logical hash.

    Raises ValueError for the first that differs.
    """
    total = hashlib.sha256()
    with open_golden(path) as file:
        for case_id, case in sorted(file["cases"].items()):
            if hashlib.sha256(text(case, "problem").encode()).hexdigest()[:16] != case_id:
                raise ValueError(f"attest_golden: case {case_id} has another problem's id")
            total.update(f"{case_id}\n".encode())
            for group in sorted(case):
                for name, dataset in sorted(case[group].items()):
                    expected = text(dataset, "sha256")
                    if not is_left_out(dataset):
                        bits = read_bits(dataset)
                        if digest(text(dataset, "dtype"), bits) != expected:
                            raise ValueError(f"attest_golden: {case_id}/{group}/{name} does not "
                                             "match its sha256")
                    total.update(f"{group}/{name} {expected}\n".encode())
        if total.hexdigest() != text(file, "logical_hash"):
            raise ValueError("attest_golden: the tensors do not match the logical hash")
    return total.hexdigest()

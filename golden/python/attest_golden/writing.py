"""Writing candidates: write_candidate()."""

import hashlib
import os

import h5py
import numpy as np

from . import layers
from .problem import parse_problem
from .reading import FORMAT, MAJOR, SIZE, digest

MAX_CHUNK_BYTES = 1 << 20


def write_candidate(path, outputs, producer="unknown", command=""):
    """Writes a golden file that holds only outputs/.

    outputs: {canonical problem: {"o": [B,Sq,H,Dv], "lse": [B,H,Sq] in nats}}, the problems as
    cases() yields them; of a layer {"y": [B,Sq,E]}, or with y every tensor that its stages leave
    (layers.outputs() has their names and shapes; caches whole, rows of no new token as the inputs
    have them, bit for bit). Arrays are float64, float32, float16 or ml_dtypes.bfloat16; a bfloat16
    array without ml_dtypes is ("bfloat16", its bits), such as
    ("bfloat16", o.view(torch.int16).numpy()).
    """
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        raise ValueError(f"attest_golden: {path} must be a new file or replace one, got a folder, "
                         "a link or a device; choose another name")
    temporary = os.path.join(os.path.dirname(os.path.abspath(path)),
                             f".{os.path.basename(path)}.tmp.{os.getpid()}")
    try:
        with h5py.File(temporary, "w", libver=("v108", "v108")) as file:
            write_text(file.id, "format", FORMAT)
            file.attrs["format_version"] = np.array([MAJOR, 0])
            write_text(file.id, "producer", producer)
            write_text(file.id, "profile", "")
            write_text(file.id, "created_by_command", command)
            group = file.create_group("cases")
            total = hashlib.sha256()
            ids = {hashlib.sha256(p.encode()).hexdigest()[:16]: p for p in outputs}
            for case_id, problem in sorted(ids.items()):
                case = group.create_group(case_id)
                write_text(case.id, "problem", problem)
                write_text(case.id, "tier", "full")
                total.update(f"{case_id}\n".encode())
                out = case.create_group("outputs")
                for name, array in sorted(outputs[problem].items()):
                    total.update(write_tensor(out, parse_problem(problem), name, array).encode())
            write_text(file.id, "logical_hash", total.hexdigest())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def write_text(node, name, value):
    """A text attribute of fixed length in UTF-8."""
    raw = value.encode()
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(max(1, len(raw)))
    kind.set_strpad(h5py.h5t.STR_NULLPAD)
    kind.set_cset(h5py.h5t.CSET_UTF8)
    attribute = h5py.h5a.create(node, name.encode(), kind, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(raw, f"S{max(1, len(raw))}"), mtype=kind)


def file_type(dtype):
    if dtype not in ("bfloat16", "float16"):
        return {"float64": h5py.h5t.IEEE_F64LE, "float32": h5py.h5t.IEEE_F32LE}[dtype]
    exponent, bias = (8, 127) if dtype == "bfloat16" else (5, 15)
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 15 - exponent, exponent, 0, 15 - exponent)
    kind.set_precision(16)
    kind.set_size(2)
    kind.set_ebias(bias)
    return kind


def bits_of(array):
    """(dtype, bits) of an array or of a pair ("bfloat16", bits)."""
    dtype, array = array if isinstance(array, tuple) else (np.asarray(array).dtype.name, array)
    if dtype not in ("float64", "float32", "float16", "bfloat16"):
        raise ValueError("attest_golden: outputs must be float64, float32, float16 or bfloat16, "
                         f"got {dtype}")
    array = np.ascontiguousarray(array)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return dtype, array.view(f"<u{SIZE[dtype]}")


def chunk_shape(shape, itemsize):
    """The whole tensor up to 1 MiB, else equal parts of one axis, as the C++ writer cuts them."""
    chunk, size = [1] * len(shape), itemsize
    for axis in reversed(range(len(shape))):
        parts = -(-shape[axis] // (MAX_CHUNK_BYTES // size))
        chunk[axis] = -(-shape[axis] // parts)
        size *= chunk[axis]
        if parts > 1:
            break
    return tuple(chunk)


def specs(p):
    """(layout, shape) of the outputs that a candidate may hold."""
    if p["level"] == "layer":
        return layers.outputs(p)
    return {"o": ("BSHD", (p["B"], p["Sq"], p["H"], p["Dv"])),
            "lse": ("BHS", (p["B"], p["H"], p["Sq"]))}


def write_tensor(group, p, name, array):
    """Writes one output and returns its line of the logical hash."""
    dtype, bits = bits_of(array)
    layout, shape = specs(p).get(name, ("", None))
    if bits.shape != shape:
        raise ValueError(f"attest_golden: {name} must have shape {shape}, got {bits.shape}")
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    plist.set_chunk(chunk_shape(bits.shape, bits.itemsize))
    plist.set_shuffle()
    plist.set_deflate(4)
    plist.set_fletcher32()
    kind = file_type(dtype)
    space = h5py.h5s.create_simple(bits.shape)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space, plist)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, bits, kind)  # memory type = file type: no conversion
    sha256 = digest(dtype, bits)
    for attribute, value in (("dtype", dtype), ("layout", layout), ("sha256", sha256)):
        write_text(dataset, attribute, value)
    return f"outputs/{name} {sha256}\n"

"""Prints the median seconds h5py takes to write every array of a golden file again.

    python3 write_speed.py FILE.h5

Same chunks and filters, one file a run, five runs. `attest bench golden` puts it beside its own
time. Reading the arrays is not counted.
"""
import os
import statistics
import sys
import tempfile
import time

import h5py


def read_arrays(path):
    """(name, raw array, file type, chunks) of every stored dataset."""
    arrays = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.shape and item.size:
            file_type = item.id.get_type()
            raw = memoryview(bytearray(item.size * file_type.get_size()))
            item.id.read(h5py.h5s.ALL, h5py.h5s.ALL, _as_array(raw, item, file_type), file_type)
            arrays.append((name, _as_array(raw, item, file_type), file_type, item.chunks))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays


def _as_array(raw, item, file_type):
    import numpy
    return numpy.frombuffer(raw, dtype=f"V{file_type.get_size()}").reshape(item.shape)


def write_once(path, arrays):
    start = time.perf_counter()
    with h5py.File(path, "w", libver=("earliest", "v108")) as file:
        for name, array, file_type, chunks in arrays:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            if chunks:
                plist.set_chunk(chunks)
                plist.set_shuffle()
                plist.set_deflate(4)
                plist.set_fletcher32()
            space = h5py.h5s.create_simple(array.shape)
            links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            links.set_create_intermediate_group(True)
            dataset = h5py.h5d.create(file.id, name.encode(), file_type, space, plist, lcpl=links)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array, file_type)
        file.flush()
        os.fsync(file.id.get_vfd_handle())
    return time.perf_counter() - start


def main():
    arrays = read_arrays(sys.argv[1])
    with tempfile.TemporaryDirectory(dir=os.path.dirname(sys.argv[1])) as folder:
        path = os.path.join(folder, "again.h5")
        print(statistics.median(write_once(path, arrays) for _ in range(5)))


if __name__ == "__main__":
    main()

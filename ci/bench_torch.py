#!/usr/bin/env python3
"""Times PyTorch's attention on the problems that `attest bench kernels --backend gpu --json FILE`
has timed, on the same GPU and in the same way, and appends its rows to FILE.

    python3 ci/bench_torch.py FILE

PyTorch's flash and cuDNN kernels run where they apply, its plain one ("math") where flash does
not. A row's ours_over_torch compares speeds: 1 is as fast as PyTorch, 0.5 half as fast. Rows of an
earlier comparison in FILE are replaced. --device cpu tries the script on emulated rows without a
GPU; its figures mean nothing. Needs PyTorch 2.5 or newer.

Exit code: 0 compared, 2 usage, 3 a file or a device is missing, 5 nothing to compare.
"""
import argparse
import json
import math
import pathlib
import statistics
import sys
import time
import warnings

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

FLASH, CUDNN, MATH = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH)
NAMES = {FLASH: "flash", CUDNN: "cudnn", MATH: "math"}
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
SECONDS = 0.2  # of launches, with caches overwritten and as long without: as the suite does it
REST = 0.5     # between cases: a hot GPU lowers its clocks


def fail(code, message):
    print(f"bench_torch: {message}", file=sys.stderr)
    sys.exit(code)


def parse_case(text):
    """Keys and values of a case string's problem; numbers as int."""
    problem = {"mask": "none"}
    for word in text.split("|")[0].split()[1:]:
        key, value = word.split("=")
        problem[key] = int(value) if value.isdigit() else value
    problem.setdefault("Dv", problem["D"])
    return problem


def is_attention(row):
    """Whether PyTorch has one call for the row: not for whole layers and products by weights."""
    return not row["case"].startswith("gemm ") and " level=layer " not in row["case"]


class Clock:
    """Seconds of single calls, by CUDA events or, on the CPU, by the host's clock."""

    def __init__(self, device):
        self.on_gpu = device == "cuda"
        if self.on_gpu:
            cache = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20)
            self.sweep = torch.empty(4 * cache, dtype=torch.uint8, device="cuda")

    def overwrite_cache(self):
        if self.on_gpu:
            self.sweep.zero_()

    def times(self, count, call, cold):
        if not self.on_gpu:
            points = [time.perf_counter()]
            for _ in range(count):
                call()
                points.append(time.perf_counter())
            return [end - start for start, end in zip(points, points[1:])]
        starts, ends = ([torch.cuda.Event(enable_timing=True) for _ in range(count)]
                        for _ in range(2))
        for start, end in zip(starts, ends):
            if cold:
                self.overwrite_cache()
            start.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return [1e-3 * start.elapsed_time(end) for start, end in zip(starts, ends)]

    def measure(self, call):
        """(cold, warm): after a warm-up, 5 to 1000 calls each. Python may be slower than a short
        kernel; overwriting the cache hides that, so only the cold times are compared."""
        begin, calls, one = time.perf_counter(), 0, 0.0
        while calls < 2 or time.perf_counter() - begin < SECONDS / 2:
            one = self.times(1, call, cold=False)[0]
            calls += 1
        count = int(min(max(SECONDS / max(one, 1e-6), 5), 1000))
        return self.times(count, call, cold=True), self.times(count, call, cold=False)


def attention(problem, device):
    """A function that runs the problem, on tensors with the suite's layout [B, S, heads, width]."""
    generator = torch.Generator(device=device).manual_seed(0)

    def tensor(length, heads, width):  # [B, heads, S, width] with the strides of [B, S, heads, width]
        shape = (problem["B"], length, heads, width)
        return torch.randn(shape, dtype=DTYPES[problem["dtype"]], device=device,
                           generator=generator).transpose(1, 2)

    q = tensor(problem["Sq"], problem["H"], problem["D"])
    k = tensor(problem["Sk"], problem["G"], problem["D"])
    v = tensor(problem["Sk"], problem["G"], problem["Dv"])
    options = {"is_causal": problem["mask"] != "none", "enable_gqa": problem["H"] != problem["G"]}
    return lambda: scaled_dot_product_attention(q, k, v, **options)


def compare(row, backend, call, clock):
    """The row of one PyTorch backend, or None where it does not apply."""
    result = {"schema": 1, "case": row["case"], "kernel": f"torch {NAMES[backend]}",
              "backend": "torch", "device": row["device"], "torch": torch.__version__}
    try:
        with torch.inference_mode(), sdpa_kernel([backend]):
            cold, warm = clock.measure(call)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {**result, "seconds": None, "note": "out of memory"}
    except RuntimeError as error:
        if str(error).startswith(("No available kernel", "No viable backend")):
            return None
        return {**result, "seconds": None, "note": str(error).split("\n")[0][:200]}
    seconds = statistics.median(cold)
    return {**result, "launches": len(cold), "seconds": seconds, "seconds_min": min(cold),
            "seconds_max": max(cold), "seconds_warm": statistics.median(warm),
            "flops": row["flops"], "bytes": row["bytes"],
            "tflops": row["flops"] / seconds * 1e-12, "gbs": row["bytes"] / seconds * 1e-9,
            "ours_over_torch": seconds / row["seconds"]}


def compare_all(row, device, clock):
    """Yields the rows of every backend that applies."""
    problem = parse_case(row["case"])
    if problem["mask"] == "causal" and problem["Sq"] != problem["Sk"]:
        return  # PyTorch's is_causal is top-left
    call = attention(problem, device)
    flash = compare(row, FLASH, call, clock)
    others = [CUDNN] if device == "cuda" else []
    if flash is None:
        others.append(MATH)
    yield from filter(None, [flash] + [compare(row, backend, call, clock) for backend in others])


def show(ours, theirs):
    name = theirs["kernel"].split()[1]
    if theirs["seconds"] is None:
        figures = f"{'-':>6}    {name:6} {theirs['note']}"
    else:
        figures = (f"{theirs['ours_over_torch']:6.2f} x  {name:6} ours {1e6 * ours['seconds']:9.1f} us, "
                   f"torch {1e6 * theirs['seconds']:9.1f} us, {theirs['tflops']:5.0f} TFLOP/s, "
                   f"{theirs['gbs']:5.0f} GB/s")
    print(f"{figures}   {ours['case'].replace(' backend=gpu', '')}", flush=True)


def summary(pairs):
    """Geometric means of the ratios, by kernel and PyTorch backend."""
    ratios = {}
    for ours, theirs in pairs:
        if theirs["seconds"] is not None:
            ratios.setdefault((ours["kernel"], theirs["kernel"]), []).append(theirs["ours_over_torch"])
    for (ours, theirs), values in sorted(ratios.items()):
        mean = math.exp(statistics.fmean(map(math.log, values)))
        print(f"{ours} against {theirs}: {mean:.2f} x of its speed (geometric mean of {len(values)}, "
              f"{min(values):.2f} to {max(values):.2f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    arguments = parser.parse_args()
    if not arguments.file.exists():
        fail(3, f"{arguments.file} must exist, got nothing; run attest bench kernels --json")
    lines = [json.loads(line) for line in arguments.file.read_text().splitlines()]
    backend = "gpu" if arguments.device == "cuda" else "emu"
    rows = [row for row in lines if row["backend"] == backend and is_attention(row)]
    if not rows:
        fail(5, f"{arguments.file} must hold rows of attention on this device's backend, got none")
    if arguments.device == "cuda":
        if not torch.cuda.is_available():
            fail(3, f"PyTorch {torch.__version__} must see a GPU, got none")
        here = torch.cuda.get_device_name(0)
        if any(row["device"] != here for row in rows):
            fail(3, f"the rows must be of this GPU, {here}, got {rows[0]['device']}")
    warnings.filterwarnings("ignore")  # why a backend does not apply

    clock, pairs = Clock(arguments.device), []
    kept = [json.dumps(row) for row in lines if row["backend"] != "torch"]
    arguments.file.write_text("".join(line + "\n" for line in kept))
    with arguments.file.open("a") as file:
        for row in rows:
            time.sleep(REST if arguments.device == "cuda" else 0)
            for theirs in compare_all(row, arguments.device, clock):
                file.write(json.dumps(theirs) + "\n")
                file.flush()
                show(row, theirs)
                pairs.append((row, theirs))
    summary(pairs)
    if not pairs:
        fail(5, "PyTorch must have a kernel for some row, got none")


if __name__ == "__main__":
    main()

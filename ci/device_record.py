#!/usr/bin/env python3
"""Writes golden/devices/<gpu>-<date>.json from what ci/gpu.sh left in its report folder.

    python3 ci/device_record.py REPORT

The record says what ran where, what the gate showed, how the GPU's bits compare with the emulated
kernels', what compute-sanitizer found, and the times. Needs the standard library and nvidia-smi.
Exit code: 0 written, 2 usage, 3 the report or nvidia-smi is missing.
"""
import collections
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys

HOME = pathlib.Path(__file__).resolve().parent.parent
FIELDS = "name,driver_version,compute_cap,memory.total,clocks.max.sm,clocks.max.mem"


def fail(code, message):
    print(f"device_record: {message}", file=sys.stderr)
    sys.exit(code)


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def output_of(command):
    """Its standard output, or None where it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=HOME).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def gpu():
    out = output_of(["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader"])
    if not out or not out.strip():
        fail(3, "nvidia-smi must name a GPU, got none")
    return dict(zip(FIELDS.split(","), (part.strip() for part in out.splitlines()[0].split(","))))


def is_on_gpu(record):
    return " backend=gpu" in record["case"]


def worst_ratios(records):
    values = [r["metrics"]["worst_ratio"] for r in records]
    return [value for value in values if isinstance(value, (int, float))]


def compare(records):
    """How often the GPU's o and lse equal the emulated ones bit for bit, and the worst ratios.

    Only pairs of the same case in which both kernels left outputs count."""
    emulated = {r["case"]: r for r in records if not is_on_gpu(r)}
    pairs = [(r, emulated.get(r["case"].replace(" backend=gpu", "")))
             for r in records if is_on_gpu(r)]
    pairs = [(on_gpu, on_cpu) for on_gpu, on_cpu in pairs
             if on_cpu and on_gpu["o_sha256"] and on_cpu["o_sha256"]]
    ratios = {"gpu": worst_ratios(on_gpu for on_gpu, _ in pairs),
              "emulated": worst_ratios(on_cpu for _, on_cpu in pairs)}
    return {
        "cases": len(pairs),
        "o_bits_equal": sum(a["o_sha256"] == b["o_sha256"] for a, b in pairs),
        "lse_bits_equal": sum(a["lse_sha256"] == b["lse_sha256"] for a, b in pairs),
        "worst_ratio": {side: max(values, default=None) for side, values in ratios.items()},
        "median_worst_ratio": {side: statistics.median(values) if values else None
                               for side, values in ratios.items()},
    }


def against_cublaslt(bench):
    """Our speed over cuBLASLt's, product by product: 1 is as fast, 0.5 half as fast. None where
    nothing was compared; why not is in the rows."""
    rows = [row for row in bench if row.get("ours_over_cublaslt") is not None]
    ratios = [row["ours_over_cublaslt"] for row in rows]
    if not ratios:
        return None
    return {"version": rows[0]["version"], "products": len(ratios), "least": min(ratios),
            "median": statistics.median(ratios), "most": max(ratios)}


def sanitizer_summaries(report):
    """The last summary line of each compute-sanitizer tool that ran, such as "ERROR SUMMARY: 0
    errors"."""
    summaries = {}
    for path in sorted(report.glob("*check.log")):
        lines = re.findall(r"[A-Z]+ SUMMARY: .*", path.read_text(errors="replace"))
        summaries[path.stem] = lines[-1].strip() if lines else None
    return summaries


def commit_of(records, bench):
    """Of the programs that ran, else of the checkout."""
    built = [r["commit"] for r in records + bench if r.get("commit") not in (None, "unknown")]
    described = output_of(["git", "describe", "--always", "--dirty", "--abbrev=12"])
    return built[0] if built else described.strip() if described else None


def main():
    if len(sys.argv) != 2:
        fail(2, "usage: device_record.py REPORT")
    report = pathlib.Path(sys.argv[1])
    steps = {path.stem: int(path.read_text()) for path in sorted(report.glob("*.status"))}
    if not steps:
        fail(3, f"{report} must be a report of ci/gpu.sh, got no *.status in it")
    records = read_lines(report / "gate" / "results.jsonl")
    bench = read_lines(report / "bench.jsonl")
    now = datetime.datetime.now(datetime.timezone.utc)
    record = {
        "schema": 1,
        "date": now.isoformat(timespec="seconds"),
        "commit": commit_of(records, bench),
        "gpu": gpu(),
        "steps": steps,
        "gate": dict(collections.Counter(r["verdict"] for r in records if is_on_gpu(r))),
        "against_emulated": compare(records),
        "sanitizer": sanitizer_summaries(report),
        "against_cublaslt": against_cublaslt(bench),
        "bench": bench,
    }
    name = re.sub(r"[^a-z0-9]+", "-", record["gpu"]["name"].lower()).strip("-")
    target = HOME / "golden/devices" / f"{name}-{now:%Y-%m-%d}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=1) + "\n")
    print(f"device record: {target}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes golden/devices/<gpu>-<date>.json from what ci/gpu.sh left in its report folder.

    python3 ci/device_record.py REPORT

The record says what ran where, what the gate showed, how the GPU's bits compare with the emulated
kernels', what compute-sanitizer found, and the times. Needs the standard library only.
"""
import collections
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def gpu():
    fields = "name,driver_version,compute_cap,memory.total,clocks.max.sm"
    out = subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
                         capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return dict(zip(fields.split(","), (part.strip() for part in out.split(","))))


def without_backend(case):
    return re.sub(r" backend=gpu", "", case)


def compare(records):
    """How often the GPU's o and lse equal the emulated ones bit for bit, and the worst ratios."""
    emulated = {r["case"]: r for r in records if " backend=gpu" not in r["case"]}
    pairs = [(r, emulated.get(without_backend(r["case"])))
             for r in records if " backend=gpu" in r["case"]]
    pairs = [(on_gpu, on_cpu) for on_gpu, on_cpu in pairs if on_cpu]
    ratios = {side: [r[n]["metrics"]["worst_ratio"] for r in pairs
                     if isinstance(r[n].get("metrics", {}).get("worst_ratio"), (int, float))]
              for n, side in enumerate(("gpu", "emulated"))}
    return {
        "cases": len(pairs),
        "o_bits_equal": sum(a["o_sha256"] == b["o_sha256"] for a, b in pairs),
        "lse_bits_equal": sum(a["lse_sha256"] == b["lse_sha256"] for a, b in pairs),
        "worst_ratio": {side: max(values, default=None) for side, values in ratios.items()},
        "median_worst_ratio": {side: statistics.median(values) if values else None
                               for side, values in ratios.items()},
    }


def main():
    report = pathlib.Path(sys.argv[1])
    records = read_lines(report / "gate" / "results.jsonl")
    on_gpu = [r for r in records if " backend=gpu" in r["case"]]
    now = datetime.datetime.now(datetime.timezone.utc)
    commit = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"],
                            capture_output=True, text=True).stdout.strip()
    record = {
        "schema": 1,
        "date": now.isoformat(timespec="seconds"),
        "commit": commit or (records[0].get("commit") if records else None),
        "gpu": gpu(),
        "steps": {path.stem: int(path.read_text()) for path in sorted(report.glob("*.status"))},
        "gate": dict(collections.Counter(r["verdict"] for r in on_gpu)),
        "against_emulated": compare(records),
        "bench": read_lines(report / "bench.jsonl"),
    }
    name = re.sub(r"[^a-z0-9]+", "-", record["gpu"]["name"].lower()).strip("-")
    target = pathlib.Path("golden/devices") / f"{name}-{now:%Y-%m-%d}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=1) + "\n")
    print(f"device record: {target}")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# The GPU lane: primitive tests, the gate, compute-sanitizer and the benchmarks on the GPU at hand,
# compared with the emulated kernels; leaves a device record in golden/devices/.
#
#   ci/gpu.sh                   builds for this GPU first
#   ci/gpu.sh --prebuilt DIR    uses the programs in DIR (a machine with CUDA only); libraries that
#                               they need may lie in DIR/lib
#
# Exit code: 0 all passed, 1 something failed, 5 no GPU at hand.
set -uo pipefail
cd "$(dirname "$0")/.."

build_dir=build-gpu
prebuilt=""
while [ $# -gt 0 ]; do
  case "$1" in
    --prebuilt) prebuilt=${2:?gpu.sh: --prebuilt needs a folder}; shift 2 ;;
    *) echo "gpu.sh: options are --prebuilt DIR, got $1" >&2; exit 2 ;;
  esac
done

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
  echo "gpu.sh: no GPU at hand (nvidia-smi lists none): nothing was run"
  exit 5
fi

if [ -n "$prebuilt" ]; then
  build_dir=$prebuilt
  [ -d "$prebuilt/lib" ] && export LD_LIBRARY_PATH="$PWD/$prebuilt/lib:${LD_LIBRARY_PATH:-}"
else
  . ci/setup.sh
  ensure_packages || exit 3
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  cmake -S . -B "$build_dir" -DATTEST_GPU=ON -DATTEST_CUDA_ARCHITECTURES="$capability" &&
    cmake --build "$build_dir" --parallel "$(nproc)" || exit 3
fi
export ATTEST_HOME=$PWD
attest=$build_dir/attest
work=$build_dir/gpu-report
rm -rf "$work" && mkdir -p "$work"
failed=0

step() {  # step NAME COMMAND...: runs it, keeps its output, remembers a failure
  local name=$1; shift
  echo "== $name"
  "$@" 2>&1 | tee "$work/$name.txt"
  local status=${PIPESTATUS[0]}
  echo "$status" >"$work/$name.status"
  [ "$status" -eq 0 ] || failed=1
}

step primitives "$build_dir/test_cuda_gpu"
step gate "$attest" run --backend emu,gpu --jobs 4 --report "$work/gate"
if sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null); then
  for tool in memcheck racecheck initcheck synccheck; do
    step "$tool" "$sanitizer" --tool "$tool" --target-processes all --error-exitcode 9 \
      "$attest" run ci/sanitizer.list --backend gpu --jobs 1 --timeout 300
  done
else
  echo "gpu.sh: compute-sanitizer was not found: skipped"
fi
step bench "$attest" bench kernels --backend gpu --json "$work/bench.jsonl"
if python3 -c 'import torch' 2>/dev/null; then
  step torch python3 ci/bench_torch.py "$work/bench.jsonl"
fi
python3 ci/device_record.py "$work" || failed=1
exit $failed

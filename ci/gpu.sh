#!/usr/bin/env bash
# The GPU lane: primitive tests, the gate, compute-sanitizer and the benchmarks on the GPU at hand,
# compared with the emulated kernels; leaves a device record in golden/devices/.
#
#   ci/gpu.sh                   builds for this GPU first
#   ci/gpu.sh --pack DIR        only builds, for every architecture, and puts the programs and the
#                               libraries they need into DIR; needs no GPU
#   ci/gpu.sh --prebuilt DIR    uses such a folder, on a machine that may have CUDA and PyTorch only
#   ci/gpu.sh --report DIR      where the steps' output goes; default build-gpu/report
#   ci/gpu.sh --steps A,B       only these of primitives gate memcheck racecheck initcheck synccheck
#                               bench torch record; keeps what others left in the report
#
# Exit code: 0 all passed, 1 something failed, 2 usage, 3 the build failed or the programs do not
# start, 5 no GPU at hand.
set -uo pipefail
all_steps=primitives,gate,memcheck,racecheck,initcheck,synccheck,bench,torch,record

usage() {
  echo "gpu.sh: $1; options are --pack DIR, --prebuilt DIR, --report DIR, --steps NAME,..." >&2
  exit 2
}

pack="" prebuilt="" report="" steps=$all_steps
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] && [ -n "$2" ] || usage "$1 must be an option with a value"
  case "$1" in
    --pack) pack=$(realpath -m -- "$2") ;;
    --prebuilt) prebuilt=$(realpath -m -- "$2") ;;
    --report) report=$(realpath -m -- "$2") ;;
    --steps) steps=$2 ;;
    *) usage "got $1" ;;
  esac
  shift 2
done
for name in ${steps//,/ }; do
  case ",$all_steps," in *",$name,"*) ;; *) usage "steps are $all_steps, got $name" ;; esac
done
[ -z "$prebuilt" ] || [ -x "$prebuilt/attest" ] ||
  usage "--prebuilt needs a folder that --pack made, got $prebuilt"
[ -z "$pack" ] || [ -x "$pack/attest" ] || [ -z "$(ls -A -- "$pack" 2>/dev/null)" ] ||
  usage "--pack needs a new or empty folder or an earlier pack, got $pack"
cd "$(dirname "$0")/.." || exit 3

build_programs() {  # build_programs ARCHITECTURES: into build-gpu/
  . ci/setup.sh
  ensure_packages || return
  command -v nvcc >/dev/null || export CUDACXX=${CUDACXX:-/usr/local/cuda/bin/nvcc}
  # The old kind of run path also serves libraries of libraries.
  cmake -S . -B build-gpu -DCMAKE_BUILD_TYPE=Release -DATTEST_GPU=ON \
    -DATTEST_CUDA_ARCHITECTURES="$1" -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
    -DCMAKE_INSTALL_RPATH='$ORIGIN/lib' -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags &&
    cmake --build build-gpu --parallel "$(nproc)" --target attest test_cuda_gpu
}

# Of the packed programs, without those of glibc, which come with the machine's loader, and without
# the C++ runtime: a machine's own is the newer one, or its glibc would be too old for ours.
shared_libraries() {
  ldd "$pack/attest" "$pack/test_cuda_gpu" | sed -nE 's/.* => (\/.*) \(0x.*/\1/p' | sort -u |
    grep -vE '/(ld-linux[^/]*|lib(c|m|mvec|dl|pthread|rt|resolv|util|anl|nsl|stdc\+\+|gcc_s))\.so[^/]*$'
}

if [ -n "$pack" ]; then
  build_programs "80;90" || exit 3
  [ ! -x "$pack/attest" ] || rm -rf "$pack/attest" "$pack/test_cuda_gpu" "$pack/lib"
  mkdir -p "$pack/lib" && cp build-gpu/attest build-gpu/test_cuda_gpu "$pack" &&
    strip --strip-debug "$pack/attest" "$pack/test_cuda_gpu" || exit 3
  shared_libraries | xargs cp -L -t "$pack/lib" || exit 3
  newest() {  # newest PREFIX: of the versioned symbols that the pack takes from the machine
    objdump -T "$pack"/attest "$pack"/test_cuda_gpu "$pack"/lib/* |
      grep -oE "\($1_[0-9.]+\)" | tr -d '()' | sort -uV | tail -n 1
  }
  echo "gpu.sh: $pack ($(du -sh "$pack" | cut -f 1)) needs $(newest GLIBC), $(newest GLIBCXX)" \
    "and $(uname -m); bench gemm also looks for the machine's cuBLAS (ci/README.md)"
  exit 0
fi

case "$(nvidia-smi -L 2>/dev/null)" in
  *"GPU "*) ;;
  *) echo "gpu.sh: no GPU at hand (nvidia-smi lists none): nothing was run" >&2; exit 5 ;;
esac

programs=$prebuilt
if [ -z "$prebuilt" ]; then
  programs=$PWD/build-gpu
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | sed 's/\.//;1q')
  build_programs "$capability" || exit 3
fi
export ATTEST_HOME=$PWD
attest=$programs/attest
doctor=$("$attest" doctor)
echo "$doctor"
grep -q '^lane gpu *can run' <<<"$doctor" || {
  echo "gpu.sh: attest must find the GPU that nvidia-smi lists, see above" >&2
  exit 3
}
work=${report:-$PWD/build-gpu/report}
mkdir -p "$work" || exit 3
[ "$steps" != "$all_steps" ] || rm -rf "$work"/gate "$work"/*.status "$work"/bench.jsonl
failed=0

wanted() { case ",$steps," in *",$1,"*) ;; *) return 1 ;; esac }

step() {  # step NAME COMMAND...: if it is wanted, runs it, keeps its output, remembers a failure
  local name=$1; shift
  wanted "$name" || return 0
  echo "== $name"
  "$@" 2>&1 | tee "$work/$name.txt"
  local status=${PIPESTATUS[0]}
  echo "$status" >"$work/$name.status"
  [ "$status" -eq 0 ] || failed=1
}

sanitize() {  # sanitize TOOL: one worker that answers all cases, so that one process is watched
  local tool=$1 status passed cases
  "$attest" list ci/sanitizer.list --backend gpu >"$work/$tool.cases"
  cases=$(wc -l <"$work/$tool.cases")
  timeout 900 "$sanitizer" --tool "$tool" --target-processes all --error-exitcode 9 \
    --log-file "$work/$tool.log" "$attest" worker <"$work/$tool.cases" >"$work/$tool.jsonl"
  status=$?
  cat "$work/$tool.log"
  passed=$(grep -c '"verdict":"PASS"' "$work/$tool.jsonl")
  echo "$passed of $cases cases passed under $tool, exit code $status"
  [ "$status" -eq 0 ] && [ "$cases" -gt 0 ] && [ "$passed" -eq "$cases" ]
}

step primitives "$programs/test_cuda_gpu"
step gate "$attest" run --backend emu,gpu --report "$work/gate"
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
for tool in memcheck racecheck initcheck synccheck; do
  if [ -x "$sanitizer" ]; then
    step "$tool" sanitize "$tool"
  elif wanted "$tool"; then
    echo "gpu.sh: compute-sanitizer was not found: $tool skipped"
  fi
done
step bench "$attest" bench kernels,gemm --backend gpu --json "$work/bench.jsonl"
if python3 -c 'import torch' 2>/dev/null; then
  step torch python3 ci/bench_torch.py "$work/bench.jsonl"
elif wanted torch; then
  echo "gpu.sh: python3 has no PyTorch: comparison with it skipped"
fi
if wanted record; then python3 ci/device_record.py "$work" || failed=1; fi
exit $failed

#!/usr/bin/env bash
# Who may include whom, and where the seam's macros may stand. Prints each line that breaks a rule.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0

# forbid FOLDER PATTERN RULE: no file under FOLDER may have a line that matches PATTERN.
forbid() {
  local lines
  lines=$(git grep -nE "$2" -- "$1" ':!*.md' ':!*.sh' ':!*.txt' ':!*.cmake') || return 0
  printf '%s: %s, got\n%s\n' "$1" "$3" "$lines"
  failed=1
}

for pair in 'cases:reference|cuda|golden|harness|tests' 'reference:cuda|golden|harness|tests' \
            'cuda:reference|golden|harness|tests' 'golden:reference|cuda|harness|tests' \
            'harness:tests'; do
  forbid "${pair%%:*}" "#include \"(${pair#*:})/" "must not include ${pair#*:}"
done
forbid harness '#include "cuda/(kernels|tile|simt/[^ep])' \
  'sees of cuda/ only kernel.h, multiplier.h, simt/emulator.h and simt/probe.h'
for package in 'Eigen/:reference' 'hdf5.h:golden' 'cuda_runtime:cuda/simt' 'cublas:cuda/gpu' 'catch2:tests'; do
  for folder in cases reference cuda golden harness; do
    case "${package#*:}" in "$folder"*) continue ;; esac
    forbid "$folder" "#include <.*${package%%:*}" "must not use ${package%%:*} (it belongs to ${package#*:}/)"
  done
done
for folder in cuda/kernels cuda/tile; do
  forbid "$folder" '__CUDACC__|asm volatile|asm\(|<<<' 'keeps PTX, #ifdefs and launches in cuda/simt/'
done
exit $failed

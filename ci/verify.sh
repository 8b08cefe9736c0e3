#!/usr/bin/env bash
# The main job: installs what is missing, builds, and checks every kernel of the gate matrix
# against the reference. Options go to `attest run`. Exit code: that of the run.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/setup.sh
ensure_packages
build
report=build/report
status=0
build/attest run --report "$report" "$@" || status=$?
exit "$status"

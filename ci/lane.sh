#!/usr/bin/env bash
# One lane of ordering and memory checks; further options go to `attest run` (default: the smoke tier).
#
#   ci/lane.sh ordering [OPTION...]   schedules 0, 1 and one drawn from the date
#   ci/lane.sh race [OPTION...]       the race detector over the emulated kernels
#   ci/lane.sh sanitize [OPTION...]   AddressSanitizer and UBSan over everything
#
# Exit code: that of the last run that failed, else 0; 2 usage.
set -uo pipefail
cd "$(dirname "$0")/.."
. ci/setup.sh

lane=${1:-}
[ $# -gt 0 ] && shift
[ $# -eq 0 ] && set -- ci/smoke.list

# run FOLDER OPTION...: runs and keeps the exit code of a failure
status=0
run() {
  local folder=$1
  shift
  "$folder/attest" run --report "$folder/$lane-report" "$@" || status=$?
}

ensure_packages || exit 2
case "$lane" in
  ordering)
    build || exit 3
    drawn=$(date +%Y%m%d)
    for schedule in 0 1 "$drawn"; do
      echo "schedule $schedule"
      run build --schedule "$schedule" "$@"
    done
    ;;
  race | sanitize)
    cmake --preset "$lane" >&2 || exit 3
    cmake --build --preset "$lane" --target attest --parallel "$(nproc)" >&2 || exit 3
    run "build-$lane" --timeout 300 "$@"
    ;;
  *)
    say "lane: must be one of ordering race sanitize, got ${lane:-nothing}"
    exit 2
    ;;
esac
exit $status

#!/usr/bin/env bash
# The suite's own tests: style and structure checks, then every unit test. Options go to ctest.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/setup.sh
ensure_packages
ci/check_includes.sh
ci/check_format.sh
build
ctest --test-dir build --parallel "$(nproc)" --output-on-failure --no-tests=error "$@"

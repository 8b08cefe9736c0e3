# Sourced by the other scripts, from the repository's root: installs what is missing and builds.
#   ensure_packages   Debian packages of ci/packages.txt; without root, says what to install
#   build [OPTION...] configures and builds into build/

say() { printf '%s\n' "$*" >&2; }

ensure_packages() {
  local missing=() package
  for package in $(sed 's/#.*//' ci/packages.txt); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "setup: these packages must be installed, got none of: ${missing[*]}"
    say "setup: run as root: apt-get install ${missing[*]}"
    return 2
  fi
  say "setup: installing ${missing[*]}"
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      "${missing[@]}" >&2
}

build() {
  if ! command -v nvcc >/dev/null && [ -x /usr/local/cuda/bin/nvcc ]; then
    export CUDACXX=/usr/local/cuda/bin/nvcc
  fi
  command -v nvcc >/dev/null || [ -n "${CUDACXX:-}" ] ||
    say "setup: no nvcc found: the kernels are not compiled for GPUs (skipped)"
  cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DATTEST_WERROR="${CI:+ON}" "$@" >&2 &&
    cmake --build build --parallel "$(nproc)" >&2
}

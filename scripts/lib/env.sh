# Sourced by every script: where the project is, which Node to use, how to talk.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE_DIR=$ROOT/.cache

# The oldest Node that the embedded TimescaleDB and the demo's loader run on.
NODE_MAJOR=20

have_node() {
  local version
  version=$(node --version 2>/dev/null) && command -v npm >/dev/null || return 1
  version=${version#v}
  ((${version%%.*} >= NODE_MAJOR))
}

# The system's Node when it is new enough, else the pinned one that setup installs.
# Its program is named by its folder, since old npms do not link it.
use_pinned_node() {
  local modules=$ROOT/scripts/node/node_modules bin
  have_node && return 0
  for bin in "$modules"/node-linux-*/bin; do
    [[ ! -x $bin/node ]] || PATH=$bin:$modules/.bin:$PATH
  done
  hash -r
}
use_pinned_node

if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
  BOLD='' DIM='' RED='' GREEN='' PLAIN=''
fi

die() {
  printf '%s: %s%s%s\n' "$(basename "$0")" "$RED" "$*" "$PLAIN" >&2
  exit 1
}

# Milliseconds on a clock that only ever is subtracted from.
now_ms() {
  local now=${EPOCHREALTIME/[.,]/}
  printf '%s' "${now%???}"
}

# since_ms START: the time passed since then, as "12.3 s" or "4 min 05 s".
since_ms() {
  local passed=$(($(now_ms) - $1))
  if ((passed >= 120000)); then
    printf '%d min %02d s' $((passed / 60000)) $((passed / 1000 % 60))
  else
    printf '%d.%d s' $((passed / 1000)) $((passed / 100 % 10))
  fi
}

# Files of the project that match the given patterns, one a line.
project_files() {
  if git -C "$ROOT" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$ROOT" ls-files -- "$@"
  else
    local pattern
    for pattern in "$@"; do
      (cd "$ROOT" && find . -path "./$pattern" -type f \
        -not -path '*/node_modules/*' -not -path './build*' -printf '%P\n')
    done
  fi
}

# Runs a program that clang's sanitizers instrumented: version 14's runtimes do not start
# where the kernel spreads addresses too widely.
no_aslr() {
  if setarch -R true 2>/dev/null; then
    setarch -R "$@"
  else
    "$@"
  fi
}

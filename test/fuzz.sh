#!/usr/bin/env bash
# usage: test/fuzz.sh TIME PACKAGE:TARGET…   (make fuzz)
# Fuzzes each target for TIME and says in a line how far it came. On a failure it shows
# everything; the input stands in the package's testdata/fuzz then, and in what is shown.
# FUZZWORKERS is how many processes work on a target; by default one for each core.
set -euo pipefail
cd "$(dirname "$0")/.."
time=$1; shift
log=$(mktemp); trap 'rm -f "$log"' EXIT
flags=(-run '^$' -fuzztime "$time" -fuzzminimizetime 5s)
[ -z "${FUZZWORKERS:-}" ] || flags+=(-parallel "$FUZZWORKERS")

fuzz() { "${GO:-go}" test "${flags[@]}" -fuzz "^${1#*:}\$" "${1%%:*}" >"$log" 2>&1; }

# Go ends a target with "context deadline exceeded" now and then when its time is over.
# That is no finding: one names its input.
ended() { grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; }

for target in "$@"; do
  if ! fuzz "$target" && ! ended; then
    cat "$log"
    for input in $(sed -n 's/.*Failing input written to //p' "$log"); do
      echo "== ${target%%:*}/$input"; cat "${target%%:*}/$input"
    done
    echo "fuzz: $target failed: mend it, and commit the input beside the test"
    exit 1
  fi
  printf '%s  %s\n' "$target" "$(grep -o 'elapsed: .*' "$log" | tail -1)"
done

#!/usr/bin/env bash
# Runs a sweep of bench/sweeps and puts its page into docs/measured. Goes on where it was stopped.
#
#     bench/sweep_page.sh NAME SET=VALUE,...          WORK=build/sweeps PROGRAM=build/patchforge
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 sets=$2
out=${WORK:-build/sweeps}/$name
finish() {
    [ -e "$out/sweep.md" ] || return 0
    cp "$out/sweep.md" "docs/measured/$name.md"
    if grep -qhE '^(sane|WARNING):' "$out"/*/*.log; then
        printf '\nChecks that attacks made of their own evaluation: %s passed; warnings:\n\n' "$(cat "$out"/*/*.log | grep -c '^sane:')"
        grep -H '^WARNING:' "$out"/*/*.log | sed "s|^$out/\(.*\)\.log:WARNING: |- \1: |" || echo "- none"
    fi >> "docs/measured/$name.md"
}
trap finish EXIT
"${PROGRAM:-build/patchforge}" sweep "bench/sweeps/$name.json" --set "$sets" --out "$out"

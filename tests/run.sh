#!/usr/bin/env bash
# Runs the test binaries named as arguments, JOBS at a time (one a core), and ends with one line
# `N passed, M failed[, K skipped]`. What a binary prints appears when it has ended, with the seconds that it took.
# Exit status 1 if any test failed or a binary died before it could report.
set -u
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
export results

run() {
    local number=$1 binary=$2 began=$SECONDS
    PATCHFORGE_TEST_SUMMARY=$results/$number.summary "$binary" --gtest_brief=1 >"$results/$number.log" 2>&1
    echo $? >"$results/$number.status"
    {
        flock 9
        echo "== $binary, $((SECONDS - began)) s"
        grep -v -e '^Running main' -e '^Note: Google Test filter' "$results/$number.log"
    } 9>"$results/printing"
}
export -f run
number=0
for binary in "$@"; do
    printf '%s\0%s\0' $((number += 1)) "$binary"
done | xargs -0 -n 2 -P "${JOBS:-$(nproc)}" bash -c 'run "$@"' run

passed=0 failed=0 skipped=0 skips="" number=0
for binary in "$@"; do
    result=$results/$((number += 1))
    status=$(cat "$result.status" 2>/dev/null || echo unknown)
    skips+=$(grep '^skipped because' "$result.log" | sort | uniq -c | sed "s|^|  ${binary##*/}: |" && echo .)
    skips=${skips%.} # what kept the line end through $( )
    if [ -s "$result.summary" ]; then
        read -r p f s <"$result.summary"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        if [ "$status" != 0 ] && [ "$f" -eq 0 ]; then failed=$((failed + 1)); fi
    else
        echo "$binary ended with status $status before its tests did"
        failed=$((failed + 1))
    fi
done
[ -z "$skips" ] || printf 'skipped:\n%s' "$skips"
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]

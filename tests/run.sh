#!/usr/bin/env bash
# Runs the test binaries named as arguments and ends with one line `N passed, M failed[, K skipped]`.
# Exit status 1 if any test failed or a binary died before it could report.
set -u
passed=0 failed=0 skipped=0 skips=""
summary=$(mktemp)
log=$(mktemp)
trap 'rm -f "$summary" "$log"' EXIT
for binary in "$@"; do
    echo "== $binary"
    rm -f "$summary"
    PATCHFORGE_TEST_SUMMARY=$summary "$binary" --gtest_brief=1 2>&1 | tee "$log" |
        grep -v -e '^Running main' -e '^Note: Google Test filter'
    status=${PIPESTATUS[0]}
    skips+=$(grep '^skipped because' "$log" | sort | uniq -c | sed "s|^|  ${binary##*/}: |" && echo .)
    skips=${skips%.} # what kept the line end through $( )
    if [ -s "$summary" ]; then
        read -r p f s <"$summary"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then failed=$((failed + 1)); fi
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

#!/bin/sh
# coverage.sh FOLDER LEAST SOURCE...: the share of each source's lines that were run, by gcov from the counters in
# FOLDER/<source>.gcda; status 1 where one is below LEAST percent. MISSED=1 shows the lines that were not.
folder=$1
least=$2
shift 2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
status=0
for source in "$@"; do
    gcov -t -r -s "$PWD" "$folder/$source.o" > "$work/lines" 2> /dev/null
    # Of this source alone: its part begins with "Source:". A line that runs in several instances counts once.
    awk -F: -v source="$source" -v least="$least" -v missed="$MISSED" '
        $3 == "Source" { here = $4 == source }
        here && $2 + 0 > 0 {
            count = $1; gsub(/[ *]/, "", count)
            if (count == "-" || count == "") next
            line = $2 + 0
            known[line] = 1
            if (count ~ /^[0-9]/) reached[line] = 1
            else text[line] = $0
        }
        END {
            for (line in known) { ++lines; run += line in reached }
            if (lines == 0) { printf "%-36s not run\n", source; exit 1 }
            share = 100 * run / lines
            printf "%-36s %5.1f %% of %d lines\n", source, share, lines
            if (missed) for (line in known) if (!(line in reached)) print text[line]
            exit share < least
        }' "$work/lines" || status=1
done
exit $status

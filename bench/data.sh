#!/usr/bin/env bash
# How fast patches are read: packing a folder of PNG files, and starting a training on a set of the full data set's size
# (277,524 patches of 3 x 50 x 50, hard links to fewer files), as a page.
#
#     bench/data.sh [OUT.md]          FILES=20000 PATCHES=277524 ROUNDS=5 WORK=build/bench_data PROGRAM=build/patchforge
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-docs/measured/data.md}
files=${FILES:-20000} patches=${PATCHES:-277524} rounds=${ROUNDS:-5}
work=${WORK:-build/bench_data} program=${PROGRAM:-build/patchforge}

rm -rf "$work"
mkdir -p "$work" "$(dirname "$out")"
trap 'rm -rf "$work"' EXIT
"$program" tissue "$work/tissue" --patients 40 --patches $((files / 40)) > "$work/log" 2>&1

# The rates of packing on $1 threads, patches/s, one a line.
packing() {
    for _ in $(seq "$rounds"); do
        "$program" pack "$work/tissue" --out "$work/set.pfs" --threads "$1" | sed -n 's/.* s, \([0-9]*\) patches\/s.*/\1/p'
    done
}
# Seconds from the start of the program to the end of its first iteration, with the set mapped anew.
starting() {
    for _ in $(seq "$rounds"); do
        rm -rf "$work/run"
        local begin end
        begin=$(date +%s.%N)
        "$program" train gan --data "$work/full.pfs" --out "$work/run" --steps 1 --device cpu --checkpoint-interval 0 \
            > "$work/log" 2>&1
        end=$(date +%s.%N)
        echo "$begin $end" | awk '{ printf "%.2f\n", $2 - $1 }'
    done
}
# Median, least and most of the numbers on stdin.
summary() {
    sort -n | awk '{ value[NR] = $1 } END { printf "%s (%s–%s)", value[int((NR + 1) / 2)], value[1], value[NR] }'
}

one=$(packing 1 | summary)
all=$(packing 0 | summary)
python3 - "$work" "$patches" << 'LINKS'
import itertools, pathlib, sys
work, patches = pathlib.Path(sys.argv[1]), int(sys.argv[2])
files = sorted((work / "tissue").glob("*/*/*.png"))
for number, file in zip(range(patches), itertools.cycle(files)):
    patient, label = f"{number // 1000:05d}", file.parent.name
    folder = work / "full" / patient / label
    if number % 1000 < 2:
        for name in "01":
            (work / "full" / patient / name).mkdir(parents=True, exist_ok=True)
    (folder / f"{patient}_idx5_x{number % 1000}_y1_class{label}.png").hardlink_to(file)
LINKS
full=$("$program" pack "$work/full" --out "$work/full.pfs" | sed -n 's/^\(in .*\)/\1/p')
start=$(starting | summary)
{
    echo "# Reading patches"
    echo
    echo "Written by bench/data.sh with $("$program" --version), $(date -u +%Y-%m-%d), on $(nproc) cores of"
    echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1); files in the system's cache; median (least–most) of $rounds rounds."
    echo
    echo "| what | |"
    echo "|---|--:|"
    echo "| packing $files PNG files of 3 x 50 x 50, one thread, patches/s | $one |"
    echo "| the same, a thread a core | $all |"
    echo "| packing $patches files (hard links to those), a thread a core | $full |"
    echo "| start of a training on $patches packed patches to the end of its first iteration, s | $start |"
} > "$out.aside"
mv "$out.aside" "$out"
cat "$out"

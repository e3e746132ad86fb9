#!/usr/bin/env bash
# Compares what nvcc made of every kernel with the committed budget, and shows what got worse as a diff.
#
#     check_ptxas.sh check|write <budget> <folder of *.cu.o.ptxas> <folder of *.ptx>
#
# A line of the budget:  architecture  registers  spilled bytes  16-byte accesses to global memory  kernel
# Worse is: more registers, more spilled bytes, a kernel that lost its 16-byte accesses or has left or
# joined the list. Shared memory is asked for at the launch and limited there by sizeof.
set -euo pipefail
mode=$1 budget=$2 logs=$3 ptx=$4

current=$(mktemp)
trap 'rm -f "$current"' EXIT
awk '
    # nvcc puts a hash of the file into the names of anonymous namespaces.
    function stable(name) { gsub(/_GLOBAL__N__[0-9a-f]+_[0-9]+_[A-Za-z_0-9]+_cu_[0-9a-f]{8}(_[0-9]+)?/, "_GLOBAL__N_", name); return name }
    FILENAME ~ /\.ptx$/ && /\.entry/ { sub(/.*\.entry /, ""); sub(/\(.*/, ""); entry = $0; wide[entry] = "no" }
    FILENAME ~ /\.ptx$/ && /(ld|st)\.global[.a-z]*\.v4\.[fu]32|cp\.async\.cg\.shared\.global/ { wide[entry] = "yes" }
    FILENAME ~ /\.ptxas$/ && /Compiling entry function/ { split($0, quoted, "\047"); entry = quoted[2]; sm = quoted[4] }
    FILENAME ~ /\.ptxas$/ && /bytes spill stores/ { spilled = $5 }
    FILENAME ~ /\.ptxas$/ && /Used [0-9]+ registers/ { print sm, $5, spilled, wide[entry], entry }
' "$ptx"/*.ptx "$logs"/*.ptxas | c++filt |
    sed 's/patchforge::cuda:://g; s/(anonymous namespace):://g; s/^\([^ ]* [^ ]* [^ ]* [^ ]* \)void /\1/; s/(.*$//' |
    sort -k5 -k1,1 > "$current"

if [ "$mode" = write ]; then
    cp "$current" "$budget"
    echo "$budget: $(wc -l < "$budget") lines written"
    exit
fi

if awk '
    { key = $1; for (i = 5; i <= NF; ++i) key = key " " $i }
    NR == FNR { line[key] = $0; registers[key] = $2; spilled[key] = $3; wide[key] = $4; next }
    { seen[key] = 1 }
    !(key in line) { print "+ " $0; worse = 1; next }
    $2 > registers[key] || $3 > spilled[key] || (wide[key] == "yes" && $4 != "yes") {
        print "- " line[key]; print "+ " $0; worse = 1
    }
    END { for (key in line) if (!(key in seen)) { print "- " line[key]; worse = 1 } exit worse }
' "$budget" "$current"; then
    echo "check-ptxas: $(wc -l < "$current") builds of kernels within $budget," \
        "$(awk '$3 > 0' "$current" | wc -l) of them spill"
else
    echo "check-ptxas: outside $budget; if that is meant, run 'make ptxas-budget' and commit it" >&2
    exit 1
fi

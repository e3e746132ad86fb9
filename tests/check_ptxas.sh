#!/usr/bin/env bash
# Compares what nvcc made of every kernel with the committed budget, and shows what got worse as a diff;
# then looks for the instructions that kernels are said to be made of.
#
#     check_ptxas.sh check|write <budget> <claims> <folder of *.cu.o.ptxas> <folder of *.ptx> <folder of *.sass>
#
# A line of the budget:
#     architecture  registers  spilled bytes  shared memory  16-byte accesses to global memory  kernel
# Shared memory, in bytes: what ptxas counts, and the sizeof of the Storage that the kernel asks for at its
# launch, from the comment that shared<Storage>() leaves in the PTX. Worse is: more registers, spilled bytes
# or shared memory, a kernel that lost its 16-byte accesses or has left or joined the list. Lines of
# architectures that were not compiled are neither compared nor written.
#
# The folder of SASS may be absent, where there is no disassembler: claims about SASS are then not checked.
set -euo pipefail
mode=$1 budget=$2 claims=$3 logs=$4 ptx=$5 sass=$6

current=$(mktemp)
instructions=$(mktemp)
trap 'rm -f "$current" "$instructions"' EXIT

# Mangled names at the end of lines, as a person would write them.
readable() {
    c++filt |
        sed 's/patchforge::cuda:://g; s/(anonymous namespace):://g; s/ void / /
             s/(patchforge::Precision)1/tf32/g; s/(patchforge::Precision)2/bf16/g; s/(.*$//'
}

awk '
    FILENAME ~ /\.ptx$/ && /\.entry/ { sub(/.*\.entry /, ""); sub(/\(.*/, ""); entry = $0; wide[entry] = "no" }
    FILENAME ~ /\.ptx$/ && /(ld|st)\.global[.a-z]*\.v4\.[fu]32|cp\.async\.cg\.shared\.global/ { wide[entry] = "yes" }
    FILENAME ~ /\.ptx$/ && /shared memory of the block: / { dynamic[entry] = $(NF - 1) }
    FILENAME ~ /\.ptxas$/ && /Compiling entry function/ { split($0, quoted, "\047"); entry = quoted[2]; sm = quoted[4] }
    FILENAME ~ /\.ptxas$/ && /bytes spill stores/ { spilled = $5 }
    FILENAME ~ /\.ptxas$/ && /Used [0-9]+ registers/ {
        fixed = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART) + 0 : 0
        print sm, $5, spilled, fixed + dynamic[entry], wide[entry], entry
    }
' "$ptx"/*.ptx "$logs"/*.ptxas | readable | sort -k6 -k1,1V > "$current"

# "ptx instruction kernel" or "sm_90 instruction kernel", each once; and as "early:instruction" those that
# stand before the wait for the kernel before.
{
    awk '
        /\.entry/ { sub(/.*\.entry /, ""); sub(/\(.*/, ""); entry = $0; early = 1 }
        /^\t/ && entry != "" {
            name = $1 ~ /^@/ ? $2 : $1
            sub(/;.*/, "", name)
            if (name == "griddepcontrol.wait") early = 0
            if (early && name ~ /^[a-z]/ && !seen["early:" name, entry]++) print "ptx", "early:" name, entry
            if (name ~ /^(mma|cvt|cp|ld|st|griddepcontrol)\./ && !seen[name, entry]++) print "ptx", name, entry
        }
    ' "$ptx"/*.ptx
    if [ -d "$sass" ]; then
        awk '
            /^arch = / { sm = $3; next }
            /^Function : / { entry = $3; early = sm ~ /^sm_(9|1..)/; next }
            { name = $2 ~ /^@/ ? $3 : $2 }
            name == "ACQBULK" { early = 0 }
            early && !seen[sm, "early:" name, entry]++ { print sm, "early:" name, entry }
            !seen[sm, name, entry]++ { print sm, name, entry }
        ' "$sass"/*.sass
    fi
} | readable > "$instructions"

if ! awk -v have_sass="$([ -d "$sass" ] && echo yes)" '
    NR == FNR {
        where = $1; name = $2; sub(/^[^ ]* [^ ]* /, "")
        compiled[where] = 1; built[where, $0] = built[where, $0] " " name
        next
    }
    /^#/ || NF == 0 { next }
    $1 != "ptx" && $1 !~ /^sm_/ { print "a claim begins with ptx or sm_: " $0; wrong = 1; next }
    {
        code = "^" $1 "$"; asked = 0
        for (where in compiled) if (where ~ code) ++asked
        if (!asked) next
        none = sub(/^!/, "", $2); instruction = $2
        sub(/^[^ ]+ +[^ ]+ +/, ""); which = $0; matched = 0; ++claims[code == "^ptx$"]
        for (key in built) {
            split(key, part, SUBSEP)
            if (part[1] !~ code || part[2] !~ which) continue
            ++matched
            if ((built[key] ~ (" (" instruction ")")) == none) {
                print part[1] ": " part[2] (none ? " holds " : " holds no ") instruction; wrong = 1
            }
        }
        if (!matched) { print "no kernel is called " which; wrong = 1 }
    }
    END {
        if (!wrong) {
            print "check-ptxas:", claims[1] + 0, "claims about instructions hold in the PTX,", \
                have_sass ? claims[0] + 0 " in the machine code" \
                          : "those about machine code were not checked: no cuobjdump"
        }
        exit wrong
    }
' "$instructions" "$claims"; then
    echo "check-ptxas: not as $claims says" >&2
    exit 1
fi

if [ "$mode" = write ]; then
    { cat "$current"; awk 'NR == FNR { compiled[$1] = 1; next } !($1 in compiled)' "$current" "$budget"; } |
        sort -k6 -k1,1V > "$budget.written"
    mv "$budget.written" "$budget"
    echo "$budget: $(wc -l < "$current") lines written"
    exit
fi

if awk '
    { key = $1; for (i = 6; i <= NF; ++i) key = key " " $i }
    NR == FNR { line[key] = $0; registers[key] = $2; spilled[key] = $3; shared[key] = $4; wide[key] = $5; next }
    { seen[key] = compiled[$1] = 1 }
    !(key in line) { print "+ " $0; worse = 1; next }
    $2 > registers[key] || $3 > spilled[key] || $4 > shared[key] || (wide[key] == "yes" && $5 != "yes") {
        print "- " line[key]; print "+ " $0; worse = 1
    }
    END {
        for (key in line) {
            split(key, part, " ")
            if (!(key in seen) && part[1] in compiled) { print "- " line[key]; worse = 1 }
        }
        exit worse
    }
' "$budget" "$current"; then
    echo "check-ptxas: $(wc -l < "$current") builds of kernels within $budget," \
        "$(awk '$3 > 0' "$current" | wc -l) of them spill"
else
    echo "check-ptxas: outside $budget; if that is meant, run 'make ptxas-budget' and commit it" >&2
    exit 1
fi

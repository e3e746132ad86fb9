#!/usr/bin/env bash
# What plain classifiers reach on MNIST, on CIFAR-10 pictures and on tissue, with the commands of docs/classifiers.md.
#
#     bench/classifiers.sh MNIST CIFAR10 IDC [OUT.md]          WORK=build/classifiers PROGRAM=build/patchforge SEEDS="0 1 2"
#
# MNIST holds the four IDX files, CIFAR10 train/ and test/ with a folder for each class, IDC <patient>/<class>/*.png.
set -euo pipefail
cd "$(dirname "$0")/.."
mnist=$(realpath "${1:?give the folder of MNIST}") cifar10=$(realpath "${2:?give the folder of CIFAR-10}")
idc=$(realpath "${3:?give a folder of patches in the IDC layout}") out=${4:-docs/measured/classifiers.md}
work=${WORK:-build/classifiers} program=${PROGRAM:-build/patchforge} seeds=${SEEDS:-0 1 2}
mkdir -p "$work" "$(dirname "$out")"

train() { # name, options: a finished run is left as it is
    local name=$1
    shift
    [ -f "$work/$name/done" ] && return
    rm -rf "${work:?}/$name"
    "$program" train classifier --out "$work/$name" "$@" > "$work/$name.log" 2>&1
    touch "$work/$name/done"
}

parts=(--part train --test-part test)
row() { # name, options as they are told, seed values behind them
    awk -F, '
        FNR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; ++runs; best[runs] = 0; next }
        $column["balanced_accuracy"] > best[runs] {
            best[runs] = $column["balanced_accuracy"]; accuracy[runs] = $column["accuracy"] }
        END {
            for (i = 1; i <= runs; ++i) {
                balanced = balanced sprintf("%s%.4f", i > 1 ? ", " : "", best[i])
                plain = plain sprintf("%s%.4f", i > 1 ? ", " : "", accuracy[i])
            }
            printf "| %s | %s |\n", balanced, plain }' "${@:2}" | sed "s#^#| $1 #"
}
for seed in $seeds; do
    train "mnist-$seed" --seed "$seed" --data "$mnist" --channels 1 "${parts[@]}" --test "$mnist" \
        --hidden-dims 512,256 --lr 1e-3 --batch-size 256 --dropout 0.2 --leaky-slope 0.01 --epochs 20
    train "cifar10-$seed" --seed "$seed" --data "$cifar10" "${parts[@]}" --test "$cifar10"
    train "idc-$seed" --seed "$seed" --data "$idc" --test-patients 20
done
metrics() { for seed in $seeds; do echo "$work/$1-$seed/metrics.csv"; done; }
{
    echo "# Classifiers, measured"
    echo
    echo "Written by bench/classifiers.sh with $("$program" --version) on $(grep -hom1 'Device: .*' "$work"/idc-*/log.txt | head -1 | cut -c9-); seeds ${seeds// /, }, one value a seed, each of the epoch with"
    echo "the best balanced accuracy. The options are those of docs/classifiers.md, otherwise the defaults."
    echo
    echo "| set | balanced accuracy | accuracy |"
    echo "|---|---|---|"
    # shellcheck disable=SC2046
    row "MNIST, its test part" $(metrics mnist)
    # shellcheck disable=SC2046
    row "CIFAR-10 pictures in \`train/\`, tested on \`test/\`" $(metrics cifar10)
    # shellcheck disable=SC2046
    row "tissue, 20 patients held out" $(metrics idc)
} > "$out.aside"
mv "$out.aside" "$out"
echo "$out"

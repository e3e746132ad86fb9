#!/usr/bin/env bash
# Trains classifiers with and without defences on one set of patches, attacks them all, and writes the
# table of docs/measured/defences.md. Minutes to an hour on a CPU.
#
#     bench/defences.sh <data> <folder for the runs> [<out.md>]
#
# PATCHFORGE: the program (build/patchforge); DEVICE: auto; COUNT: patches attacked, 0 for all held out.
set -euo pipefail
data=$1 runs=$2 out=${3:-docs/measured/defences.md}
program=${PATCHFORGE:-build/patchforge}
device=${DEVICE:-auto}
mkdir -p "$runs" "$(dirname "$out")"

train() { # name, options: a finished run is left as it is
    local name=$1
    shift
    [ -d "$runs/$name" ] || "$program" train classifier --data "$data" --out "$runs/$name" --device "$device" "$@"
}

train plain
train noise --noise 0.05
train flips --augment flips
train fgsm_4 --adversarial-training fgsm --adv-eps 4/255
train pgd5_4 --adversarial-training pgd-5 --adv-eps 4/255
train pgd5_4_pairing --adversarial-training pgd-5 --adv-eps 4/255 --logit-pairing 0.5
train ensemble --ensemble 5
victims=$runs/plain,$runs/noise,$runs/flips,$runs/fgsm_4,$runs/pgd5_4,$runs/pgd5_4_pairing,$runs/ensemble

[ -d "$runs/detector" ] ||
    "$program" train detector --model "$runs/plain" --data "$data" --eps 8/255 --steps 20 \
        --out "$runs/detector" --device "$device"

attack() { # folder, options
    local folder=$runs/$1
    shift
    rm -rf "$folder"
    "$program" attack --data "$data" --rows test --count "${COUNT:-0}" --device "$device" --out "$folder" "$@"
}

{
    echo "# Defences, measured"
    echo
    echo "Written by bench/defences.sh with $("$program" --version) on $(date -u +%Y-%m-%d). Robust accuracy is"
    echo "what is left under the attack named, of all patches held out; no claim beyond these attacks is made."
    echo "Training cost is wall time beside plain training: rough where the machine had other work."
    for seed in 1 2 3 4 5; do
        train "split_$seed" --split-seed "$seed" > /dev/null
    done
    echo
    echo "## Plain training, by the choice of the patients held out"
    echo
    echo "| split seed | best balanced accuracy | AUC at that epoch |"
    echo "|---|---|---|"
    for seed in 1 2 3 4 5; do
        awk -F, -v seed="$seed" '
            NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
            $column["balanced_accuracy"] > best { best = $column["balanced_accuracy"]; auc = $column["auc"] }
            END { printf "| %s | %.4f | %.4f |\n", seed, best, auc }' "$runs/split_$seed/metrics.csv"
    done
    echo
    echo "## Defences under PGD-50 (step eps/8, random start)"
    echo
    echo '```'
    for eps in 1 2 4 8; do
        attack "attack_$eps" --models "$victims" --method pgd --steps 50 --alpha "$eps/2040" \
            --eps "0,$eps/255" --no-sanity
    done
    echo '```'
    echo
    echo "## Logit pairing, judged by PGD-100"
    echo
    echo '```'
    attack attack_pairing --models "$runs/pgd5_4,$runs/pgd5_4_pairing" --method pgd --steps 100 \
        --alpha 1/2040 --eps 0,4/255 --no-sanity
    echo '```'
    echo
    echo "## A detector in front"
    echo
    echo '```'
    attack attack_detector --model "$runs/plain" --detector "$runs/detector" --method pgd --steps 50 \
        --eps 0,4/255,8/255 --no-sanity
    echo '```'
} | sed -e "s#$runs/##g" -e '/^Look at /d' > "$out.part"
mv "$out.part" "$out"
echo "$out written"

#!/usr/bin/env bash
# Trains classifiers with and without defences on one set of patches, attacks them all, and writes the tables of
# docs/measured/defences.md. About an hour on two cores with 5000 patches; a trial with EPOCHS=1 COUNT=32 takes minutes.
#
#     bench/defences.sh DATA RUNS [OUT.md]      PATCHFORGE=build/patchforge DEVICE=auto COUNT=0 EPOCHS=15 SPLITS="1 2 3 4 5"
#
# COUNT: patches attacked, 0 for all held out. A finished run in RUNS is left as it is, so that an interrupted script goes on.
set -euo pipefail
data=$1 runs=$2 out=${3:-docs/measured/defences.md}
program=${PATCHFORGE:-build/patchforge}
device=${DEVICE:-auto} epochs=${EPOCHS:-15} splits=${SPLITS:-1 2 3 4 5}
mkdir -p "$runs" "$(dirname "$out")"

train() { # name, options
    local name=$1
    shift
    [ -e "$runs/$name.done" ] && return
    rm -rf "${runs:?}/$name"
    "$program" train classifier --data "$data" --out "$runs/$name" --device "$device" --epochs "$epochs" "$@"
    touch "$runs/$name.done"
}
attack() { # folder, options
    local folder=$runs/$1
    shift
    rm -rf "$folder"
    "$program" attack --data "$data" --device "$device" --out "$folder" "$@"
}
held_out=(--rows test --count "${COUNT:-0}")

# What each defence adds to the plain call.
declare -A options=(
    [plain]=""
    [noise]="--noise 0.05"
    [flips]="--augment flips"
    [offline]="--extra-data $runs/offline_set/adversarial/pgd_4-255"
    [fgsm_4]="--adversarial-training fgsm --adv-eps 4/255"
    [pgd5_4]="--adversarial-training pgd-5 --adv-eps 4/255"
    [pgd5_4_pairing]="--adversarial-training pgd-5 --adv-eps 4/255 --logit-pairing 0.5"
    [ensemble]="--ensemble 5"
)
defences=(plain noise flips offline fgsm_4 pgd5_4 pgd5_4_pairing ensemble)

train plain
# The offline defence trains on what PGD made of the plain model's own training patches.
[ -e "$runs/offline_set.done" ] || {
    attack offline_set --model "$runs/plain" --rows train --method pgd --steps 20 --eps 4/255 --save --no-sanity
    touch "$runs/offline_set.done"
}
for name in "${defences[@]}"; do
    train "$name" ${options[$name]}
done
[ -e "$runs/detector.done" ] || {
    rm -rf "$runs/detector"
    "$program" train detector --model "$runs/plain" --data "$data" --eps 8/255 --steps 20 --epochs "$epochs" \
        --out "$runs/detector" --device "$device"
    touch "$runs/detector.done"
}
for seed in $splits; do
    train "split_$seed" --test-patients 20 --validation-patients 0.15 --split-seed "$seed"
done
for name in plain pgd5_4; do
    train "${name}_20" --test-patients 20 ${options[$name]}
done

# Time of a step: every defence in turn, three rounds, so that what else the machine does falls on all of them alike.
for round in 1 2 3; do
    for name in "${defences[@]}"; do
        [ "$name" = ensemble ] || epochs=1 train "cost_${name}_$round" ${options[$name]}
    done
done

victims=$(printf "$runs/%s," "${defences[@]}")
for eps in 1 2 4 8; do
    # The checks of the evaluation once, at the largest budget.
    [ $eps = 8 ] && checks="" || checks=--no-sanity
    attack "attack_$eps" "${held_out[@]}" --models "${victims%,}" --method pgd --steps 50 --alpha "$eps/2040" \
        --eps "0,$eps/255" $checks
    attack "attack_20_$eps" "${held_out[@]}" --models "$runs/plain_20,$runs/pgd5_4_20" --method pgd --steps 50 \
        --alpha "$eps/2040" --eps "0,$eps/255" --no-sanity
done
attack attack_pairing "${held_out[@]}" --models "$runs/pgd5_4,$runs/pgd5_4_pairing" --method pgd --steps 100 \
    --alpha 1/2040 --eps 0,4/255 --no-sanity
attack attack_detector "${held_out[@]}" --model "$runs/plain" --detector "$runs/detector" --method pgd,worst \
    --steps 50 --queries 1000 --eps 0,4/255,8/255

python3 "$(dirname "$0")/defences.py" "$runs" "$("$program" --version)" $splits > "$out.part"
mv "$out.part" "$out"
echo "$out written"

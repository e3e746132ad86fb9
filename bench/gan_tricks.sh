#!/usr/bin/env bash
# Each loss and trick of GAN training at equal iterations, over several seeds, judged by patches of patients that neither
# the GAN nor the classifier whose features are used has seen. Writes a table with means, spreads and verdicts.
#
#     bench/gan_tricks.sh DATA [OUT.md]          STEPS=2000 SEEDS="0 1 2" COUNT=1000 WORK=build/gan_tricks PROGRAM=build/patchforge
#
# DATA is a folder in the IDC layout (<patient>/<class>/*.png). Of its patients, in the order of their names, every fifth
# trains the classifier, every fifth is held out, and the other three train the GANs.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(realpath "${1:?give a folder of patches in the IDC layout}")
out=${2:-docs/measured/gan_tricks.md}
steps=${STEPS:-2000} seeds=${SEEDS:-0 1 2} count=${COUNT:-1000}
work=${WORK:-build/gan_tricks} program=${PROGRAM:-build/patchforge}

variants=(
    "ns|--loss ns"
    "minimax|--loss minimax"
    "lsgan|--loss lsgan"
    "hinge|--loss hinge"
    "wgan|--loss wgan --n-critic 5"
    "wgan-gp|--loss wgan-gp --n-critic 5 --dropout 0"
    "ns, label 0.9|--real-label 0.9"
    "ns, average 0.99|--ema 0.99"
    "ns, two rates|--lr-d 4e-4 --lr-g 1e-4"
    "ns, rates fall|--decay-epoch 20"
    "ns, noise 0.1|--instance-noise 0.1"
    "ns, batch normalised G|--norm-g batch"
    "ns, virtual batch normalised G|--norm-g virtual"
    "ns, minibatch discrimination|--minibatch-discrimination 32"
    "ns, feature matching|--feature-matching"
    "ns, historical averaging 0.01|--lambda-history 0.01"
    "ns, pixel loss 10|--lambda-pixel 10"
    "ns, 192 components|--components 192"
    "preset idc|--preset idc"
)

mkdir -p "$work" "$(dirname "$out")"
number=0
for patient in "$data"/*/; do
    case $((number++ % 5)) in
        0) group=classifier ;;
        1) group=held-out ;;
        *) group=training ;;
    esac
    mkdir -p "$work/$group"
    ln -sfn "$patient" "$work/$group/$(basename "$patient")"
done

classifier=$work/classifier-run
if [ ! -f "$classifier/done" ]; then
    rm -rf "$classifier"
    "$program" train classifier --data "$work/classifier" --out "$classifier" > "$classifier.log" 2>&1
    touch "$classifier/done"
fi

# What the fakes of a run, or the patches of a folder, are to the held-out patients.
evaluate() {
    "$program" evaluate "$@" --data "$work/held-out" --features "$classifier" --count "$count" --without-floors
}

floor=$work/patches
if [ ! -f "$floor/evaluated" ]; then
    rm -rf "$floor"
    evaluate --generated "$work/training" --out "$floor" > "$floor.log" 2>&1
    touch "$floor/evaluated"
fi

total=$((${#variants[@]} * $(wc -w <<< "$seeds"))) finished=0
for variant in "${variants[@]}"; do
    name=${variant%%|*} options=${variant#*|}
    for seed in $seeds; do
        run=$work/$(tr -c 'a-z0-9\n' '-' <<< "$name")-$seed
        finished=$((finished + 1))
        [ -f "$run/evaluated" ] && continue
        rm -rf "$run"
        echo "[$finished/$total] $name, seed $seed"
        # shellcheck disable=SC2086
        "$program" train gan --data "$work/training" --out "$run" $options --steps "$steps" --seed "$seed" \
            --checkpoint-interval 0 --log-interval 500 > "$run.log" 2>&1
        evaluate --run "$run" >> "$run.log" 2>&1
        touch "$run/evaluated"
    done
done

python3 bench/gan_tricks.py "$work" "$steps" "$seeds" "$count" "$("$program" --version)" "${variants[@]}" > "$out.aside"
mv "$out.aside" "$out"
echo "$out"

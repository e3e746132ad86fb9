#!/usr/bin/env bash
# The presets of GAN training, in full, beside plain training for as many iterations, judged by pictures that neither the GAN
# nor the classifier whose features are used has seen. Writes a page and a grid of fakes for each run of the first seed.
#
#     bench/gan_presets.sh MNIST CIFAR10 IDC [OUT.md]     SEEDS="0 1" COUNT=2000 WORK=build/gan_presets PROGRAM=build/patchforge
#
# MNIST holds the four IDX files, CIFAR10 train/ and test/ with a folder for each class, IDC <patient>/<class>/*.png. Of MNIST's
# training part 10,000 digits train the classifier, and the test part is held out; of the others every fifth picture of a class
# (patient, in the order of their names) trains the classifier, every fifth is held out, and three of five train the GANs.
set -euo pipefail
cd "$(dirname "$0")/.."
mnist=$(realpath "${1:?give the folder of MNIST}") cifar10=$(realpath "${2:?give the folder of CIFAR-10}")
idc=$(realpath "${3:?give a folder of patches in the IDC layout}") out=${4:-docs/measured/gan_presets.md}
seeds=${SEEDS:-0 1} count=${COUNT:-2000} work=${WORK:-build/gan_presets} program=${PROGRAM:-build/patchforge}
pictures=$(dirname "$out")/../pictures
mkdir -p "$work" "$(dirname "$out")" "$pictures"

[ -f "$work/dealt" ] || python3 bench/gan_presets.py deal "$work" "$mnist" "$cifar10" "$idc"
touch "$work/dealt"

for preset in mnist cifar10 idc; do
    here=$work/$preset
    channels=(--channels 3)
    [ $preset = mnist ] && channels=(--channels 1)
    if [ ! -f "$here/classifier/done" ]; then
        rm -rf "$here/classifier"
        "$program" train classifier --data "$here/for-classifier" "${channels[@]}" --out "$here/classifier" > "$here/classifier.log" 2>&1
        touch "$here/classifier/done"
    fi
    evaluate() { # against the pictures held out
        "$program" evaluate "$@" --data "$here/held-out" "${channels[@]}" --features "$here/classifier" --count "$count" --without-floors
    }
    if [ ! -f "$here/patches/done" ]; then
        rm -rf "$here/patches"
        evaluate --generated "$here/for-gan" --out "$here/patches" > "$here/patches.log" 2>&1
        touch "$here/patches/done"
    fi
    for seed in $seeds; do
        for settings in "$preset" default; do
            run=$here/$settings-$seed
            [ -f "$run/done" ] && continue
            rm -rf "$run"
            echo "$preset: $settings settings, seed $seed"
            steps=()
            if [ "$settings" = default ]; then
                steps=(--steps "$(sed -n 's/^ *"steps": "\{0,1\}\([0-9]*\).*/\1/p' "$here/$preset-$seed/params.json")")
            fi
            TIMEFORMAT=%U # seconds of all processor cores together
            { time "$program" train gan --data "$here/for-gan" "${channels[@]}" --preset "$settings" "${steps[@]}" --out "$run" \
                --seed "$seed" --checkpoint-interval 0 > "$run.log" 2>&1; } 2> "$run.seconds"
            evaluate --run "$run" >> "$run.log" 2>&1
            "$program" generate --run "$run" --count 32 --seed 1 --out "$run/shown" --grid "$run/shown.png" >> "$run.log" 2>&1
            touch "$run/done"
        done
    done
    seed=${seeds%% *}
    cp "$here/$preset-$seed/shown.png" "$pictures/preset-$preset.png"
done

python3 bench/gan_presets.py page "$work" "$seeds" "$count" "$("$program" --version)" > "$out.aside"
mv "$out.aside" "$out"
echo "$out"

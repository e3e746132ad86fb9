#!/usr/bin/env bash
# Each loss and trick of GAN training at equal iterations, over several seeds, with patients held out: the distances of
# `patchforge evaluate` between fakes and patches, mean and spread, as a table.
#
#     bench/gan_tricks.sh DATA [OUT.md]          STEPS=2000 SEEDS="0 1 2" TEST_PATIENTS=20 COUNT=1000 WORK=build/gan_tricks
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?give a folder of patches or a packed set}
out=${2:-docs/measured/gan_tricks.md}
steps=${STEPS:-2000} seeds=${SEEDS:-0 1 2} held_out=${TEST_PATIENTS:-20} count=${COUNT:-1000}
work=${WORK:-build/gan_tricks}
program=build/patchforge

variants=(
    "ns|--loss ns"
    "minimax|--loss minimax"
    "lsgan|--loss lsgan"
    "hinge|--loss hinge"
    "wgan|--loss wgan --n-critic 5"
    "wgan-gp|--loss wgan-gp --n-critic 5 --dropout 0"
    "ns, label 0.9|--real-label 0.9"
    "ns, average 0.99|--ema 0.99"
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
for variant in "${variants[@]}"; do
    name=${variant%%|*} options=${variant#*|}
    for seed in $seeds; do
        run=$work/$(tr -c 'a-z0-9\n' '-' <<< "$name")-$seed
        [ -f "$run/evaluated" ] && continue
        rm -rf "$run"
        # shellcheck disable=SC2086
        "$program" train gan --data "$data" --out "$run" $options --steps "$steps" --seed "$seed" \
            --test-patients "$held_out" --checkpoint-interval 0 --log-interval 500 > "$run.log" 2>&1
        "$program" evaluate --run "$run" --data "$data" --count "$count" --without-floors \
            --test-patients "$held_out" --split-seed "$seed" >> "$run.log" 2>&1
        touch "$run/evaluated"
    done
done

python3 - "$work" "$steps" "$seeds" "$count" "${variants[@]}" > "$out.aside" << 'TABLE'
import json, pathlib, re, statistics, sys
work, steps, seeds, count, *variants = sys.argv[1:]
wanted = {"frechet_distance": "Fréchet", "kernel_distance_mean": "kernel", "recall": "recall"}
def numbers(run):
    found = {}
    for file in sorted(pathlib.Path(run).glob("metric-*.jsonl")):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            for key, value in entry["results"].items():
                if isinstance(value, (int, float)) and key in wanted:
                    found[f"{entry['extractor']['name']} {wanted[key]}"] = value
    return found
rows, columns = [], []
for variant in variants:
    name = variant.split("|")[0]
    folder = re.sub("[^a-z0-9]", "-", name)
    runs = [numbers(f"{work}/{folder}-{seed}") for seed in seeds.split()]
    columns = columns or list(runs[0])
    cells = []
    for key in columns:
        values = [run[key] for run in runs if key in run]
        spread = statistics.stdev(values) if len(values) > 1 else 0
        cells.append(f"{statistics.mean(values):.4g} ± {spread:.2g}" if values else "–")
    rows.append((variant, cells))
print("# GAN losses and tricks, measured\n")
print(f"Written by bench/gan_tricks.sh: {steps} iterations each, seeds {seeds}, {count} fakes against {count} patches;")
print("mean ± standard deviation over seeds. What a column means: docs/evaluation.md.\n")
print("| run | options | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 2))
for variant, cells in rows:
    name, options = variant.split("|")
    print(f"| {name} | `{options}` | " + " | ".join(cells) + " |")
TABLE
mv "$out.aside" "$out"
echo "$out"

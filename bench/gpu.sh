#!/usr/bin/env bash
# bench/gpu.sh BUILD: runs every benchmark on the machine's first GPU, one after the other, and writes
# the pages of docs/measured. A part that cannot run says why and the others go on; exit status 1 then.
set -u
build=$1
out=docs/measured
mkdir -p "$out"
missing=0

circumstances() {
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,power.draw \
        --format=csv | sed "s|^|  |"
}
part() {
    echo "== $*"
    circumstances
    "$@" || { echo "bench-gpu: $1 measured nothing (status $?)"; missing=1; }
}

{
    echo "# The machine that docs/measured speaks of"
    echo
    echo "Commit $(git describe --always --dirty=+), $(date -u +%Y-%m-%d)."
    echo
    nvidia-smi | sed 's/^/    /'
    echo
    "${NVCC:-nvcc}" --version 2>/dev/null | sed 's/^/    /'
} >"$out/machine_cuda.md"

part "$build/bench/kernels" --device cuda --out "$out/kernels_cuda.md" --json "$out/kernels_cuda.json"
part "$build/bench/iteration" --device cuda --batches 1,2,4,8,10,16,32,64,128,256,512,1024 \
    --out "$out/iteration_cuda.md" --json "$out/iteration_cuda.json"
part "$build/cublas" --out "$out/cublas.md" --json "$out/cublas.json"
part "$build/ladder" --out "$out/ladder.md" --json "$out/ladder.json"
part "$build/persistent" --out "$out/persistent.md" --json "$out/persistent.json"
compare() {
    part "${PEER_PYTHON:-python3}" bench/peers/compare.py --device cuda --ours "$build/bench" --bench "$1" \
        --out "$out/$2_cuda.md" --json "$out/$2_cuda.json" "${@:3}"
}
compare gan peers --batches 1,10,32,64,256,1024
compare gan-layers gan_layers_peers
compare classifier classifier_peers
part "$build/bench/attack_steps" --device cuda --batches 1,64,256 \
    --out "$out/attack_steps_cuda.md" --json "$out/attack_steps_cuda.json"
compare attack attack_peers --batches 1,64,256
circumstances
echo "pages written to $out"
exit "$missing"

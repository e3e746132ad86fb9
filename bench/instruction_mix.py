"""Reads the machine code of the kernels that multiply matrices and writes what their hot loops consist of, and
what that allows at most:

    python3 bench/instruction_mix.py --sass build/sass/kernels/cuda --budget kernels/cuda/ptxas_budget.txt \\
        --tools "nvcc 13.0, cuobjdump 13.5" --commit COMMIT --out docs/measured/instruction_mix.md

A loop is what lies between a backward branch and its target, without the loops inside it. The hot loop is the one
with the most multiply-adds. In a tile kernel it may lie within a loop over stages of 16 steps of k, and goes round
as often as gives all products of a stage; the rest of that loop then counts once.
"""
import argparse
import collections
import os
import pathlib
import re
import subprocess

# Multiply-adds a clock of a multiprocessor: FP32 lanes, and dense tensor cores with tf32 and bf16 operands.
PEAK = {"sm_80": {"FFMA": 64, "HMMA.1688.F32.TF32": 512, "HMMA.16816.F32.BF16": 1024},
        "sm_90": {"FFMA": 128, "HMMA.1688.F32.TF32": 1024, "HMMA.16816.F32.BF16": 2048}}
# Multiply-adds of one instruction of a warp.
PRODUCTS = {"FFMA": 32, "HMMA.1688.F32.TF32": 16 * 8 * 8, "HMMA.16816.F32.BF16": 16 * 8 * 16}
SCHEDULERS = 4
STAGE_DEPTH, WARPS = 16, 8  # kernels/cuda/matrix_tile.h
REGISTERS, THREADS = 65536, 2048
SHARED_BYTES = {"sm_80": 164 << 10, "sm_90": 228 << 10}
# Clocks that the 128 bytes a clock of L1 and shared memory are busy with one access of a warp: at best, where
# pairs of lanes read the same (matrix_tile.h), and at worst without bank conflicts.
CLOCKS = {"LDS": (1, 1), "LDS.64": (1, 2), "LDS.128": (2, 4), "STS": (1, 1), "STS.64": (2, 2), "STS.128": (4, 4),
          "LDGSTS.128": (4, 4), "LDG": (1, 1), "LDG.128": (4, 4), "STG": (1, 1), "STG.128": (4, 4)}
KERNELS = re.compile(r"^(forward_lanes_kernel<|backward_lanes::kernel<|\w+_tile_kernel<).*true>$")


def readable(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    for old, new in (("patchforge::cuda::", ""), ("(anonymous namespace)::", ""), ("(patchforge::Precision)1", "tf32"),
                     ("(patchforge::Precision)2", "bf16")):
        text = text.replace(old, new)
    return [re.sub(r"^void |\(.*", "", name) for name in text.splitlines()]


def read_kernels(folder):
    """(kernel, architecture) -> [(address, name of the instruction, its text)]"""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.sass")):
        for line in path.read_text().splitlines():
            if line.startswith("arch = "):
                architecture = line.split()[2]
            elif line.startswith("Function : "):
                code = found[line.split()[2], architecture] = []
            else:
                address, text = line.split(" ", 1)
                # What is never executed (ptxas puts three such loads before asynchronous copies) takes its slot alone.
                name = "NOP" if text.startswith("@!PT ") else re.sub(r"^@\S+ ", "", text).split()[0]
                code.append((int(address, 16), name, text))
    names = readable([mangled for mangled, _ in found])
    return {(name, architecture): code for name, ((_, architecture), code) in zip(names, found.items())}


def read_budget(path):
    """(kernel, architecture) -> (registers, bytes of shared memory)"""
    lines = [line.split(" ", 5) for line in pathlib.Path(path).read_text().splitlines()]
    return {(kernel, architecture): (int(registers), int(shared))
            for architecture, registers, _, shared, _, kernel in lines}


def loops_of(code):
    """(first address, last address) of every loop."""
    loops = {}
    for address, name, text in code:
        target = re.search(r"\b0x([0-9a-f]+)$", text)
        if name.startswith("BRA") and target and int(target[1], 16) < address:
            first = int(target[1], 16)
            loops[first] = max(loops.get(first, 0), address)
    return list(loops.items())


def inside(inner, outer):
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def own_instructions(code, loop, loops):
    nested = [other for other in loops if inside(other, loop)]
    return collections.Counter(name for address, name, _ in code if loop[0] <= address <= loop[1]
                               and not any(first <= address <= last for first, last in nested))


def hot_loop(kernel, code):
    """What a warp executes for a stage, or in one round of a kernel without stages; and the multiply-add."""
    loops = loops_of(code)
    counts = {loop: own_instructions(code, loop, loops) for loop in loops}
    product = next((name for name in PRODUCTS if name != "FFMA" and any(count[name] for count in counts.values())), "FFMA")
    tile = re.search(r"By\w+<(\d+)>, By\w+<(\d+)>", kernel)
    stages = [loop for loop in loops if counts[loop]["LDGDEPBAR"]]  # not the loops of the epilogue
    hot = max((loop for loop in loops if not tile or any(loop == stage or inside(loop, stage) for stage in stages)),
              key=lambda loop: counts[loop][product])
    total = collections.Counter(counts[hot])
    if tile:
        rounds = int(tile[1]) * int(tile[2]) * STAGE_DEPTH / WARPS / (PRODUCTS[product] * counts[hot][product])
        total = collections.Counter({name: round(count * rounds) for name, count in total.items()})
        around = [loop for loop in loops if inside(hot, loop)]
        if around and rounds > 1:
            total += counts[min(around, key=lambda loop: loop[1] - loop[0])]
    return total, product


def accesses(count):
    """The accesses to memory under the names of CLOCKS."""
    kinds = collections.Counter()
    for name, number in count.items():
        kind, width = name.split(".")[0], re.search(r"\.(64|128)\b", name)
        if kind in ("LDS", "STS", "LDG", "STG", "LDGSTS"):
            kinds[kind + (width[0] if width else "")] += number
    return kinds


def percent(part, whole):
    return f"{100 * min(1.0, part / whole):.0f}%"


def row(kernel, architecture, code, budget):
    count, product = hot_loop(kernel, code)
    issued = sum(count.values())
    # Clocks of one scheduler that has its warp's round to do; the memory pipe is shared by all schedulers.
    multiplying = count[product] * PRODUCTS[product] * SCHEDULERS / PEAK[architecture][product]
    kinds = accesses(count)
    best, worst = (SCHEDULERS * sum(kinds[kind] * CLOCKS.get(kind, (1, 1))[i] for kind in kinds) for i in (0, 1))
    registers, shared = budget[kernel, architecture]
    blocks = min(REGISTERS // (-(-registers // 8) * 8 * 32 * WARPS), THREADS // (32 * WARPS),
                 SHARED_BYTES[architecture] // (shared + 1024))
    low, high = percent(multiplying, worst), percent(multiplying, best)
    barriers = sum(number for name, number in count.items() if name.startswith("BAR."))
    loads = {kind: number for kind, number in kinds.items() if kind.startswith("LD")}
    other = issued - count[product] - sum(loads.values()) - barriers
    return [f"`{kernel}`", architecture, issued, count[product], percent(count[product], issued),
            kinds["LDS.128"], kinds["LDS.64"], kinds["LDS"], sum(loads[kind] for kind in loads if kind.startswith("LDG")), barriers, other,
            percent(multiplying, issued), low if low == high else f"{low} .. {high}", registers, blocks * WARPS]


COLUMNS = ["kernel", "architecture", "instructions", "multiply-adds", "share", "LDS.128", "LDS.64", "LDS", "LDG, LDGSTS",
           "barriers", "other", "issue slots", "L1 and shared memory", "registers", "warps"]

PAGE = """# What the hot loops are made of

Arithmetic on machine code, not a measurement: the instructions that a warp issues for one stage of 16 steps of k (tile kernels) or one round
of the loop (lanes), and the share of the multiprocessor's peak that they leave within reach. {tools}; commit {commit}.

- **multiply-adds** are FFMA (float32), or HMMA (tf32, bf16) in a kernel on tensor cores; in the backward lanes also those of Adam's step.
- **other**: addresses, predicates, stores, rounding to tf32 (two each) or bf16, and in the backward lanes divisions and square roots.
  Instructions under a condition count as if it held, such as the sum of the bias's gradient, which only the blocks of the first inputs do.
- **issue slots**: the peak's share if every scheduler issued one instruction a clock and did nothing else. A scheduler issues one
  instruction of a warp a clock; FP32 takes 64 multiply-adds a clock and multiprocessor on sm_80 and 128 on sm_90
  ([CUDA programming guide](https://docs.nvidia.com/cuda/cuda-c-programming-guide/#arithmetic-instructions), throughput of arithmetic
  instructions), tensor cores 512 and 1024 with tf32 and twice that with bf16 (data sheets of A100 and H100).
- **L1 and shared memory**: the same if they moved 128 bytes a clock and nothing else counted. A 16-byte load of a warp takes four clocks,
  two where pairs of lanes read the same ([NVIDIA's answer](https://forums.developer.nvidia.com/t/unexpected-shared-memory-bank-conflict/77228/2)): the float32 tiles are
  laid out for two, so the upper end is theirs.
- **warps** resident on a multiprocessor, of 64, by registers and shared memory, if the grid has that many blocks.

{table}
"""


def main():
    parser = argparse.ArgumentParser(description="what the hot loops of the products are made of")
    for option in ("--sass", "--budget", "--tools", "--commit", "--out"):
        parser.add_argument(option, required=True)
    options = parser.parse_args()
    budget = read_budget(options.budget)
    kernels = {key: code for key, code in read_kernels(options.sass).items() if KERNELS.match(key[0]) and key[1] in PEAK}
    if not kernels:
        raise SystemExit(f"{options.sass}: no machine code of a product for {' or '.join(PEAK)}; run make sass first")
    rows = [row(kernel, architecture, code, budget) for (kernel, architecture), code in sorted(kernels.items())]
    cells = [COLUMNS, ["---", "---"] + ["---:"] * (len(COLUMNS) - 2)] + rows
    table = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in cells)
    partial = pathlib.Path(options.out + ".partial")
    partial.write_text(PAGE.format(tools=options.tools, commit=options.commit, table=table), encoding="utf-8")
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()

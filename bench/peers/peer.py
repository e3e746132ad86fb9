"""What the peers share: a program that is started once, builds a case for every batch size that it is asked for,
and answers each line {"batch": 64, "seconds": 1} on standard input with a line of milliseconds. So compilation
is paid once, and compare.py can let all programs take turns. Exit status 77: it cannot run here, and says why."""

import argparse
import itertools
import json
import os
import statistics
import sys
import time


def skip(reason):
    print(f"{os.path.basename(sys.argv[0])}: skipped, {reason}", file=sys.stderr)
    sys.exit(77)


def options(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--network", action="append", default=[], help="texts of networks (docs/formats.md)")
    parser.add_argument("--compiled", action="store_true", help="PyTorch: torch.compile, fused Adam, CUDA graph")
    parser.add_argument("--fused", action="store_true", help="PyTorch: fused Adam")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch: the other layout of maps")
    return parser.parse_args()


# Of one game they differ by a fifth from another's.
SEEDS = (1, 2, 3)


def early_losses(games):
    """Mean losses of D and G over iterations 17 to 32; games: a function each that makes one iteration."""
    pairs = [[[float(loss) for loss in iteration()] for _ in range(32)][16:] for iteration in games]
    return [statistics.mean(values) for values in zip(*itertools.chain.from_iterable(pairs))]


def milliseconds(run, repeats, steps, seconds):
    """Sorted milliseconds a step of `run(repeats)`, which returns when all is done."""
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run(repeats)
        times.append((time.perf_counter() - before) / repeats / steps * 1e3)
    return sorted(times)


def serve(program, repeats, build):
    """build(batch) returns {method: (run, steps a run)} and what else belongs into the answers. Nothing is timed
    before every case ran three times."""
    cases = {}
    for line in sys.stdin:
        asked = json.loads(line)
        batch = asked["batch"]
        if batch not in cases:
            cases[batch] = build(batch)
            for run, _ in cases[batch][0].values():
                run(3)
        methods, also = cases[batch]
        for method, (run, steps) in methods.items():
            times = milliseconds(run, repeats, steps, asked["seconds"])
            print(json.dumps({"program": program, "method": method, "batch": batch,
                              "ms": statistics.median(times), **also}), flush=True)
        print("{}", flush=True)

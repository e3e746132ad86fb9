"""Verbs beside other programs for the same work, alternating in one run, as a page: `generate` beside OpenCV's PNG
writer at equal size of the files, the kernel distance of `evaluate` beside torch-fidelity's.

    bench/peers/verbs.py --program build/patchforge-cpu --kernel-distance build/bench/kernel_distance [--out PAGE]

Needs opencv-python-headless and torch-fidelity.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

from compare import processor, write

ROWS, NUMBERS = 10_000, 256
PICTURES = 4096
EQUAL = 1.02  # files this much larger than ours still count as equal


def call(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"verbs.py: {' '.join(map(str, words))}: failed with {done.returncode}\n{done.stderr}")
    return done.stdout


def seconds_of(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def bytes_in(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*.png"))


def writing(program, folder, rounds):
    """Pictures a second: the whole of `generate`, and OpenCV's imwrite of the same pictures from memory."""
    import cv2
    cv2.setNumThreads(1)
    call(program, "tissue", folder / "patches", "--patients", 8, "--patches", 50)
    call(program, "train", "gan", "--data", folder / "patches", "--out", folder / "run", "--network", "light", "--steps", 60,
         "--sample-interval", 0)

    # A new folder each: files that are replaced, or were removed a moment ago, cost the file system more.
    folders = (folder / f"written{number}" for number in itertools.count())

    def generate(threads):
        out = next(folders)
        call(program, "generate", "--run", folder / "run", "--out", out, "--count", PICTURES, "--threads", threads)
        return out

    fakes = generate(2)
    size = bytes_in(fakes)
    pictures = [cv2.imread(str(path)) for path in sorted(fakes.rglob("*.png"))]

    def imwrite(level):
        out = next(folders)
        out.mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(out / f"{number:06}.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, level])
        return out

    # The fastest of its levels whose files are as small as ours, or as small as it can make them.
    tried = {}
    for level in range(1, 10):
        begin = time.perf_counter()
        out = imwrite(level)
        tried[level] = (time.perf_counter() - begin, bytes_in(out))
    limit = EQUAL * max(size, min(written for _, written in tried.values()))
    level = min((level for level in tried if tried[level][1] <= limit), key=tried.get)
    times = {"one": [], "two": [], "peer": []}
    for _ in range(rounds):
        times["one"].append(seconds_of(lambda: generate(1)))
        times["two"].append(seconds_of(lambda: generate(2)))
        times["peer"].append(seconds_of(lambda: imwrite(level)))
    return times, (f"`generate` of {PICTURES} pictures of 3 x 50 x 50, started anew, {size / PICTURES:.0f} bytes a file",
                   f"OpenCV {cv2.__version__}, level {level}, {tried[level][1] / PICTURES:.0f} bytes a file, one thread (it has no more)")


def distance(program, folder, rounds):
    import numpy
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric
    random = numpy.random.default_rng(1)
    first = torch.from_numpy(random.standard_normal((ROWS, NUMBERS)).astype("f4"))
    second = torch.from_numpy(random.standard_normal((ROWS, NUMBERS)).astype("f4")) + 0.1
    told = {}

    def ours(threads):
        call(program, "--threads", threads, "--seconds", 0.1, "--json", folder / "line.json")
        told.update(json.loads((folder / "line.json").read_text()))
        return told["s"]

    def peer(threads):
        torch.set_num_threads(threads)
        return seconds_of(lambda: kid_features_to_metric(first, second, kid_subsets=100, kid_subset_size=1000, rng_seed=1,
                                                         verbose=False))

    peer(2)
    times = {"one": [], "two": [], "peer": []}
    for _ in range(rounds):
        times["one"].append(ours(1))
        times["two"].append(ours(2))
        times["peer"].append(min(peer(1), peer(2)))
    return times, (f"kernel distance of {ROWS} x {NUMBERS} and as many, 100 subsets of 1000",
                   f"torch-fidelity {importlib.metadata.version('torch-fidelity')} on PyTorch {torch.__version__}, the better of "
                   "1 and 2 threads"), f"patchforge {told['commit']} on {told['device']}"


def row(times, names):
    ratio = {ours: statistics.median(theirs / own for theirs, own in zip(times["peer"], times[ours])) for ours in ("one", "two")}
    told = {name: f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})" for name, values in times.items()}
    return (f"| {names[0]} | {told['one']}, **{ratio['one']:.2f}x** | {told['two']}, **{ratio['two']:.2f}x** | {names[1]} | "
            f"{told['peer']} |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--kernel-distance", required=True, help="build/bench/kernel_distance")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out")
    options = parser.parse_args()
    program, measure = os.path.abspath(options.program), os.path.abspath(options.kernel_distance)
    with tempfile.TemporaryDirectory() as folder:
        written = writing(program, pathlib.Path(folder), options.rounds)
        measured = distance(measure, pathlib.Path(folder), options.rounds)
    page = (f"# Verbs beside their peers\n\nSeconds, alternating in one run: median of {options.rounds} rounds (least–most), "
            "**times that ours takes**: medians of the rounds' ratios. Of OpenCV's levels the fastest whose files are at most "
            f"{100 * (EQUAL - 1):.0f} % larger than ours, or than the smallest that it makes.\n\n{measured[2]}; {processor()}.\n\n"
            "| work | ours, 1 thread | 2 threads | peer | its seconds |\n|---|--:|--:|---|--:|\n"
            + row(*written) + row(*measured[:2]))
    print(page)
    if options.out:
        write(options.out, page)


if __name__ == "__main__":
    main()

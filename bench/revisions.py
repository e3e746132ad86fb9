"""The speed of two revisions on one machine, interleaved, as a page.

    bench/revisions.py --before OLD/build --after build [--out docs/measured/frame.md] [--rounds 2] [--seconds 0.4] [--threads 2]

Of the programs bench/iteration, bench/attack_steps and patchforge-cpu in both build folders: before, after, before, after, ...,
before. Rows are those that both have.
"""
import argparse
import datetime
import functools
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

BATCHES = "1,10,32,64,100,256"


def call(words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(" ".join(map(str, words)) + "\n" + done.stdout + done.stderr)
    return done.stdout


def bench(name, build, options, folder):
    """Milliseconds of each row, by its name."""
    lines = folder / "lines.json"
    call([build / "bench" / name, "--batches", BATCHES, "--seconds", options.seconds, "--threads", options.threads, "--json", lines])
    rows = {}
    for line in lines.read_text().splitlines():
        row = json.loads(line)
        what = "GAN iteration" if name == "iteration" else "attack step, " + row["method"].split("-")[0]
        rows[f"{what}, batch {row['batch']}"] = row["ms"]
    return rows


def classifier(build, options, folder):
    """Milliseconds of a step, the epochs' scores included: a whole `train classifier` by the options of before."""
    rows = {}
    for batch, epochs in ((32, 60), (100, 90)):
        run, record = folder / "run", folder / f"params.{batch}.json"
        shutil.rmtree(run, ignore_errors=True)
        call([build / "patchforge-cpu", "train", "classifier", "--data", folder / "set.pfs", "--out", run, "--device", "cpu",
              "--threads", options.threads, "--batch-size", batch, "--epochs", epochs, *(["--config", record] if build == options.after else [])])
        if build == options.before:
            record.write_bytes((run / "params.json").read_bytes())
        timing = json.loads((run / "timing.json").read_text())
        rows[f"classifier step, batch {batch}"] = timing["training_seconds"] * 1e3 / timing["steps"]
    return rows


def measure(part, options, folder):
    """Runs of `part` in turn: those of the one build, those of the other."""
    before, after = [part(options.before, options, folder)], []
    for _ in range(options.rounds):
        after.append(part(options.after, options, folder))
        before.append(part(options.before, options, folder))
    return before, after


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown processor"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=pathlib.Path, required=True)
    parser.add_argument("--after", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--out", default="docs/measured/frame.md")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each row of bench/")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    versions = [call([build / "patchforge-cpu", "--version"]).strip() for build in (options.before, options.after)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        program = options.before / "patchforge-cpu"
        call([program, "tissue", folder / "tissue", "--patients", 8, "--patches", 80])
        call([program, "pack", folder / "tissue", "--out", folder / "set.pfs"])
        parts = (functools.partial(bench, "iteration"), classifier, functools.partial(bench, "attack_steps"))
        measured = [measure(part, options, folder) for part in parts]
    rows, ratios = [], []
    for before, after in measured:
        for name in (name for name in before[0] if name in after[0]):
            a, b = ([run[name] for run in runs] for runs in (before, after))
            ratios.append(statistics.median(b) / statistics.median(a))
            rows.append(f"| {name} | {statistics.median(a):.3f} ({min(a):.3f} to {max(a):.3f}) | {statistics.median(b):.3f} "
                        f"({min(b):.3f} to {max(b):.3f}) | {ratios[-1]:.3f} |")
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    text = ["# Two revisions, interleaved", "",
            f"Written by bench/revisions.py: {versions[0]} before, {versions[1]} after; {datetime.date.today()}, {processor()}, {options.threads} threads. Milliseconds: the "
            f"median of {options.rounds + 1} and {options.rounds} runs in turn, and from the smallest to the largest. A step of PGD is a share of a whole "
            "attack, whose start a longer attack spreads over more steps.", "",
            "| row | before | after | after / before |", "|---|---|---|---|", *rows, "",
            f"Geometric mean of the ratios: {mean:.3f}; the slowest row {max(ratios):.3f}, the fastest {min(ratios):.3f}.", ""]
    pathlib.Path(options.out).write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()

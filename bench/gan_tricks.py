"""The table of bench/gan_tricks.sh: means and spreads over seeds, and a verdict against plain training.

A verdict compares the means of a variant and of the first one, feature by feature. It says "better" or "worse" only where
they differ by more than twice the standard error of their difference.
"""
import json
import math
import pathlib
import re
import statistics
import sys

MEASURES = {
    "frechet_distance": "Fréchet",
    "kernel_distance_mean": "kernel",
    "precision": "precision",
    "recall": "recall",
}
JUDGED = "Fréchet"


def numbers(run):
    """{"<features> <measure>": value} of the last evaluation written in the folder `run`."""
    found = {}
    for file in sorted(pathlib.Path(run).glob("metric-*.jsonl")):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if entry.keys() & {"step", "compared", "class"}:
                continue  # of training itself, of floors, of one class
            for key, label in MEASURES.items():
                if isinstance(entry["results"].get(key), (int, float)):
                    found[f"{entry['extractor']['name']} {label}"] = entry["results"][key]
    return found


def cell(values):
    if not values:
        return "–"
    mean = statistics.mean(values)
    spread = statistics.stdev(values) if len(values) > 1 else 0
    decimals = max(0, 2 - math.floor(math.log10(abs(mean)))) if mean else 0
    decimals = min(decimals, 4)
    return f"{mean:.{decimals}f} ± {spread:.{decimals}f}" if len(values) > 1 else f"{mean:.{decimals}f}"


def shown(column):
    """All measures in the classifier's features; distance and variety in the others."""
    return column.startswith("own") or column.endswith(("Fréchet", "recall"))


def verdict(runs, plain, columns):
    """Which features say that the fakes are nearer to the held-out patches than those of plain training."""
    said = {"better": [], "worse": []}
    for column in columns:
        if not column.endswith(JUDGED):
            continue
        ours, theirs = ([run[column] for run in group if column in run] for group in (runs, plain))
        if len(ours) < 2 or len(theirs) < 2:
            continue
        error = math.sqrt(statistics.variance(ours) / len(ours) + statistics.variance(theirs) / len(theirs))
        difference = statistics.mean(ours) - statistics.mean(theirs)
        if abs(difference) > 2 * error:
            said["better" if difference < 0 else "worse"].append(column.removesuffix(" " + JUDGED))
    if said["better"] and not said["worse"]:
        return "better" if len(said["better"]) > 2 else "better in " + ", ".join(said["better"])
    if said["worse"] and not said["better"]:
        return "worse" if len(said["worse"]) > 2 else "worse in " + ", ".join(said["worse"])
    if said["better"]:
        return "better in " + ", ".join(said["better"]) + "; worse in " + ", ".join(said["worse"])
    return "no difference shown"


def main():
    work, steps, seeds, count, version, *variants = sys.argv[1:]
    seeds = seeds.split()
    floor = numbers(f"{work}/patches")
    columns = sorted(filter(shown, floor), key=lambda name: (name.startswith("random"), name.startswith("pixels")))
    runs = {
        variant: [numbers(f"{work}/{re.sub('[^a-z0-9]', '-', variant.split('|')[0])}-{seed}") for seed in seeds]
        for variant in variants
    }
    plain = runs[variants[0]]
    print("# GAN losses and tricks, measured\n")
    print(f"Written by bench/gan_tricks.sh with {version}: {steps} iterations each, seeds {' '.join(seeds)}, {count} fakes against at")
    print("most as many patches of patients held out from the GAN and from the classifier `own`; mean ± standard deviation over")
    print("seeds. Distances: lower is better. What each column means: docs/evaluation.md. The verdict sets the Fréchet distances")
    print("beside those of the first row; it names a difference only beyond twice its standard error.\n")
    print("| run | options | " + " | ".join(columns) + " | verdict |")
    print("|" + "---|" * (len(columns) + 3))
    print("| patches of the training patients | the floor | " + " | ".join(cell([floor[c]]) for c in columns) + " | |")
    for variant in variants:
        name, options = variant.split("|")
        cells = [cell([run[c] for run in runs[variant] if c in run]) for c in columns]
        said = "" if variant == variants[0] else verdict(runs[variant], plain, columns)
        print(f"| {name} | `{options}` | " + " | ".join(cells) + f" | {said} |")


if __name__ == "__main__":
    main()

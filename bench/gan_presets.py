"""What bench/gan_presets.sh needs of Python: pictures dealt into three sets, and the page.

    gan_presets.py deal WORK MNIST CIFAR10 IDC
    gan_presets.py page WORK SEEDS COUNT VERSION
"""
import csv
import gzip
import pathlib
import re
import struct
import sys

from gan_tricks import cell, numbers, shown

SETS = ("for-classifier", "held-out", "for-gan", "for-gan", "for-gan")
PRESETS = ("mnist", "cifar10", "idc")


def deal_idx(source, work):
    """The first 10,000 digits of the training part, its other digits, and the test part."""
    def write(folder, images, labels, first, last):
        (work / folder).mkdir(parents=True, exist_ok=True)
        for name, body, head, size in (("train-images-idx3-ubyte", images, 16, 784), ("train-labels-idx1-ubyte", labels, 8, 1)):
            header = body[:4] + struct.pack(">I", last - first) + body[8:head]
            (work / folder / name).write_bytes(header + body[head + first * size:head + last * size])

    def read(part, kind):
        return gzip.decompress(next(source.glob(f"{part}-{kind}*")).read_bytes())

    images, labels = read("train", "images"), read("train", "labels")
    write("for-classifier", images, labels, 0, 10000)
    write("for-gan", images, labels, 10000, 60000)
    write("held-out", read("t10k", "images"), read("t10k", "labels"), 0, 10000)


def link(entry, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(entry.resolve())


def deal_classes(source, work):
    for part in sorted(path for path in source.iterdir() if path.is_dir()):
        for kind in sorted(path for path in part.iterdir() if path.is_dir()):
            for number, picture in enumerate(sorted(kind.glob("*.png"))):
                link(picture, work / SETS[number % 5] / kind.name, f"{part.name}-{picture.name}")


def deal_patients(source, work):
    for number, patient in enumerate(sorted(path for path in source.iterdir() if path.is_dir())):
        link(patient, work / SETS[number % 5], patient.name)


def last_row(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))[-1]


def page(work, seeds, count, version):
    work = pathlib.Path(work)
    seeds = seeds.split()
    print("# GAN presets, measured\n")
    device = re.search("Device: (.*)", (work / "idc" / f"idc-{seeds[0]}" / "log.txt").read_text())[1]
    over = f"seeds {', '.join(seeds)}, mean ± standard deviation over them" if len(seeds) > 1 else f"seed {seeds[0]} alone"
    print(f"Written by bench/gan_presets.sh with {version} on {device}: {over}; at most {count} fakes against as many")
    print("pictures held out from the GAN and from the classifier `own`. Distances: lower is better; what each column means:")
    print("[evaluation.md](../evaluation.md). `default` is plain training in pixels for as many iterations. Diversity: mean distance of two")
    print("fakes / of two patches at the end of training. Seconds: of all processor cores together, in training; the machine had other work")
    print("too, which makes them somewhat longer: compare them within a table.")
    for preset in PRESETS:
        floor = numbers(work / preset / "patches")
        columns = sorted(filter(shown, floor), key=lambda name: (name.startswith("random"), name.startswith("pixels")))
        steps = int(float(last_row(work / preset / f"{preset}-{seeds[0]}")["step"]))
        print(f"\n## {preset}, {steps} iterations\n")
        print("| settings | " + " | ".join(columns) + " | diversity | seconds |")
        print("|" + "---|" * (len(columns) + 3))
        print("| patches the GAN trains on: the floor | " + " | ".join(cell([floor[c]]) for c in columns) + " | 1 | |")
        for settings in (preset, "default"):
            folders = [work / preset / f"{settings}-{seed}" for seed in seeds]
            runs = [numbers(folder) for folder in folders]
            cells = [cell([run[c] for run in runs if c in run]) for c in columns]
            diversity = cell([float(last_row(folder)["diversity"]) for folder in folders])
            seconds = cell([float(folder.with_suffix(".seconds").read_text()) for folder in folders])
            print(f"| {settings} | " + " | ".join(cells) + f" | {diversity} | {seconds} |")
        print(f"\nFakes of the preset, seed {seeds[0]}:\n\n![fakes](../pictures/preset-{preset}.png)")


def main():
    task, *arguments = sys.argv[1:]
    if task == "page":
        page(*arguments)
        return
    work, *sources = map(pathlib.Path, arguments)
    for preset, source, deal in zip(PRESETS, sources, (deal_idx, deal_classes, deal_patients), strict=True):
        deal(source, work / preset)


if __name__ == "__main__":
    main()

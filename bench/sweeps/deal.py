"""Deals a set of pictures into the three that a sweep of GANs wants: OUT/for-classifier, OUT/held-out and OUT/for-gan.

    python3 bench/sweeps/deal.py SOURCE OUT [LIST]

SOURCE is a folder in the IDC layout (<patient>/<class>/*.png), one with train/ and test/ and a folder for each class in them, or
the four IDX files of MNIST. Every fifth patient, or every fifth picture of a class, in the order of their names, trains the
classifier, every fifth is held out, and three of five train GANs. Of MNIST the first 10,000 digits of the training part train
the classifier and the test part is held out. LIST names the patients to hold out instead, of the IDC layout, one a line: of the
others every fourth trains the classifier. Pictures are copied: links would lead out of the set, which `--data` refuses.
"""
import gzip
import pathlib
import shutil
import struct
import sys

SETS = ("for-classifier", "held-out", "for-gan", "for-gan", "for-gan")


def folders(path):
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def deal(picture, folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, folder / name)


def deal_idx(source, out):
    def read(part, kind):
        file = next(source.glob(f"{part}-{kind}*"))
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()

    def write(folder, images, labels, first, last):
        (out / folder).mkdir(parents=True)
        for name, body, head, size in (("train-images-idx3-ubyte", images, 16, 784), ("train-labels-idx1-ubyte", labels, 8, 1)):
            header = body[:4] + struct.pack(">I", last - first) + body[8:head]
            (out / folder / name).write_bytes(header + body[head + first * size:head + last * size])

    images, labels = read("train", "images"), read("train", "labels")
    write("for-classifier", images, labels, 0, 10000)
    write("for-gan", images, labels, 10000, 60000)
    write("held-out", read("t10k", "images"), read("t10k", "labels"), 0, 10000)


def deal_around(source, out, held_out):
    known = {patient.name for patient in folders(source)}
    if not held_out or not held_out <= known:
        raise SystemExit(f"deal.py: {source} lacks patients of the list: {', '.join(sorted(held_out - known)) or 'it is empty'}")
    for patient in folders(source):
        if patient.name in held_out:
            shutil.copytree(patient, out / "held-out" / patient.name, copy_function=shutil.copyfile)
    others = [patient for patient in folders(source) if patient.name not in held_out]
    for number, patient in enumerate(others):
        part = "for-classifier" if number % 4 == 0 else "for-gan"
        shutil.copytree(patient, out / part / patient.name, copy_function=shutil.copyfile)


def main():
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    source, out = map(pathlib.Path, sys.argv[1:3])
    if len(sys.argv) == 4:
        deal_around(source, out, set(pathlib.Path(sys.argv[3]).read_text(encoding="utf-8").split()))
    elif any(source.glob("train-images*")):
        deal_idx(source, out)
    elif (source / "train").is_dir():
        for part in folders(source):
            for kind in folders(part):
                for number, picture in enumerate(sorted(kind.glob("*.png"))):
                    deal(picture, out / SETS[number % 5] / kind.name, f"{part.name}-{picture.name}")
    else:
        for number, patient in enumerate(folders(source)):
            shutil.copytree(patient, out / SETS[number % 5] / patient.name, copy_function=shutil.copyfile)


if __name__ == "__main__":
    main()

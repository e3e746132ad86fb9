#!/usr/bin/env python3
"""Asks how near a generator comes to real patches, to its own pictures and to scribbles, and writes docs/measured/projection.md:

    bench/projection_page.py RUN DATA

RUN: a GAN's run; DATA: patches of 3 x 50 x 50 of patients whom it did not see. Environment: PROGRAM (build/patchforge),
WORK (build/projection), THREADS (1).
"""
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import zlib

SIDE = 50
PINK, PURPLE, WHITE = (222, 165, 200), (110, 75, 145), (242, 240, 242)
COUNTS = {"--count": "8", "--own": "4", "--starts": "16"}
GROUPS = {"own": "pictures of the generator itself", "real": "real patches of other patients", "given": "scribbles"}


def near(x, y, places, radius):
    return any((x - at_x) ** 2 + (y - at_y) ** 2 <= radius ** 2 for at_x, at_y in places)


# A colour for every place, as a child would paint tissue.
SCRIBBLES = {
    "stroma": lambda x, y: PINK,
    "nuclei": lambda x, y: PURPLE if near(x, y, [(8, 9), (30, 6), (18, 24), (40, 22), (10, 40), (29, 38), (43, 43)], 3) else PINK,
    "hole": lambda x, y: WHITE if near(x, y, [(27, 23)], 13) else PINK,
    "border": lambda x, y: PURPLE if x + y < SIDE else PINK,
}


def png(path, colour):
    lines = b"".join(b"\0" + bytes(value for x in range(SIDE) for value in colour(x, y)) for y in range(SIDE))
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    run, data = sys.argv[1:]
    program = os.environ.get("PROGRAM", "build/patchforge")
    work = pathlib.Path(os.environ.get("WORK", "build/projection"))
    (work / "scribbles").mkdir(parents=True, exist_ok=True)
    scribbles = [work / "scribbles" / f"{name}.png" for name in SCRIBBLES]
    for path, colour in zip(scribbles, SCRIBBLES.values()):
        png(path, colour)
    out = work / "projected"
    subprocess.run([program, "project", *map(str, scribbles), "--run", run, "--data", data, "--threads",
                    os.environ.get("THREADS", "1"), "--out", str(out),
                    *(word for pair in COUNTS.items() for word in pair)], check=True)
    found = json.loads((out / "projection.json").read_text(encoding="utf-8"))
    asked = json.loads((pathlib.Path(run) / "params.json").read_text(encoding="utf-8"))["parameters"]
    rows = []
    for group, words in GROUPS.items():
        of_group = [picture for picture in found["pictures"] if picture["group"] == group]
        levels = [picture["levels"] for picture in of_group]
        rows.append(f"| {words} | {len(of_group)} | {statistics.mean(levels):.1f} ({min(levels):.1f}–{max(levels):.1f}) | "
                    f"{statistics.mean(picture['nearest_start'] for picture in of_group):.1f} | "
                    f"{statistics.mean(picture['code_square'] for picture in of_group):.2f} |")
    rows += [f"| scribble: {pathlib.Path(picture['name']).stem} | 1 | {picture['levels']:.1f} | {picture['nearest_start']:.1f} | "
             f"{picture['code_square']:.2f} |" for picture in found["pictures"] if picture["group"] == "given"]
    text = "\n\n".join([
        "# The nearest pictures that a generator can make, measured",
        f"Written by bench/projection_page.py with {found['program']}: a search of {found['starts']} starts and {found['steps']} steps a "
        f"picture, prior {found['prior']:g}, then {found['polish']} steps of the best without prior, seed {found['seed']}. The generator: `--network {asked.get('network') or 'none'}`, "
        f"{'told the class, ' if asked.get('conditional') else ''}{asked.get('steps')} iterations, on other patients than the "
        "real patches'. What the words mean: [projection.md](../projection.md).",
        found["verdict"],
        "Root mean square difference in levels of 255, mean (least–most). The nearest start is the best of the codes that the search "
        "began with; the mean square of a code is about 1 for codes as likely as those of training.",
        "| pictures | count | levels apart | nearest start | mean square of the code |\n|---|--:|--:|--:|--:|\n" + "\n".join(rows),
    ])
    path = pathlib.Path("docs/measured/projection.md")
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains what docs/translate.md speaks of and writes what its reports say into docs/measured:

    bench/translation_page.py translate IDC LIST     super-resolution, pairs, a cycle
    bench/translation_page.py refine IDC LIST        drawings made to look real

IDC: a folder or set of real patches; LIST: a file of the patients to hold out. Environment: PROGRAM (build/patchforge),
WORK (build/translations), THREADS (1). Runs that have ended are not repeated, interrupted ones go on; with WRITE_ONLY=1
nothing is trained, and the page says which runs were not measured.
"""
import json
import os
import pathlib
import subprocess
import sys

CLASSIFIER = "train classifier --preset cnn --epochs 5"
PAGES = {
    "translate": ("Pictures from pictures", [
        ("Super-resolution", "sr", "--mode super-resolution --steps 2000"),
        ("Pairs: the stain", "stain", "--preset stain --steps 600"),
        # Its settings were chosen on other patients (idc-test-b.txt) and another seed.
        ("A cycle", "cycle", "--preset cycle --judges 2"),
    ]),
    "refine": ("Drawings made to look real", [
        # Its settings were chosen on other patients (idc-test-b.txt), another seed and other judges.
        ("Held by five classifiers", "classified",
         "--preset refine --classifier runs/drawn-77,runs/drawn-78,runs/drawn-79,runs/drawn-80,runs/drawn-81"),
    ]),
}


def command_of(options, page, work, idc, held_out):
    drawn = ["--data", str(work / "tissue.pfs"), "--target", idc] if page == "refine" else ["--data", idc]
    return ["train", "translate", *drawn, "--test-patients", held_out, *options.replace("runs/", f"{work}/").split()]


def table_text(table):
    rows = [table["columns"], *table["rows"]]
    cells = lambda row: (cell.replace("|", "\\|") or " " for cell in row)
    lines = ["| " + " | ".join(cells(row)) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(table["columns"]))
    return f"{table['caption'].rstrip('.')}:\n\n" + "\n".join(lines)


def run_text(name, options, folder, drawn):
    head = f"## {name}\n\n`train translate {options}`"
    if not (folder / "results.json").exists():
        return f"{head}\n\nnot measured"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
    log = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    facts = [line for line in log if line.startswith(("Device:", "Data:"))]
    version = folder.with_suffix(".version").read_text(encoding="utf-8").strip()
    parts = [head, f"{version}. {'. '.join(dict.fromkeys(facts))}. {timing['processor_seconds']:.0f} processor seconds of "
                   f"training. {drawn}".strip()]
    parts.append("\n".join(f"- {'reached' if verdict['good'] else 'not reached'}: {verdict['text']}"
                           for verdict in results["verdicts"]))
    parts += [table_text(table) for table in results["tables"]]
    parts += results["notes"]
    return "\n\n".join(parts)


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in PAGES:
        sys.exit(__doc__)
    page, idc, held_out = sys.argv[1:]
    program = os.environ.get("PROGRAM", "build/patchforge")
    work = pathlib.Path(os.environ.get("WORK", "build/translations"))
    work.mkdir(parents=True, exist_ok=True)
    title, runs = PAGES[page]
    train = not os.environ.get("WRITE_ONLY")
    if train and page == "refine" and not (work / "tissue.pfs").exists():
        subprocess.run([program, "tissue", str(work / "tissue"), "--patients", "40", "--patches", "100"], check=True)
        subprocess.run([program, "pack", str(work / "tissue"), "--out", str(work / "tissue.pfs")], check=True)
    for seed in range(77, 82) if train and page == "refine" else ():
        if not (work / f"drawn-{seed}" / "report.html").exists():
            subprocess.run([program, *CLASSIFIER.split(), "--data", str(work / "tissue.pfs"), "--seed", str(seed), "--threads",
                            os.environ.get("THREADS", "1"), "--out", str(work / f"drawn-{seed}")], check=True)
    for _, folder, options in runs:
        out = work / folder
        if not train or (out / "results.json").exists():
            continue
        version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        out.with_suffix(".version").write_text(version, encoding="utf-8")
        resume = ["--resume"] if out.exists() else []
        subprocess.run([program, *command_of(options, page, work, idc, held_out), "--seed", "0", "--threads",
                        os.environ.get("THREADS", "1"), "--out", str(out), *resume], check=True)
    about = (f"Written by bench/translation_page.py from the results of the runs, seed 0 alone. Patients held out: those of "
             f"{pathlib.Path(held_out).name}. What the words mean: [translate.md](../translate.md).")
    drawn = (f"Drawings: `patchforge tissue --patients 40 --patches 100`. The classifiers: `{CLASSIFIER}`, other seeds than "
             "those that judge." if page == "refine" else "")
    text = "\n\n".join([f"# {title}, measured", about,
                        *(run_text(name, options, work / folder, drawn) for name, folder, options in runs)])
    path = pathlib.Path("docs/measured") / f"{page}.md"
    partial = path.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    main()

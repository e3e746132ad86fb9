#!/usr/bin/env python3
"""The share of each reader's lines that were run.

    coverage.py FOLDER READERS LEAST [--missed]

READERS lists sources and the functions of each that are not counted. The counters are in FOLDER/<source>.gcda. Prints a line a
source; status 1 where one is below LEAST percent. A line that stands in several functions or instances counts once, and as
run where one of them ran it.
"""
import argparse
import json
import re
import subprocess
import sys


def lines_of(folder, source, left_out):
    """Every counted line of the source, and whether it ran; the names of the functions that are not counted."""
    told = subprocess.run(["gcov", "--json-format", "--stdout", "--demangled-names", f"{folder}/{source}.o"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    lines, names = {}, set()
    for document in told.splitlines():
        for file in json.loads(document)["files"]:
            if file["file"] != source:
                continue
            skipped = set()
            for function in file["functions"]:
                # Without its arguments' types.
                name = re.sub(r"\(.*", "(", function["demangled_name"].replace("(anonymous namespace)::", ""))
                if any(re.search(pattern, name.rsplit("::", 1)[-1]) for pattern in left_out):
                    names.add(name)
                    skipped.update(range(function["start_line"], function["end_line"] + 1))
            for line in file["lines"]:
                if line["line_number"] not in skipped:
                    lines[line["line_number"]] = lines.get(line["line_number"], False) or line["count"] > 0
    return lines, names


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("readers")
    parser.add_argument("least", type=float)
    parser.add_argument("--missed", action="store_true", help="show the lines that were not run")
    call = parser.parse_args()
    bad = 0
    with open(call.readers) as table:
        readers = [line.split() for line in table if line.strip() and not line.startswith("#")]
    for source, *left_out in readers:
        lines, names = lines_of(call.folder, source, left_out)
        if not lines:
            print(f"{source:<38} not run")
            bad += 1
            continue
        share = 100 * sum(lines.values()) / len(lines)
        bad += share < call.least
        print(f"{source:<38} {share:5.1f} % of {len(lines)} lines" +
              (f", {len(names)} functions not counted" if names else ""))
        if call.missed:
            with open(source) as file:
                text = file.read().splitlines()
            for number, run in sorted(lines.items()):
                if not run:
                    print(f"    {number:4}  {text[number - 1]}")
    print(f"{len(readers) - bad} of {len(readers)} readers at {call.least:g} % or more")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

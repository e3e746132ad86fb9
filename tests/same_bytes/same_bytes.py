"""Does the working tree still compute what an earlier revision computed, to the byte?

    make same-bytes REV=d9c5665 [CONFIGS=cpu1,cpu2,simt] [SETS="regular expression"] [JOBS=2]

Builds that revision and the working tree without CUDA, runs both over option_sets.txt on one thread of the CPU (cpu1), on two
(cpu2) and with the CUDA sources under the executor (simt), and compares every tensor of every .safetensors file (name, type,
shape and SHA-256 of its bytes), every row of every CSV file, every entry of the JSON files that hold results, and the pixels of
every PNG file. Not compared: LEFT_OUT below, by name; metadata of tensors, params.json, reports, logs, event files and charts.
A line for every set; at the end how many were compared and how many differ. The exit status is 1 if any differs, crashes or
is refused: a set that both revisions refuse shows nothing and is to be mended.

The revision's build, inputs and results stay in build/same-bytes/<revision>, so that a second call runs the working tree alone.
"""
import argparse
import concurrent.futures
import csv
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CONFIGURATIONS = {  # program, --device, --threads
    "cpu1": ("patchforge-cpu", "cpu", "1"),
    "cpu2": ("patchforge-cpu", "cpu", "2"),
    "simt": ("patchforge-simt", "cuda", "1"),
}
# Columns of CSV files and keys of JSON files that hold wall-clock time, or say which commit ran where ("facts").
LEFT_OUT = {"seconds", "total_time", "timestamp", "commit", "version", "facts"}
RESULTS = re.compile(r"(plan|ensemble|attack|evasion)\.json$|\.jsonl$")
SECONDS = 120  # no step takes longer, or it hangs


class OptionSets:
    """option_sets.txt, whose head says how it reads."""

    def __init__(self, path):
        self.kinds = {kind: {} for kind in ("unused", "spelled", "base", "input", "set")}
        self.only = {}
        lines = (line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#"))
        for entry in re.sub(r"\n\s+", " ", "\n".join(lines)).splitlines():
            head, rest = re.fullmatch(r"([^:]*):(.*)", entry).groups()
            kind, name = head.split(" ", 1)
            if kind == "set" and " " in name:
                name, only = name.split(" ")
                self.only[name] = only.split(",")
            if name in self.kinds[kind]:
                raise SystemExit(f"{path}: {head}: stands there twice")
            self.kinds[kind][name] = rest.strip()

    def resolve(self, text, inside=None):
        """([words of the verb], {option: value, None for a flag}) of `BASE OPTIONS` or `VERB OPTIONS`."""
        first, *words = shlex.split(text)
        verb, options = [first], {}
        if first != inside and first in self.kinds["base"]:
            verb, options = self.resolve(self.kinds["base"][first], first)
        last = None
        for word in words:
            if word.startswith("--"):
                last = word.rstrip("!")
                options.pop(last, None)
                if word == last:
                    options[last] = None
            elif last:
                options[last] = word
            else:
                verb = [*verb, word]
        return verb, options

    def steps(self, text):
        """[(words of the verb, options, whether the earlier program takes the step in both runs)]"""
        texts = [step.strip() for step in text.split(" ; ")]  # a network's layers have no space before theirs
        return [(*self.resolve(step.lstrip("@")), step.startswith("@")) for step in texts]


class Program:
    """The programs of one build and the words their options take."""

    def __init__(self, build, spelled):
        self.build, self.spelled, self.helps = build, spelled, {}

    def knows(self, verb):
        """Options that `verb --help` lists."""
        verb = tuple(word for word in verb if "{" not in word and "/" not in word)
        if verb not in self.helps:
            said = subprocess.run([self.build / "patchforge-cpu", *verb, "--help"], capture_output=True, text=True)
            self.helps[verb] = set(re.findall(r"^\s+(?:-\w,\s*)?(--[a-z0-9-]+)", said.stdout, re.MULTILINE))
        return self.helps[verb]

    def arguments(self, configuration, verb, options, inputs):
        name, device, threads = CONFIGURATIONS[configuration]
        words = list(verb)
        for option, value in options.items():
            if option in self.spelled and option not in self.knows(verb):
                option = self.spelled[option]
            words += [option, *([] if value is None else [value])] if option else []
        values = {"in": str(inputs), "device": device, "threads": threads}
        return [str(self.build / name), *(word.format(**values) for word in words)]


def build(revision):
    """Builds `revision` and the working tree; (its folder, Program of it, Program of the tree)."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"],
                            capture_output=True, text=True).stdout.strip()
    if not commit:
        raise SystemExit(f"same-bytes: REV={revision}: is no commit of this repository")
    place = ROOT / "build/same-bytes" / commit[:10]
    source = place / "source"
    if not source.exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, source], check=True)
        subprocess.run(["git", "-C", source, "checkout", "--quiet", commit], check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    for tree in (source, ROOT):
        print(f"building {tree.relative_to(ROOT.parent)}", flush=True)
        made = subprocess.run(["make", "--no-print-directory", "NVCC=", "build/patchforge-cpu", "build/patchforge-simt"],
                              cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise SystemExit(made.stdout[-4000:] + f"same-bytes: {tree}: does not build")
    taken = place / "tree"  # so that the tree may be built on meanwhile
    taken.mkdir(exist_ok=True)
    for name in ("patchforge-cpu", "patchforge-simt"):
        shutil.copy2(ROOT / "build" / name, taken)
    return place, source / "build", taken


def run(arguments, folder):
    """None, or what a step that failed said."""
    try:
        ended = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS,
                               stdin=subprocess.DEVNULL, env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")})
    except subprocess.TimeoutExpired:
        return f"crashed: still running after {SECONDS} s"
    if ended.returncode == 0:
        return None
    said = (ended.stderr.strip().splitlines() or ["nothing said"])[-1]
    return f"crashed: signal {-ended.returncode}: {said}" if ended.returncode < 0 else f"refused: {said}"


def tensors(file):
    """{file: tensor: type, shape and SHA-256} of a .safetensors file: length of the header, header as JSON, bytes."""
    data = file.read_bytes()
    length, = struct.unpack_from("<Q", data)
    for name, tensor in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        said = f"{tensor['dtype']} {tensor['shape']}", data[begin:end]
        if name == "standing":  # three sums, best score and its epoch: two files since
            yield "interval.safetensors: tensor sums", ("F64 [3]", data[begin:begin + 24])
            yield "best.safetensors: tensor best", ("F64 [2]", data[begin + 24:end])
        elif not (name == "count" and (file.parent / "best.safetensors").exists()):  # which that file had not
            yield f"{file.name}: tensor {name}", said


def pixels(file):
    """Header and rows of a PNG file of 8 bits without an order of its own: compression and filters may be others."""
    data, at, packed = file.read_bytes(), 8, b""
    while at < len(data):
        length, = struct.unpack_from(">I", data, at)
        kind, content = data[at + 4:at + 8], data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            head = content
        packed += content if kind == b"IDAT" else b""
        at += 12 + length
    width, _, depth, colours, *_, order = struct.unpack(">IIBBBBB", head)
    if depth != 8 or order != 0:
        raise SystemExit(f"{file}: {depth} bits, order {order}: patchforge writes 8 bits and order 0")
    step, raw = {0: 1, 2: 3, 4: 2, 6: 4}[colours], zlib.decompress(packed)
    size = width * step
    above, rows = bytes(size), []
    for begin in range(0, len(raw), size + 1):
        kind, row = raw[begin], bytearray(raw[begin + 1:begin + 1 + size])
        for i in range(size if kind else 0):
            left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
            near = left + above[i] - corner
            row[i] = row[i] + (0, left, above[i], (left + above[i]) // 2,
                               min((left, above[i], corner), key=lambda value: abs(near - value)))[kind] & 255
        rows.append(above := bytes(row))
    return head + b"".join(rows)


def leaves(value, path):
    """Every number and text in a JSON value, by its path."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in LEFT_OUT:
                yield from leaves(inner, f"{path} {key}")
    else:
        yield path, json.dumps(value)


def results(folder):
    """{what: text or digest} of all that is compared of what a run wrote."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if name.startswith("cache/"):
            continue
        if file.suffix == ".safetensors":
            found.update((str(pathlib.PurePath(name).parent / tensor), f"{kind} {hashlib.sha256(data).hexdigest()}")
                         for tensor, (kind, data) in tensors(file))
        elif file.suffix == ".csv":
            with file.open(newline="") as stream:
                rows = list(csv.reader(stream))
            kept = [column for column, title in enumerate(rows[0]) if title not in LEFT_OUT] if rows else []
            for number, row in enumerate(rows):
                found[f"{name}: row {number}"] = ",".join(row[column] for column in kept if column < len(row))
        elif RESULTS.search(name):
            text = file.read_text()
            for number, line in enumerate(text.splitlines() if name.endswith("l") else [text]):
                found.update(leaves(json.loads(line), f"{name}: {number}"))
        elif file.suffix == ".png":
            found[name] = hashlib.sha256(pixels(file)).hexdigest()
    return found


class Comparison:
    def __init__(self, sets, place, earlier, present):
        self.sets, self.place, self.earlier, self.present = sets, place, earlier, present
        self.inputs = place / "inputs"

    def take(self, steps, configuration, folder, program):
        """Runs the steps in `folder`, emptied first; what the first that fails said, or None."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for verb, options, by_earlier in steps:
            maker = self.earlier if by_earlier else program
            failed = run(maker.arguments(configuration, verb, options, self.inputs), folder)
            if failed:
                return failed
        return None

    def make_inputs(self):
        """Made anew, with all that the earlier program answered, when their option sets or this file changed."""
        texts = {name: self.sets.steps(text) for name, text in self.sets.kinds["input"].items()}
        key, now = self.place / "inputs.json", json.dumps([texts, pathlib.Path(__file__).read_text()])
        if key.exists() and key.read_text() == now:
            return
        for folder in (self.inputs, self.place / "earlier"):
            shutil.rmtree(folder, ignore_errors=True)
        for name, steps in texts.items():
            failed = self.take(steps, "cpu1", self.inputs / name, self.earlier)
            if failed:
                raise SystemExit(f"same-bytes: input {name}: {failed}")
        key.write_text(now)

    def answer_of_earlier(self, steps, configuration, name):
        """(what failed, results) of the earlier program, kept between calls."""
        kept = self.place / "earlier" / configuration / f"{name}.json"
        if kept.exists():
            answer = json.loads(kept.read_text())
            if answer["steps"] == json.loads(json.dumps(steps)):
                return answer["failed"], answer["results"]
        folder = self.place / "earlier" / configuration / name
        failed = self.take(steps, configuration, folder, self.earlier)
        found = {} if failed else results(folder)
        kept.write_text(json.dumps({"steps": steps, "failed": failed, "results": found}))
        return failed, found

    def verdict(self, name, configuration):
        """(whether the set is the same, what to print)"""
        steps = self.sets.steps(self.sets.kinds["set"][name])
        folder = self.place / "present" / configuration / name
        earlier_failed, earlier = self.answer_of_earlier(steps, configuration, name)
        failed = self.take(steps, configuration, folder, self.present)
        if failed or earlier_failed:
            both = "both: " if failed == earlier_failed else f"before: {earlier_failed or 'went well'}; now: "
            return False, both + (failed or "went well")
        present = results(folder)
        apart = [what for what in [*earlier, *present] if earlier.get(what) != present.get(what)]
        if not earlier:
            return False, "nothing was written that could be compared"
        if not apart:
            shutil.rmtree(folder)
            return True, f"same ({len(earlier)} compared)"
        first = apart[0]
        return False, (f"differs in {len(set(apart))} of {len(earlier)}, first {first}:\n"
                       f"    before {earlier.get(first, 'missing')}\n    now    {present.get(first, 'missing')}")


def options_without_set(sets, program):
    """Options of the verbs that stand in no set: the list is to grow with the program."""
    given = {}
    for text in sets.kinds["set"].values():
        for verb, options, _ in sets.steps(text):
            words = " ".join(word for word in verb if "{" not in word)
            given.setdefault(words, set()).update(options)
    for verb, options in given.items():
        known = program.knows(tuple(verb.split()))
        if len(known) < 5:
            yield f"{verb}: its --help could not be read"
        missing = known - options - {"--help", "--config", *sets.kinds["unused"].get(verb, "").split()}
        yield from (f"{verb} {option}: no set gives it; add one to option_sets.txt" for option in sorted(missing))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("revision")
    parser.add_argument("--configs", default=",".join(CONFIGURATIONS))
    parser.add_argument("--sets", default="")
    parser.add_argument("--jobs", type=int, default=2)
    call = parser.parse_args()
    configurations = call.configs.split(",")
    if not set(configurations) <= set(CONFIGURATIONS):
        raise SystemExit(f"same-bytes: CONFIGS={call.configs}: choose from {','.join(CONFIGURATIONS)}")
    sets = OptionSets(pathlib.Path(__file__).with_name("option_sets.txt"))
    place, before, now = build(call.revision)
    comparison = Comparison(sets, place, Program(before, sets.kinds["spelled"]), Program(now, {}))
    comparison.make_inputs()
    pairs = [(name, configuration) for configuration in configurations for name in sets.kinds["set"]
            if re.search(call.sets, name) and configuration in sets.only.get(name, CONFIGURATIONS)]
    if not pairs:
        raise SystemExit(f"same-bytes: SETS={call.sets}: no set has such a name in {call.configs}")
    for configuration in configurations:
        (place / "earlier" / configuration).mkdir(parents=True, exist_ok=True)
    differ = 0
    with concurrent.futures.ThreadPoolExecutor(call.jobs) as pool:
        for (name, configuration), (same, said) in zip(pairs, pool.map(lambda pair: comparison.verdict(*pair), pairs)):
            print(f"{configuration} {name}: {said}", flush=True)
            differ += not same
    missing = list(options_without_set(sets, comparison.present))
    print("\n".join([*missing, f"{len(pairs)} compared, {differ} differ"]))
    return differ > 0 or bool(missing)


if __name__ == "__main__":
    sys.exit(main())

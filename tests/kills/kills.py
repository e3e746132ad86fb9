#!/usr/bin/env python3
"""Kills the verbs that write results at random moments and holds what follows to an undisturbed call.

    kills.py PROGRAM [--kills 300] [--seed 1]

A kill is SIGKILL (or, every third, SIGTERM) at a moment within the time that the undisturbed call took. Then the same call
is made again, trainings with --resume where there is a run: it must end with 0 and leave the same files with the same
bytes, but for those that hold times. A call that ends before its kill does not count.
"""
import argparse
import glob
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Times and paths stand in these: they must be there.
TIMED = re.compile(r"(log\.txt|timing\.json|report\.html|evaluation\.html|privacy\.html|attack\.(json|csv)|metric-.*\.jsonl|params\.json|"
                   r".*\.log|.*\.done|sweep\.(csv|md)|ensemble\.json|\.patchforge)$")
# One for each start of a training.
COUNTED = re.compile(r"events\.out\.tfevents\.")

SMALL = ["--batch-size", "8", "--threads", "1"]
GAN = ["train", "gan", "--data", "{set}", "--steps", "60", "--hidden-dim", "16", "--log-interval", "5",
       "--sample-interval", "20", "--checkpoint-interval", "5", "--eval-interval", "20", "--eval-count", "20"] + SMALL
CLASSIFIER = ["train", "classifier", "--data", "{set}", "--preset", "plain", "--epochs", "6", "--hidden-dims", "16"] + SMALL
TRANSLATION = ["train", "translate", "--data", "{folder}", "--steps", "20", "--width", "4", "--blocks", "1", "--log-interval", "2",
               "--sample-interval", "8", "--checkpoint-interval", "3"] + SMALL
VERBS = {
    "train gan": GAN + ["--out", "{out}"],
    "train classifier": CLASSIFIER + ["--out", "{out}"],
    "train ensemble": CLASSIFIER + ["--ensemble", "2", "--out", "{out}"],
    "train detector": ["train", "detector", "--model", "{classifier}", "--data", "{set}", "--epochs", "3",
                       "--hidden-dims", "16", "--out", "{out}"] + SMALL,
    "train translate": TRANSLATION + ["--out", "{out}"],
    "tissue": ["tissue", "{out}", "--patients", "6", "--patches", "30", "--size", "12", "--threads", "1"],
    "pack": ["pack", "{folder}", "--out", "{out}/a.pfs"],
    "generate": ["generate", "--run", "{gan}", "--out", "{out}", "--count", "100", "--grid", "{out}.png"],
    "release": ["generate", "--run", "{gan}", "--release", "{out}", "--count", "100"],
    "translate": ["translate", "{folder}", "--run", "{translation}", "--from-pictures", "--out", "{out}"],
    "project": ["project", "{picture}", "--run", "{gan}", "--data", "{set}", "--count", "2", "--own", "2", "--starts", "4", "--steps",
                "60", "--out", "{out}"],
    "privacy": ["privacy", "--run", "{gan}", "--data", "{set}", "--count", "40", "--fakes", "60", "--search-patches", "6",
                "--search-steps", "20", "--out", "{out}"],
    "attack": ["attack", "--model", "{classifier}", "--data", "{set}", "--method", "fgsm,pgd", "--steps", "5", "--eps",
               "4/255,8/255", "--save", "--out", "{out}"],
    "evade": ["evade", "--generator", "{gan}", "--models", "{classifier}", "--data", "{set}", "--count", "200", "--out", "{out}"],
    "evaluate": ["evaluate", "--data", "{set}", "--generated", "{fakes}", "--out", "{out}"],
    "latent": ["latent", "interpolate", "--run", "{gan}", "--out", "{out}/a.png"],
    "latent groups": ["latent", "arithmetic", "--run", "{gan}", "--model", "{classifier}", "--confidence", "0", "--draws", "400",
                      "--save-groups", "{out}/groups", "--out", "{out}/a.png"],
    "import": ["import", "{weights}", "--generator", "--out", "{out}/a.safetensors"],
    "study": ["study", "--run", "{gan}", "--data", "{set}", "--count", "20", "--out", "{out}/a.html"],
    "classify": ["classify", "{folder}", "--model", "{classifier}", "--csv", "{out}/a.csv"],
    "sweep": ["sweep", "{sweep}", "--set", "data={set}", "--out", "{out}"],
    "tour": ["tour", "--data", "{set}", "--preset", "default", "--steps", "20", "--epochs", "2", "--count", "50", "--out", "{out}"],
}
MADE_BEFORE = {"pack", "latent", "latent groups", "import", "study", "classify"}  # they write a file into a folder that is there
RESUMED = {"train gan", "train translate", "train classifier", "train ensemble", "train detector"}
SWEEP = """{"commands": ["train gan --data {data} --steps 10 --hidden-dim 8 --batch-size 8 --checkpoint-interval 3",
"generate --run {out} --count 20 --out {out}/fakes"], "seeds": [0, 1], "figures": {"loss": "metrics.csv g_loss"}}"""


def files(root):
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, root)
            if COUNTED.search(name):
                continue
            with open(path, "rb") as file:
                found[key] = "" if TIMED.search(name) else hashlib.sha256(file.read()).hexdigest()
    return found


def difference(a, b):
    lines = [f"  only after the kill: {name}" for name in sorted(b.keys() - a.keys())]
    lines += [f"  missing after the kill: {name}" for name in sorted(a.keys() - b.keys())]
    lines += [f"  other bytes: {name}" for name in sorted(a.keys() & b.keys()) if a[name] != b[name]]
    return lines


class Kills:
    def __init__(self, program, work, seed):
        self.program, self.work, self.random = os.path.abspath(program), work, random.Random(seed)
        self.environment = dict(os.environ, XDG_CACHE_HOME=os.path.join(work, "cache"), OPENBLAS_NUM_THREADS="1")
        self.names = {name: os.path.join(work, name) for name in ("folder", "gan", "translation", "classifier", "fakes")}
        self.names["set"] = os.path.join(work, "set.pfs")
        self.names["sweep"] = os.path.join(work, "s.json")
        with open(self.names["sweep"], "w") as file:
            file.write(SWEEP)
        for call in (["tissue", "{folder}", "--patients", "6", "--patches", "12", "--size", "10"],
                     ["pack", "{folder}", "--out", "{set}"],
                     GAN + ["--test-patients", "2", "--out", "{gan}"], TRANSLATION + ["--out", "{translation}"], CLASSIFIER + ["--out", "{classifier}"],
                     ["generate", "--run", "{gan}", "--out", "{fakes}", "--count", "72"]):
            self.must(self.words(call, ""))
        self.names["weights"] = sorted(glob.glob(os.path.join(self.names["gan"], "checkpoints", "*", "generator.safetensors")))[0]
        patient = os.path.join(self.names["folder"], sorted(os.listdir(self.names["folder"]))[0], "0")
        self.names["picture"] = os.path.join(patient, sorted(os.listdir(patient))[0])

    def words(self, call, out):
        return [self.program] + [re.sub(r"\{(\w+)\}", lambda m: {**self.names, "out": out}.get(m[1], m[0]), word)
                                 for word in call]

    def must(self, words):
        ended = subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ended.returncode != 0:
            raise SystemExit(f"{' '.join(words)}\nended with {ended.returncode}:\n{ended.stdout}")

    def fresh(self, name, verb):
        """A folder with nothing but what the verb makes, and the path to give it."""
        root = os.path.join(self.work, name)
        shutil.rmtree(root, ignore_errors=True)
        out = os.path.join(root, "out")
        os.makedirs(out if verb in MADE_BEFORE else root)
        return root, out

    def reference(self, verb):
        # Under the same path as the killed ones, which stands in some files.
        root, out = self.fresh("case", verb)
        start = time.time()
        self.must(self.words(VERBS[verb], out))
        return files(root), time.time() - start

    def kill_once(self, verb, expected, seconds, number):
        """None where the call ended first, else the faults."""
        root, out = self.fresh("case", verb)
        words = self.words(VERBS[verb], out)
        child = subprocess.Popen(words, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(self.random.uniform(0, seconds))
            return None
        except subprocess.TimeoutExpired:
            sent = signal.SIGTERM if number % 3 == 2 else signal.SIGKILL
            child.send_signal(sent)
        status = child.wait()
        if status == 0:
            return None
        faults = []
        if status not in (-sent, 128 + sent):
            faults.append(f"  ended with {status} on {sent.name}")
        # An ensemble resumes where its first member is.
        begun = any(os.path.exists(os.path.join(out, name)) for name in ("params.json", "member_0/params.json"))
        if verb in RESUMED and begun:
            words.append("--resume")
        again = subprocess.run(words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if again.returncode != 0:
            faults.append(f"  the same call ended with {again.returncode}: {again.stdout.strip()[-400:]}")
        return faults + difference(expected, files(root))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbs", default=",".join(VERBS))
    arguments = parser.parse_args()
    verbs = arguments.verbs.split(",")
    bad = done = 0
    with tempfile.TemporaryDirectory() as work:
        kills = Kills(arguments.program, work, arguments.seed)
        for i, verb in enumerate(verbs):
            wanted = arguments.kills // len(verbs) + (i < arguments.kills % len(verbs))
            expected, seconds = kills.reference(verb)
            killed = early = wrong = 0
            while killed < wanted and early < 5 * wanted + 20:
                faults = kills.kill_once(verb, expected, seconds, killed)
                if faults is None:
                    early += 1
                    continue
                killed += 1
                if faults:
                    wrong += 1
                    print(f"{verb}, kill {killed}:", *faults, sep="\n")
            print(f"{verb:<17} {killed} kills within {seconds:.2f} s ({early} calls ended first), {wrong} with other ends",
                  flush=True)
            done += killed
            bad += wrong
    print(f"{done} kills, {bad} with other ends (seed {arguments.seed})")
    summary = os.environ.get("PATCHFORGE_TEST_SUMMARY")
    if summary:
        with open(summary, "w") as file:
            file.write(f"{done - bad} {bad} 0\n")
    return 1 if bad or done == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

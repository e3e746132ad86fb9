"""The tables of bench/defences.sh, from what its runs and attacks left behind.

    python3 bench/defences.py RUNS VERSION SPLIT...
"""
import csv
import datetime
import json
import pathlib
import sys

BUDGETS = (1, 2, 4, 8)


def read(path):
    return json.loads((runs / path).read_text())


def short(model):
    return model.replace(f"{runs}/", "")


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def patches(folder):
    return read(f"{folder}/attack.json")["facts"]["patches"]


def robust_accuracies(prefix, budgets=BUDGETS):
    """{model: {eps in grey levels: robust accuracy}}, 0 for the clean one; and what else is known of each model."""
    accuracy, about = {}, {}
    for budget in budgets:
        document = read(f"{prefix}{budget}/attack.json")
        for one in document["attacks"]:
            model = short(one["attack"].split(": ")[0])
            accuracy.setdefault(model, {})[round(255 * one["eps"])] = one["robust_accuracy"]
        for one in document["defences"]:
            about[short(one["model"])] = one
    return accuracy, about


def defence_rows(accuracy, about, budgets=BUDGETS):
    return [
        [model, *(f"{found[eps]:.4f}" for eps in (0, *budgets)), f"{about[model]['gradient_l1']:.3g}",
         f"{about[model]['gradient_l2']:.3g}", f"{about[model]['nonlinearity']:.2f}"]
        for model, found in accuracy.items()
    ]


def split_row(seed):
    with open(runs / f"split_{seed}" / "metrics.csv", newline="") as file:
        epochs = list(csv.DictReader(file))
    flattered = max(epochs, key=lambda row: float(row["balanced_accuracy"]))
    chosen = max(epochs, key=lambda row: float(row["score"]))
    return [seed, f"{float(flattered['balanced_accuracy']):.4f}", f"{float(chosen['balanced_accuracy']):.4f}",
            f"{float(chosen['auc']):.4f}"]


def step_times():
    """{defence: shortest milliseconds of a step over the rounds}."""
    times = {}
    for file in sorted(runs.glob("cost_*/timing.json")):
        name = file.parent.name.removeprefix("cost_").rsplit("_", 1)[0]
        timing = json.loads(file.read_text())
        times.setdefault(name, []).append(1000 * timing["training_seconds"] / timing["steps"])
    return times


def verdicts():
    """A row a check: how many victims passed it, and what was found where one did not."""
    checks = {}
    for folder, behind in (("attack_8", ""), ("attack_detector", " behind the detector")):
        for one in read(f"{folder}/attack.json")["sanity"]:
            checks.setdefault(one["check"], []).append((short(one["model"]) + behind, one))
    return [[check, f"{sum(one['good'] for _, one in found)} of {len(found)}",
             "; ".join(f"{model}: {one['found']}" for model, one in found if not one["good"]) or "-"]
            for check, found in checks.items()]


runs, version, splits = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
HEAD = ["model", "clean", *(f"{eps}/255" for eps in BUDGETS), "gradient L1", "gradient L2", "nonlinearity"]

print(f"""# Defences, measured

Written by bench/defences.sh with {version} on {datetime.date.today()}, on {read('attack_8/attack.json')['facts']['device']}.
Robust accuracy is what is left under the attack named, of all patches attacked; no claim beyond these attacks is made.

## Plain training, by the choice of 20 patients held out

The first figure is that of the epoch with the best one on the test patches themselves, the second that of the epoch which
patches of other patients chose (`--validation-patients 0.15`): the difference is what the choice flatters by, and what the
training set loses by giving up patients.
""")
table(["split seed", "balanced accuracy, chosen by the test patches", "chosen by others", "AUC there"],
      [split_row(seed) for seed in splits])

print(f"""## Defences under PGD-50 (step eps/8, random start)

Patches: {patches('attack_8')}. `offline` was trained on a saved set of PGD-20 examples of the plain model at 4/255.
""")
table(HEAD, defence_rows(*robust_accuracies("attack_")))

print(f"""## The same with 20 patients held out

Patches: {patches('attack_20_8')}.
""")
table(HEAD, defence_rows(*robust_accuracies("attack_20_")))

print("""## What training costs

Milliseconds of a training step, the shortest of three rounds in which all were trained in turn, and the longest: where these
two are far apart the machine had other work. The ensemble costs its five members.
""")
times = step_times()
plain = min(times["plain"])
table(["defence", "ms a step", "longest", "relative to plain"],
      [[name, f"{min(times[name]):.2f}", f"{max(times[name]):.2f}", f"{min(times[name]) / plain:.2f}"]
       for name in sorted(times, key=lambda name: min(times[name]))])

print("## Logit pairing, judged by PGD-100\n")
document = read("attack_pairing/attack.json")
table(["model", "eps", "robust accuracy"],
      [[short(one["attack"].split(": ")[0]), f"{round(255 * one['eps'])}/255", f"{one['robust_accuracy']:.4f}"]
       for one in document["attacks"]])

print("""## A detector in front

(a), (b): attacks on the classifier alone, and what the detector stops of them. (c): the attack knows both; right is what is
called right and let through, so that false alarms cost accuracy. `worst` includes a black box: a detector of PGD's traces
may be blind to others'.
""")
document = read("attack_detector/attack.json")
table(["attack", "eps", "(a) fool the classifier", "(b) of these stopped", "false alarms", "(c) clean accuracy", "(c) robust accuracy"],
      [[alone["attack"], alone["eps"], f"{alone['fools_classifier']} of {alone['correct']}", str(alone["stopped"]),
        f"{one['clean_stopped']} of {one['n']}", f"{one['clean_accuracy']:.4f}", f"{one['robust_accuracy']:.4f}"]
       for alone, one in zip(document["unaware_of_detector"], document["attacks"], strict=True)])

print("""## Can this be trusted?

Checks of the attacks at 8/255 on all models above, and on the plain one behind the detector (docs/attacks.md says what
they ask).
""")
table(["check", "passed by", "where not"], verdicts())

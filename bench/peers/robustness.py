"""Robust accuracy beside foolbox and torchattacks: the same models, exported as docs/bring-your-own-model.md says,
the same patches, the same attacks at every budget. Writes the table of --out; fails where a robust accuracy of
ours is more than --agree away from a peer's under the same attack.

A perceptron and a convolutional network with batch normalisation are trained in PyTorch on the patients that
--hold-out does not list; patches of those that it lists, evenly spaced by class, are attacked. FGSM and PGD have
no random start, so that all three do the same work; DeepFool has no budget, its L2 distances are compared.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import foolbox
    import numpy as np
    import torch
    import torchattacks
    from PIL import Image
    from safetensors.torch import save_file
    from torch import nn
except ImportError as error:
    print(f"robustness.py: skipped, {sys.executable} lacks what it needs ({error})", file=sys.stderr)
    sys.exit(77)

MEAN, STD = (0.70, 0.54, 0.69), (0.13, 0.18, 0.13)
EPSILONS = ("0", "1/255", "2/255", "4/255", "8/255")
STEPS, ALPHA, OVERSHOOT = 20, "1/255", 0.02
NETWORKS = {
    "perceptron": "3x50x50; 7500>128 relu; 128>64 relu; 64>2",
    "convolutional": "3x50x50; conv 3>16 k5 s2 p2 nobias norm=batch relu; conv 16>32 k3 s2 p1 norm=batch relu; "
                     "pool global; linear 32>2",
}


def module(name):
    if name == "perceptron":
        return nn.Sequential(nn.Flatten(), nn.Linear(7500, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
                             nn.Linear(64, 2))
    return nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))


class Normalised(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def read_patches(root, patients):
    """(path, label) of every whole patch of the patients, and the pixels in 0..255."""
    files, pixels = [], []
    for patient in sorted(patients):
        for label in (0, 1):
            folder = os.path.join(root, patient, str(label))
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                image = np.asarray(Image.open(os.path.join(folder, name)).convert("RGB"))
                if image.shape == (50, 50, 3):
                    files.append((os.path.join(folder, name), label))
                    pixels.append(image.transpose(2, 0, 1))
    return files, torch.from_numpy(np.array(pixels))


def train(name, pixels, labels, epochs):
    torch.manual_seed(1)
    model = Normalised(module(name)).train()
    rate = {"perceptron": 1e-4, "convolutional": 3e-3}[name]
    adam = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            loss = nn.functional.cross_entropy(model(pixels[batch].float() / 255), labels[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
    return model.eval().requires_grad_(False)


def export(model, name, path):
    layers = [one for one in model.network.modules() if not list(one.children())]
    tensors = {f"{i}.{key}": tensor.float().contiguous() for i, layer in enumerate(layers)
               for key, tensor in layer.state_dict().items()}
    save_file(tensors, path, {"network": NETWORKS[name], "classes": json.dumps(["no cancer", "cancer"]),
                              "mean": ", ".join(map(str, MEAN)), "std": ", ".join(map(str, STD))})


def number(text):
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


def ours(program, model, data, folder):
    """Robust accuracy by (method, eps), mean L2 of DeepFool, device."""
    call = [program, "attack", "--model", model, "--data", data, "--rows", "all", "--no-sanity",
            "--device", "cpu", "--eps", ",".join(EPSILONS), "--out", folder]
    said = subprocess.run(call + ["--method", "fgsm,pgd", "--steps", str(STEPS), "--alpha", ALPHA, "--no-random-start"],
                          check=True, capture_output=True, text=True).stdout
    robust = {}
    with open(os.path.join(folder, "attack.csv"), encoding="utf-8") as file:
        for row in csv.DictReader(file):
            robust[row["attack"].split()[0], round(float(row["eps"]) * 255)] = float(row["robust_accuracy"])
    del call[call.index("--eps"):call.index("--out")]
    subprocess.run(call + ["--method", "deepfool", "--steps", "50"], check=True, capture_output=True)
    with open(os.path.join(folder, "attack.csv"), encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    device = next(line for line in said.splitlines() if line.startswith("Device: "))[8:]
    return robust, float(row["l2_mean"]), int(row["broken"]), device


def right(model, x, labels):
    with torch.no_grad():
        return model(x).argmax(1) == labels


def mean_l2(model, forged, x, labels):
    """Over those that were right and are wrong now, as ours."""
    broken = right(model, x, labels) & ~right(model, forged, labels)
    distance = (forged - x).flatten(1).norm(dim=1)
    return distance[broken].mean().item(), int(broken.sum())


def by_foolbox(model, x, labels):
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1))
    attacks = {"fgsm": foolbox.attacks.LinfFastGradientAttack(random_start=False),
               "pgd": foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=number(ALPHA), random_start=False)}
    robust = {}
    for method, attack in attacks.items():
        for eps in map(number, EPSILONS):
            success = (~right(model, x, labels) if eps == 0
                       else attack(wrapped, x, labels, epsilons=eps)[2])
            robust[method, round(255 * eps)] = 1 - success.float().mean().item()
    forged = foolbox.attacks.L2DeepFoolAttack(steps=50, overshoot=OVERSHOOT)(wrapped, x, labels, epsilons=None)[1]
    return robust, *mean_l2(model, forged, x, labels)


def by_torchattacks(model, x, labels):
    robust = {}
    for eps in map(number, EPSILONS):
        attacks = {"fgsm": torchattacks.FGSM(model, eps=eps),
                   "pgd": torchattacks.PGD(model, eps=eps, alpha=number(ALPHA), steps=STEPS, random_start=False)}
        for method, attack in attacks.items():
            forged = x if eps == 0 else attack(x, labels)
            robust[method, round(255 * eps)] = right(model, forged, labels).float().mean().item()
    forged = torchattacks.DeepFool(model, steps=50, overshoot=OVERSHOOT)(x, labels)
    return robust, *mean_l2(model, forged, x, labels)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else "unknown processor"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="build/patchforge-cpu")
    parser.add_argument("--data", default="../shared/data/idc", help="<patient>/<0|1>/*.png, 50 x 50")
    parser.add_argument("--hold-out", default="../shared/data/splits/idc-test-a.txt", help="patients, one a line")
    parser.add_argument("--count", type=int, default=400, help="patches attacked")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--agree", type=float, default=0.005)
    parser.add_argument("--out")
    options = parser.parse_args()
    for path in (options.data, options.hold_out):
        if not os.path.exists(path):
            sys.exit(f"robustness.py: {path} is not here; name the patches by --data and --hold-out")

    with open(options.hold_out, encoding="utf-8") as file:
        held_out = set(file.read().split())
    patients = {name for name in os.listdir(options.data) if os.path.isdir(os.path.join(options.data, name))}
    known, pixels = read_patches(options.data, patients - held_out)
    labels = torch.tensor([label for _, label in known])
    test, test_pixels = read_patches(options.data, patients & held_out)
    chosen = []
    for label in (0, 1):
        rows = [i for i, (_, other) in enumerate(test) if other == label]
        chosen += [rows[i * len(rows) // (options.count // 2)] for i in range(min(options.count // 2, len(rows)))]
    x, y = test_pixels[chosen].float() / 255, torch.tensor([test[i][1] for i in chosen])

    rows, fools, apart, device = [], [], [], ""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "patches")
        for number_, i in enumerate(chosen):
            to = os.path.join(data, str(test[i][1]))
            os.makedirs(to, exist_ok=True)
            shutil.copy(test[i][0], os.path.join(to, f"{number_:04}.png"))
        for name in NETWORKS:
            model = train(name, pixels, labels, options.epochs)
            path = os.path.join(folder, name + ".safetensors")
            export(model, name, path)
            here, l2, broken, device = ours(options.program, path, data, os.path.join(folder, name))
            peers = {"foolbox": by_foolbox(model, x, y), "torchattacks": by_torchattacks(model, x, y)}
            for method in ("fgsm", "pgd"):
                for eps in EPSILONS:
                    key = method, round(255 * number(eps))
                    values = [here[key]] + [robust[key] for robust, _, _ in peers.values()]
                    rows.append([name, method, eps] + [f"{value:.4f}" for value in values])
                    apart += [f"{name}, {method} {eps}: {values[0]:.4f} here, {value:.4f} there"
                              for value in values[1:] if not abs(value - values[0]) <= options.agree]
            fools.append([name] + [f"{value:.4f} ({count})" for value, count in
                                   [(l2, broken)] + [(l, n) for _, l, n in peers.values()]])
    version = subprocess.run([options.program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    names = ["patchforge", "foolbox", "torchattacks"]
    page = ("# Robust accuracy beside foolbox and torchattacks\n\nWritten by bench/peers/robustness.py. "
            f"{version} on {device}; foolbox {foolbox.__version__}; torchattacks {torchattacks.__version__}; "
            f"PyTorch {torch.__version__}; {processor()}.\n\n"
            f"Trained in PyTorch on {len(known)} patches of {len(patients - held_out)} patients, {options.epochs} epochs; "
            f"{len(chosen)} patches of {len(patients & held_out)} others attacked, half of each class. L-infinity, budgets in "
            f"[0, 1] units; PGD takes {STEPS} steps of {ALPHA}; no random start. The share that is right and stays right, by "
            "the float32 pixels.\n\n"
            "| model | attack | eps | " + " | ".join(names) + " |\n|---|---|--:|--:|--:|--:|\n"
            + "".join("| " + " | ".join(row) + " |\n" for row in rows)
            + f"\n{'All agree' if not apart else 'NOT ALL AGREE'} within {options.agree}.\n\n"
            "DeepFool, 50 steps, overshoot 0.02: mean L2 distance of the patches that it turns, and how many these are. The "
            "programs take the border's distance from other sets of classes and stop by other rules, so that these "
            "figures need not agree.\n\n| model | " + " | ".join(names) + " |\n|---|--:|--:|--:|\n"
            + "".join("| " + " | ".join(row) + " |\n" for row in fools))
    print(page)
    if options.out:
        with open(options.out + ".partial", "w", encoding="utf-8") as file:
            file.write(page)
        os.replace(options.out + ".partial", options.out)
    if apart:
        sys.exit("robustness.py: not the same robust accuracy: " + "; ".join(apart))


if __name__ == "__main__":
    main()

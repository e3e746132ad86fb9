#!/usr/bin/env python3
"""Records classifier_trace.json: classifier training in PyTorch in float64, for
classifier_trace_test.cpp to follow: both heads, class weights, augmentation, noise, adversarial
training and logit pairing.

Random numbers come from trace_numbers.py; layers, losses, gradients (by the pixels too) and Adam are
PyTorch's own.

    python3 tests/host/classifier/record_classifier_trace.py > tests/host/classifier/classifier_trace.json
"""
import json

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, leaky_relu

from trace_numbers import initial, keep_mask, normal, shuffled_row, uniform, words

CHANNELS, SIDE, COUNT = 3, 4, 11
PIXELS = CHANNELS * SIDE * SIDE
HIDDEN, BATCH, STEPS, SEED = 8, 4, 8, 20240608
DROPOUT, SLOPE, RATE = 0.5, 0.2, 2e-3
DIHEDRAL, NOISE, START = 160, 161, 162  # purposes
LABELS = {3: [0, 1, 2, 0, 0, 1, 0, 2, 0, 1, 0], 2: [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0]}


def answer(p, x, masks=None):
    h = leaky_relu(x @ p[0].T + p[1], SLOPE)
    h = leaky_relu((h * masks[0] if masks else h) @ p[2].T + p[3], SLOPE)
    return (h * masks[1] if masks else h) @ p[4].T + p[5]


def row_losses(logit, label):
    if logit.shape[1] == 1:
        return binary_cross_entropy_with_logits(logit[:, 0], label.double(), reduction="none")
    return cross_entropy(logit, label, reduction="none")


def dihedral(x, step):
    rows = []
    for picture, word in zip(x.reshape(-1, CHANNELS, SIDE, SIDE), words(SEED, len(x), DIHEDRAL, step)):
        word = int(word)
        picture = picture.flip(2) if word >> 29 & 1 else picture
        picture = picture.flip(1) if word >> 30 & 1 else picture
        rows.append(picture.transpose(1, 2) if word >> 31 & 1 else picture)
    return torch.stack([r.reshape(-1) for r in rows])


def forge(p, x0, label, run, step):
    eps = run["eps"]
    inside = lambda x: torch.minimum(torch.maximum(x, x0 - eps), x0 + eps).clamp(0, 1)
    x = x0
    if run["adversarial"] != "fgsm":
        x = inside(x0 + torch.tensor(uniform(SEED, x0.numel(), -eps, eps, START, step)).reshape(x0.shape))
    for _ in range(run["attack_steps"]):
        x = x.detach().requires_grad_()
        loss = row_losses(answer(p, 2 * x - 1), label).sum()
        alpha = eps if run["adversarial"] == "fgsm" else run["alpha"]
        x = inside(x + alpha * torch.autograd.grad(loss, x)[0].sign())
    return x.detach()


def train(run):
    classes = 2 if run["head"] == "binary" else 3
    patches = torch.tensor([[(i * 37 + j * 101 + i * j * 7) % 256 for j in range(PIXELS)]
                            for i in range(COUNT)], dtype=torch.float64) / 255
    labels = torch.tensor(LABELS[classes])
    weight = torch.ones(classes)
    if run["weights"]:
        weight = COUNT / (classes * torch.bincount(labels, minlength=classes).double())
    outputs = 1 if classes == 2 else classes
    p = initial(SEED, [(PIXELS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, outputs)], 2)
    adam = torch.optim.Adam(p, lr=RATE)
    per_epoch = (COUNT + BATCH - 1) // BATCH
    recorded = []
    for step in range(STEPS):
        epoch, first = step // per_epoch, step % per_epoch * BATCH
        n = min(BATCH, COUNT - first)
        rows = [shuffled_row(SEED, epoch, first + b, COUNT) for b in range(n)]
        x, label = patches[rows], labels[rows]
        if run["augment"]:
            x = dihedral(x, step)
        if run["noise"] > 0:
            drawn = torch.tensor(normal(SEED, n * PIXELS, NOISE, step)).reshape(n, PIXELS)
            x = (x + run["noise"] * drawn).clamp(0, 1)
        both = x if run["adversarial"] == "none" else torch.cat([x, forge(p, x, label, run, step)])
        masks = [keep_mask(SEED, len(both), HIDDEN, DROPOUT, 96 + layer, step) for layer in range(2)]
        logit = answer(p, 2 * both - 1, masks)
        clean = row_losses(logit[:n], label)
        loss = (weight[label] * clean).mean()
        told = [clean.mean().item(), 0, 0]
        if run["adversarial"] != "none":
            forged = row_losses(logit[n:], label)
            apart = logit[:n] - logit[n:]
            loss = loss + run["adv_weight"] * (weight[label] * forged).mean()
            loss = loss + run["pairing"] * (apart**2).sum(dim=1).mean()
            told = [told[0], forged.mean().item(), apart.norm(dim=1).mean().item()]
        adam.zero_grad()
        loss.backward()
        adam.step()
        recorded.append(told)
    flat = [float(f"{v:.9g}") for t in p for v in t.detach().reshape(-1).tolist()]
    return {**run, "steps": recorded, "classifier": flat}


def case(head, weights=False, augment=False, noise=0.0, adversarial="none", attack_steps=1,
         eps=4 / 255, alpha=0.0, adv_weight=1.0, pairing=0.0):
    return dict(locals())


torch.set_default_dtype(torch.float64)
print(json.dumps({
    "torch": torch.__version__,
    "channels": CHANNELS, "side": SIDE, "count": COUNT, "hidden": HIDDEN, "batch_size": BATCH,
    "seed": SEED, "dropout": DROPOUT, "lr": RATE, "labels": {str(k): v for k, v in LABELS.items()},
    "runs": [train(c) for c in (
        case("softmax"), case("softmax", weights=True), case("binary"), case("binary", weights=True),
        case("softmax", augment=True, noise=0.1),
        case("softmax", adversarial="fgsm", adv_weight=0.5, pairing=0.3),
        case("binary", weights=True, augment=True, adversarial="pgd-3", attack_steps=3, eps=8 / 255,
             alpha=3 / 255, pairing=2.0),
    )],
}))

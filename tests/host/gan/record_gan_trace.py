#!/usr/bin/env python3
"""Records gan_trace.json: GAN training in PyTorch in float64, for gan_trace_test.cpp to follow.

Weights, noise, dropout masks and the order of the patches come from the numbers that
kernels/random.h and kernels/shuffle.h define, written a second time in trace_numbers.py; everything
else (layers, losses, gradients, Adam) is PyTorch's own.

    python3 tests/host/gan/record_gan_trace.py > tests/host/gan/gan_trace.json
"""
import json

import torch
from torch.nn.functional import binary_cross_entropy, leaky_relu

from trace_numbers import initial, keep_mask, normal, shuffled_row

CHANNELS, SIDE, COUNT = 3, 4, 11
PIXELS = CHANNELS * SIDE * SIDE
LATENT, HIDDEN, BATCH, STEPS, SEED = 6, 8, 4, 8, 20240607
DROPOUT, SLOPE, RATE = 0.5, 0.2, 2e-3


def discriminate(p, x, masks):
    h = leaky_relu(x @ p[0].T + p[1], SLOPE) * masks[0]
    h = leaky_relu(h @ p[2].T + p[3], SLOPE) * masks[1]
    return torch.sigmoid(h @ p[4].T + p[5])


def generate(p, z):
    h = torch.relu(z @ p[0].T + p[1])
    h = torch.relu(h @ p[2].T + p[3])
    return torch.tanh(h @ p[4].T + p[5])


def train(beta1, real_label):
    patches = torch.tensor([[(i * 37 + j * 101 + i * j * 7) % 256 for j in range(PIXELS)]
                            for i in range(COUNT)], dtype=torch.float64)
    patches = (patches / 255 - 0.5) / 0.5
    g = initial(SEED, [(LATENT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, PIXELS)], 0)
    d = initial(SEED, [(PIXELS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)], 1)
    adam_g = torch.optim.Adam(g, lr=RATE, betas=(beta1, 0.999))
    adam_d = torch.optim.Adam(d, lr=RATE, betas=(beta1, 0.999))
    per_epoch = (COUNT + BATCH - 1) // BATCH
    losses = []
    for step in range(STEPS):
        epoch, first = step // per_epoch, step % per_epoch * BATCH
        rows = [shuffled_row(SEED, epoch, first + b, COUNT) for b in range(min(BATCH, COUNT - first))]
        n = len(rows)
        masks = [keep_mask(SEED, 2 * n, HIDDEN, DROPOUT, 16 + layer, step) for layer in range(2)]
        fakes = generate(g, torch.tensor(normal(SEED, n * LATENT, 3, step).reshape(n, LATENT)))
        on_real = discriminate(d, patches[rows], [m[:n] for m in masks])
        on_fake = discriminate(d, fakes, [m[n:] for m in masks])
        loss_real = binary_cross_entropy(on_real, torch.full_like(on_real, real_label))
        loss_fake = binary_cross_entropy(on_fake, torch.zeros_like(on_fake))
        adam_d.zero_grad()
        adam_g.zero_grad()
        (loss_real + loss_fake).backward()
        adam_d.step()

        masks = [keep_mask(SEED, n, HIDDEN, DROPOUT, 48 + layer, step) for layer in range(2)]
        fakes = generate(g, torch.tensor(normal(SEED, n * LATENT, 4, step).reshape(n, LATENT)))
        answer = discriminate(d, fakes, masks)
        loss_g = binary_cross_entropy(answer, torch.ones_like(answer))
        adam_d.zero_grad()
        adam_g.zero_grad()
        loss_g.backward()
        adam_g.step()
        losses.append([loss_real.item(), loss_fake.item(), on_real.mean().item(),
                       on_fake.mean().item(), loss_g.item()])
    flat = lambda p: [float(f"{v:.9g}") for t in p for v in t.detach().reshape(-1).tolist()]
    return {"beta1": beta1, "real_label": real_label, "losses": losses,
            "generator": flat(g), "discriminator": flat(d)}


torch.set_default_dtype(torch.float64)
print(json.dumps({
    "torch": torch.__version__,
    "channels": CHANNELS, "side": SIDE, "count": COUNT, "latent_dim": LATENT, "hidden": HIDDEN,
    "batch_size": BATCH, "steps": STEPS, "seed": SEED, "dropout": DROPOUT, "lr": RATE,
    "runs": [train(b1, r) for b1 in (0.9, 0.5) for r in (1.0, 0.9)],
}))

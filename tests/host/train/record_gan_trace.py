#!/usr/bin/env python3
"""Records gan_trace.json: GAN training in PyTorch in float64, for gan_trace_test.cpp to follow.

Weights, noise, dropout masks and the order of the patches come from the numbers that
kernels/random.h and kernels/shuffle.h define, written here a second time; everything else
(layers, losses, gradients, Adam) is PyTorch's own.

    python3 tests/host/train/record_gan_trace.py > tests/host/train/gan_trace.json
"""
import json
import math

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy, leaky_relu

CHANNELS, SIDE, COUNT = 3, 4, 11
PIXELS = CHANNELS * SIDE * SIDE
LATENT, HIDDEN, BATCH, STEPS, SEED = 6, 8, 4, 8, 20240607
DROPOUT, SLOPE, RATE = 0.5, 0.2, 2e-3
M32 = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10, Salmon et al. 2011."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M32, (a >> 32) ^ c[3] ^ k[1], a & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


def words(count, purpose, draw):
    key = (SEED & M32, SEED >> 32)
    out = []
    for block in range((count + 3) // 4):
        out += philox((block, purpose, draw & M32, draw >> 32), key)
    return np.array(out[:count], dtype=np.uint64)


def uniform01(count, purpose, draw):
    w = words(count, purpose, draw).astype(np.float32)
    return w * np.float32(2**-32) + np.float32(2**-33)


def uniform(count, low, high, purpose, draw=0):
    low, high = np.float32(low), np.float32(high)
    return (low + (high - low) * uniform01(count, purpose, draw)).astype(np.float64)


def normal(count, purpose, draw):
    u = uniform01(count + count % 2, purpose, draw).astype(np.float64)
    r = np.sqrt(-2 * np.log(u[0::2]))
    angle = 2 * math.pi * u[1::2]
    return np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1).reshape(-1)[:count]


def keep_mask(rows, columns, purpose, draw):
    kept = words(rows * columns, purpose, draw) >= np.uint64(int(DROPOUT * 2**32))
    return torch.tensor(kept.reshape(rows, columns) / (1 - DROPOUT))


def mix(x):
    x &= M32
    x ^= x >> 16
    x = x * 0x85EBCA6B & M32
    x ^= x >> 13
    x = x * 0xC2B2AE35 & M32
    return x ^ (x >> 16)


def shuffled_row(epoch, position, count):
    half = 1
    while (1 << (2 * half)) < count:
        half += 1
    mask = (1 << half) - 1
    key = mix((SEED & M32) ^ mix((SEED >> 32) + 0x9E3779B9))
    epoch_key = mix(key + (epoch & M32) * 0x9E3779B9 + (epoch >> 32))
    value = position
    while True:
        left, right = value >> half, value & mask
        for r in range(8):
            left, right = right, left ^ (mix(right + epoch_key + r * 0x7F4A7C15) & mask)
        value = left << half | right
        if value < count:
            return value


def initial(sizes, number):
    tensors = []
    for layer, (inputs, outputs) in enumerate(sizes):
        bound = np.float32(1) / np.sqrt(np.float32(inputs))
        for kind, shape in ((0, (outputs, inputs)), (1, (outputs,))):
            purpose = 1 + 256 * (2 * number + kind + 1) + layer
            values = uniform(int(np.prod(shape)), -bound, bound, purpose)
            tensors.append(torch.tensor(values.reshape(shape), requires_grad=True))
    return tensors


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
    g = initial([(LATENT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, PIXELS)], 0)
    d = initial([(PIXELS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)], 1)
    adam_g = torch.optim.Adam(g, lr=RATE, betas=(beta1, 0.999))
    adam_d = torch.optim.Adam(d, lr=RATE, betas=(beta1, 0.999))
    per_epoch = (COUNT + BATCH - 1) // BATCH
    losses = []
    for step in range(STEPS):
        epoch, first = step // per_epoch, step % per_epoch * BATCH
        rows = [shuffled_row(epoch, first + b, COUNT) for b in range(min(BATCH, COUNT - first))]
        n = len(rows)
        masks = [keep_mask(2 * n, HIDDEN, 16 + layer, step) for layer in range(2)]
        fakes = generate(g, torch.tensor(normal(n * LATENT, 3, step).reshape(n, LATENT)))
        on_real = discriminate(d, patches[rows], [m[:n] for m in masks])
        on_fake = discriminate(d, fakes, [m[n:] for m in masks])
        loss_real = binary_cross_entropy(on_real, torch.full_like(on_real, real_label))
        loss_fake = binary_cross_entropy(on_fake, torch.zeros_like(on_fake))
        adam_d.zero_grad()
        adam_g.zero_grad()
        (loss_real + loss_fake).backward()
        adam_d.step()

        masks = [keep_mask(n, HIDDEN, 48 + layer, step) for layer in range(2)]
        fakes = generate(g, torch.tensor(normal(n * LATENT, 4, step).reshape(n, LATENT)))
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

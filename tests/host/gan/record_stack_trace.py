#!/usr/bin/env python3
"""Records stack_trace.json: the steps of a stacked GAN's stage in PyTorch in float64, for gan_trace_test.cpp
to follow: codes around the mean of a class with the divergence's weight, a discriminator that judges pictures
with and without their class, and patches with a wrong class. Numbers as in record_gan_trace.py.

    PYTHONPATH=tests/host/train python3 tests/host/gan/record_stack_trace.py > tests/host/gan/stack_trace.json
"""
import json

import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import (binary_cross_entropy_with_logits, conv2d, leaky_relu, linear,
                                 one_hot)

from trace_numbers import normal, shuffled_row, uniform, words

CHANNELS, SIDE, COUNT, CLASSES = 3, 4, 11, 3
PIXELS = CHANNELS * SIDE * SIDE
CODES, CONDITION, BATCH, STEPS, SEED = 4, 3, 4, 6, 20240608
LATENT = CODES + CONDITION
SLOPE, RATE, LAMBDA = 0.2, 2e-3, 2.0

G_TEXT = (f"{LATENT + CLASSES}x1x1; channels {LATENT} {CLASSES}; linear {CLASSES}>{2 * CONDITION} "
          f"as=condition; channels {CODES} {CONDITION} from=input; augment condition as=code; "
          f"channels 0 {CODES} from=input; concat code; linear {LATENT}>{PIXELS} tanh")
D_TEXT = (f"{CHANNELS + CLASSES}x{SIDE}x{SIDE}; channels 0 {CHANNELS}; conv {CHANNELS}>4 k3 s2 p1 "
          f"leaky_relu as=features; conv 4>1 k2 head; channels {CHANNELS} {CLASSES} from=input; "
          f"pool adaptive n2; concat features; conv {4 + CLASSES}>4 k1 leaky_relu; linear 16>1")


def tensors(network, shapes):
    """Weight and bias of each (layer number, weight's shape, fan in)."""
    out = []
    for layer, shape, fan_in in shapes:
        bound = 1 / fan_in**0.5
        for tensor, lengths in ((0, shape), (1, shape[:1])):
            count = torch.Size(lengths).numel()
            values = uniform(SEED, count, -bound, bound, 1 + 256 * (2 * network + tensor + 1) + layer)
            out.append(torch.tensor(values).reshape(lengths).requires_grad_())
    return out


def discriminate(p, pictures, classes):
    features = leaky_relu(conv2d(pictures, p[0], p[1], stride=2, padding=1), SLOPE)
    whatever = conv2d(features, p[2], p[3]).reshape(-1)
    maps = one_hot(classes, CLASSES).double()[:, :, None, None].expand(-1, -1, 2, 2)
    joint = leaky_relu(conv2d(torch.cat([maps, features], 1), p[4], p[5]), SLOPE)
    return linear(joint.flatten(1), p[6], p[7]).reshape(-1), whatever


def generate(p, z, classes):
    statistics = linear(one_hot(classes, CLASSES).double(), p[0], p[1])
    mean, deviation = statistics[:, :CONDITION], torch.exp(statistics[:, CONDITION:] / 2)
    code = mean + deviation * z[:, CODES:]
    pictures = torch.tanh(linear(torch.cat([z[:, :CODES], code], 1), p[2], p[3]))
    divergence = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).mean()
    return pictures.reshape(-1, CHANNELS, SIDE, SIDE), divergence


def loss(logit, target):
    return binary_cross_entropy_with_logits(logit, torch.full_like(logit, target))


def train():
    patches = torch.tensor([[(i * 37 + j * 101 + i * j * 7) % 256 for j in range(PIXELS)]
                            for i in range(COUNT)], dtype=torch.float64)
    patches = ((patches / 255 - 0.5) / 0.5).reshape(-1, CHANNELS, SIDE, SIDE)
    labels = torch.tensor([2] + [i * i % CLASSES for i in range(1, COUNT)])
    g = tensors(0, [(1, (2 * CONDITION, CLASSES), CLASSES), (6, (PIXELS, LATENT), LATENT)])
    d = tensors(1, [(1, (4, CHANNELS, 3, 3), CHANNELS * 9), (2, (1, 4, 2, 2), 16),
                    (6, (4, 4 + CLASSES, 1, 1), 4 + CLASSES), (7, (1, 16), 16)])
    adam_g = torch.optim.Adam(g, lr=RATE, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(d, lr=RATE, betas=(0.5, 0.999))
    per_epoch = (COUNT + BATCH - 1) // BATCH
    losses = []
    for step in range(STEPS):
        epoch, first = step // per_epoch, step % per_epoch * BATCH
        rows = [shuffled_row(SEED, epoch, first + b, COUNT) for b in range(min(BATCH, COUNT - first))]
        n, own = len(rows), labels[rows]
        drawn = torch.tensor([int(w) * (CLASSES - 1) >> 32 for w in words(SEED, n, 180, step)])
        wrong = (own + 1 + drawn) % CLASSES
        code = lambda purpose: torch.tensor(normal(SEED, n * LATENT, purpose, step).reshape(n, LATENT))
        fakes, _ = generate(g, code(3), own)
        real, real_any = discriminate(d, patches[rows], own)
        fake, fake_any = discriminate(d, fakes.detach(), own)
        mistaken, _ = discriminate(d, patches[rows], wrong)
        loss_real = (loss(real, 1.0) + loss(real_any, 1.0)) / 2
        loss_wrong = loss(mistaken, 0.0)
        loss_fake = (loss(fake, 0.0) + loss_wrong + loss(fake_any, 0.0)) / 3
        adam_d.zero_grad()
        (loss_real + loss_fake).backward()
        adam_d.step()

        fakes, divergence = generate(g, code(4), own)
        answer, answer_any = discriminate(d, fakes, own)
        loss_g = loss(answer, 1.0) + loss(answer_any, 1.0)
        adam_g.zero_grad()
        (loss_g + LAMBDA * divergence).backward()
        adam_g.step()
        losses.append([loss_real.item(), loss_fake.item(), loss_wrong.item(), loss_g.item(),
                       divergence.item()])
    flat = lambda p: [float(f"{v:.9g}") for t in p for v in t.detach().reshape(-1).tolist()]
    return {"losses": losses, "generator": flat(g), "discriminator": flat(d)}


torch.set_default_dtype(torch.float64)
print(json.dumps({
    "torch": torch.__version__, "channels": CHANNELS, "side": SIDE, "count": COUNT,
    "classes": CLASSES, "latent_dim": LATENT, "batch_size": BATCH, "steps": STEPS, "seed": SEED,
    "lr": RATE, "lambda_kl": LAMBDA, "network_g": G_TEXT, "network_d": D_TEXT, **train(),
}, separators=(",", ":")))

#!/usr/bin/env python3
"""Records penalty_trace.json: three steps of discriminators with convolutions, a residual sum and
normalisation (spectral; of batches, pictures and groups) under WGAN-GP and under R1, in PyTorch in
float64, for penalty_trace_test.cpp to follow. The penalty's gradient is PyTorch's own, by
torch.autograd.grad with create_graph.

    python3 tests/host/gan/record_penalty_trace.py > tests/host/gan/penalty_trace.json
"""
import json
import math

import torch
from torch.nn.functional import (avg_pool2d, batch_norm, conv2d, group_norm, instance_norm,
                                 leaky_relu, linear, softplus)

ROWS, STEPS, RATE, SLOPE = 3, 3, 0.01, 0.2
IN = (3, 9, 8)
# In the order of the layers: weight, bias, scale, shift.
PLAIN = {"text": "3x9x8; conv 3>4 k4 s2 p1 spectral leaky_relu as=half; conv 4>4 k3 p1 leaky_relu; "
                 "add half leaky_relu; pool average k2; linear 16>1 nobias",
         "shapes": [(4, 3, 4, 4), (4,), (4, 4, 3, 3), (4,), (1, 16)], "scales": []}
# No bias where a mean is taken away at once: its gradient is rounding, of which Adam makes whole steps.
NORMALISED = {"text": "3x9x8; conv 3>4 k4 s2 p1 leaky_relu as=half; conv 4>4 k3 p1 nobias "
                      "norm=group:2 leaky_relu; conv 4>4 k3 p1 nobias norm=instance leaky_relu; conv "
                      "4>4 k3 p1 nobias norm=batch; add half leaky_relu; pool average k2; linear 16>1 "
                      "nobias",
              "shapes": [(4, 3, 4, 4), (4,), (4, 4, 3, 3), (4,), (4,), (4, 4, 3, 3), (4, 4, 3, 3),
                         (4,), (4,), (1, 16)],
              "scales": [3, 7]}


def wave(count, frequency, phase):
    return torch.sin(frequency * torch.arange(count, dtype=torch.float64) + phase)


def weights(network):
    return [(0.3 * torch.cos(0.5 * torch.arange(math.prod(shape), dtype=torch.float64) + k)
             + (k in network["scales"])).reshape(shape).requires_grad_()
            for k, shape in enumerate(network["shapes"])]


class Spectral:
    """One power iteration a pass in training; u and v are state."""

    def __init__(self, rows, columns):
        self.u = wave(rows, 1.0, 0.4)
        self.v = wave(columns, 0.8, 0.1)
        self.u, self.v = self.u / self.u.norm(), self.v / self.v.norm()

    def __call__(self, weight, training):
        matrix = weight.reshape(len(self.u), -1)
        if training:
            with torch.no_grad():
                self.v = torch.nn.functional.normalize(matrix.T @ self.u, dim=0)
                self.u = torch.nn.functional.normalize(matrix @ self.v, dim=0)
        return weight / (self.u @ matrix @ self.v)


def normalised(p, x):
    """Patches and fakes come in one at a time, each a batch of its own."""
    half = leaky_relu(conv2d(x, p[0], p[1], stride=2, padding=1), SLOPE)
    h = leaky_relu(group_norm(conv2d(half, p[2], padding=1), 2, p[3], p[4]), SLOPE)
    h = leaky_relu(instance_norm(conv2d(h, p[5], padding=1)), SLOPE)
    h = batch_norm(conv2d(h, p[6], padding=1), None, None, p[7], p[8], True)
    return linear(avg_pool2d(leaky_relu(h + half, SLOPE), 2).flatten(1), p[9])


def discriminate(p, spectral, x, training):
    if spectral is None:
        return torch.cat([normalised(p, part) for part in x.split(ROWS)])
    half = leaky_relu(conv2d(x, spectral(p[0], training), p[1], stride=2, padding=1), SLOPE)
    h = leaky_relu(leaky_relu(conv2d(half, p[2], p[3], padding=1), SLOPE) + half, SLOPE)
    return linear(avg_pool2d(h, 2).flatten(1), p[4])


def train(network, kind, weight):
    p, spectral = weights(network), Spectral(4, 48) if network is PLAIN else None
    adam = torch.optim.Adam(p, lr=RATE, betas=(0.5, 0.999))
    numbers = ROWS * math.prod(IN)
    real = wave(numbers, 0.7, 0.3).reshape(ROWS, *IN)
    fake = wave(numbers, 0.37, 1.1).reshape(ROWS, *IN)
    alpha = torch.tensor([(0.2 + 0.3 * row) % 1 for row in range(ROWS)]).reshape(-1, 1, 1, 1)
    steps = []
    for _ in range(STEPS):
        answers = discriminate(p, spectral, torch.cat([real, fake]), True)
        on_real, on_fake = answers[:ROWS], answers[ROWS:]
        if kind == "wgan-gp":
            loss = on_fake.mean() - on_real.mean()
            points = real + alpha * (fake - real)
        else:
            loss = softplus(-on_real).mean() + softplus(on_fake).mean()
            points = real
        points = points.detach().requires_grad_()
        slope, = torch.autograd.grad(discriminate(p, spectral, points, False).sum(), points,
                                     create_graph=True)
        squares = slope.flatten(1).square().sum(1)
        penalty = (weight * ((1e-4 + squares).sqrt() - 1).square().mean() if kind == "wgan-gp"
                   else weight / 2 * squares.mean())
        adam.zero_grad()
        (loss + penalty).backward()
        steps.append({"loss": loss.item(), "penalty": penalty.item(),
                      "gradient_norms": [t.grad.norm().item() for t in p]})
        adam.step()
    return {"network": network["text"], "scales": network["scales"], "kind": kind, "weight": weight,
            "steps": steps,
            "end": [[float(f"{v:.9g}") for v in t.detach().reshape(-1).tolist()] for t in p]}


torch.set_default_dtype(torch.float64)
print(json.dumps({"torch": torch.__version__, "rows": ROWS, "lr": RATE,
                  "runs": [train(network, kind, weight) for network in (PLAIN, NORMALISED)
                           for kind, weight in (("wgan-gp", 10.0), ("r1", 2.0))]}))

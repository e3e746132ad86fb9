#!/usr/bin/env python3
"""Records translate_trace.json: pairs, super-resolution, cycles and refinement in PyTorch in float64, for
translate_trace_test.cpp to follow.

Weights are waves that both sides write down; the order of the pictures and the walk through the pools
come from the numbers that kernels/random.h and kernels/shuffle.h define, written a second time in
trace_numbers.py; layers, losses, gradients and Adam are PyTorch's own.

    PYTHONPATH=tests/host/train python3 tests/host/translate/record_translate_trace.py \
        > tests/host/translate/translate_trace.json
"""
import json
import math

import numpy as np
import torch
from torch.nn import functional as F

from trace_numbers import normal, shuffled_row, words

SIDE, BATCH, STEPS, SEED, RATE, EPSILON = 12, 2, 8, 20240711, 2e-3, 1e-4
POOL, POOL_PURPOSE = 3, 240
COUNT_A, COUNT_B = 5, 7
SEED_B = SEED ^ 0x9E3779B97F4A7C15


class Network:
    """Weights in the order in which layers are made; each call takes the next one."""

    def __init__(self, number):
        self.number, self.tensors, self.at = number, [], 0

    def tensor(self, shape):
        if self.at == len(self.tensors):
            size = math.prod(shape)
            wave = [0.2 * math.cos(0.5 * i + len(self.tensors) + 7 * self.number) for i in range(size)]
            self.tensors.append(torch.tensor(wave).reshape(shape).requires_grad_())
        self.at += 1
        return self.tensors[self.at - 1]

    def conv(self, x, out, k, s=1, p=0, bias=True):
        w = self.tensor((out, x.shape[1], k, k))
        return F.conv2d(x, w, self.tensor((out,)) if bias else None, s, p)

    def transposed(self, x, out, k, p, o):
        return F.conv_transpose2d(x, self.tensor((x.shape[1], out, k, k)), None, 2, p, o)

    def __call__(self, x):
        self.at = 0
        return self.layers(x)


def norm(x):
    return F.instance_norm(x)


def reflect(x, n):
    return F.pad(x, (n, n, n, n), mode="reflect")


class Resnet(Network):  # resnet-small, width 3, one block
    def layers(self, x):
        h = F.relu(norm(self.conv(reflect(x, 1), 3, 3, bias=False)))
        h = F.relu(norm(self.conv(h, 6, 3, 2, 1, bias=False)))
        r = F.relu(norm(self.conv(reflect(h, 1), 6, 3, bias=False)))
        h = norm(self.conv(reflect(r, 1), 6, 3, bias=False)) + h
        h = F.relu(norm(self.transposed(h, 3, 4, 1, 0)))
        return torch.tanh(self.conv(reflect(h, 1), 3, 3))


class Unet(Network):  # width 2, sides 12, 6, 3, 2
    def layers(self, x):
        downs = [F.leaky_relu(self.conv(x, 2, 3, 1, 1), 0.2)]
        for out in (4, 8, 8):
            downs.append(F.leaky_relu(norm(self.conv(downs[-1], out, 3, 2, 1, bias=False)), 0.2))
        h = downs[3]
        for i, out in ((2, 8), (1, 4), (0, 2)):
            side = downs[i].shape[2]
            h = self.conv(F.interpolate(h, scale_factor=2), out, 3, 1, 1, bias=False)
            h = F.relu(norm(h[:, :, :side, :side]))
            h = torch.cat([h, downs[i]], 1)
        return torch.tanh(self.conv(h, 3, 3, 1, 1))


class Edsr(Network):  # width 3, one block
    def layers(self, x):
        first = self.conv(x, 3, 3, 1, 1)
        h = self.conv(F.relu(self.conv(first, 3, 3, 1, 1)), 3, 3, 1, 1) + first
        h = self.conv(h, 3, 3, 1, 1) + first
        h = F.pixel_shuffle(self.conv(h, 12, 3, 1, 1), 2)
        detail = self.conv(h, 3, 3, 1, 1)
        line = torch.tensor([[-.03515625, .26171875, .87890625, -.10546875, 0],
                             [0, -.10546875, .87890625, .26171875, -.03515625]])
        kernels = torch.zeros(12, 3, 5, 5)
        for c in range(3):
            for phase in range(4):
                kernels[4 * c + phase, c] = torch.outer(line[phase // 2], line[phase % 2])
        return F.pixel_shuffle(F.conv2d(reflect(x, 2), kernels), 2) + detail


class Patch(Network):  # a PatchGAN, width 3, one layer
    def layers(self, x):
        h = F.leaky_relu(self.conv(x, 3, 4, 2, 1), 0.2)
        h = F.leaky_relu(norm(self.conv(h, 6, 4, 1, 1, bias=False)), 0.2)
        return self.conv(h, 1, 4, 1, 1)


class Refiner(Network):  # width 3, one block
    def layers(self, x):
        first = F.relu(self.conv(x, 3, 3, 1, 1))
        h = self.conv(F.relu(self.conv(first, 3, 3, 1, 1)), 3, 3, 1, 1)
        return self.conv(F.relu(h + first), 3, 1) + x


class PlainPatch(Network):  # a PatchGAN without normalisation, width 3, one layer
    def layers(self, x):
        h = F.leaky_relu(self.conv(x, 3, 4, 2, 1), 0.2)
        h = F.leaky_relu(self.conv(h, 6, 4, 1, 1), 0.2)
        return self.conv(h, 1, 4, 1, 1)


class ScalesRefiner(Network):  # width 2: sides 18, 9, 5, 3
    pictures = (0,)  # numbers of the rows, which their noise is drawn by

    def noisy(self, x, layer):
        maps = [normal(SEED, x.shape[2] * x.shape[3], 192 + layer, number) for number in self.pictures]
        maps = torch.tensor(np.array(maps)).reshape(len(maps), 1, *x.shape[2:])
        return F.leaky_relu(x + self.tensor((x.shape[1],))[None, :, None, None] * maps, 0.2)

    def layers(self, x):
        downs = [F.leaky_relu(self.conv(reflect(x, 3), 2, 3, 1, 1), 0.2)]
        for out in (4, 8, 8):
            downs.append(F.leaky_relu(self.conv(downs[-1], out, 3, 2, 1), 0.2))
        up, colours = self.noisy(self.conv(downs[3], 8, 3, 1, 1), 6), 0
        for i, out, layer in ((2, 8, 9), (1, 4, 14), (0, 2, 20)):
            side = downs[i].shape[2]
            h = self.conv(F.interpolate(up, scale_factor=2), out, 3, 1, 1)
            up = self.noisy(h[:, :, :side, :side] + downs[i], layer)
            if i == 0:
                last = self.noisy(self.conv(up, 2, 3, 1, 1), 22)
                return (self.conv(last, 3, 3, 1, 1) + colours)[:, :, 3:-3, 3:-3] + x
            colours = colours + self.conv(up, 3, 1)
            next_side = downs[i - 1].shape[2]
            colours = F.interpolate(colours, scale_factor=2, mode="bilinear")[:, :, :next_side, :next_side]


class TwoScales(Network):  # width 2; the last answer first
    def layers(self, x):
        leaky = lambda *of: F.leaky_relu(self.conv(*of), 0.2)
        texture = self.conv(leaky(leaky(leaky(x, 2, 3, 1, 1), 4, 4, 2, 1), 8, 3, 2, 1), 1, 1)
        pieces = leaky(leaky(F.avg_pool2d(x, 2), 4, 3, 1, 1), 8, 3, 2, 1)
        local = self.conv(pieces, 1, 1)
        h = leaky(pieces, 16, 3, 2, 1)
        deviation = (h.var(0, unbiased=False) + 1e-8).sqrt().mean()
        h = leaky(torch.cat([h, deviation.expand(len(h), 1, *h.shape[2:])], 1), 16, 3, 2, 1)
        whole = F.linear(h.flatten(1), self.tensor((1, 16)), self.tensor((1,)))
        return whole, texture, local


def patches(count, pixels, salt):
    values = [[(i * 37 + j * 101 + i * j * 7 + salt) % 256 for j in range(pixels)] for i in range(count)]
    return torch.tensor(values, dtype=torch.float64) / 127.5 - 1


def adam(network, rate=RATE):
    return torch.optim.Adam(network.tensors, lr=rate, betas=(0.5, 0.999), eps=EPSILON)


def d_terms(real, fake, least_squares):
    """Half of each, as they are added."""
    if least_squares:
        return ((real - 1) ** 2).mean() / 2, (fake ** 2).mean() / 2
    return F.softplus(-real).mean() / 2, F.softplus(fake).mean() / 2


def g_term(fake, least_squares):
    return ((fake - 1) ** 2).mean() if least_squares else F.softplus(-fake).mean()


def answers(real, fake):
    right = torch.cat([(real > 0).flatten(), (fake <= 0).flatten()]).double().mean()
    return [torch.sigmoid(real).mean().item(), torch.sigmoid(fake).mean().item(), right.item()]


def step(optimisers, loss):
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()


def weights(networks):
    return [[float(f"{v:.7g}") for t in n.tensors for v in t.detach().reshape(-1).tolist()]
            for n in networks]


def train_pairs(generator, source, lambda_l1, lambda_adversarial, sees_source):
    target = (3, SIDE, SIDE)
    sizes = [math.prod(source), math.prod(target)]
    rows = patches(COUNT_B, sum(sizes), 0)
    g, d = generator(0), Patch(1)
    shown = lambda x, y: torch.cat([x, y], 1) if sees_source else y
    g(torch.zeros(1, *source))
    d(shown(torch.zeros(1, *source), torch.zeros(1, *target)) if sees_source else torch.zeros(1, *target))
    adam_g, adam_d = adam(g), adam(d)
    per_epoch, metrics = (COUNT_B + BATCH - 1) // BATCH, []
    for s in range(STEPS):
        epoch, first = s // per_epoch, s % per_epoch * BATCH
        drawn = rows[[shuffled_row(SEED, epoch, first + b, COUNT_B)
                      for b in range(min(BATCH, COUNT_B - first))]]
        x = drawn[:, :sizes[0]].reshape(-1, *source)
        y = drawn[:, sizes[0]:].reshape(-1, *target)
        made = g(x)
        real, fake = d(shown(x, y)), d(shown(x, made.detach()))
        terms = d_terms(real, fake, False)
        step([adam_d], sum(terms))
        after = d(shown(x, made))
        adversarial, distance = g_term(after, False), (made - y).abs().mean()
        adam_d.zero_grad()
        step([adam_g], lambda_l1 * distance + lambda_adversarial * adversarial)
        metrics.append([distance.item(), *[t.item() for t in terms], *answers(real, fake),
                        adversarial.item(), torch.sigmoid(after).mean().item()])
    return {"metrics": metrics, "networks": weights([g, d])}


def query(pool, fakes, purpose, draw):
    drawn = words(SEED, 2 * len(fakes), purpose, draw)
    shown = []
    for b, fake in enumerate(fakes.detach()):
        if len(pool) < POOL:
            pool.append(fake)
            shown.append(fake)
        elif int(drawn[2 * b]) >> 31:
            slot = int(drawn[2 * b + 1]) * POOL >> 32
            shown.append(pool[slot])
            pool[slot] = fake
        else:
            shown.append(fake)
    return torch.stack(shown)


def train_cycle(least_squares, identity):
    size = (3, SIDE, SIDE)
    all_a, all_b = patches(COUNT_A, math.prod(size), 0), patches(COUNT_B, math.prod(size), 90)
    to_b, d_b, to_a, d_a = Resnet(0), Patch(1), Resnet(2), Patch(3)
    for n in (to_b, d_b, to_a, d_a):
        n(torch.zeros(1, *size))
    optimisers = {n: adam(n) for n in (to_b, d_b, to_a, d_a)}
    pool_a, pool_b, metrics = [], [], []
    cycle = 10.0

    def draw(rows, seed, s):
        count, per_epoch = len(rows), len(rows) // BATCH
        order = [shuffled_row(seed, s // per_epoch, s % per_epoch * BATCH + b, count)
                 for b in range(BATCH)]
        return rows[order].reshape(-1, *size)

    for s in range(STEPS):
        a, b = draw(all_a, SEED, s), draw(all_b, SEED_B, s)
        fake_b, fake_a = to_b(a), to_a(b)
        adversarial = {"b": d_b(fake_b), "a": d_a(fake_a)}
        distances = {"a": (to_a(fake_b) - a).abs().mean(), "b": (to_b(fake_a) - b).abs().mean()}
        same = {"a": (to_a(a) - a).abs().mean(), "b": (to_b(b) - b).abs().mean()}
        loss = sum(g_term(t, least_squares) for t in adversarial.values())
        loss = loss + cycle * sum(distances.values()) + identity * cycle * sum(same.values())
        step([optimisers[to_b], optimisers[to_a]], loss)
        row = []
        for name, d, real, fakes, pool, number in (("a", d_a, a, fake_a, pool_a, 0),
                                                   ("b", d_b, b, fake_b, pool_b, 1)):
            shown = query(pool, fakes, POOL_PURPOSE + number, s)
            on_real, on_fake = d(real), d(shown)
            terms = d_terms(on_real, on_fake, least_squares)
            step([optimisers[d]], sum(terms))
            before = adversarial[name]
            row += [distances[name].item(), same[name].item() if identity else 0.0,
                    g_term(before, least_squares).item(), torch.sigmoid(before).mean().item(),
                    *[t.item() for t in terms], *answers(on_real, on_fake)]
        metrics.append(row)
    return {"least_squares": least_squares, "identity": identity, "metrics": metrics,
            "networks": weights([to_b, d_b, to_a, d_a])}


def train_refine(refiner_steps, scales):
    size = (3, SIDE, SIDE)
    drawings, real_ones = patches(COUNT_A, math.prod(size), 0), patches(COUNT_B, math.prod(size), 90)
    r, d = (ScalesRefiner(0), TwoScales(1)) if scales else (Refiner(0), PlainPatch(1))
    for n in (r, d):
        n(torch.zeros(1, *size))
    adam_r, adam_d = adam(r), adam(d, 2 * RATE if scales else RATE)

    def judge(pictures):
        return d(pictures) if scales else (d(pictures),)

    history = [drawings[i % COUNT_A].reshape(size) for i in range(POOL)]
    half, metrics = BATCH // 2, []

    def draw(rows, seed, number):
        per_epoch = len(rows) // BATCH
        order = [shuffled_row(seed, number // per_epoch, number % per_epoch * BATCH + b, len(rows))
                 for b in range(BATCH)]
        return rows[order].reshape(-1, *size)

    for s in range(STEPS):
        for j in range(refiner_steps):
            number = s * refiner_steps + j
            x = draw(drawings, SEED, number)
            r.pictures = range(number * BATCH, (number + 1) * BATCH)
            if j == 0:
                y = r(x).detach()
                per_epoch = POOL // half
                earlier = [history[shuffled_row(SEED ^ 0xC2B2AE3D27D4EB4F, s // per_epoch,
                                                s % per_epoch * half + h, POOL)] for h in range(half)]
                shown = torch.stack([*y[:BATCH - half], *earlier])
                drawn = words(SEED, 2 * BATCH, POOL_PURPOSE, s)
                for b in range(BATCH):
                    if s * BATCH + b < POOL:
                        history[s * BATCH + b] = y[b]
                    elif int(drawn[2 * b]) >> 31:
                        history[int(drawn[2 * b + 1]) * POOL >> 32] = y[b]
                on_real, on_fake = judge(draw(real_ones, SEED_B, s)), judge(shown)
                terms = [sum(of) for of in zip(*[d_terms(*heads, False) for heads in zip(on_real, on_fake)])]
                step([adam_d], sum(terms))
            y = r(x)
            after, change = judge(y), (y - x).abs().mean()
            adversarial = sum(g_term(head, False) for head in after)
            adam_d.zero_grad()
            step([adam_r], adversarial + 3.0 * change)
        metrics.append([change.item(), *[t.item() for t in terms], *answers(on_real[0], on_fake[0]),
                        adversarial.item(), torch.sigmoid(after[0]).mean().item()])
    return {"refiner_steps": refiner_steps, "scales": scales, "metrics": metrics, "networks": weights([r, d])}


torch.set_default_dtype(torch.float64)
print(json.dumps({
    "torch": torch.__version__.split("+")[0],
    "side": SIDE, "batch_size": BATCH, "steps": STEPS, "seed": SEED, "lr": RATE, "epsilon": EPSILON,
    "pool": POOL, "count_a": COUNT_A, "count_b": COUNT_B,
    "paired": train_pairs(Unet, (1, SIDE, SIDE), 100.0, 1.0, True),
    "super_resolution": train_pairs(Edsr, (3, SIDE // 2, SIDE // 2), 1.0, 0.05, False),
    "cycles": [train_cycle(True, 0.5), train_cycle(False, 0.0)],
    "refined": [train_refine(1, False), train_refine(2, False), train_refine(2, True)],
}))

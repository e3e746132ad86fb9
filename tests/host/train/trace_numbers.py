"""The random numbers and orders that kernels/random.h, kernels/shuffle.h and Network::initialise
define, written a second time for the recorders of traces."""
import math

import numpy as np
import torch

M32 = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10, Salmon et al. 2011."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M32, (a >> 32) ^ c[3] ^ k[1], a & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


def words(seed, count, purpose, draw):
    key = (seed & M32, seed >> 32)
    out = []
    for block in range((count + 3) // 4):
        out += philox((block, purpose, draw & M32, draw >> 32), key)
    return np.array(out[:count], dtype=np.uint64)


def uniform01(seed, count, purpose, draw):
    w = words(seed, count, purpose, draw).astype(np.float32)
    return w * np.float32(2**-32) + np.float32(2**-33)


def uniform(seed, count, low, high, purpose, draw=0):
    low, high = np.float32(low), np.float32(high)
    return (low + (high - low) * uniform01(seed, count, purpose, draw)).astype(np.float64)


def normal(seed, count, purpose, draw):
    u = uniform01(seed, count + count % 2, purpose, draw).astype(np.float64)
    r = np.sqrt(-2 * np.log(u[0::2]))
    angle = 2 * math.pi * u[1::2]
    return np.stack([r * np.sin(angle), r * np.cos(angle)], axis=1).reshape(-1)[:count]


def keep_mask(seed, rows, columns, dropout, purpose, draw):
    kept = words(seed, rows * columns, purpose, draw) >= np.uint64(int(dropout * 2**32))
    return torch.tensor(kept.reshape(rows, columns) / (1 - dropout))


def mix(x):
    x &= M32
    x ^= x >> 16
    x = x * 0x85EBCA6B & M32
    x ^= x >> 13
    x = x * 0xC2B2AE35 & M32
    return x ^ (x >> 16)


def shuffled_row(seed, epoch, position, count):
    half = 1
    while (1 << (2 * half)) < count:
        half += 1
    mask = (1 << half) - 1
    key = mix((seed & M32) ^ mix((seed >> 32) + 0x9E3779B9))
    epoch_key = mix(key + (epoch & M32) * 0x9E3779B9 + (epoch >> 32))
    value = position
    while True:
        left, right = value >> half, value & mask
        for r in range(8):
            left, right = right, left ^ (mix(right + epoch_key + r * 0x7F4A7C15) & mask)
        value = left << half | right
        if value < count:
            return value


def initial(seed, sizes, number):
    tensors = []
    for layer, (inputs, outputs) in enumerate(sizes):
        bound = np.float32(1) / np.sqrt(np.float32(inputs))
        for kind, shape in ((0, (outputs, inputs)), (1, (outputs,))):
            purpose = 1 + 256 * (2 * number + kind + 1) + layer
            values = uniform(seed, int(np.prod(shape)), -bound, bound, purpose)
            tensors.append(torch.tensor(values.reshape(shape), requires_grad=True))
    return tensors

"""FGSM in PyTorch against `patchforge attack`: same weights and patches, the 8-bit images compared byte by byte.

Runs the program with --save, reads the classifier's weights and the packed patches by the layouts in
docs/formats.md, and needs PyTorch and NumPy alone. Float32 gradients that are nearly zero may come out with
either sign; such a byte counts as a tie when its gradient (in float64) is below --tie of the largest of its
patch. Exit status 1 when a byte differs and is no tie; 77 without PyTorch.

    python3 tests/host/attack/cross_check_pytorch.py --model runs/x --data patches --eps 8/255
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as error:
    print(f"cross_check_pytorch.py: skipped, {sys.executable} lacks PyTorch or NumPy ({error})", file=sys.stderr)
    sys.exit(77)


def read_weights(path):
    """Tensors of a safetensors file by name, and its metadata."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        values = np.frombuffer(body[begin:end], "<f4").reshape(tensor["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors, metadata


def build_network(tensors, slope):
    layers, weights = [], [name for name in tensors if name.endswith(".weight")]
    for name in sorted(weights, key=lambda name: int(name.split(".")[0])):
        weight = tensors[name]
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, tensors[name.replace("weight", "bias")]
        layers += [layer, nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1]).requires_grad_(False)


def read_packed(path):
    """Pixels [count, pixels], labels and file names of a packed set."""
    with open(path, "rb") as file:
        content = file.read()
    count, channels, height, width = struct.unpack_from("<QIII", content, 24)

    def section(index):
        offset, size = struct.unpack_from("<QQ", content, 48 + 24 * index)
        return content[offset:offset + size]

    pixels = np.frombuffer(section(0), np.uint8).reshape(count, channels * height * width)
    labels = np.frombuffer(section(1), "<i4")
    table = section(4)
    ends = struct.unpack_from(f"<{count}Q", table, 8)
    text = table[8 + 8 * count:]
    names = [os.path.basename(text[begin:end].decode()) for begin, end in zip((0,) + ends, ends)]
    return pixels, labels, names


def pixel_gradients(network, levels, labels, dtype):
    network = network.to(dtype)
    x = (torch.from_numpy(levels).to(dtype) / 255).requires_grad_()
    loss = nn.functional.cross_entropy(network(2 * x - 1), torch.from_numpy(labels).long(), reduction="sum")
    return torch.autograd.grad(loss, x)[0].numpy()


def fgsm_levels(levels, gradient, epsilon):
    """x0 + eps sign(g), rounded onto the grid without leaving the ball: whole levels, with the program's slack."""
    radius = int(np.floor(255 * epsilon + 1e-3))
    return np.clip(levels.astype(int) + radius * np.sign(gradient).astype(int), 0, 255)


def forged_by_program(options, folder):
    """Originals, labels and adversarial images that the program saved, matched by file name."""
    def call(*arguments):
        subprocess.run([options.program, *arguments], check=True, stdout=subprocess.DEVNULL)

    call("pack", options.data, "--out", f"{folder}/data.pfs")
    call("attack", "--model", options.model, "--data", f"{folder}/data.pfs", "--rows", "all", "--count",
         str(options.count), "--method", "fgsm", "--eps", options.eps, "--no-sanity", "--save", "--out",
         f"{folder}/attack", "--device", "cpu")
    saved, = os.listdir(f"{folder}/attack/adversarial")
    call("pack", f"{folder}/attack/adversarial/{saved}", "--out", f"{folder}/forged.pfs")
    originals, labels, names = read_packed(f"{folder}/data.pfs")
    forged, _, forged_names = read_packed(f"{folder}/forged.pfs")
    rows = {os.path.splitext(name)[0]: row for row, name in enumerate(names)}
    if len(rows) != len(names):
        sys.exit("cross_check_pytorch.py: two patches have the same file name; give a set without such")
    chosen = [rows[os.path.splitext(name)[0]] for name in forged_names]
    return originals[chosen], labels[chosen], forged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/patchforge")
    parser.add_argument("--model", required=True, help="a run folder of train classifier, softmax head")
    parser.add_argument("--data", required=True, help="patches, as for patchforge attack")
    parser.add_argument("--eps", default="8/255")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--slope", type=float, default=0.2, help="of leaky ReLU")
    parser.add_argument("--tie", type=float, default=1e-7)
    options = parser.parse_args()
    tensors, metadata = read_weights(os.path.join(options.model, "checkpoints/best/classifier.safetensors"))
    if metadata.get("head", "softmax") != "softmax":
        sys.exit("cross_check_pytorch.py: the model has a binary head; give one with a softmax head")
    network = build_network(tensors, options.slope)
    with tempfile.TemporaryDirectory() as folder:
        levels, labels, forged = forged_by_program(options, folder)

    epsilon = float(Fraction(options.eps))
    single = pixel_gradients(network, levels, labels, torch.float32)
    double = pixel_gradients(network, levels, labels, torch.float64)
    relative = np.abs(double) / np.maximum(np.abs(double).max(axis=1, keepdims=True), 1e-300)
    expected = fgsm_levels(levels, single, epsilon)
    differs = expected != forged
    ties = differs & (relative < options.tie)
    others = differs & ~ties
    print(f"{len(levels)} patches, {levels.size} bytes, FGSM eps {options.eps}, PyTorch {torch.__version__}")
    print(f"bytes that differ: {differs.sum()}, of these sign ties (|gradient| below {options.tie:g} of the "
          f"patch's largest): {ties.sum()}, others: {others.sum()}")
    if differs.any():
        print(f"largest |gradient| of a byte that differs: {relative[differs].max():.2g} of the patch's largest")
    exact = fgsm_levels(levels, double, epsilon)
    print(f"from float64 gradients differ: the program in {(exact != forged).sum()}, PyTorch's float32 in "
          f"{(exact != expected).sum()}")
    print(f"changed by the attack: {(forged != levels).mean():.1%} of the bytes, by at most "
          f"{np.abs(forged.astype(int) - levels).max()} levels")
    sys.exit(1 if others.any() else 0)


if __name__ == "__main__":
    main()

"""A convolutional classifier's checkpoint in nn.Sequential and back: the same names, no conversion, the same outputs.

Builds the modules that the text in the checkpoint's metadata stands for (chains alone), loads its tensors with
load_state_dict, in which num_batches_tracked alone may be missing, and compares PyTorch's probabilities with those of
`patchforge classify`; then the same with random tensors that PyTorch's state_dict saved. Exit status 1 when one differs
by more than 1e-5; 77 without PyTorch.

    python3 tests/host/network/cross_check_sequential.py --model runs/x --data patches
"""

import argparse
import csv
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as error:
    print(f"cross_check_sequential.py: skipped, {sys.executable} lacks PyTorch or NumPy ({error})", file=sys.stderr)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../attack"))
from cross_check_pytorch import read_packed, read_weights


def write_weights(path, tensors, metadata):
    header, body = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        content = tensor.numpy().tobytes()
        header[name] = {"dtype": "I64" if tensor.dtype == torch.int64 else "F32", "shape": list(tensor.shape),
                        "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def modules_of(layer, maps):
    """What a layer's words stand for; `maps`: whether it reads maps, which a Linear has flattened."""
    words = layer.split()
    linear = ">" in words[0]
    kind, words = ("linear", words) if linear else (words[0], words[1:])
    given = {word[0]: int(word[1:]) for word in words if word[1:].isdigit() and word[0] in "kspdo"}
    inputs, outputs = (int(n) for n in words[0].split(">")) if ">" in words[0] else (0, 0)
    bias = "nobias" not in words
    if kind == "linear":
        found = ([nn.Flatten()] if maps else []) + [nn.Linear(inputs, outputs, bias)]
    elif kind == "conv":
        found = [nn.Conv2d(inputs, outputs, given.get("k", 3), given.get("s", 1), given.get("p", 0), given.get("d", 1),
                           bias=bias)]
    elif kind == "transposed":
        found = [nn.ConvTranspose2d(inputs, outputs, given.get("k", 3), given.get("s", 1), given.get("p", 0),
                                    given.get("o", 0), bias=bias)]
    elif kind == "pool" and words[0] == "global":
        found = [nn.AdaptiveAvgPool2d(1)]
    elif kind == "pool":
        pool = nn.MaxPool2d if words[0] == "max" else nn.AvgPool2d
        size = given.get("k", 2)
        found = [pool(size, given.get("s", size), given.get("p", 0), ceil_mode="ceil" in words)]
    else:
        raise SystemExit(f"cross_check_sequential.py: has no module for '{layer.strip()}'")
    if "norm=batch" in words:
        found.append(nn.BatchNorm1d(outputs) if linear else nn.BatchNorm2d(outputs))
    slope = next((float(word[6:]) for word in words if word.startswith("slope=")), 0.2)
    activations = {"relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(slope), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid()}
    found += [activation for word, activation in activations.items() if word in words]
    found += [nn.Dropout(float(word[8:])) for word in words if word.startswith("dropout=")]
    return found, not linear


def build_network(text):
    layers = text.split(";")
    extent = [int(n) for n in layers[0].split("x")]
    modules, maps = [], True
    for layer in layers[1:]:
        found, maps = modules_of(layer, maps)
        modules += found
    return nn.Sequential(*modules).eval(), extent


def largest_difference(options, network, extent, model, folder):
    """Between the probabilities of PyTorch and of the program, over all patches and classes."""
    subprocess.run([options.program, "classify", f"{folder}/data.pfs", "--model", model, "--csv", f"{folder}/table.csv",
                    "--device", "cpu"], check=True, stdout=subprocess.DEVNULL)
    with open(f"{folder}/table.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    given = np.array([[float(number) for number in row[3:]] for row in rows])
    levels, _, _ = read_packed(f"{folder}/data.pfs")
    with torch.no_grad():
        logits = network(torch.from_numpy(levels.reshape(-1, *extent).copy()).float() / 127.5 - 1)
    expected = torch.softmax(logits, 1).numpy()
    print(f"{len(given)} patches: probabilities from {expected.min():.3g} to {expected.max():.3g}, spread over patches "
          f"{expected[:, 0].std():.3g}, largest difference {np.abs(given - expected).max():.3g}")
    return np.abs(given - expected).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/patchforge")
    parser.add_argument("--model", required=True, help="a run folder of train classifier, softmax head")
    parser.add_argument("--data", required=True, help="patches, as for patchforge classify")
    options = parser.parse_args()
    weights = os.path.join(options.model, "checkpoints/best/classifier.safetensors")
    tensors, metadata = read_weights(weights)
    network, extent = build_network(metadata["network"])
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    wrong = [name for name in missing if not name.endswith(".num_batches_tracked")] + unexpected
    if wrong:
        sys.exit(f"cross_check_sequential.py: nn.Sequential and the checkpoint differ in {', '.join(wrong)}")
    print(f"{metadata['network']}: PyTorch {torch.__version__} loads all {len(tensors)} tensors by their names")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([options.program, "pack", options.data, "--out", f"{folder}/data.pfs"], check=True,
                       stdout=subprocess.DEVNULL)
        differences = [largest_difference(options, network, extent, weights, folder)]
        torch.manual_seed(5)
        for name, tensor in network.state_dict().items():
            if tensor.dtype == torch.float32:
                tensor.uniform_(0.5, 1.5) if name.endswith("running_var") else tensor.normal_(std=0.6)
        state = network.state_dict()
        write_weights(f"{folder}/random.safetensors", state, metadata)
        print(f"written by PyTorch: {len(state)} tensors")
        differences.append(largest_difference(options, network, extent, f"{folder}/random.safetensors", folder))
    sys.exit(0 if max(differences) <= 1e-5 else 1)


main()

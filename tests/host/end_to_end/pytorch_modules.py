"""PyTorch's modules and patchforge's checkpoints: `python3 pytorch_modules.py PROGRAM SET.pfs FOLDER KIND` loads FOLDER/run into
modules of the same names, compares their answers in evaluation mode with `classify`, changes the weights, writes them back and
compares again. KIND: sequential or residual. Reads and writes safetensors by itself, as the format is 20 lines."""

import csv
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy
import torch
from torch import nn


def read(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, about in header.items():
        first, end = (8 + length + at for at in about["data_offsets"])
        assert about["dtype"] == "F32", name
        values = numpy.frombuffer(data[first:end], "<f4").reshape(about["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors, metadata


def write(path, tensors, metadata):
    # The checksum is that of the file that was read.
    metadata = {name: text for name, text in metadata.items() if name != "crc32"}
    header, body = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        values = tensor.detach().numpy()
        kind = {"float32": "F32", "int64": "I64"}[str(values.dtype)]
        begin = len(body)
        body += values.tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class Residual(nn.Module):
    """3x10x10; conv 3>6 k3 p1 nobias norm=batch relu as=skip; conv 6>6 k3 p1 nobias norm=batch; add skip relu; pool global; linear 6>2"""

    def __init__(self):
        super().__init__()
        for name, module in {"0": nn.Conv2d(3, 6, 3, padding=1, bias=False), "1": nn.BatchNorm2d(6),
                             "3": nn.Conv2d(6, 6, 3, padding=1, bias=False), "4": nn.BatchNorm2d(6),
                             "8": nn.Linear(6, 2)}.items():
            self.add_module(name, module)

    def forward(self, x):
        m = self._modules
        skip = torch.relu(m["1"](m["0"](x)))
        return m["8"](torch.relu(m["4"](m["3"](skip)) + skip).mean((2, 3)))


def sequential():
    layers, channels = [], 3
    for width in (16, 32, 64):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))


def classified(program, data, model, table):
    subprocess.run([program, "classify", data, "--model", model, "--csv", table, "--show", "0"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(table, newline="") as file:
        return numpy.array([[float(p) for p in row[3:]] for row in list(csv.reader(file))[1:]])


def pixels(packed):
    """Of a .pfs file, [count, channels, height, width]."""
    data = Path(packed).read_bytes()
    count, channels, height, width = struct.unpack_from("<QIII", data, 24)
    first, size = struct.unpack_from("<QQ", data, 48)
    return numpy.frombuffer(data[first : first + size], "u1").reshape(count, channels, height, width)


def main():
    program, data, folder, kind = sys.argv[1:]
    weights = Path(folder) / "run/checkpoints/best/classifier.safetensors"
    tensors, metadata = read(weights)
    module = sequential() if kind == "sequential" else Residual()
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    module.eval()
    patches = torch.from_numpy(pixels(data).astype("f4")) / 255 * 2 - 1

    def compare(model, what):
        with torch.no_grad():
            theirs = torch.softmax(module(patches), 1).numpy()
        ours = classified(program, data, model, Path(folder) / "answers.csv")
        assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
        error = numpy.abs(ours - theirs).max()
        assert error <= 5e-6, (what, error)
        assert theirs.std() > 1e-3, "all answers are alike, so nothing was compared"
        print(f"{what}: {len(ours)} answers, at most {error:.1e} apart")

    compare(Path(folder) / "run", "loaded by PyTorch")
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dtype == torch.float32:
                tensor.mul_(1.25) if "running_var" in name else tensor.add_(0.05 * torch.rand_like(tensor))
    back = Path(folder) / "back.safetensors"
    write(back, module.state_dict(), metadata)
    compare(back, "written by PyTorch")


main()

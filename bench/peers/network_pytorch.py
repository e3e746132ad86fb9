"""The text of a network (docs/formats.md) as a PyTorch module: the very network that ours is, so that both sides
do the same work. Of the words those that the benchmarks' networks use; another one is an error."""

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Upsampled(nn.Module):
    """Nearest neighbours twice as large, then a 3x3 convolution; `crop`: one line and column less."""

    def __init__(self, channels, out, crop, bias):
        super().__init__()
        self.convolution = nn.Conv2d(channels, out, 3, padding=1, bias=bias)
        self.crop = crop

    def forward(self, x):
        x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
        y = self.convolution(x)
        return y[:, :, :-1, :-1] if self.crop else y


class View(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)


def number(words, prefix, otherwise):
    for word in words:
        if word[:1] == prefix and word[1:].isdigit():
            words.remove(word)
            return int(word[1:])
    return otherwise


def pair(words):
    return [int(text) for text in words.pop(0).split(">")]


class Network(nn.Module):
    """Rows of numbers in, as ours: [B, C * H * W] or, of a picture's network, [B, C, H, W]."""

    def __init__(self, text, channels_last=False):
        super().__init__()
        items = [item.split() for item in text.split(";")]
        first = items[0][0].split("x")
        self.picture = tuple(map(int, first)) if len(items[0]) == 1 and len(first) == 3 else None
        if self.picture:
            items.pop(0)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.steps = nn.ModuleList()
        self.wiring = []  # of each step: what it reads (None: the value before), what it joins, its name
        self.maps = self.picture is not None
        self.channels = self.picture[0] if self.picture else 0
        widths = {"input": self.channels}
        for words in items:
            name, source, join = None, None, None
            for word in list(words):
                if word.startswith("as="):
                    name = word[3:]
                    words.remove(word)
                elif word.startswith("from="):
                    source = word[5:]
                    words.remove(word)
            if source:
                self.channels = widths[source]
            if words[0] in ("add", "concat"):
                join = (words.pop(0), words.pop(0))
                self.channels += widths[join[1]] if join[0] == "concat" else 0
            self.steps.append(nn.Sequential(*self.modules_of(words, bool(join))))
            self.wiring.append((source, join, name))
            if name:
                widths[name] = self.channels

    def modules_of(self, words, joined):
        words = [word for word in words if not word.startswith("@")]
        bias = "nobias" not in words
        words = [word for word in words if word != "nobias"]
        result = [] if joined else self.layer(words, bias)
        for word in words:
            if word in ACTIVATIONS:
                slope = next((float(w[6:]) for w in words if w.startswith("slope=")), 0.2)
                result.append(nn.LeakyReLU(slope) if word == "leaky_relu" else ACTIVATIONS[word]())
            elif word.startswith("dropout="):
                result.append(nn.Dropout(float(word[8:])))
            elif word == "norm=batch":
                result.append(nn.BatchNorm2d(self.channels) if self.maps else nn.BatchNorm1d(self.channels))
            elif word == "norm=instance":
                result.append(nn.InstanceNorm2d(self.channels))
            elif not word.startswith("slope=") and word != "identity":
                raise ValueError(f"network_pytorch.py: {word}: no such word here")
        return result

    def layer(self, words, bias):
        kind = "linear" if ">" in words[0] else words.pop(0)
        if kind == "linear":
            inputs, self.channels = pair(words)
            flatten = [nn.Flatten()] if self.maps else []
            self.maps = False
            return [*flatten, nn.Linear(inputs, self.channels, bias)]
        if kind == "view":
            shape = tuple(map(int, words.pop(0).split("x")))
            self.channels, self.maps = shape[0], True
            return [View(shape)]
        if kind == "upsampled":
            inputs, self.channels = pair(words)
            crop = "crop" in words
            words[:] = [word for word in words if word != "crop"]
            return [Upsampled(inputs, self.channels, crop, bias)]
        if kind in ("conv", "transposed"):
            inputs, self.channels = pair(words)
            kernel, stride = number(words, "k", 3), number(words, "s", 1)
            padding, dilation = number(words, "p", 0), number(words, "d", 1)
            if kind == "conv":
                return [nn.Conv2d(inputs, self.channels, kernel, stride, padding, dilation, bias=bias)]
            return [nn.ConvTranspose2d(inputs, self.channels, kernel, stride, padding, number(words, "o", 0),
                                       bias=bias, dilation=dilation)]
        if kind == "pool":
            which = words.pop(0)
            if which == "global":
                return [nn.AdaptiveAvgPool2d(1)]
            kernel = number(words, "k", 2)
            pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[which]
            return [pool(kernel, number(words, "s", kernel), number(words, "p", 0))]
        raise ValueError(f"network_pytorch.py: {kind}: no such layer here")

    def forward(self, x):
        if self.picture:
            x = x.reshape(-1, *self.picture).contiguous(memory_format=self.format)
        values = {"input": x}
        for step, (source, join, name) in zip(self.steps, self.wiring):
            x = values[source] if source else x
            if join:
                other = values[join[1]]
                x = x + other if join[0] == "add" else torch.cat([x, other], 1)
            x = step(x)
            if name:
                values[name] = x
        return x


def network(text, device, channels_last):
    result = Network(text, channels_last).to(device)
    return result.to(memory_format=torch.channels_last) if channels_last else result

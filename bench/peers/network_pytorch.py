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


class Film(nn.Module):
    """Channels times 1 + g plus s, then a learned strength times one map of noise a picture."""

    def __init__(self, channels, noise):
        super().__init__()
        self.noise = nn.Parameter(torch.full((1, channels, 1, 1), noise)) if noise is not None else None

    def forward(self, x, style):
        g, s = style[:, :, None, None].chunk(2, 1)
        y = x * (1 + g) + s
        return y if self.noise is None else y + self.noise * torch.randn_like(x[:, :1])


class Deviation(nn.Module):
    """A channel more: the mean standard deviation of groups of pictures that follow each other."""

    def __init__(self, group):
        super().__init__()
        self.group = group

    def forward(self, x):
        groups = x.reshape(-1, min(self.group, x.shape[0]), *x.shape[1:])
        deviation = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        plane = deviation.repeat_interleave(groups.shape[1])[:, None, None, None]
        return torch.cat([x, plane.expand(-1, 1, *x.shape[2:])], 1)


class Crop(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, x):
        first = (x.shape[-1] - self.side) // 2
        return x[:, :, first:first + self.side, first:first + self.side]


def number(words, prefix, otherwise):
    for word in words:
        if word[:1] == prefix and word[1:].isdigit():
            words.remove(word)
            return int(word[1:])
    return otherwise


def pair(words):
    return [int(text) for text in words.pop(0).split(">")]


class Network(nn.Module):
    """Rows of numbers in, as ours: [B, C * H * W] or, of a picture's network, [B, C, H, W]. With heads a list
    comes out."""

    def __init__(self, text, channels_last=False):
        super().__init__()
        items = [item.split() for item in text.split(";")]
        first = items[0][0].split("x")
        self.picture = tuple(map(int, first)) if len(items[0]) == 1 and len(first) == 3 else None
        if self.picture:
            items.pop(0)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.steps = nn.ModuleList()
        self.films = nn.ModuleDict()
        self.heads = []  # whether a step's value is an output, too
        self.wiring = []  # of each step: what it reads (None: the value before), what it joins, its name
        self.maps = self.picture is not None
        self.channels = self.picture[0] if self.picture else 0
        widths = {"input": (self.channels, self.maps)}
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
                self.channels, self.maps = widths[source]
            self.heads.append("head" in words)
            words[:] = [word for word in words if word != "head"]
            if words[0] == "film":
                join = (words.pop(0), words.pop(0))
                noise = float(words.pop(words.index("noise") + 1)) if "noise" in words else None
                words[:] = [word for word in words if word != "noise"]
                self.films[str(len(self.steps))] = Film(self.channels, noise)
            elif words[0] in ("add", "concat"):
                join = (words.pop(0), words.pop(0))
                self.channels += widths[join[1]][0] if join[0] == "concat" else 0
            self.steps.append(nn.Sequential(*self.modules_of(words, bool(join))))
            self.wiring.append((source, join, name))
            if name:
                widths[name] = (self.channels, self.maps)

    def modules_of(self, words, joined):
        words = [word for word in words if not word.startswith("@")]
        bias = "nobias" not in words
        affine = "noaffine" not in words
        spectral, fixed = "spectral" in words, "fixed" in words
        init = next((float(word[5:]) for word in words if word.startswith("init=")), None)
        words = [word for word in words
                 if word not in ("nobias", "noaffine", "spectral", "fixed") and not word.startswith("init=")]
        result = [] if joined else self.layer(words, bias)
        if fixed:
            result[-1].requires_grad_(False)
        if init is not None:
            layer = getattr(result[-1], "convolution", result[-1])
            nn.init.normal_(layer.weight, 0, init)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if spectral:
            result[-1] = nn.utils.spectral_norm(result[-1])
        norms, activations, dropouts = [], [], []  # in this order, whatever that of the words
        for word in words:
            if word in ACTIVATIONS:
                slope = next((float(w[6:]) for w in words if w.startswith("slope=")), 0.2)
                activations.append(nn.LeakyReLU(slope) if word == "leaky_relu" else ACTIVATIONS[word]())
            elif word.startswith("dropout="):
                dropouts.append(nn.Dropout(float(word[8:])))
            elif word == "norm=batch":
                norms.append(nn.BatchNorm2d(self.channels, affine=affine) if self.maps
                             else nn.BatchNorm1d(self.channels, affine=affine))
            elif word == "norm=instance":
                norms.append(nn.InstanceNorm2d(self.channels))
            elif not word.startswith("slope=") and word != "identity":
                raise ValueError(f"network_pytorch.py: {word}: no such word here")
        return [*result, *norms, *activations, *dropouts]

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
        if kind == "reflect":
            return [nn.ReflectionPad2d(int(words.pop(0)))]
        if kind == "shuffle":
            times = int(words.pop(0))
            self.channels //= times * times
            return [nn.PixelShuffle(times)]
        if kind == "bilinear":
            return [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
        if kind == "crop":
            return [Crop(int(words.pop(0)))]
        if kind == "deviation":
            self.channels += 1
            return [Deviation(int(words.pop(0)))]
        raise ValueError(f"network_pytorch.py: {kind}: no such layer here")

    def forward(self, x):
        if self.picture:
            x = x.reshape(-1, *self.picture).contiguous(memory_format=self.format)
        values, heads = {"input": x}, []
        for number_of_step, (step, (source, join, name)) in enumerate(zip(self.steps, self.wiring)):
            x = values[source] if source else x
            if join:
                other = values[join[1]]
                x = (self.films[str(number_of_step)](x, other) if join[0] == "film"
                     else x + other if join[0] == "add" else torch.cat([x, other], 1))
            x = step(x)
            if name:
                values[name] = x
            if self.heads[number_of_step]:
                heads.append(x)
        return [*heads, x] if heads else x


def network(text, device, channels_last):
    result = Network(text, channels_last).to(device)
    return result.to(memory_format=torch.channels_last) if channels_last else result

"""The iterations of bench/translation_step.cpp in PyTorch: eager, or --compiled: all networks through torch.compile.
Adam is fused, one optimiser for all generators and one for all discriminators. Pictures are rows of a uint8 tensor
in memory, indexed by a random permutation, scaled to [-1, 1], each mirrored and turned by a lookup. Discriminators
stand still while generators learn. --network: the discriminators' texts, then the generators'; without any
discriminator it is super-resolution, with two generators a cycle. No metrics are taken."""

import functools
import itertools

import peer
import torch_peer  # before torch: it says where there is none

import torch
from torch import nn
from network_pytorch import network

PATCHES, POOL = 4096, 50
LEAST_SQUARES, CROSS_ENTROPY = "least squares", "cross-entropy"


def initialise(module, normal):
    """As ours: N(0, 0.02) and no bias in games; the fixed 5x5 kernels of four phases enlarge bicubically."""
    for layer in module.modules():
        if not isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            continue
        if not layer.weight.requires_grad:
            deltas = nn.functional.pad(torch.eye(25).reshape(25, 1, 5, 5), (2,) * 4)
            large = nn.functional.interpolate(deltas, scale_factor=2, mode="bicubic")
            kernels = torch.zeros_like(layer.weight)
            for channel, row, column in itertools.product(range(kernels.shape[1]), range(2), range(2)):
                kernels[4 * channel + 2 * row + column, channel] = large[:, 0, 8 + row, 8 + column].reshape(5, 5)
            layer.weight.data.copy_(kernels)
        elif normal:
            nn.init.normal_(layer.weight, 0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def turns(side):
    """The eight ways in which a square of pixels can lie, as indices."""
    square = torch.arange(side * side).reshape(side, side)
    return torch.stack([turned.rot90(quarter).flatten() for turned in (square, square.T) for quarter in range(4)])


class Pictures:
    def __init__(self, batch, device, shapes):
        self.batch, self.device, self.shapes = batch, device, shapes
        size = sum(channels * side * side for channels, side in shapes)
        self.pixels = torch.randint(0, 256, (PATCHES, size), dtype=torch.uint8, device=device)
        self.turns = {side: turns(side).to(device) for _, side in shapes}
        self.position = PATCHES

    def draw(self):
        """A batch of pictures, or of each picture of a pair; both turned alike."""
        if self.position + self.batch > PATCHES:
            self.order, self.position = torch.randperm(PATCHES, device=self.device), 0
        rows = self.order[self.position:self.position + self.batch]
        self.position += self.batch
        x = self.pixels[rows].float() / 127.5 - 1
        way = torch.randint(0, 8, (self.batch,), device=self.device)
        parts, first = [], 0
        for channels, side in self.shapes:
            maps = x[:, first:first + channels * side * side].reshape(self.batch, channels, side * side)
            at = self.turns[side][way][:, None].expand(-1, channels, -1)
            parts.append(maps.gather(2, at).reshape(self.batch, channels, side, side))
            first += channels * side * side
        return parts


class Pool:
    """Earlier fakes: none is lost while it fills; then by a coin the new one, or an old one in whose place it comes."""

    def __init__(self):
        self.held = []

    def exchange(self, fakes):
        shown = []
        for fake in fakes.split(1):
            if len(self.held) < POOL:
                self.held.append(fake)
                shown.append(fake)
            elif torch.rand(()).item() > 0.5:
                place = torch.randint(0, POOL, ()).item()
                shown.append(self.held[place])
                self.held[place] = fake
            else:
                shown.append(fake)
        return torch.cat(shown)


class Training:
    def __init__(self, batch, options, seed):
        torch.manual_seed(seed)
        texts = options.network
        self.discriminator_count = len(texts) // 2
        networks = []
        for number, text in enumerate(texts):
            module = network(text, options.device, options.channels_last)
            initialise(module, normal=len(texts) > 1)
            networks.append(module)
        self.trained = [networks[:self.discriminator_count], networks[self.discriminator_count:]]
        self.adam = [torch.optim.Adam([p for module in modules for p in module.parameters() if p.requires_grad], fused=True,
                                      lr=2e-4 if len(texts) > 1 else 1e-3, betas=(0.5 if len(texts) > 1 else 0.9, 0.999))
                     if modules else None for modules in self.trained]
        if options.compiled:
            networks = [torch.compile(module) for module in networks]
        self.discriminators, self.generators = (networks[:self.discriminator_count], networks[self.discriminator_count:])
        self.batch = batch
        source = tuple(self.trained[1][0].picture)
        if len(texts) == 1:
            self.pictures = [Pictures(batch, options.device, [(source[0], source[1]), (source[0], 2 * source[1])])]
        elif len(texts) == 2:
            target = self.trained[0][0].picture[0] - source[0]
            self.pictures = [Pictures(batch, options.device, [(source[0], source[1]), (target, source[1])])]
        else:
            self.pictures = [Pictures(batch, options.device, [(source[0], source[1])]) for _ in range(2)]
            self.pools = [Pool(), Pool()]
        self.game = LEAST_SQUARES if len(texts) == 4 else CROSS_ENTROPY

    def says(self, answer, real):
        if self.game == LEAST_SQUARES:
            return ((answer - 1) ** 2 if real else answer ** 2).mean()
        return nn.functional.softplus(-answer if real else answer).mean()

    def step(self, which, loss):
        self.adam[which].zero_grad()
        loss.backward()
        self.adam[which].step()

    def freeze(self, frozen):
        for module in self.trained[0]:
            module.requires_grad_(not frozen)

    def judge(self, discriminator, real, fake):
        real, fake = discriminator(torch.cat([real, fake])).chunk(2)
        return (self.says(real, True) + self.says(fake, False)) / 2

    def super_resolution(self):
        source, target = self.pictures[0].draw()
        loss = (self.generators[0](source) - target).abs().mean()
        self.step(1, loss)
        return torch.zeros(()), loss.detach()

    def pairs(self):
        source, target = self.pictures[0].draw()
        made = self.generators[0](source)
        loss_d = self.judge(self.discriminators[0], torch.cat([source, target], 1), torch.cat([source, made.detach()], 1))
        self.step(0, loss_d)
        self.freeze(True)
        adversarial = self.says(self.discriminators[0](torch.cat([source, made], 1)), True)
        distance = (made - target).abs().mean()
        self.step(1, 100 * distance + adversarial)
        self.freeze(False)
        return loss_d.detach(), (adversarial + distance).detach()

    def cycle(self):
        (a,), (b,) = self.pictures[0].draw(), self.pictures[1].draw()
        to_a, to_b = self.generators
        self.freeze(True)
        fake_b, same_b = to_b(torch.cat([a, b])).chunk(2)
        fake_a, same_a = to_a(torch.cat([b, a])).chunk(2)
        returned = (to_a(fake_b) - a).abs().mean() + (to_b(fake_a) - b).abs().mean()
        same = (same_b - b).abs().mean() + (same_a - a).abs().mean()
        adversarial = self.says(self.discriminators[1](fake_b), True) + self.says(self.discriminators[0](fake_a), True)
        self.step(1, adversarial + 10 * returned + 5 * same)
        self.freeze(False)
        loss_d = (self.judge(self.discriminators[0], a, self.pools[0].exchange(fake_a.detach())) +
                  self.judge(self.discriminators[1], b, self.pools[1].exchange(fake_b.detach())))
        self.step(0, loss_d)
        return loss_d.detach(), (adversarial + returned + same).detach()

    def run(self, count):
        iteration = {0: self.super_resolution, 1: self.pairs, 2: self.cycle}[self.discriminator_count]
        for _ in range(count):
            losses = iteration()
        if losses[1].is_cuda:
            torch.cuda.synchronize()
        return losses


def main():
    options, gpu = torch_peer.prepare(__doc__)

    def build(batch):
        games = [Training(batch, options, seed) for seed in peer.SEEDS]
        losses = peer.early_losses(functools.partial(game.run, 1) for game in games)
        return {"": (games[-1].run, 1)}, {"losses": losses}

    torch_peer.serve(options, 20 if gpu else 1, build)


if __name__ == "__main__":
    main()

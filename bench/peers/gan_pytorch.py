"""The GAN iteration of bench/iteration.cpp in PyTorch: eager as its tutorials write it, or with --fused Adam, or
--compiled: both networks through torch.compile and fused Adam; on a GPU also autotuned kernels and the whole
iteration captured in one CUDA graph, so that nothing but a replay is left to the host. Batches are rows of a
uint8 tensor in memory, indexed by a random permutation and scaled to [-1, 1], as ours are. The discriminator
gives logits, as ours does. --network: the generator's text, then the discriminator's."""

import functools

import peer
import torch_peer  # before torch: it says where there is none

import torch
from torch import nn
from network_pytorch import network

PIXELS, PATCHES = 7500, 4096


class Training:
    def __init__(self, batch, options, latent, seed):
        torch.manual_seed(seed)
        device = options.device
        self.batch, self.device, self.latent = batch, device, latent
        self.generator = network(options.network[0], device, options.channels_last)
        self.discriminator = network(options.network[1], device, options.channels_last)
        gpu = device.startswith("cuda")
        adam = {"lr": 2e-4, "betas": (0.9, 0.999)}
        if options.fused or options.compiled:
            adam |= {"fused": True, **({"capturable": True} if gpu else {})}
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), **adam)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), **adam)
        self.pixels = torch.randint(0, 256, (PATCHES, PIXELS), dtype=torch.uint8, device=device)
        self.order = torch.randperm(PATCHES, device=device)
        self.position = 0
        self.loss = nn.BCEWithLogitsLoss()
        self.real = torch.ones(batch, 1, device=device)
        self.fake = torch.zeros(batch, 1, device=device)
        self.graph = None
        if options.compiled:
            # On a GPU the graph below is the whole iteration's; those of "max-autotune" would be one a network.
            mode = {"mode": "max-autotune-no-cudagraphs"} if gpu else {}
            self.discriminator = torch.compile(self.discriminator, **mode)
            self.generator = torch.compile(self.generator, **mode)
            if gpu:
                self.capture()

    def capture(self):
        self.rows = self.next_batch().clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(11):
                self.step(self.rows)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.losses = self.step(self.rows)
        self.graph = graph

    def next_batch(self):
        if self.position + self.batch > PATCHES:
            self.order = torch.randperm(PATCHES, device=self.device)
            self.position = 0
        rows = self.order[self.position:self.position + self.batch]
        self.position += self.batch
        return rows

    def answer(self, x):
        return self.discriminator(x).flatten(1)  # of dcgan a map of 1 x 1

    def step(self, rows):
        real = (self.pixels[rows].float() / 255 - 0.5) / 0.5
        latent = torch.randn(self.batch, self.latent, device=self.device)
        fakes = self.generator(latent).detach().reshape(self.batch, PIXELS)
        loss_d = self.loss(self.answer(real), self.real) + self.loss(self.answer(fakes), self.fake)
        self.adam_d.zero_grad()
        loss_d.backward()
        self.adam_d.step()
        latent = torch.randn(self.batch, self.latent, device=self.device)
        loss_g = self.loss(self.answer(self.generator(latent).reshape(self.batch, PIXELS)), self.real)
        self.adam_g.zero_grad()
        loss_g.backward()
        self.adam_g.step()
        return loss_d.detach(), loss_g.detach()

    def run(self, count):
        for _ in range(count):
            if self.graph:
                self.rows.copy_(self.next_batch())
                self.graph.replay()
                losses = self.losses
            else:
                losses = self.step(self.next_batch())
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return losses


class TissueTraining(Training):
    """The recipe of `--preset tissue`: hinge on both heads, patches turned, mirrored and dequantised, both kinds
    moved with gradient, one fake an iteration for both steps, Adam (0, 0.9), an averaged generator."""

    REACH = 6  # pixels that pictures are moved by, at most

    def __init__(self, batch, options, latent, seed):
        super().__init__(batch, options, latent, seed)
        fused = {"fused": True} if options.fused or options.compiled else {}
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=4e-4, betas=(0.0, 0.9), **fused)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.0, 0.9), **fused)
        self.average = [parameter.detach().clone() for parameter in self.generator.parameters()]
        if options.compiled:
            # As one: two calls of a compiled network would each move the spectral norms that the other keeps.
            self.loss_of_d = torch.compile(self.loss_of_d)

    def moved(self, x):
        """Each picture by a whole number of pixels of its own, zeros behind it."""
        reach, side = self.REACH, x.shape[-1]
        padded = nn.functional.pad(x, (reach,) * 4)
        rows = torch.randint(0, 2 * reach + 1, (2, x.shape[0], 1), device=x.device) + torch.arange(side, device=x.device)
        pictures = torch.arange(x.shape[0], device=x.device)[:, None, None]
        return padded.permute(0, 2, 3, 1)[pictures, rows[0][:, :, None], rows[1][:, None, :]].permute(0, 3, 1, 2)

    def symmetric(self, x):
        turns, mirrored, transposed = torch.randint(0, 4, ()).item(), *torch.randint(0, 2, (2,)).tolist()
        x = torch.rot90(x, turns, (2, 3))
        x = x.flip(3) if mirrored else x
        return x.transpose(2, 3) if transposed else x

    def loss_of_d(self, real, fakes):
        return (sum(nn.functional.relu(1 - head).mean() for head in self.discriminator(self.moved(real)))
                + sum(nn.functional.relu(1 + head).mean() for head in self.discriminator(self.moved(fakes))))

    def step(self, rows):
        levels = self.pixels[rows].float()
        real = (levels + torch.rand_like(levels) - 0.5) / 127.5 - 1
        real = self.symmetric(real.reshape(self.batch, 3, 50, 50))
        fakes = self.generator(torch.randn(self.batch, self.latent, device=self.device))
        loss_d = self.loss_of_d(real, fakes.detach())
        self.adam_d.zero_grad()
        loss_d.backward()
        self.adam_d.step()
        loss_g = -sum(head.mean() for head in self.discriminator(self.moved(fakes)))
        self.adam_g.zero_grad()
        loss_g.backward()
        self.adam_g.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.generator.parameters()), 0.001)
        return loss_d.detach(), loss_g.detach()


def main():
    options, gpu = torch_peer.prepare(__doc__)
    latent = int(options.network[0].split(">")[0].split()[-1])

    def build(batch):
        kind = TissueTraining if "film" in options.network[0] else Training
        games = [kind(batch, options, latent, seed) for seed in peer.SEEDS]
        # Of a captured graph twelve iterations later.
        losses = peer.early_losses(functools.partial(game.run, 1) for game in games)
        return {"": (games[-1].run, 1)}, {"losses": losses}

    torch_peer.serve(options, 20 if gpu else 1, build)


if __name__ == "__main__":
    main()

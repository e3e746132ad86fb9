"""The GAN iteration of bench/iteration.cpp in PyTorch, as JSON lines: milliseconds an iteration.

Float32. Eager, as its tutorials write it; on a GPU also the best that PyTorch offers (--compiled): both networks
through torch.compile with autotuned kernels, fused Adam, and the whole iteration captured in one CUDA graph, so
that nothing but a replay is left to the host. Batches are rows of a uint8 tensor in memory, indexed by a random permutation and scaled to
[-1, 1], as ours are. On a CPU the best of 1 and 2 threads is what counts; --threads picks one.
"""

import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except ImportError as error:
    print(f"gan_pytorch.py: skipped, {sys.executable} cannot import torch ({error})", file=sys.stderr)
    sys.exit(77)

PIXELS, LATENT, HIDDEN, PATCHES = 7500, 64, 256, 4096


def networks(device):
    discriminator = nn.Sequential(
        nn.Linear(PIXELS, HIDDEN), nn.LeakyReLU(0.2), nn.Dropout(0.5),
        nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.2), nn.Dropout(0.5),
        nn.Linear(HIDDEN, 1), nn.Sigmoid())
    generator = nn.Sequential(
        nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
        nn.Linear(HIDDEN, PIXELS), nn.Tanh())
    return discriminator.to(device), generator.to(device)


class Training:
    def __init__(self, batch, device, compiled):
        torch.manual_seed(1)
        self.batch, self.device = batch, device
        self.discriminator, self.generator = networks(device)
        fused = {"fused": True, "capturable": True} if compiled else {}
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, **fused)
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, **fused)
        self.pixels = torch.randint(0, 256, (PATCHES, PIXELS), dtype=torch.uint8, device=device)
        self.order = torch.randperm(PATCHES, device=device)
        self.position = 0
        self.loss = nn.BCELoss()
        self.real = torch.ones(batch, 1, device=device)
        self.fake = torch.zeros(batch, 1, device=device)
        self.graph = None
        if compiled:
            # The graph below is the whole iteration's; those of "max-autotune" would be one a network.
            self.discriminator = torch.compile(self.discriminator, mode="max-autotune-no-cudagraphs")
            self.generator = torch.compile(self.generator, mode="max-autotune-no-cudagraphs")
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

    def step(self, rows):
        real = (self.pixels[rows].float() / 255 - 0.5) / 0.5
        latent = torch.randn(self.batch, LATENT, device=self.device)
        loss_d = (self.loss(self.discriminator(real), self.real)
                  + self.loss(self.discriminator(self.generator(latent).detach()), self.fake))
        self.adam_d.zero_grad()
        loss_d.backward()
        self.adam_d.step()
        latent = torch.randn(self.batch, LATENT, device=self.device)
        loss_g = self.loss(self.discriminator(self.generator(latent)), self.real)
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


def early_losses(training):
    """Mean losses of D and G over iterations 17 to 32 (12 later where a graph was warmed up)."""
    training.run(16)
    pairs = [[float(loss) for loss in training.run(1)] for _ in range(16)]
    return [statistics.mean(values) for values in zip(*pairs)]


def measure(training, seconds):
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        count = 20 if training.device.startswith("cuda") else 1
        training.run(count)
        times.append((time.perf_counter() - before) / count * 1e3)
    times.sort()
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", default="1,10,32,64,100,256")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("gan_pytorch.py: skipped, this PyTorch sees no CUDA device", file=sys.stderr)
        sys.exit(77)
    if options.threads:
        torch.set_num_threads(options.threads)
    for batch in map(int, options.batches.split(",")):
        training = Training(batch, options.device, options.compiled)
        losses = early_losses(training)
        times = measure(training, options.seconds)
        print(json.dumps({
            "bench": "gan_iteration",
            "program": f"PyTorch {torch.__version__}" + (" compiled" if options.compiled else ""),
            "device": options.device, "threads": torch.get_num_threads(), "batch": batch,
            "ms": statistics.median(times), "p5": times[len(times) // 20],
            "p95": times[-1 - len(times) // 20], "losses": losses}), flush=True)


if __name__ == "__main__":
    main()

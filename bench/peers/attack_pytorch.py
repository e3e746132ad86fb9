"""The attack steps of bench/attack_steps.cpp in PyTorch. Eager, or --compiled; on a GPU that also captures the
whole attack in one CUDA graph, so that nothing but a replay is left to the host.

Weights are frozen, the network is in evaluation mode and gradients are asked for the pixels alone; the ball's
bounds are computed once an attack, and where a tensor can be changed in place it is. --network: its text."""

import torch_peer  # before torch: it says where there is none

import torch
from torch import nn
from network_pytorch import network

PIXELS, EPSILON = 7500, 8 / 255


def attack(model, origin, label, steps, alpha):
    low, high = (origin - EPSILON).clamp_(min=0), (origin + EPSILON).clamp_(max=1)
    x = origin.clone()
    for _ in range(steps):
        x.requires_grad_()
        loss = nn.functional.cross_entropy(model(2 * x - 1), label, reduction="sum")
        gradient, = torch.autograd.grad(loss, x)
        x = x.detach().add_(gradient.sign_(), alpha=alpha)
        torch.minimum(torch.maximum(x, low, out=x), high, out=x)
    return x


def captured(run):
    """`run` as the replay of one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(11):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def main():
    options, gpu = torch_peer.prepare(__doc__)
    torch.manual_seed(1)
    model = network(options.network[0], options.device, options.channels_last).requires_grad_(False).eval()
    if options.compiled:
        # On a GPU the graph is the whole attack's; that of "max-autotune" would be the network's alone.
        model = torch.compile(model, **({"mode": "max-autotune-no-cudagraphs"} if gpu else {}))

    def build(batch):
        origin = torch.randint(0, 256, (batch, PIXELS), device=options.device).float() / 255
        label = torch.zeros(batch, dtype=torch.int64, device=options.device)
        methods = {}
        for method, steps, alpha in (("fgsm", 1, EPSILON), ("pgd-40", 40, 2.5 * EPSILON / 40)):
            def once(steps=steps, alpha=alpha):
                return attack(model, origin, label, steps, alpha)
            replay = captured(once) if options.compiled and gpu else once

            def run(count, replay=replay):
                for _ in range(count):
                    replay()
                if gpu:
                    torch.cuda.synchronize()
            methods[method] = (run, steps)
        return methods, {}

    torch_peer.serve(options, 20 if gpu else 1, build)


if __name__ == "__main__":
    main()

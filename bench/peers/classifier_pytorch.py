"""The classifier's training step of bench/classifier_step.cpp in PyTorch: a batch of patches gathered and scaled,
forward, cross-entropy, backward, Adam. Eager, with --fused Adam, or --compiled. --network: its text."""

import torch_peer  # before torch: it says where there is none

import torch
from torch import nn
from network_pytorch import network

PIXELS, PATCHES = 7500, 4096


def main():
    options, gpu = torch_peer.prepare(__doc__)
    pixels = torch.randint(0, 256, (PATCHES, PIXELS), dtype=torch.uint8, device=options.device)
    labels = torch.arange(PATCHES, device=options.device) % 2
    torch.manual_seed(1)

    def build(batch):
        model = network(options.network[0], options.device, options.channels_last)
        fused = {"fused": True} if options.fused or options.compiled else {}
        adam = torch.optim.Adam(model.parameters(), lr=1e-4, **fused)
        run_model = torch.compile(model, **({"mode": "max-autotune"} if gpu else {})) if options.compiled else model
        state = {"order": torch.randperm(PATCHES, device=options.device), "position": 0}

        def step():
            if state["position"] + batch > PATCHES:
                state.update(order=torch.randperm(PATCHES, device=options.device), position=0)
            rows = state["order"][state["position"]:state["position"] + batch]
            state["position"] += batch
            x = (pixels[rows].float() / 255 - 0.5) / 0.5
            loss = nn.functional.cross_entropy(run_model(x), labels[rows])
            adam.zero_grad()
            loss.backward()
            adam.step()

        def run(count):
            for _ in range(count):
                step()
            if gpu:
                torch.cuda.synchronize()

        return {"": (run, 1)}, {}

    torch_peer.serve(options, 20 if gpu else 1, build)


if __name__ == "__main__":
    main()

"""The attack steps of bench/attack_steps.cpp in PyTorch, as JSON lines: milliseconds a step.

Eager; on a GPU also the best that PyTorch offers (--compiled): the network through torch.compile with autotuned
kernels and the whole attack captured in one CUDA graph, so that nothing but a replay is left to the host.

Weights are frozen and gradients asked for the pixels alone; the ball's bounds are computed once an attack, and
where a tensor can be changed in place it is. On a CPU the best of 1 and 2 threads is what counts; --threads
picks one.
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
    print(f"pgd_pytorch.py: skipped, {sys.executable} cannot import torch ({error})", file=sys.stderr)
    sys.exit(77)

PIXELS, HIDDEN, CLASSES, EPSILON = 7500, 256, 2, 8 / 255


def classifier(device):
    model = nn.Sequential(
        nn.Linear(PIXELS, HIDDEN), nn.LeakyReLU(0.2), nn.Dropout(0.5),
        nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.2), nn.Dropout(0.5),
        nn.Linear(HIDDEN, CLASSES))
    return model.requires_grad_(False).eval().to(device)


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


def measure(run, steps, on_gpu, seconds):
    """Milliseconds a step, sorted: samples of one attack, of 20 on a GPU, whose queue must not run empty."""
    repeats = 20 if on_gpu else 1
    times, start = [], None
    for _ in range(3):
        run()
    while start is None or len(times) < 7 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        start = start or before
        for _ in range(repeats):
            run()
        if on_gpu:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - before) / repeats / steps * 1e3)
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        print("pgd_pytorch.py: skipped, this PyTorch sees no CUDA device", file=sys.stderr)
        sys.exit(77)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = classifier(options.device)
    if options.compiled:
        # The graph is the whole attack's; that of "max-autotune" would be the network's alone.
        model = torch.compile(model, mode="max-autotune-no-cudagraphs")
    for batch in map(int, options.batches.split(",")):
        origin = torch.randint(0, 256, (batch, PIXELS), device=options.device).float() / 255
        label = torch.zeros(batch, dtype=torch.int64, device=options.device)
        for method, steps, alpha in (("fgsm", 1, EPSILON), ("pgd", 20, 2.5 * EPSILON / 20)):
            def run():
                return attack(model, origin, label, steps, alpha)
            times = measure(captured(run) if options.compiled else run, steps, on_gpu, options.seconds)
            print(json.dumps({
                "bench": "attack_steps", "program": f"PyTorch {torch.__version__}" + (" compiled" if options.compiled else ""), "device": options.device,
                "threads": torch.get_num_threads(), "method": method, "batch": batch,
                "ms": statistics.median(times), "p5": times[len(times) // 20],
                "p95": times[-1 - len(times) // 20]}), flush=True)


if __name__ == "__main__":
    main()

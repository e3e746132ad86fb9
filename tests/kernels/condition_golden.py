"""Golden values of condition_test.cpp, by PyTorch in float64: python3 tests/kernels/condition_golden.py"""
import torch


def sequence(shape, f):
    count = torch.Size(shape).numel()
    return f(torch.arange(count, dtype=torch.float64)).reshape(shape)


def told(name, value):
    flat = value.detach().reshape(-1)
    print(f"{name}: sum {flat.sum():.9f}, squares {(flat * flat).sum():.9f}, "
          f"first {', '.join(f'{v:.9f}' for v in flat[:3])}")


rows, width = 3, 4
statistics = sequence((rows, 2 * width), lambda i: torch.sin(0.7 * i + 0.3)).requires_grad_()
noise = sequence((rows, width), lambda i: torch.cos(0.5 * i + 0.1)).requires_grad_()
g = sequence((rows, width), lambda i: torch.sin(0.3 * i + 1))
mean, log_variance = statistics[:, :width], statistics[:, width:]
code = mean + torch.exp(log_variance / 2) * noise
told("code", code)
(code * g).sum().backward()
told("d_statistics", statistics.grad)
told("d_noise", noise.grad)

statistics.grad = None
own = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
divergence = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).mean()
told("divergence", divergence)
(2 * divergence).backward()
told("d_statistics of 2 divergence", statistics.grad)

p = sequence((rows, width), lambda i: torch.sin(0.7 * i + 0.3)).requires_grad_()
q = sequence((rows, width), lambda i: torch.cos(0.5 * i + 0.1)).requires_grad_()
dot = (p * q).sum(1)
told("dot", dot)
(dot * sequence((rows,), lambda i: torch.sin(0.3 * i + 1))).sum().backward()
told("dp", p.grad)
told("dq", q.grad)

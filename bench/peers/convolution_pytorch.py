"""The convolutions of bench/convolutions.cpp in PyTorch, each pass alone. --network: one of their words, e.g.
"conv 3>16 k4 s2 p1 50"; nearest x2 + 3x3 is what users write, an upsampling and a convolution."""

import torch_peer  # before torch: it says where there is none

import torch
from torch.nn import functional


def passes(words, batch, device, layout):
    """Forward, input gradient, weight gradient as functions without arguments."""
    kind, channels, *rest = words.split()
    inputs, outputs = map(int, channels.split(">"))
    side = int(rest.pop())

    def numbers(*shape):
        return torch.rand(*shape, device=device).sub_(0.5)

    x = numbers(batch, inputs, side, side).contiguous(memory_format=layout)
    if kind == "upsampled":
        crop = "crop" in rest
        weight = numbers(outputs, inputs, 3, 3).contiguous(memory_format=layout)
        doubled = functional.interpolate(x, scale_factor=2, mode="nearest")

        def forward():
            y = functional.conv2d(functional.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
            return y[:, :, :-1, :-1] if crop else y

        dy = numbers(*forward().shape).contiguous(memory_format=layout)
        if crop:
            dy = functional.pad(dy, (0, 1, 0, 1)).contiguous(memory_format=layout)

        def input_gradient():
            by_doubled, _, _ = torch.ops.aten.convolution_backward(
                dy, doubled, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False])
            return functional.avg_pool2d(by_doubled, 2, divisor_override=1)

        def weight_gradient():
            again = functional.interpolate(x, scale_factor=2, mode="nearest")
            return torch.ops.aten.convolution_backward(
                dy, again, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False])

        return forward, input_gradient, weight_gradient
    kernel, stride, padding = (int(word[1:]) for word in rest)
    back = kind == "transposed"
    shape = (inputs, outputs) if back else (outputs, inputs)
    weight = numbers(*shape, kernel, kernel).contiguous(memory_format=layout)
    arguments = ([stride, stride], [padding, padding], [1, 1], back, [0, 0], 1)

    def forward():
        return torch.ops.aten.convolution(x, weight, None, *arguments)

    dy = numbers(*forward().shape).contiguous(memory_format=layout)

    def input_gradient():
        return torch.ops.aten.convolution_backward(dy, x, weight, None, *arguments, [True, False, False])

    def weight_gradient():
        return torch.ops.aten.convolution_backward(dy, x, weight, None, *arguments, [False, True, False])

    return forward, input_gradient, weight_gradient


def main():
    options, gpu = torch_peer.prepare(__doc__)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format

    def build(batch):
        methods = {}
        for words in options.network:
            functions = passes(words, batch, options.device, layout)
            for name, once in zip(("forward", "input gradient", "weight gradient"), functions):
                if options.compiled:
                    once = torch.compile(once)

                def run(count, once=once):
                    for _ in range(count):
                        once()
                    if gpu:
                        torch.cuda.synchronize()
                methods[f"{words}, {name}"] = (run, 1)
        return methods, {}

    torch_peer.serve(options, 5, build)


if __name__ == "__main__":
    main()

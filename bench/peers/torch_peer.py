"""What the PyTorch peers share: options, the device and threads that they ask for, compiling; exits with 77 where there is
no PyTorch or it sees no GPU."""

import sys

import peer

try:
    import torch
except ImportError as error:
    peer.skip(f"{sys.executable} cannot import torch ({error})")


def prepare(description):
    """Options, and whether the device is a GPU."""
    options = peer.options(description)
    gpu = options.device.startswith("cuda")
    if gpu and not torch.cuda.is_available():
        peer.skip("this PyTorch sees no CUDA device")
    if options.threads:
        torch.set_num_threads(options.threads)
    return options, gpu


def serve(options, repeats, build):
    """peer.serve, every batch size compiled for itself, as the first one is: else all others get code for any size."""
    def afresh(batch):
        if options.compiled:
            torch.compiler.reset()
        return build(batch)

    peer.serve(f"PyTorch {torch.__version__}", repeats, afresh)

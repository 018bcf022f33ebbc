"""All randomness: one named generator for each (seed, stage, purpose).

Two models that shared an initialisation or a batch order would agree with one another for the wrong reason, so the
stage ("original", "retrained 4_half", "ltd", "ltd teacher" …) and the purpose ("weights", "batches" …) are part of
the stream. An unlearner's stage is its name: its variants, and its runs on several forget sets, share their draws
seed by seed, as they share the original they start from, and are compared pair by pair.
"""

import hashlib
import os


def number(seed: int, stage: str, purpose: str) -> int:
    """A number in [0, 2^63) that depends on all three arguments and on nothing else."""
    digest = hashlib.sha256(f"{seed}\n{stage}\n{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stage: str, purpose: str):
    """A `torch.Generator` on the CPU, so that the draws do not depend on the device."""
    import torch

    return torch.Generator().manual_seed(number(seed, stage, purpose))


def make_deterministic(device: str) -> None:
    """Ask torch for the same bits every time: OMP_NUM_THREADS threads (1 if unset), and on a GPU no racing kernels.

    A sum's rounding depends on the thread count, so a notebook opened by hand must use what the workflow uses.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if device != "cpu":  # the call imports a compiler, a second that a CPU job would spend for nothing
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.allow_tf32 = False  # else convolutions "in float32" round to ten bits
        torch.utils.deterministic.fill_uninitialized_memory = False  # a kernel for each new tensor

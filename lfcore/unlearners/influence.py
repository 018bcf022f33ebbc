"""Influence unlearning (IU): one Newton-like step away from the forget set.

    theta <- theta + alpha (I + (1/N) sum_{i <= N} g_i g_i^T)^-1 v
    v = (1/n) sum_{D_f} g - (|D_f| / (n |D_r|)) sum_{D_r} g,   g the gradient of CE at one example, n = |D|

with N retained examples (1000) for the empirical Fisher matrix: WoodFisher, Singh and Alistarh, 2004.14340, used for
unlearning by SalUn's code, and tested in 2605.31317, app. B.2 with alpha in [1, 20]. The inverse is exact here, by the
Woodbury identity; the released code approximates it by a recursion over the examples.
Reads both sets. BatchNorm: eval mode throughout; running statistics stay.
"""

import copy

import torch

from lfcore.core.seeds import generator
from lfcore.models.gradients import per_example, summed, unflatten

READS = {"forget", "retain"}


def solve(rows: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(I + rows^T rows / N)^-1 v for rows (N, parameters) and v (parameters,), by Woodbury."""
    n = len(rows)
    inner = n * torch.eye(n, dtype=rows.dtype, device=rows.device) + rows @ rows.T
    return v - rows.T @ torch.linalg.solve(inner, rows @ v)


@torch.no_grad()
def unlearn(model, retain, forget, *, seed, loop=None, alpha=5.0, samples=1000):
    """Return a copy of `model` after the step. samples: N, all of the retain set if it has fewer."""
    model = copy.deepcopy(model).eval()
    total = len(forget) + len(retain)
    sums = [summed(model, examples).double() for examples in (forget, retain)]
    v = sums[0] / total - sums[1] * len(forget) / (total * len(retain))
    drawn = torch.randperm(len(retain), generator=generator(seed, "influence", "samples"))[:samples]
    drawn = drawn.to(retain.labels.device)
    rows = torch.cat(list(per_example(model, retain[drawn])))
    step = alpha * solve(rows.double(), v)
    for parameter, part in zip(model.parameters(), unflatten(model, step), strict=True):
        parameter += part.to(parameter.dtype)
    return model

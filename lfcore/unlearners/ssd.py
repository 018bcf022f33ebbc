"""Selective synaptic dampening (SSD): shrink the weights that matter to the forget set much more than to the data.

    importance I_D(theta_i) = mean over D of (d CE(f(x), y) / d theta_i)^2
    where I_{D_f} > alpha I_D:  theta_i <- min(lambda I_D / I_{D_f}, 1) theta_i

Foster et al., Fast Machine Unlearning without Retraining, 2308.07707, alpha 10, lambda 1 for ResNet-18 on CIFAR. D is
the whole training set. The released code squares gradients of batches; here they are of single examples, so neither
batch size nor order matters, and there is no randomness: every seed gives the same. Reads both sets. BatchNorm: eval
mode throughout; running statistics stay.
"""

import copy

import torch

from lfcore.models.gradients import per_example, unflatten

READS = {"forget", "retain"}


def importance(model, examples) -> torch.Tensor:
    """The sum over `examples` of squared gradients, (parameters,), in float64."""
    return sum(gradients.double().square().sum(dim=0) for gradients in per_example(model, examples))


@torch.no_grad()
def unlearn(model, retain, forget, *, seed, loop=None, alpha=10.0, lambda_=1.0):
    """Return a copy of `model` with dampened weights."""
    model = copy.deepcopy(model).eval()
    on_forget, on_retain = importance(model, forget), importance(model, retain)
    on_all = (on_forget + on_retain) / (len(forget) + len(retain))
    on_forget /= len(forget)
    factors = torch.where(on_forget > alpha * on_all, (lambda_ * on_all / on_forget).clamp(max=1), 1.0)
    for parameter, factor in zip(model.parameters(), unflatten(model, factors), strict=True):
        parameter *= factor.to(parameter.dtype)
    return model

"""OU@eps: how far the unlearned model is, near the forget set, from the original without the forgotten classes.

Threat model: none; it is here because it perturbs inputs as an attacker would. Who measures holds both models and D_f.

    OU@eps = mean over x' of D(p~(x') || u(x')),   x' near x in D_f (`geometry.perturbations.perturb`), one for each x

with p~ the *masked* original (the forgotten classes set to 0, the rest renormalised) and u the unlearned model's
softmax, *not* masked: what it still gives to the forgotten classes counts too. Ha, Park and Yoon, 2506.01318; D is the
Jensen-Shannon divergence with natural logarithm (0 to ln 2), the only one in the public code, and the text's KL.

It needs no retain data and no retrained model, and compares with neither: 0 is the masked original itself. A retrained
model, trained from another start without these classes, is not 0; and Spotter is trained on this very measure.

Rows, split "forget", scope "near", key "<mode>/<kind>/<eps>":
over_unlearning         JS, in nats
over_unlearning_masked  JS with u masked too: what is left when the forgotten classes are out of the question
over_unlearning_kl      KL(p~ || u), in nats
perturbation            the largest change of a pixel, the mean over images
over_unlearning_count   with a margin filter `beta`: how many images it keeps

Mode "released" follows the public code's arithmetic, with its float32 and its small constants, and has JS alone. For
whole classes: where examples of a forgotten class are retained, the masked original is no aim.
"""

import numpy as np
import torch

from lfcore.core.errors import InputError
from lfcore.core.run import Row
from lfcore.geometry.perturbations import mask, perturb


def divergences(original: torch.Tensor, unlearned: torch.Tensor, classes: torch.Tensor) -> dict[str, torch.Tensor]:
    """JS, JS with both masked, and KL(p~ || u), each (n,) float64, from logits (n, k) of both models."""
    target, masked = mask(original.double(), classes), mask(unlearned.double(), classes)
    logs = unlearned.double().log_softmax(dim=1)
    crossed = torch.where(target > 0, target * logs, 0.0)  # 0 * -inf is 0 here
    kl = (torch.xlogy(target, target) - crossed).sum(dim=1).clamp(min=0)
    return {
        "over_unlearning": jensen_shannon(target, logs.exp()),
        "over_unlearning_masked": jensen_shannon(target, masked),
        "over_unlearning_kl": kl,
    }


def jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence in nats of probabilities (n, k), (n,), in [0, ln 2]."""
    middle = (p + q) / 2
    halves = (torch.xlogy(one, one) - torch.xlogy(one, middle) for one in (p, q))
    return (sum(halves).sum(dim=1) / 2).clamp(0, np.log(2))


def released_divergence(original: torch.Tensor, unlearned: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """JS as the public code computes it, (n,) float32, from logits (n, k).

    The masked probabilities are divided by their sum plus 1e-10, and so don't sum to 1 where the original is sure of a
    forgotten class to about 1e-9; logarithms are of the middle plus 1e-12.
    """
    p, q = original.softmax(dim=1), unlearned.softmax(dim=1)
    p[:, classes] = 0
    p = p / (p.sum(dim=1, keepdim=True) + 1e-10)
    logs = ((p + q) / 2 + 1e-12).log()
    return 0.5 * sum((torch.xlogy(one, one) - one * logs).sum(dim=1) for one in (p, q))


def boundary_margins(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """g = z_c - max_{k != c} z_k of logits (n, k) at their labels c, (n,): 0 on the decision boundary of c."""
    own = logits.gather(1, labels[:, None])
    return (own - logits.scatter(1, labels[:, None], -torch.inf).max(dim=1, keepdim=True).values)[:, 0]


def probe(
    subject,
    *,
    eps: list,
    modes: tuple = ("intended", "released"),
    kinds: tuple = ("pgd", "gaussian"),
    beta: float | None = None,
    mean=0.0,
    std=1.0,
):
    """The rows above for every eps, mode and kind of near images.

    beta: keep the images whose margin in the original is within beta of 0 (2506.01318v1; the public code has none).
    mean, std: the normalisation that mode released assumes of the network's inputs; each a number or one per channel.
    """
    classes, labels = subject.forget.labels.unique(), subject.forget.labels
    if torch.isin(subject.retain.labels, classes).any():
        raise InputError("OU@eps is about whole classes, and this forget set leaves some of one: use fraction 1.")
    for mode in modes:
        for kind in kinds:
            for radius in eps:
                near = perturb(
                    subject.original, subject.forget, kind=kind, eps=radius, mode=mode, seed=subject.seed,
                    stage="over_unlearning", mean=mean, std=std,
                )  # fmt: skip
                with torch.no_grad():
                    before, after = subject.original(near), subject.model(near)
                if mode == "intended":
                    found = divergences(before, after, classes)
                else:
                    found = {"over_unlearning": released_divergence(before, after, classes)}
                found["perturbation"] = (near - subject.forget.images).abs().flatten(1).max(dim=1).values
                kept = torch.ones_like(labels, dtype=torch.bool)
                key = f"{mode}/{kind}/{radius:g}"
                if beta is not None:
                    kept = boundary_margins(before, labels).abs() <= beta
                    yield Row(subject.seed, "", "forget", "over_unlearning_count", "near", key, int(kept.sum()))
                for name, values in found.items():
                    yield Row(subject.seed, "", "forget", name, "near", key, float(values[kept].double().mean()))

"""What looks wrong with an audit's inputs and is no error: each a sentence to stand above the verdict."""

import numpy as np

from lfcore.auditing.collect import Collected

SAME = 1e-3
"""Two models predict the same if no example's predictions are further apart (total variation): that is rounding."""
FEW = 5
"""Percentage points of train accuracy that an original may be behind the unlearned model."""


def find_same(collected: Collected) -> list[str]:
    """The unlearned models that predict the same as the original."""
    return [name for name in collected.unlearned if collected.apart[name] < SAME]


def find_warnings(collected: Collected, forget: np.ndarray, test: np.ndarray | None, retrained: bool) -> list[str]:
    """One sentence for each thing that looks wrong. retrained: whether the references are retrained models."""
    found = [
        f"The {_call(name)} predicts the same as the original: was the right file loaded?"
        for name in find_same(collected)
    ]
    train = np.setdiff1d(np.arange(len(collected.labels)), [] if test is None else test)
    copies = 0 if test is None else int(np.isin(collected.content[test], collected.content[train]).sum())
    if copies:
        found.append(f"{copies} of {len(test)} test examples are identical to train examples: are they unseen?")
    right = {
        name: 100 * float((collected.choice[name][train] == collected.labels[train]).mean())
        for name in ("original", *collected.unlearned)
    }
    for name in collected.unlearned:
        if right["original"] < right[name] - FEW:
            found.append(
                f"The original is right on {right['original']:.1f} % of the train examples and the {_call(name)} on "
                f"{right[name]:.1f} %: were they swapped?"
            )
    if retrained:
        found += _find_trained(collected, forget)
    return found


def _find_trained(collected: Collected, forget: np.ndarray) -> list[str]:
    """Retrained models as sure of the forget examples as the original is.

    As sure is within the spread of retrained models: the smallest standard deviation that they have without one of
    them, since the one that saw the forget set may be among them; 0 for fewer than three.
    """
    sure = np.array([collected.confidence[name][forget].mean(dtype=np.float64) for name in collected.references])
    without = [np.delete(sure, i).std(ddof=1) for i in range(len(sure))] if len(sure) > 2 else [0.0]
    limit = collected.confidence["original"][forget].mean(dtype=np.float64) - min(without)
    return [
        f"{name[0].upper()}{name[1:]} is as sure of the forget examples as the original: was it trained without them?"
        for name, own in zip(collected.references, sure, strict=True)
        if own >= limit
    ]


def _call(name: str) -> str:
    """unlearned -> unlearned model; unlearned 2 -> model unlearned 2"""
    return f"model {name}" if name[-1].isdigit() else f"{name} model"

"""What is wrong with an audit's inputs, or looks wrong: then a sentence to stand above the verdict."""

from itertools import combinations

import numpy as np

from lfcore.auditing.collect import Collected
from lfcore.auditing.inputs import Inputs, Samples
from lfcore.core.errors import InputError

SAME = 1e-3
"""Two models predict the same if no example's predictions are further apart (total variation): that is rounding."""
FEW = 5
"""Percentage points of train accuracy that an original may be behind the unlearned model."""


def check_split(forget: np.ndarray, samples: Samples) -> None:
    """InputError if a forget row is a test row, or none is retained."""
    test = np.empty(0, dtype=int) if samples.test is None else samples.test
    both = np.intersect1d(forget, test)
    if len(both) and len(samples.train) and both[0] > samples.train[-1] and samples.appended:
        raise InputError(
            f"The forget rows hold {both[0]}, but the train rows go from 0 to {samples.train[-1]}: "
            "give rows of the data."
        )
    if len(both):
        raise InputError(f"Example {both[0]} is in the forget set and in test: a test example was never trained on.")
    if len(forget) + len(test) >= samples.count:
        raise InputError("Every example is forgotten or test, so none was retained: give the retained ones too.")


def check_different(inputs: Inputs, collected: Collected) -> None:
    """InputError if two unlearned or two retrained models predict the same, or a retrained one as the original."""
    for subjects in (inputs.unlearned, inputs.retrained):
        for one, other in combinations([subject.name for subject in subjects], 2):
            if np.array_equal(collected.confidence[one], collected.confidence[other]):
                raise InputError(f"The models {one} and {other} predict the same: give models of independent seeds.")
    for subject in inputs.retrained:
        if collected.apart[subject.name] < SAME:
            raise InputError(
                f"The models original and {subject.name} predict the same: give one trained without the forget set."
            )


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

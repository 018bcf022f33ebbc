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
    train = samples.train
    for row in np.setdiff1d(forget, train):
        if samples.appended and len(train):  # nobody numbered the test rows, so this is no row of the data
            known = f"the train rows go from 0 to {train[-1]}"
            raise InputError(f"The forget rows hold {row}, but {known}: give rows of the data.")
        raise InputError(f"Example {row} is in the forget set and in test: a test example was never trained on.")
    if len(forget) >= len(train):
        raise InputError("Every example is forgotten or test, so none was retained: give the retained ones too.")


def check_different(inputs: Inputs, collected: Collected) -> None:
    """InputError if two unlearned or two retrained models predict the same, or a retrained one as the original."""
    for subjects in (inputs.unlearned, inputs.retrained):
        for one, other in combinations([subject.name for subject in subjects], 2):
            if np.array_equal(collected.confidence[one], collected.confidence[other]):
                raise InputError(f"The models {one} and {other} predict the same: give models of independent seeds.")
    for name in [subject.name for subject in inputs.retrained]:
        if collected.apart[name] < SAME:
            cure = "give one trained without the forget set"
            raise InputError(f"The models original and {name} predict the same: {cure}.")


def find_same(collected: Collected) -> list[str]:
    """The unlearned models that predict the same as the original."""
    return [name for name in collected.unlearned if collected.apart[name] < SAME]


def find_warnings(inputs: Inputs, collected: Collected) -> list[str]:
    """One sentence for each thing that looks wrong."""
    same = "predicts the same as the original: was the right file loaded?"
    found = [f"The {_call(name)} {same}" for name in find_same(collected)]
    train, test = inputs.samples.train, inputs.samples.test
    copies = 0 if test is None else int(np.isin(collected.content[test], collected.content[train]).sum())
    if copies:
        found.append(f"{copies} of {len(test)} test examples are identical to train examples: are they unseen?")
    right = {name: 100 * float(collected.right[name][train].mean()) for name in ("original", *collected.unlearned)}
    for name in collected.unlearned:
        if right["original"] < right[name] - FEW:
            found.append(
                f"The original is right on {right['original']:.1f} % of the train examples and the {_call(name)} on "
                f"{right[name]:.1f} %: were they swapped?"
            )
    trained = _find_trained(collected, inputs.forget) if inputs.retrained else []
    text = "is as sure of the forget examples as the original: was it trained without them?"
    return found + [f"{name.capitalize()} {text}" for name in trained]


def _find_trained(collected: Collected, forget: np.ndarray) -> list[str]:
    """Retrained models as sure of the forget examples as the original is.

    As sure is within the spread of retrained models: the smallest standard deviation that they have without one of
    them, since the one that saw the forget set may be among them; 0 for fewer than three.
    """
    sure = {name: values[forget].mean(dtype=np.float64) for name, values in collected.confidence.items()}
    own = np.array([sure[name] for name in collected.references])
    without = [np.delete(own, i).std(ddof=1) for i in range(len(own))] if len(own) > 2 else [0.0]
    return [name for name in collected.references if sure[name] >= sure["original"] - min(without)]


def _call(name: str) -> str:
    """unlearned -> unlearned model; unlearned 2 -> model unlearned 2"""
    return f"model {name}" if name[-1].isdigit() else f"{name} model"

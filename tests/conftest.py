"""Small real data for every test: a network trained for a few epochs on the digits, with part of class 4 to forget."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import cross_entropy

from lfcore import data, models, seeds, train

torch.set_num_threads(1)


@dataclass(frozen=True)
class Problem:
    """A trained network, and what it is to retain and forget."""

    model: torch.nn.Module
    retain: train.Examples
    forget: train.Examples


def fit_briefly(model, examples, seed=0, epochs=4, stage="test"):
    """A few epochs of the default recipe."""
    return train.fit(
        model,
        examples.images,
        lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
        epochs=epochs,
        batch_size=64,
        lr=0.05,
        nesterov=True,
        generator=seeds.generator(seed, stage, "batches"),
    )


@pytest.fixture(scope="session")
def digits():
    return data.load("digits")


@pytest.fixture(scope="session")
def forget_set(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("forget") / "4_half.json"
    return data.write_forget_sets(digits, {"4_half": {"affected": 4, "fraction": 0.5}}, path.parent)[0]


@pytest.fixture(scope="session")
def problem(digits, forget_set):
    everything = train.choose(digits, digits.train, "cpu")
    model = models.build("cnn", 1, 10, seed=0, stage="test")
    return Problem(
        model=fit_briefly(model, everything),
        retain=train.choose(digits, forget_set.retain, "cpu"),
        forget=train.choose(digits, forget_set.forget, "cpu"),
    )

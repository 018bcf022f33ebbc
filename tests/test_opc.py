"""OPC: the bound on its entropy, its loss by hand, and that it contracts what it says it contracts."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from lfcore.core import examples
from lfcore.core.errors import InputError
from lfcore.unlearners import opc

RADII = np.array([0.0, 1e-3, 0.1, 0.5, 1.0, 1.6, 3.0, 10.0])


def largest_probability(norm, classes: int):
    """What no softmax probability of `classes` logits exceeds, if their l2 norm is `norm` (a number or an array)."""
    return 1 / (1 + (classes - 1) * np.exp(-np.sqrt(2) * np.asarray(norm, dtype=float)))


def least_entropy(norm, classes: int):
    """log C - sqrt(2) r, which the entropy in nats of `classes` logits is never below, if their l2 norm is r = `norm`.

    It says something only while r < log C / sqrt(2): 1.6 for ten classes.
    """
    return np.log(classes) - np.sqrt(2) * np.asarray(norm, dtype=float)


def logits_of_norm(classes, norm, seed=0, count=500):
    """Random directions, and the ones that make one logit as large, and one pair as far apart, as the norm allows."""
    z = np.random.default_rng(seed).normal(size=(count, classes))
    z[0] = -1 / (classes - 1)
    z[0, 0] = 1
    z[1] = 0
    z[1, 0], z[1, 1] = 1, -1
    return norm * z / np.linalg.norm(z, axis=1, keepdims=True)


class TestBound:
    @pytest.mark.parametrize("classes", [2, 3, 10, 100])
    @pytest.mark.parametrize("norm", RADII)
    def test_every_step_of_the_proof_holds(self, classes, norm):
        z = logits_of_norm(classes, norm)
        assert (np.ptp(z, axis=1) <= np.sqrt(2) * norm + 1e-12).all()
        p = softmax(z, axis=1)
        top = p.max(axis=1)
        assert (top <= largest_probability(norm, classes) + 1e-12).all()
        assert (entropy(p, axis=1) >= -np.log(top) - 1e-12).all()
        assert -np.log(largest_probability(norm, classes)) >= least_entropy(norm, classes) - 1e-12
        assert (entropy(p, axis=1) >= least_entropy(norm, classes) - 1e-12).all()

    def test_it_is_reached_by_two_classes_and_at_the_point(self):
        for norm in RADII:
            top = softmax(logits_of_norm(2, norm), axis=1).max()
            assert top == pytest.approx(largest_probability(norm, 2), abs=1e-12)
        assert least_entropy(0, 7) == pytest.approx(entropy(np.ones(7)), abs=1e-12)

    def test_a_smaller_constant_than_the_root_of_two_would_be_wrong(self):
        norm = 2.0
        top = softmax(logits_of_norm(2, norm), axis=1).max()
        assert top > 1 / (1 + np.exp(-1.4 * norm)) and top < largest_probability(norm * 1.01, 2)

    def test_arrays_are_taken_one_by_one(self):
        both = least_entropy(RADII, 10), largest_probability(RADII, 10)
        for position, norm in enumerate(RADII):
            assert both[0][position] == least_entropy(norm, 10)
            assert both[1][position] == largest_probability(norm, 10)


def norms(model, images, what):
    with torch.no_grad():
        found = model.features(images) if what == "features" else model(images)
    return found.norm(dim=1)


@pytest.fixture(scope="module")
def contracted(problem):
    options = {"seed": 0, "lr": 0.003, "epochs": 10, "batch_size": 64}
    kinds = ("logits", "features")
    return {norm: opc.unlearn(problem.model, problem.retain, problem.forget, norm=norm, **options) for norm in kinds}


@pytest.mark.parametrize("norm", ["logits", "features"])
def test_it_contracts_the_forget_set_and_not_the_rest(norm, contracted, problem):
    student = contracted[norm]
    before, after = (norms(model, problem.forget.images, norm).mean() for model in (problem.model, student))
    kept = norms(student, problem.retain.images[problem.retain.labels != 4], norm).mean()
    assert after < 0.15 * before and after < 0.15 * kept
    with torch.no_grad():
        accuracy = (student(problem.retain.images).argmax(dim=1) == problem.retain.labels).double().mean()
    assert accuracy > 0.88


def test_small_logits_need_no_small_features(contracted, problem):
    images = problem.forget.images
    before = norms(problem.model, images, "features").mean()
    shares = {norm: float(norms(student, images, "features").mean() / before) for norm, student in contracted.items()}
    assert shares["logits"] > 2 * shares["features"]


def test_small_features_leave_the_heads_bias(contracted, problem):
    student = contracted["features"]
    with torch.no_grad():
        logits, before = student(problem.forget.images), problem.model(problem.forget.images)
    assert (logits - student.head.bias).norm(dim=1).mean() < 0.1 * before.norm(dim=1).mean()


def test_the_entropy_of_every_forgotten_example_is_above_its_bound(contracted, problem):
    with torch.no_grad():
        logits = contracted["logits"](problem.forget.images).double().numpy()
    least = least_entropy(np.linalg.norm(logits, axis=1), 10)
    found = entropy(softmax(logits, axis=1), axis=1)
    assert (found >= least).all() and np.median(least) > 1, "and the bound says something here"


def test_batches_of_one_kind_alone_work(problem):
    """Batches of two from nine retained and two forgotten examples: some hold no forgotten one, or nothing else."""
    few = examples.Examples(problem.retain.images[:9], problem.retain.labels[:9])
    two = examples.Examples(problem.forget.images[:2], problem.forget.labels[:2])
    for seed in range(3):
        student = opc.unlearn(problem.model, few, two, seed=seed, lr=1e-3, epochs=2, batch_size=2)
        assert all(torch.isfinite(parameter).all() for parameter in student.parameters())


def test_a_set_that_lies_at_the_point_already_stays_there_without_dividing_by_zero(problem):
    """The norm has no gradient at 0."""
    model = copy.deepcopy(problem.model)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    student = opc.unlearn(model, problem.retain, problem.forget, seed=0, lr=1e-3, epochs=1, batch_size=64)
    assert all(torch.isfinite(parameter).all() for parameter in student.parameters())


def test_another_norm_is_one_sentence(problem):
    with pytest.raises(InputError, match="no norm called 'labels': choose logits or features"):
        opc.unlearn(problem.model, problem.retain, problem.forget, seed=0, norm="labels")

"""Looks at the original that help to choose LTD's k: no retrained model, and no change to the model looked at."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lfcore.core.errors import Diverged, InputError
from lfcore.probes import choose_k
from lfcore.unlearners import ltd

TEACHER = {"seed": 0, "classes": 10, "batch_size": 64}


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_divergence_of_histograms_is_the_smoothed_kl():
    p, q = np.array([3.5, 1.5, 0.5]) / 5.5, np.array([0.5, 2.5, 0.5]) / 3.5
    assert choose_k.histogram_divergence([3, 1, 0], [0, 2, 0]) == pytest.approx(float((p * np.log(p / q)).sum()))
    assert choose_k.histogram_divergence([5, 0, 1], [5, 0, 1]) == 0
    assert choose_k.histogram_divergence([3, 1], [0, 4], smoothing=1e-9) > choose_k.histogram_divergence([3, 1], [0, 4])


class TestTeacherCurve:
    @pytest.fixture(scope="class")
    @staticmethod
    def curve(problem):
        return choose_k.teacher_curve(problem.model, problem.retain, problem.forget, [20, 80, 160], **TEACHER)

    def test_each_point_is_ltds_teacher_of_that_k(self, problem, curve):
        for record in curve:
            student = ltd.unlearn(
                problem.model, problem.retain, problem.forget, seed=0, k=record["k"], epochs=0, teacher_batch_size=64
            )
            assert {name: record[name] for name in student.notes} == pytest.approx(student.notes)
            counts = np.bincount(student.teacher_logits.argmax(axis=1), minlength=10)
            assert record["histogram"] == counts.tolist()

    def test_histograms_accuracies_and_divergences_belong_together(self, problem, curve):
        for record in curve:
            assert sum(record["histogram"]) == len(problem.forget)
            assert record["teacher_accuracy"] == pytest.approx(100 * record["histogram"][4] / len(problem.forget))
        assert np.isnan(curve[0]["divergence"])
        for before, record in itertools.pairwise(curve):
            expected = choose_k.histogram_divergence(before["histogram"], record["histogram"])
            assert record["divergence"] == expected >= 0

    def test_a_larger_support_reaches_less_similar_examples(self, curve):
        lowest = [record["support_similarity"] for record in curve]
        assert lowest[0] > lowest[1] > lowest[2]

    def test_the_model_is_left_as_it_was(self, problem):
        before = state(problem.model)
        for network in ("cnn", "frozen_mlp"):
            choose_k.teacher_curve(problem.model, problem.retain, problem.forget, [30], network=network, **TEACHER)
        assert same(before, state(problem.model))

    def test_a_k_beyond_the_retain_set_is_one_sentence(self, problem):
        with pytest.raises(InputError, match="k = 1000000 support examples can't be chosen"):
            choose_k.teacher_curve(problem.model, problem.retain, problem.forget, [20, 10**6], **TEACHER)


class TestAscentStep:
    def test_it_is_one_plain_step_on_the_whole_forget_set(self, problem):
        """By hand, and bin by bin."""
        records = choose_k.ascent_step_errors(problem.model, problem.retain, problem.forget, lr=0.1, bins=7)
        twin = copy.deepcopy(problem.model).eval()
        loss = cross_entropy(twin(problem.forget.images), problem.forget.labels)
        with torch.no_grad():
            for parameter, gradient in zip(
                twin.parameters(), torch.autograd.grad(loss, list(twin.parameters())), strict=True
            ):
                parameter += 0.1 * gradient
            wrong = [
                (model(problem.retain.images).argmax(1) != problem.retain.labels).numpy()
                for model in (problem.model, twin)
            ]
        similarities = ltd.similarities(problem.model, problem.retain, problem.forget)
        edges = np.linspace(similarities.min(), similarities.max(), 8)
        for record, low, high in zip(records, edges[:-1], edges[1:], strict=True):
            rows = (similarities >= low) & ((similarities < high) | (record["bin"] == 6))
            assert record["count"] == rows.sum()
            if rows.any():
                assert record["similarity"] == pytest.approx(similarities[rows].mean())
                assert record["before"] == pytest.approx(100 * wrong[0][rows].mean())
                # rounding may turn a prediction on the edge
                assert record["after"] == pytest.approx(100 * wrong[1][rows].mean(), abs=100 * 1.5 / rows.sum())

    def test_it_hurts_the_nearest_most_and_leaves_the_model_as_it_was(self, problem):
        before = state(problem.model)
        records = choose_k.ascent_step_errors(problem.model, problem.retain, problem.forget, lr=0.6)
        assert same(before, state(problem.model))
        assert [record["bin"] for record in records] == list(range(10))
        assert sum(record["count"] for record in records) == len(problem.retain)
        assert records[-1]["after"] - records[-1]["before"] > 50 > 10 > records[0]["after"] - records[0]["before"]

    def test_empty_bins_have_no_errors_and_a_step_of_zero_changes_none(self, problem):
        records = choose_k.ascent_step_errors(problem.model, problem.retain, problem.forget, lr=0.0, bins=40)
        empty = [record for record in records if not record["count"]]
        assert empty and all(np.isnan(record[name]) for record in empty for name in ("similarity", "before", "after"))
        assert all(record["before"] == record["after"] for record in records if record["count"])

    def test_a_step_out_of_the_finite_numbers_is_an_error(self, problem):
        with pytest.raises(Diverged, match="lower lr"):
            choose_k.ascent_step_errors(problem.model, problem.retain, problem.forget, lr=float("inf"))

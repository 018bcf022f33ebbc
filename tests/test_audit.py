"""The audit: its numbers against the project's metrics and slow twins, what it refuses, and the page it writes."""

import copy
import itertools
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t as student
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import lfcore
from lfcore.auditing import floor as floors
from lfcore.auditing import page, state_dicts
from lfcore.auditing.forward import find_layer, predict
from lfcore.auditing.subjects import read_subject
from lfcore.core.data import Forget
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.core.run import Predictions, Run, softmax
from lfcore.geometry.similarity import mean_similarity, similarity
from lfcore.metrics import discrepancy, matched
from lfcore.stages import unlearn
from lfcore.statistics.claims import holm
from lfcore.unlearners._apply import check_options, find
from lfcore.workflow.config import check_config
from lfcore.workflow.dependencies import method, sources

N, K, WIDTH, PIXELS = 120, 3, 6, 4
LABELS = np.arange(N) % K
FORGET = np.flatnonzero(LABELS[:80] == 1)[:8]
TEST = np.arange(80, N)


def draw(seed):
    """Predictions of one model: the true class mostly wins, and models differ."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(N, K)) + 2 * np.eye(K)[LABELS]
    return {"logits": logits, "features": random.normal(size=(N, WIDTH)) + 1}


def spread(seed):
    """Predictions of models that differ a little and know nothing of the forget set."""
    found = draw(0)
    found["logits"] = found["logits"] + 0.1 * draw(seed)["logits"]
    found["logits"][FORGET] = 0.1 * np.random.default_rng(seed).normal(size=(len(FORGET), K))
    return found


def memorized():
    """Predictions of an original: as the retrained models, and sure of the forget set."""
    found = spread(7)
    found["logits"][FORGET] += 6 * np.eye(K)[1]
    return found


def network(seed=0, classes=K):
    """A small classifier with everything that could go wrong: BatchNorm, dropout, a head at `fc`."""
    torch.manual_seed(seed)
    layers = OrderedDict(
        flat=nn.Flatten(), body=nn.Linear(PIXELS**2, WIDTH), norm=nn.BatchNorm1d(WIDTH), drop=nn.Dropout(0.5)
    )
    return nn.Sequential(OrderedDict(**layers, fc=nn.Linear(WIDTH, classes))).eval()


IMAGES = torch.from_numpy(np.random.default_rng(5).random((N, 1, PIXELS, PIXELS), dtype=np.float32))


def audit(original=None, new=None, retrained=(2, 3, 4, 5), **more):
    """An audit of predictions."""
    given = {"labels": LABELS, "test": TEST} | more
    new = draw(1) if new is None else new
    return lfcore.audit(original or draw(0), new, None, FORGET, retrained=[draw(s) for s in retrained], **given)


def value(table, column="unlearned", **where):
    for name, wanted in where.items():
        table = table[table[name] == wanted]
    assert len(table) == 1, where
    return table[column].iloc[0]


@pytest.fixture(scope="module")
def run():
    """The same predictions as the metrics see them."""

    def stack(seeds):
        found = [draw(seed) for seed in seeds]
        return Predictions(tuple(seeds), *(np.stack([f[key] for f in found]) for key in ("logits", "features")))

    kept = np.setdiff1d(np.arange(80), FORGET)
    originals = stack([0])
    made = Run(
        predictions=stack([1]),
        originals=originals,
        floor=stack([2, 3]),
        is_floor=False,
        labels=LABELS,
        classes=K,
        forget_set=Forget("x", 1, FORGET, kept),
        test=TEST,
        similarity=mean_similarity(originals, FORGET),
    )
    return made, stack([2, 3, 4, 5])


class TestNumbers:
    @pytest.mark.parametrize("split", ["retain", "test"])
    @pytest.mark.parametrize("classes", ["all", "affected", "other"])
    def test_they_are_those_of_the_metrics(self, run, split, classes):
        rows = [row for module in (discrepancy, matched) for row in module.measure(*run)]
        metric = {
            (r.split, r.metric, r.scope, r.key): r.value for r in rows if (r.seed, r.reference) == (1, "retrained")
        }
        found = audit()
        for statistic, name in {
            "damage": "confidence_gap",
            "lost_accuracy": "accuracy_gap",
            "distance": "total_variation",
        }.items():
            ours = value(found.tables["statistics"], split=split, classes=classes, statistic=statistic)
            assert ours == pytest.approx(metric[split, name, "range", f"{classes}/whole"], abs=1e-6)
        ours = value(found.tables["statistics"], split=split, classes=classes, statistic="near_minus_far")
        assert ours == pytest.approx(metric[split, "localization", "range", classes], abs=1e-6)
        for number in range(10):
            ours = value(found.tables["bins"], split=split, classes=classes, bin=number, statistic="distance")
            assert ours == pytest.approx(metric[split, "total_variation", "count_bin", f"{classes}/{number}"], abs=1e-6)

    def test_matched_examples_are_those_of_the_metric(self, run):
        (wanted,) = [
            row.value for row in matched.measure(*run) if (row.metric, row.split) == ("matched_localization", "test")
        ]
        ours = value(audit().tables["statistics"], split="test", classes="other", statistic="matched")
        assert ours == pytest.approx(wanted, abs=1e-6)

    def test_the_floor_is_each_retrained_model_against_the_others(self):
        rows = TEST[LABELS[TEST] == 1]
        probabilities = {seed: softmax(draw(seed)["logits"]) for seed in (2, 3, 4, 5)}
        own = []
        for one in probabilities:
            apart = [
                np.abs(probabilities[one] - p)[rows].sum(1).mean() / 2 for s, p in probabilities.items() if s != one
            ]
            own.append(np.mean(apart))
        where = {"split": "test", "classes": "affected", "statistic": "distance"}
        statistics = audit().tables["statistics"]
        assert value(statistics, "floor", **where) == pytest.approx(np.mean(own), abs=1e-6)
        half = student.ppf(0.975, 3) * np.std(own, ddof=1) * (3 / 2) * np.sqrt(5 / 4)
        assert value(statistics, "floor_high", **where) == pytest.approx(np.mean(own) + half, abs=1e-6)
        assert np.isnan(value(statistics, "low", **where)), "one unlearned model has no interval of its own"

    def test_the_floor_of_damage_is_zero_and_its_width_that_of_retrained_confidence(self):
        confidence = [softmax(draw(s)["logits"])[np.arange(N), LABELS][TEST].mean() for s in (2, 3, 4, 5)]
        statistics = audit().tables["statistics"]
        where = {"split": "test", "classes": "all", "statistic": "damage"}
        assert value(statistics, "floor", **where) == pytest.approx(0, abs=1e-7)
        half = student.ppf(0.975, 3) * np.std(confidence, ddof=1) * np.sqrt(5 / 4)
        assert value(statistics, "floor_high", **where) == pytest.approx(half, rel=1e-4)

    def test_of_several_unlearned_models_the_interval_is_theirs(self):
        new = [draw(seed) for seed in (1, 11, 12)]
        many = audit(new=new).tables["statistics"]
        one = [value(audit(new=m).tables["statistics"], split="test", classes="all", statistic="damage") for m in new]
        where = {"split": "test", "classes": "all", "statistic": "damage"}
        assert value(many, **where) == pytest.approx(np.mean(one))
        half = student.ppf(0.975, 2) * np.std(one, ddof=1) / np.sqrt(3)
        assert value(many, "high", **where) == pytest.approx(np.mean(one) + half)

    @pytest.mark.parametrize("symmetric", [True, False])
    @pytest.mark.parametrize("retrained", [3, 6])
    def test_a_retrained_model_is_rarely_called_worse_than_retraining(self, symmetric, retrained):
        """Under the null the two-sided test at 5 % errs in 5 % of draws; 2000 have a standard deviation of 0.5 %."""
        random, errors = np.random.default_rng(0), 0
        for _ in range(2000):
            spot = random.normal(size=retrained + 1)
            own = np.abs(spot) if symmetric else -spot  # of each model; a pair's number is their sum, or difference
            pairs = own[:, None] + own if symmetric else own[:, None] - own
            floor = (pairs[:-1, :-1].sum(axis=1) - np.diag(pairs)[:-1]) / (retrained - 1)
            errors += floors.compare(pairs[-1:, :-1].mean(axis=1), floor, symmetric=symmetric)["p"] < 0.05
        assert 0.03 < errors / 2000 < 0.07

    def test_classes_are_accuracies_and_their_floor(self):
        found = audit().tables["classes"]
        rows = TEST[LABELS[TEST] == 2]
        right = 100 * (draw(1)["logits"].argmax(1) == LABELS)[rows].mean()
        assert value(found, "accuracy_unlearned", split="test", **{"class": "class 2"}) == pytest.approx(right)
        assert found["split"].drop_duplicates().tolist() == ["forget", "retain", "test"]
        assert found[found["split"] == "test"]["damage"].is_monotonic_decreasing
        overall = audit().tables["accuracy"]
        right = 100 * (draw(0)["logits"].argmax(1) == LABELS)[FORGET].mean()
        assert value(overall, "original", split="forget", classes="all") == pytest.approx(right)

    def test_the_worst_hit_are_the_most_damaged_with_their_nearest_forget_examples(self):
        found = audit()
        old, new = draw(0), softmax(draw(1)["logits"])[np.arange(N), LABELS]
        kept = np.mean([softmax(draw(s)["logits"])[np.arange(N), LABELS] for s in (2, 3, 4, 5)], axis=0)
        others = TEST[LABELS[TEST] != 1]
        worst = others[np.argsort(-(kept - new)[others])][:5]
        hit = found.examples[found.examples["classes"] == "other class"]
        assert hit["row"].tolist() == worst.tolist()
        assert hit["damage"].to_numpy() == pytest.approx((kept - new)[worst], abs=1e-6)
        cosines = [similarity(old["features"][worst[:1]], old["features"][[row]])[0] for row in FORGET]
        assert list(hit["nearest"].iloc[0]) == FORGET[np.argsort(-np.array(cosines))][:3].tolist()
        assert hit["nearest_similarities"].iloc[0][0] == pytest.approx(max(cosines))

    def test_the_random_sets_are_of_train_rows_and_come_from_the_seed(self):
        def contrast(**more):
            return value(
                audit(**more).tables["statistics"], split="test", classes="other", statistic="less_random_sets"
            )

        assert contrast(seed=1) == contrast(seed=1) != contrast(seed=2)


class TestModels:
    def test_a_model_and_its_predictions_have_the_same_audit(self):
        models = [network(seed) for seed in range(5)]
        with torch.no_grad():
            saved = [{"logits": m(IMAGES).numpy(), "features": m[:4](IMAGES).numpy()} for m in models]
        by_model = lfcore.audit(
            models[0],
            models[1],
            TensorDataset(IMAGES, torch.from_numpy(LABELS)),
            FORGET,
            retrained=models[2:],
            test=TEST,
        )
        by_array = lfcore.audit(
            saved[0],
            saved[1]["logits"],
            IMAGES,
            FORGET,
            retrained=[s["logits"] for s in saved[2:]],
            labels=LABELS,
            test=TEST,
        )
        for name, table in by_model.tables.items():
            pd.testing.assert_frame_equal(table, by_array.tables[name], atol=1e-5, check_exact=False)

    def test_batches_change_nothing(self):
        models = [network(seed) for seed in range(5)]
        one, many = (
            lfcore.audit(models[0], models[1], IMAGES, FORGET, labels=LABELS, retrained=models[2:], batch_size=size)
            for size in (1, 1000)
        )
        for name, table in one.tables.items():
            pd.testing.assert_frame_equal(table, many.tables[name], atol=1e-5, check_exact=False)
        one, many = (audit(batch_size=size).tables["statistics"] for size in (1, 1000))
        pd.testing.assert_frame_equal(one, many, rtol=1e-12, check_exact=False)

    def test_models_are_left_as_they_were(self):
        models = [network(seed) for seed in range(5)]
        before = [copy.deepcopy(model.state_dict()) for model in models]
        lfcore.audit(models[0], models[1], IMAGES, FORGET, labels=LABELS, retrained=models[2:], attacks=["relearning"])
        for model, state in zip(models, before, strict=True):
            assert not any(module.training for module in model.modules())
            assert not any(module._forward_hooks for module in model.modules()), "no hook stays behind"
            assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
            assert all(parameter.grad is None for parameter in model.parameters())

    def test_hooks_go_when_a_model_fails_too(self):
        model = network()
        with pytest.raises(InputError, match="can't be run on these images"):
            predict(read_subject("original", model), np.arange(2), torch.zeros(2, 1, 9, 9), "fc")
        assert not any(module._forward_hooks for module in model.modules())

    def test_features_are_a_heads_input_and_another_layers_output(self):
        model, rows = network(), np.arange(7)
        subject = read_subject("original", model)
        with torch.no_grad():
            expected = {"fc": model[:4](IMAGES[:7]), "body": model[:2](IMAGES[:7])}
            doubled = 2 * expected["body"]
        for path, wanted in expected.items():
            np.testing.assert_array_equal(predict(subject, rows, IMAGES[:7], path)[1], wanted.numpy())
        by_function = predict(subject, rows, IMAGES[:7], lambda model, images: 2 * model[:2](images))[1]
        np.testing.assert_array_equal(by_function, doubled.numpy())
        assert find_layer(model, None) == "fc" and find_layer(model, "norm") == "norm"

    def test_a_second_data_set_is_the_test_set(self):
        both = [TensorDataset(IMAGES[rows], torch.from_numpy(LABELS)[rows]) for rows in (slice(80), slice(80, N))]
        models = [network(seed) for seed in range(5)]
        apart = lfcore.audit(models[0], models[1], both[0], FORGET, test=both[1], retrained=models[2:])
        mask = np.isin(np.arange(N), FORGET)
        whole = lfcore.audit(models[0], models[1], (IMAGES, LABELS), mask, test=TEST, retrained=models[2:])
        pd.testing.assert_frame_equal(apart.tables["statistics"], whole.tables["statistics"])
        assert set(apart.pictures) == set(whole.pictures) and len(apart.pictures) > 5

    def test_a_data_sets_own_class_names_are_used(self):
        dataset = TensorDataset(IMAGES, torch.from_numpy(LABELS))
        dataset.classes = ["ant", "bee", "cat"]
        found = lfcore.audit(network(0), network(1), dataset, FORGET)
        assert "The affected class is bee" in found.facts[1] and set(found.tables["classes"]["class"]) == {
            *dataset.classes
        }

    def test_a_forget_set_that_is_a_whole_class_leaves_none_of_it_to_ask_about(self):
        found = lfcore.audit(draw(0), draw(1), None, np.flatnonzero(LABELS == 1), labels=LABELS)
        assert set(found.tables["questions"]["classes"]) == {"all", "other"} and found._repr_html_()

    def test_files_are_read_like_arrays(self, tmp_path):
        from safetensors.numpy import save_file

        np.savez(tmp_path / "old.npz", **draw(0))
        np.save(tmp_path / "new.npy", draw(1)["logits"])
        save_file(draw(2), tmp_path / "re.safetensors")
        found = lfcore.audit(
            tmp_path / "old.npz",
            str(tmp_path / "new.npy"),
            None,
            FORGET,
            retrained=[tmp_path / "re.safetensors", draw(3), draw(4), draw(5)],
            labels=LABELS,
            test=TEST,
        )
        pd.testing.assert_frame_equal(found.tables["statistics"], audit().tables["statistics"])

    @pytest.mark.parametrize(("weights", "pixels"), [("double", "double"), ("double", "float"), ("float", "double")])
    def test_models_and_images_of_two_precisions_meet(self, weights, pixels):
        def tables(models, images):
            options = {"labels": LABELS, "retrained": models[2:], "attacks": "relearning"}
            return lfcore.audit(models[0], models[1], images, FORGET, **options).tables

        found = tables([getattr(network(seed), weights)() for seed in range(3)], getattr(IMAGES, pixels)())
        for name, table in tables([network(seed) for seed in range(3)], IMAGES).items():
            pd.testing.assert_frame_equal(table, found[name], atol=1e-5, check_exact=False)

    def test_relearning_counts_the_steps_of_every_model(self):
        models = [network(seed) for seed in range(3)]
        found = lfcore.audit(
            models[0], models[1], IMAGES, FORGET, labels=LABELS, retrained=models[2:], attacks="relearning"
        )
        assert found.tables["attacks"]["model"].tolist() == ["original", "unlearned", "retrained"]
        assert found.tables["attacks"]["value"].between(0, 101).all() and "Attacks" in found._repr_html_()

    def test_feature_mapping_undoes_a_linear_change_of_features(self):
        old = draw(0)
        head = np.random.default_rng(9).normal(size=(WIDTH, K))
        old["features"][:, :K] += 3 * np.eye(K)[LABELS]
        old["logits"] = old["features"] @ head
        turned = {"logits": -old["logits"], "features": old["features"] @ np.random.default_rng(8).normal(size=(6, 6))}
        found = audit(old, turned, retrained=(), attacks=["feature_mapping"]).tables["attacks"]
        own = value(found, "value", model="original", measure="accuracy on the forget set before, percent")
        again = value(found, "value", model="unlearned", measure="recovered accuracy on it, percent")
        assert (
            again
            == own
            != value(found, "value", model="unlearned", measure="accuracy on the forget set before, percent")
        )


class TestVerdict:
    def test_a_model_that_forgot_a_class_beyond_the_floor_is_said_to_damage_it(self):
        broken = spread(1)["logits"]
        broken[LABELS == 1] = [2.0, -3.0, 1.0]
        found = lfcore.audit(
            memorized(), broken, None, FORGET, retrained=[spread(s) for s in (2, 3, 4, 5, 6)], labels=LABELS, test=TEST,
            class_names=["zero", "one", "two"],
        )  # fmt: skip
        assert found.verdict.startswith("Forgetting: beyond retraining.") and not found.warnings
        assert found.findings[1][0].startswith("Damage: beyond retraining to the affected class (one)")
        assert found.tables["questions"]["verdict"].tolist()[:3] == ["more than retraining"] * 2 + [
            "no more than retraining"
        ]
        number = value(found.tables["questions"], classes="affected", statistic="damage")
        affected = np.sum(LABELS[TEST] == 1)
        said = (
            f"On {affected} test examples of the affected class its confidence in the true class is lower than that of "
        )
        assert f"{said}retrained models by {number:.3f} on average (one more retrained model: -" in found.verdict
        assert repr(found) == found.verdict and found.verdict.count("degrees of freedom") == 1
        assert "six tests; the chance of any false alarm is at most 5 % (Holm)" in found.verdict
        assert "rest on 4 degrees of freedom" in found.verdict

    @pytest.mark.parametrize(
        ("retrained", "sentence"),
        [
            ((), "No verdict: there is no retrained model"),
            ((2,), "Verdict withheld: too few retrained models. With one retrained model there is no floor"),
            ((2, 3), "the floor has no width"),
        ],
    )
    def test_with_fewer_than_three_retrained_models_it_is_withheld(self, retrained, sentence):
        found = audit(retrained=retrained)
        assert sentence in found.verdict
        assert set(found.tables["questions"]["verdict"]) == {"withheld"}
        assert found.tables["questions"][["floor_low", "p"]].isna().all(axis=None)
        assert "eyond retraining" not in found.verdict and "It damages" not in found.verdict
        assert found._repr_html_().count("withheld") >= 6

    def test_without_retrained_models_the_original_stands_in_by_name(self):
        found = audit(retrained=())
        gap = np.abs(softmax(draw(0)["logits"]) - softmax(draw(1)["logits"]))[TEST].sum(1).mean() / 2
        ours = value(found.tables["statistics"], split="test", classes="all", statistic="distance")
        assert ours == pytest.approx(gap, abs=1e-6)
        assert "stands in here and is no reference" in found.verdict
        assert "retrained" not in found.tables["accuracy"] and "retrained: " not in found._repr_html_()

    def test_one_unlearned_model_is_called_one_draw(self):
        assert "one draw of its method" in audit().verdict
        assert "one draw" not in audit(new=[draw(1), draw(11)]).verdict

    def test_untold_test_rows_are_told(self):
        found = audit(test=None)
        assert "name them with test=" in found.verdict and found.main == "rest"

    def test_every_verdict_has_its_words(self):
        from lfcore.auditing.verdict import SENTENCES

        assert all(
            set(said) == {f"{how} than retraining" for how in ("more", "less", "no more")}
            for said in SENTENCES.values()
        )
        assert len(audit().tables["questions"]) == len(SENTENCES) + 1, "forgetting has words of its own"

    def test_what_holm_alone_hides_is_called_undecided(self):
        from lfcore.auditing.verdict import write_verdict

        table = audit().tables["questions"].assign(p_holm=0.5, p=0.4, unlearned=0.1, largest=1.0, detectable=0.2)
        table["verdict"] = "no more than retraining"
        one = table.assign(p=[0.4, 0.4, 0.01, 0.4, 0.4, 0.4])
        given = {"unlearned": 1, "retrained": 4, "affected": "a", "main": "test", "same": False}
        heads = [write_verdict(asked, **given)[1][0] for asked in (table, one)]
        assert heads == [f"Damage: none beyond retraining is shown{end}." for end in ("", "; other classes: undecided")]

    @pytest.mark.parametrize("others", [[], [0.5, 0.5], [0.001, 0.02, 0.5], [1e-6, 1e-5, 1e-4, 1e-3], [0.03, np.nan]])
    def test_the_smallest_detectable_is_where_holm_begins_to_reject(self, others):
        found = floors.detect(np.array([0.7, *others]), np.full(6, 2.0), np.full(6, 3.0))[0]
        for factor, told in ((1.001, True), (0.999, False)):
            p = 2 * student.sf(factor * found / 2, 3)
            assert (holm(np.array([p, *others]))[0] < 0.05) == told

    def test_a_floor_wider_than_what_can_happen_gives_no_answer(self):
        retrained = [spread(seed) for seed in (2, 3, 4)]
        for one, sure in zip(retrained, (-9.0, 0.0, 9.0), strict=True):
            one["logits"][LABELS == 1] = sure * np.eye(K)[1]
        lost = spread(1)["logits"]
        lost[LABELS == 1] = -30 * np.eye(K)[1]
        found = lfcore.audit(memorized(), lost, None, FORGET, retrained=retrained, labels=LABELS, test=TEST)
        where = {"classes": "affected", "statistic": "damage"}
        questions = found.tables["questions"]
        assert value(questions, **where) == pytest.approx(value(questions, "largest", **where), abs=1e-6)
        assert value(questions, "verdict", **where) == "cannot be answered"
        sentence = "Cannot be answered: even a model that lost all confidence there would not stand out from these 3 "
        assert f"\n\n{sentence}retrained models. On " in found.verdict
        assert "affected class: cannot be answered" in found.findings[1][0]
        assert found.findings[0][0].startswith("Forgetting: cannot be answered: even the original would not stand out")
        assert (
            value(questions, "floor_high", **where) > 1
            and "one more retrained model: -1.000 to +1.000" in found.verdict
        )
        axes = {axis.get_title(): axis for axis in found.figure().axes[:3]}
        texts = {title.split(",")[0]: [text.get_text() for text in axis.texts] for title, axis in axes.items()}
        assert texts == {"affected class": ["no information"], "other classes": [], "all classes": []}

    def test_what_would_not_have_been_seen_is_said(self):
        found = lfcore.audit(
            memorized(), spread(1), None, FORGET, retrained=[spread(s) for s in (2, 3, 4)], labels=LABELS, test=TEST
        )
        detectable = value(found.tables["questions"], "detectable", classes="affected", statistic="damage")
        assert 0 < detectable < 0.5 and f"Damage below {detectable:.2f} would not have been seen." in found.verdict

    def test_doing_nothing_is_told_first_and_is_no_forgetting(self):
        retrained = [spread(seed) for seed in (2, 3, 4, 5)]
        old = memorized()
        found = lfcore.audit(old, old["logits"], None, FORGET, retrained=retrained, labels=LABELS, test=TEST)
        first, then, *_ = found.verdict.split("\n\n")
        assert first == "The unlearned model predicts the same as the original: was the right file loaded?"
        assert then.startswith("Forgetting: still like the original.")
        assert found.findings[1][0].startswith("Damage: none")
        page = found._repr_html_()
        assert 0 < page.index("was the right file loaded?") < page.index("<h2>Verdict</h2>")

    @pytest.mark.parametrize(
        ("shift", "sentence"),
        [(6.0, "still like the original"), (1.0, "less than retraining's"), (0.0, "not shown to"), (-4.0, "beyond")],
    )
    def test_forgetting_is_the_forget_examples_compared_with_retraining_and_the_original(self, shift, sentence):
        new = spread(1)
        new["logits"][FORGET] += shift * np.eye(K)[1]
        found = lfcore.audit(
            memorized(), new, None, FORGET, retrained=[spread(s) for s in (2, 3, 4, 5)], labels=LABELS, test=TEST
        )
        assert found.verdict.startswith(f"Forgetting: {sentence}") and not found.warnings


class TestWarnings:
    def warnings(self, original=None, new=None, retrained=None, **more):
        retrained = [spread(seed) for seed in (2, 3, 4)] if retrained is None else retrained
        given = {"labels": LABELS, "test": TEST} | more
        found = lfcore.audit(original or memorized(), new or spread(1), None, FORGET, retrained=retrained, **given)
        assert found.verdict.startswith("\n\n".join([*found.warnings, found.findings[0][0]]))
        page = found._repr_html_()
        assert all(page.index(warning) < page.index("<h2>Verdict</h2>") for warning in found.warnings)
        return found.warnings

    def test_sound_inputs_have_none(self):
        assert self.warnings() == []

    def test_a_retrained_model_that_saw_the_forget_set(self):
        saw = memorized()
        saw["logits"] = saw["logits"] + 0.1 * draw(9)["logits"]
        text = "is as sure of the forget examples as the original: was it trained without them?"
        assert self.warnings(retrained=[spread(2), spread(3), saw]) == [f"Retrained 3 {text}"]
        assert self.warnings(retrained=[spread(2)]) == []

    def test_test_examples_that_are_train_examples_are_counted(self):
        old = memorized()
        for key in ("logits", "features"):
            old[key][TEST[:6]] = old[key][np.arange(6) + 12]
        text = f"6 of {len(TEST)} test examples are identical to train examples: are they unseen?"
        assert self.warnings(original=old) == [text]
        images = IMAGES.clone()
        images[TEST[[0, 2]]] = IMAGES[0]
        found = lfcore.audit(network(0), network(1), images, FORGET, labels=LABELS, test=TEST)
        assert f"2 of {len(TEST)} test examples are identical to train examples: are they unseen?" in found.warnings

    def test_an_original_worse_than_the_unlearned_model(self):
        worse = memorized()
        worse["logits"][40:80] *= -1
        (text,) = self.warnings(original=worse)
        train = np.arange(80)
        right = [100 * (m["logits"].argmax(1) == LABELS)[train].mean() for m in (worse, spread(1))]
        assert text == (
            f"The original is right on {right[0]:.1f} % of the train examples and the unlearned model on "
            f"{right[1]:.1f} %: were they swapped?"
        )


EVIL = "<script>alert('x')</script>"


class TestPage:
    def test_everything_printed_is_escaped(self, tmp_path):
        names = [EVIL, f'"><img src=x onerror={EVIL}', "b&b"]
        text = audit(class_names=names, images=IMAGES).save(tmp_path / "page.html").read_text()
        assert "<script" not in text and "onerror=<" not in text and "&lt;script&gt;" in text
        assert len(re.findall("<img ", text)) == len(
            re.findall(r'<img (class="curve" )?src="data:image/png;base64,', text)
        )

    def test_it_is_one_file_with_texts_beside_its_pictures(self, tmp_path):
        text = audit(images=IMAGES).save(tmp_path / "sub" / "page.html").read_text()
        assert not re.search(r"(src|href)=\"(?!data:)", text) and "http" not in text.replace("http-equiv", "")
        pictures = re.findall("<img [^>]*>", text)
        assert len(pictures) > 10 and all(re.search('alt="[^"]{9,}"', picture) for picture in pictures)
        assert "default-src 'none'" in text and text.startswith("<!doctype html>")

    def test_it_says_units_a_key_what_pictures_are_not_and_who_wrote_it(self, tmp_path):
        found = audit(images=IMAGES)
        text = found.save(tmp_path / "page.html").read_text()
        assert all(f"<th>{who} accuracy, %</th>" in text for who in ("original", "unlearned", "retrained"))
        assert "<th>accuracy unlearned, %</th>" in text
        key = text.index(page.KEY)
        assert text.index("along similarity to the forget set</h2>") < key < text.index('<img class="curve"')
        assert all(f"{word}: " in page.KEY for word in ("Damage", "Distance", "Floor", "Similarity"))
        hits = text.index("Who was hit worst")
        assert hits < text.index("shown for every audit; not evidence of damage by itself") < text.index('class="hit"')
        footer = text[text.index("<footer") :]
        assert re.search(r">lfcore \S+.*, \d{4}-\d\d-\d\d</footer>", footer) and found.date in footer
        assert "<footer" not in found._repr_html_()

    def test_the_same_audit_is_the_same_page(self, tmp_path):
        one, two = (audit(images=IMAGES).save(tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
        assert one == two

    @pytest.mark.parametrize(
        "image", [np.zeros((4, 4)), np.zeros((1, 4, 4)), np.zeros((3, 4, 4)), np.full((4, 4, 3), 200, dtype=np.uint8)]
    )
    def test_pictures_of_every_layout_are_drawn(self, image):
        assert page.embed_picture(image).startswith("data:image/png;base64,")

    def test_what_is_no_picture_is_left_out(self):
        assert page.embed_picture(np.zeros(5)) == ""
        found = audit(images=np.zeros((N, 5)))
        assert "test example" in found._repr_html_()

    def test_many_classes_are_cut_on_the_page_and_not_in_the_tables(self):
        labels, random = np.arange(N) % 30, np.random.default_rng(0)
        given = [{"logits": random.normal(size=(N, 30)), "features": random.normal(size=(N, 4))} for _ in range(2)]
        found = lfcore.audit(*given, None, [0, 30], labels=labels)
        assert (found.tables["classes"]["split"] == "rest").sum() == 30
        assert "The 20 most damaged" in found._repr_html_()

    def test_tables_are_written(self, tmp_path):
        audit().to_csv(tmp_path)
        assert {p.stem for p in tmp_path.glob("*.csv")} >= {"questions", "statistics", "classes", "bins", "examples"}


class Gray:
    """A Dataset of what its function makes."""

    def __init__(self, item):
        self.item = item

    def __len__(self):
        return N

    def __getitem__(self, row):
        return self.item(row)


def broken(seed, **changes):
    return {**draw(seed), **changes}


COUNTER = itertools.count()


def nudged(model):
    """The same model after a rounding."""
    with torch.no_grad():
        model.fc.weight *= 1 + 1e-6
    return model


SET = TensorDataset(IMAGES, torch.from_numpy(LABELS))
NAN = np.where(np.arange(N * K).reshape(N, K) == 7, np.nan, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unlearned": network(1, classes=5)}, "unlearned model has 5 classes and the original 3"),
        ({"features": "head"}, "no layer called 'head': choose a path of named_modules\\(\\), such as 'fc'"),
        ({"features": lambda model, images: images}, "features= does not return a tensor"),
        ({"forget": [0, N]}, f"The forget rows hold {N}, but the train rows go from 0 to {N - 1}"),
        ({"forget": [0, N], "test": TEST}, f"The forget rows hold {N}, but the train rows go from 0 to 79: give"),
        ({"forget": [80], "data": IMAGES[:80], "labels": LABELS[:80], "test": SET}, "hold 80, but the train rows go"),
        ({"forget": Subset(SET, FORGET)}, r"forget is a Subset: give its row numbers \(\.indices\)\."),
        ({"forget": SET}, "forget is a TensorDataset: give row numbers, or a mask"),
        ({"test": DataLoader(SET)}, r"test is a DataLoader: give .* \(of a DataLoader, its \.dataset\)"),
        ({"unlearned": network().state_dict()}, r"unlearned model is a state dict: load it .*load_state_dict"),
        ({"retrained": [network(2), {"state_dict": network().state_dict()}]}, "retrained 2 model is a state dict"),
        ({"forget": [-1]}, "forget rows hold -1"),
        ({"forget": [1, 1]}, "name an example twice"),
        ({"forget": []}, "There are no forget examples"),
        ({"forget": [0.5]}, "give a list of whole row numbers"),
        ({"forget": np.ones(3, dtype=bool)}, "mask has shape"),
        ({"forget": np.zeros(N, dtype=bool)}, "There are no forget examples"),
        ({"forget": range(N)}, "none was retained"),
        ({"forget": [80], "test": TEST}, "Example 80 is in the forget set and in test"),
        ({"test": [N + 5]}, "test rows hold 125"),
        ({"unlearned": NAN}, "The unlearned model's logits of example 2 are not finite"),
        ({"original": {"logits": NAN, "features": draw(0)["features"]}}, "original model's logits of example 2"),
        ({"unlearned": network().train()}, r"unlearned model is in train mode .*model.eval\(\)"),
        ({"retrained": [network(2), network(3), nn.Sequential(network(4), nn.Dropout())]}, "retrained 3 model is in"),
        ({"labels": LABELS[:-1]}, f"There are {N} images and {N - 1} labels"),
        ({"labels": LABELS + 1}, "Example 2 has label 3, but the original has classes 0 to 2"),
        ({"labels": None}, "Images without labels"),
        ({"labels": LABELS.astype(float)}, "give one whole number an example"),
        ({"data": None}, "A model can't be run without data"),
        ({"data": 3, "labels": None}, "The data are a int"),
        ({"data": torch.zeros(N, 3, 9, 9)}, r"original model can't be run on .*torch.float32 of shape \(3, 9"),
        ({"data": Gray(lambda row: IMAGES[row]), "labels": None}, "not a pair"),
        ({"data": Gray(lambda row: ("pil", 0)), "labels": None}, r"images are str: add transforms.ToTensor\(\)"),
        ({"data": Gray(lambda row: (torch.rand(4), 0)), "labels": None}, "differ when read twice: take random augment"),
        ({"data": Gray(lambda row: (IMAGES[row], next(COUNTER) % K)), "labels": None}, "labels differ when read twice"),
        ({"retrained": [network(2), network(0)]}, "models original and retrained 2 predict the same: give one trained"),
        ({"retrained": nudged(network(0))}, "models original and retrained predict the same"),
        ({"data": Gray(lambda row: (IMAGES[row], 0.5)), "labels": None}, "labels are not one whole number"),
        ({"data": Gray(lambda row: (torch.zeros(1, row + 1, 4), 0)), "labels": None}, "can't be read in batches"),
        ({"unlearned": softmax(draw(1)["logits"])}, "unlearned model gives probabilities: give logits"),
        ({"original": network(0, classes=1)}, "original model has a single output"),
        ({"original": {"logits": draw(0)["logits"]}}, "original predictions have no features"),
        ({"unlearned": {"features": draw(0)["features"]}}, "unlearned predictions have no logits"),
        ({"unlearned": draw(0)["logits"][:5]}, f"unlearned predictions have 5 rows and the data {N}"),
        ({"unlearned": np.zeros(N)}, "unlearned logits are float64 of shape"),
        ({"unlearned": "weights.pt"}, "weights.pt is no predictions of the unlearned model: .*load_state_dict"),
        ({"unlearned": "none.npz"}, "none.npz is missing"),
        ({"unlearned": 3}, "unlearned model is a int: give a torch.nn.Module"),
        ({"unlearned": []}, "There is no unlearned model"),
        ({"retrained": [network(2), network(2)]}, "retrained 1 and retrained 2 predict the same"),
        ({"unlearned": nn.Sequential(nn.Flatten(), nn.Identity(), nn.Unflatten(1, (2, 8))).eval()}, "does not return"),
        ({"original": nn.Flatten().eval()}, "no linear layer to read features at"),
        ({"class_names": ["a"]}, "There are 1 class names and 3 classes"),
        ({"images": IMAGES[:1]}, "no picture of example"),
        ({"attacks": ["inversion"]}, "no attack called 'inversion' in an audit: choose from feature_map"),
        ({"attacks": ["relearning"], "unlearned": draw(1)}, "relearning trains the unlearned model"),
        ({"batch_size": 0}, "give at least 1 and 2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(changes, message):
    given = {"original": network(0), "unlearned": network(1), "data": IMAGES, "forget": FORGET, "labels": LABELS}
    given |= changes
    with pytest.raises(InputError, match=message) as caught:
        lfcore.audit(**given)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("hostile"),))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", logits=np.array([Hostile()], dtype=object))
    np.save("objects.npy", np.array([Hostile()], dtype=object))
    torch.save({"state_dict": network().state_dict(), "more": Hostile()}, "hostile.pt")
    Path("hostile").unlink(missing_ok=True)
    for name in ("objects.npz", "objects.npy"):
        with pytest.raises(InputError, match="holds Python objects"):
            audit(new=name)
    with pytest.raises(InputError, match="can't be read safely"):
        state_dicts.load_state_dict("hostile.pt", network())
    assert not Path("hostile").exists()


def test_importing_lfcore_and_its_evaluation_imports_no_torch():
    code = (
        "import sys, lfcore, lfcore.stages.evaluate; assert 'torch' not in sys.modules; assert callable(lfcore.audit)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'audits'"):
        lfcore.audits  # noqa: B018


class TestWeights:
    def saved(self, tmp_path, content):
        torch.save(content, tmp_path / "x.pth.tar")
        return tmp_path / "x.pth.tar"

    def same(self, loaded, wanted):
        return all(torch.equal(tensor, wanted.state_dict()[name]) for name, tensor in loaded.state_dict().items())

    @pytest.mark.parametrize("place", ["", *state_dicts.PLACES])
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_they_are_found_where_projects_put_them(self, tmp_path, place, prefix):
        state = {prefix + name: tensor for name, tensor in network(3).state_dict().items()}
        path = self.saved(tmp_path, {place: state, "epoch": 3} if place else state)
        loaded = state_dicts.load_state_dict(path, network(0).train())
        assert self.same(loaded, network(3)) and not loaded.training

    def test_a_state_dict_in_hand_is_loaded_too(self):
        state = {"module." + name: tensor for name, tensor in network(3).state_dict().items()}
        assert self.same(state_dicts.load_state_dict({"state_dict": state}, network(0)), network(3))
        with pytest.raises(InputError, match=r"The state dict has no 'fc\.bias'"):
            state_dicts.load_state_dict({k: v for k, v in state.items() if "fc.bias" not in k}, network(0))

    def test_safetensors_too(self, tmp_path):
        from safetensors.torch import save_file

        save_file(network(3).state_dict(), tmp_path / "x.safetensors")
        assert self.same(state_dicts.load_state_dict(tmp_path / "x.safetensors", network(0)), network(3))

    def test_a_network_that_normalises_its_inputs_still_does_once(self, tmp_path):
        """As a checkpoint of SalUn: its network's first layer, and accuracies of numpy beside the weights."""
        model = network(3)
        state = model.state_dict() | {"normalize.mean": torch.tensor([0.4]), "normalize.std": torch.tensor([0.2])}
        path = self.saved(tmp_path, {"state_dict": state, "evaluation_result": {"SVC_MIA": np.float64(0.5)}})
        loaded = state_dicts.load_state_dict(path, network(0))
        for _ in range(2):
            torch.testing.assert_close(loaded(IMAGES), model((IMAGES - 0.4) / 0.2))
            loaded = state_dicts.load_state_dict(path, loaded)
        plain = self.saved(tmp_path, model.state_dict())
        torch.testing.assert_close(state_dicts.load_state_dict(plain, loaded)(IMAGES), model(IMAGES))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda state: {k: v for k, v in state.items() if k != "fc.bias"},
                "has no 'fc.bias', which this Sequential",
            ),
            (lambda state: state | {"extra": torch.zeros(1)}, "has 'extra', which this Sequential lacks"),
            (lambda state: state | {"fc.bias": torch.zeros(9)}, r"'fc.bias' is \(9,\) in .* and \(3,\) in this Seq"),
            (lambda state: [1, 2], "holds no state dict"),
            (lambda state: {"epoch": 3}, "holds no state dict"),
        ],
    )
    def test_what_does_not_fit_is_one_sentence(self, tmp_path, change, message):
        path = self.saved(tmp_path, change(network().state_dict()))
        with pytest.raises(InputError, match=message):
            state_dicts.load_state_dict(path, network())

    @pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
    def test_a_damaged_or_missing_file_is_one_sentence(self, tmp_path, name):
        with pytest.raises(InputError, match="is missing"):
            state_dicts.load_state_dict(tmp_path / name, network())
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(InputError, match="can't be read safely"):
            state_dicts.load_state_dict(tmp_path / name, network())


MINE = """
from lfcore.unlearners import ascent

READS = {"forget"}


def unlearn(model, retain, forget, *, seed, loop, lr, epochs=1):
    assert retain is None
    return ascent.unlearn(model, None, forget, seed=seed, loop=loop, lr=lr, epochs=epochs)
"""


class TestOwnUnlearner:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(MINE)
        return str(path)

    def test_one_config_line_and_its_variants(self, file, merged):
        given = {"mine": {"file": file, "lr": 0.01}, "mine-strong": {"lr": 1.0}}
        config = check_config(merged({"unlearners": given}))
        from lfcore.workflow import studies

        found = studies.read(config)[studies.MAIN].unlearners
        assert found["mine-strong"] == {"file": file, "lr": 1.0}
        assert method("mine-strong", found["mine-strong"]) == file
        assert method("ltd-x", found["ltd"]) == "lfcore/unlearners/ltd.py"
        assert "lfcore/unlearners/ascent.py" in sources(file)
        study = {"x": {"also": ["mine"], "unlearners": {"other": {"file": file, "lr": 1.0}}}}
        check_config(merged({"unlearners": given, "studies": study}))

    @pytest.mark.parametrize(
        ("options", "text", "message"),
        [
            ({"lr": 1.0, "kk": 2}, MINE, "mine has no option 'kk': choose from lr, epochs, draw, steps, file"),
            ({}, MINE, "mine needs the option 'lr'"),
            ({"lr": 1.0}, MINE.replace("READS", "READ"), "defines no READS or no unlearn"),
            ({"lr": 1.0}, "READS = {'forget'}", "defines no READS or no unlearn"),
            ({"lr": 1.0}, MINE.replace("seed, loop,", "seed,"), "takes no `loop`: add it behind `seed`"),
            ({"lr": 1.0}, "def f(:", "is not Python"),
        ],
    )
    def test_a_wrong_file_or_option_is_one_sentence(self, tmp_path, merged, options, text, message):
        path = tmp_path / "mine.py"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            check_config(merged({"unlearners": {"mine": {"file": str(path)} | options}}))

    def test_a_missing_file_and_a_taken_name_are_one_sentence(self, file, merged):
        with pytest.raises(InputError, match="which is no Python file in"):
            check_config(merged({"unlearners": {"mine": {"file": "no/such.py"}}}))
        with pytest.raises(InputError, match=r"lfcore/unlearners/ltd\.py has that name: rename yours"):
            check_config(merged({"unlearners": {"ltd-x": {"file": file}}}))

    def test_the_stage_runs_it_like_any_other(self, file, trained, tmp_path):
        common = {
            "dataset": trained / "dataset.safetensors",
            "forget_set": trained / "4_half.json",
            "network": "cnn",
            "seeds": [0],
            "device": "cpu",
            "originals": [trained / "original"],
        }
        options = {"lr": 0.01, "epochs": 1}
        unlearn.unlearn(**common, unlearner="mine", options={"file": file} | options, out=tmp_path / "mine")
        unlearn.unlearn(**common, unlearner="ascent", options=options, out=tmp_path / "ascent")
        one, other = ((tmp_path / name / "seed0.weights.safetensors").read_bytes() for name in ("mine", "ascent"))
        assert one == other
        with pytest.raises(InputError, match="mine has no option 'kk'"):
            check_options("mine", {"file": file, "kk": 1})
        with pytest.raises(InputError, match="There is no file"):
            find("mine", {"file": "no/such.py"})

"""Counting steps, the options that every unlearner has, and the probes that look at models themselves."""

import copy
import dataclasses
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from test_unlearners import SHORT, bits, same
from torch.nn.functional import cross_entropy

from lfcore.core import checkpoint, data, seeds, tables
from lfcore.core.errors import Diverged, InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.run import Predictions, Row, read_predictions
from lfcore.models import networks
from lfcore.probes import choose_k, layers, relearning
from lfcore.stages import evaluate, probe, unlearn
from lfcore.training.fit import Loop, Steps, batches, fit
from lfcore.unlearners._apply import apply, check_options, find


@pytest.fixture(autouse=True)
def short_teachers_may_fall_short():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The teacher's accuracy reached")
        yield


def fit_shortly(model, examples, epochs=1, **more):
    """Two batches an epoch for the forget set of `problem`."""
    return fit(
        model,
        examples.images,
        lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
        epochs=epochs,
        batch_size=32,
        lr=0.01,
        generator=seeds.generator(0, "test", "batches"),
        **more,
    )


def fresh():
    return networks.build("cnn", 1, 10, seed=1, stage="test", dtype=torch.float64)


class TestSteps:
    def test_every_fit_that_is_given_the_count_is_counted(self, problem):
        seen, steps = [], Steps()
        loop = Loop(steps=steps)
        fit_shortly(fresh(), problem.forget, epochs=3, after_step=lambda: seen.append(steps.taken), loop=loop)
        assert seen == [1, 2, 3, 4, 5, 6]
        fit_shortly(fresh(), problem.forget, epochs=2, loop=loop)
        fit_shortly(fresh(), problem.forget)
        assert (steps.taken, steps.aside, steps.spent) == (10, 0, False)

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 6])
    def test_no_more_than_the_limit_are_taken_however_many_fits_there_are(self, problem, limit):
        seen, loop = [], Loop(steps=Steps(limit))
        for _ in range(3):
            fit_shortly(fresh(), problem.forget, after_step=lambda: seen.append(1), loop=loop)
        assert loop.steps.taken == len(seen) == limit and loop.steps.spent

    def test_a_limit_that_is_not_reached_changes_nothing(self, problem):
        loop = Loop(steps=Steps(100))
        counted = bits(fit_shortly(fresh(), problem.forget, epochs=3, loop=loop))
        assert loop.steps.taken == 6 and not loop.steps.spent
        assert same(counted, bits(fit_shortly(fresh(), problem.forget, epochs=3)))

    def test_the_steps_up_to_the_limit_are_the_same_to_the_bit(self, problem):
        states, model = [], fresh()
        fit_shortly(model, problem.forget, epochs=3, after_step=lambda: states.append(bits(model)))
        for limit in (1, 2, 5):
            stopped = fit_shortly(fresh(), problem.forget, epochs=3, loop=Loop(steps=Steps(limit)))
            assert same(bits(stopped), states[limit - 1])

    def test_a_model_is_left_in_eval_mode_wherever_it_stops(self, problem):
        loop, model = Loop(steps=Steps(1)), fresh()
        assert not fit_shortly(fresh(), problem.forget, epochs=9, loop=loop).training
        before = bits(model)
        assert not fit_shortly(model, problem.forget, loop=loop).training
        assert same(before, bits(model)), "nothing was left to take"

    def test_steps_aside_are_counted_apart_and_have_no_part_in_the_limit(self, problem):
        outer = Loop(augment="crop_flip", steps=Steps(3))
        inner = outer.aside()
        innermost = inner.aside()
        assert inner.augment == "crop_flip" and inner.steps.limit is None
        fit_shortly(fresh(), problem.forget, epochs=4, loop=inner)
        fit_shortly(fresh(), problem.forget, loop=innermost)
        fit_shortly(fresh(), problem.forget, epochs=4, loop=outer)
        found = [(loop.steps.taken, loop.steps.aside) for loop in (innermost, inner, outer)]
        assert found == [(2, 0), (8, 2), (3, 10)]
        assert Loop().aside().steps.taken == 0, "without a count there is nothing to count apart from"

    def test_steps_are_counted_up_to_an_error(self, problem):
        loop = Loop(steps=Steps())
        with pytest.raises(Diverged):
            fit(fresh(), problem.forget.images, lambda logits, batch: -logits.square().sum(), epochs=50,
                batch_size=32, lr=1e6, generator=torch.Generator(), loop=loop.aside())  # fmt: skip
        assert loop.steps.taken == 0 < loop.steps.aside

    def test_training_writes_down_its_steps(self, trained, digits):
        record = checkpoint.sidecar([trained / "original"], 0)
        assert record["steps"] == 2 * len(batches(len(digits.train), 64, torch.Generator()))


def seen(name, problem):
    reads = find(name).READS
    return {part: getattr(problem, part) if part in reads else None for part in ("retain", "forget")}


def apply_shortly(name, problem, seed=0, **more):
    """The new model and what it took."""
    result, took = apply(name, problem.model, seen(name, problem), seed, SHORT[name] | more)
    return result.model, took


DRAWN = sorted(set(SHORT) - {"ssd"})
STEPPING = sorted(
    name for name in set(SHORT) - {"drift"} if "epochs" in inspect.signature(find(name).unlearn).parameters
)
"""Methods that take optimizer steps, epoch by epoch."""


class TestApply:
    @pytest.mark.parametrize("name", DRAWN)
    def test_a_draw_changes_the_bits_and_draw_zero_is_the_method_itself(self, name, problem):
        before = bits(problem.model)
        plain, one, two, zero = (
            bits(apply_shortly(name, problem, **more)[0]) for more in ({}, *({"draw": d} for d in (1, 2, 0)))
        )
        assert same(plain, zero) and not same(plain, one) and not same(one, two) and not same(plain, two)
        assert same(before, bits(problem.model))
        itself = find(name).unlearn(problem.model, **seen(name, problem), seed=0, **SHORT[name])
        assert same(plain, bits(getattr(itself, "model", itself)))

    def test_draws_of_one_seed_are_no_other_seeds(self, problem):
        found = [
            bits(apply_shortly("random_labels", problem, seed=seed, draw=draw)[0])["head.bias"]
            for seed in (0, 1)
            for draw in (0, 1, 2)
        ]
        assert len(torch.stack(found).unique(dim=0)) == 6
        again = bits(apply_shortly("random_labels", problem, seed=1, draw=2)[0])["head.bias"]
        assert torch.equal(again, found[-1]), "a draw repeats itself"

    def test_the_same_original_is_behind_every_draw(self, problem):
        """At a rate of zero and with frozen statistics only the original is left."""
        for draw in (0, 1):
            model, _ = apply_shortly("ascent-frozen", problem, lr=0.0, draw=draw)
            assert same(bits(model), bits(problem.model))

    @pytest.mark.parametrize("steps", [1, 5])
    @pytest.mark.parametrize("name", STEPPING)
    def test_steps_are_exactly_so_many_whatever_the_epochs(self, name, problem, steps):
        for epochs in (1, 30):
            model, took = apply_shortly(name, problem, steps=steps, epochs=epochs)
            assert took["steps"] == steps and not model.training
        assert (took["steps_aside"] > 0) is name.startswith("ltd"), "a teacher is not counted"

    @pytest.mark.parametrize("name", STEPPING)
    def test_without_a_limit_the_steps_are_those_of_the_epochs(self, name, problem):
        few, many = (apply_shortly(name, problem, epochs=epochs)[1]["steps"] for epochs in (1, 3))
        assert 0 < few < many

    @pytest.mark.parametrize("name", ["ascent", "fine_tuning", "salun", "ltd", "amun", "scrub"])
    def test_a_limit_takes_the_first_steps_of_the_method_itself(self, name, problem):
        """One epoch of the method, or as many steps."""
        whole, took = apply_shortly(name, problem, epochs=1)
        limited, _ = apply_shortly(name, problem, epochs=1, steps=took["steps"])
        assert same(bits(whole), bits(limited)) and took["steps"] > 1

    @pytest.mark.parametrize("name", ["influence", "ssd"])
    def test_one_shot_methods_take_no_steps(self, name, problem):
        model, took = apply_shortly(name, problem)
        limited, _ = apply_shortly(name, problem, steps=5)
        assert took["steps"] == took["steps_aside"] == 0 and same(bits(model), bits(limited))

    def test_what_it_took_is_told(self, problem):
        result, took = apply("ltd", problem.model, seen("ltd", problem), 0, SHORT["ltd"])
        assert set(took) == {"seconds", "cpu_seconds", "steps", "steps_aside"}
        assert result.notes["teacher_epochs"] == 3 and result.teacher_logits.shape == (len(problem.forget), 10)
        assert took["steps_aside"] == 3, "three epochs of one batch"
        assert took["seconds"] > 0 and took["cpu_seconds"] > 0
        plain, _ = apply("fine_tuning", problem.model, seen("fine_tuning", problem), 0, SHORT["fine_tuning"])
        assert plain.notes == {} and plain.teacher_logits is None

    def test_options_are_left_as_they_were(self, problem):
        options = SHORT["ascent"] | {"draw": 1, "steps": 2}
        apply("ascent", problem.model, seen("ascent", problem), 0, options)
        assert options == SHORT["ascent"] | {"draw": 1, "steps": 2}

    @pytest.mark.parametrize("name", SHORT)
    def test_every_unlearner_has_both_options(self, name):
        check_options(name, SHORT[name] | {"draw": 1, "steps": 2})
        with pytest.raises(InputError, match=r"has no option 'step': choose from .*draw, steps, file\.$"):
            check_options(name, SHORT[name] | {"step": 2})


@pytest.fixture(scope="module")
def unlearned(trained, tmp_path_factory):
    """Two models that LTD made of the originals in `trained`."""
    folder = tmp_path_factory.mktemp("unlearned")
    place = {"dataset": trained / "dataset.safetensors", "forget_set": trained / "4_half.json", "network": "cnn"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unlearn.unlearn(
            **place, unlearner="ltd", seeds=[0, 1], options=SHORT["ltd"] | {"draw": 1}, device="cpu",
            originals=[trained / "original"], out=folder,
        )  # fmt: skip
    return folder


class TestStage:
    """What the stages write and read of teachers and steps."""

    def test_the_sidecar_and_the_predictions_hold_what_the_teacher_said(self, unlearned, forget_set):
        record = checkpoint.sidecar([unlearned], 1)
        assert record["options"]["draw"] == 1 and record["steps"] > 0 < record["steps_aside"]
        assert record["notes"]["teacher_epochs"] == 3 and 0 < record["notes"]["support_similarity"] <= 1
        found = read_predictions([unlearned], [0, 1])
        assert found.teacher_logits.shape == (2, len(forget_set.forget), 10)
        right = 100 * (found.teacher_logits[1].argmax(axis=1) == 4).mean()
        assert right == pytest.approx(record["notes"]["teacher_accuracy"])

    def test_only_teachers_that_all_seeds_have_are_read(self, trained, unlearned):
        assert read_predictions([trained / "original"], [0, 1]).teacher_logits is None
        with_and_without = read_predictions([unlearned, trained / "retrained"], [0, 1, 2])
        assert with_and_without.teacher_logits is None and len(with_and_without.logits) == 3

    def test_every_metric_of_the_default_profile_measures_it(self, trained, unlearned, merged, tmp_path):
        """On files, as a job does; the reference is too small for the two measures that need many models."""
        table = evaluate.evaluate(
            dataset=trained / "dataset.safetensors",
            forget_set=trained / "4_half.json",
            network="cnn",
            unlearner="ltd",
            seeds=[0, 1],
            folders=[unlearned],
            originals=[trained / "original"],
            original_seeds=[0, 1],
            retrained=[trained / "retrained"],
            reference_seeds=[0, 1],
            floor_seeds=[2],
            metrics=[*merged()["metrics"], "class_similarity"],
            out=tmp_path / "ltd",
        )
        assert {"matched_localization", "shuffled_spearman", "spearman_pixels", "target_teacher"} <= set(
            table["metric"]
        )
        assert not table.duplicated(tables.COLUMNS[:-1]).any()
        record = checkpoint.sidecar([unlearned], 0)
        found = table[(table["metric"] == "teacher_accuracy") & (table["seed"] == 0)]["value"].item()
        assert found == pytest.approx(record["notes"]["teacher_accuracy"])
        known = table[table["metric"] != "matched_localization"]
        assert known["value"].notna().all(), known[known["value"].isna()]
        again = tables.read(tmp_path / "ltd.csv")
        assert (again["metric"] == table["metric"]).all()


@pytest.fixture
def subject(problem, digits, forget_set):
    """The original itself, as a probe gets it."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, len(digits.labels), 10))
    return probe.Probed(
        unlearner="original",
        seed=0,
        model=copy.deepcopy(problem.model),
        original=problem.model,
        forget=problem.forget,
        retain=problem.retain,
        test=choose(digits, digits.test, "cpu"),
        affected=4,
        forget_rows=forget_set.forget,
        reference=Predictions((0, 1, 2), logits, logits),
    )


def with_model(subject, model, **more):
    return dataclasses.replace(subject, model=model.eval(), **more)


def shuffled_head(model):
    """The same features under another order of the classes."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.copy_(parameter.roll(3, dims=0))
    return model


class TestRelearning:
    def steps(self, subject, **options):
        (row,) = relearning.probe(subject, **options)
        assert (row.metric, row.split, row.scope, row.key, row.reference) == ("relearn_steps", "forget", "all", "", "")
        assert row.seed == subject.seed
        return row.value

    def test_what_was_never_forgotten_needs_no_step(self, subject):
        assert relearning.mean_loss(subject.model, subject.forget) < 0.3
        assert self.steps(subject, loss=0.3) == 0

    def test_a_shuffled_head_needs_some_and_a_new_network_more(self, subject):
        options = {"lr": 0.001, "loss": 0.3, "batch_size": 32, "steps": 1000}
        easy = self.steps(with_model(subject, shuffled_head(subject.model)), **options)
        hard = self.steps(with_model(subject, fresh()), **options)
        assert 1 < easy < hard < 1000

    def test_it_is_the_first_step_with_so_small_a_loss(self, subject):
        """By hand: plain SGD over the same batches, with frozen BatchNorm."""
        start = shuffled_head(subject.model)
        twin, forget = copy.deepcopy(start).eval(), subject.forget
        stream = seeds.generator(0, "relearning", "batches")
        descent, losses = torch.optim.SGD(twin.parameters(), 2e-4, momentum=0.9), []
        while not losses or losses[-1] > 0.3:
            for rows in batches(len(forget), 32, stream):
                descent.zero_grad()
                cross_entropy(twin(forget.images[rows]), forget.labels[rows]).backward()
                descent.step()
                with torch.no_grad():
                    losses.append(float(cross_entropy(twin(forget.images), forget.labels)))
        expected = 1 + next(step for step, loss in enumerate(losses) if loss <= 0.3)
        assert self.steps(with_model(subject, start), lr=2e-4, loss=0.3, batch_size=32) == expected > 2
        assert self.steps(with_model(subject, start), lr=2e-4, loss=0.3, batch_size=32, steps=expected) == expected

    @pytest.mark.parametrize("steps", [1, 2, 5])
    def test_what_is_never_reached_is_one_more_than_the_steps(self, subject, steps):
        assert self.steps(with_model(subject, fresh()), loss=1e-9, steps=steps, batch_size=32) == steps + 1

    def test_no_more_steps_are_counted_than_allowed(self, subject):
        """An epoch has four steps, of which one is allowed; a later one would reach it."""
        start = with_model(subject, shuffled_head(subject.model))
        options = {"lr": 2e-4, "loss": 0.3, "batch_size": 16}
        assert 3 <= self.steps(start, **options) <= 4
        assert self.steps(start, **options, steps=1) == 2

    def test_the_model_is_left_as_it_was(self, subject):
        start = with_model(subject, shuffled_head(subject.model))
        before = bits(start.model)
        assert self.steps(start) > 0
        assert same(before, bits(start.model)) and not start.model.training
        assert all(parameter.grad is None for parameter in start.model.parameters())

    def test_measuring_the_loss_keeps_the_mode(self, subject):
        model = subject.model.train()
        networks.batchnorms(model)[0].eval()
        modes = [module.training for module in model.modules()]
        relearning.mean_loss(model, subject.forget)
        assert [module.training for module in model.modules()] == modes and len(set(modes)) == 2

    def test_another_seed_has_other_batches_and_the_same_seed_the_same(self, subject):
        mixed = Examples(subject.test.images[:60], subject.test.labels[:60])
        options = {"lr": 0.001, "loss": 1.0, "batch_size": 8, "steps": 200}
        start = shuffled_head(subject.model)
        found = [self.steps(with_model(subject, start, seed=seed, forget=mixed), **options) for seed in (0, 0, 1, 2, 3)]
        assert found[0] == found[1] and len(set(found)) > 1 and max(found) <= 200


def slow_cka(one, other):
    """Kornblith et al., eq. 3 with linear kernels, by the centring matrix."""
    centering = np.eye(len(one)) - 1 / len(one)
    grams = [centering @ x @ x.T @ centering for x in (one, other)]
    return np.trace(grams[0] @ grams[1]) / np.sqrt(np.prod([np.trace(gram @ gram) for gram in grams]))


class TestLayers:
    def values(self, subject):
        return {(row.split, row.key): row.value for row in layers.probe(subject)}

    def test_an_original_is_itself_in_every_layer(self, subject):
        found = self.values(subject)
        assert list(found.values()) == pytest.approx([1] * 15)
        assert {split for split, _ in found} == {"forget", "test"}

    @pytest.mark.parametrize("network", ["cnn", "resnet8"])
    def test_every_stage_is_named_in_order_for_every_part(self, subject, network):
        model = networks.build(network, 1, 10, seed=0, stage="t").eval()
        own = layers.activations(model, subject.forget.images[:3])
        expected = {"cnn": [2, 6, 10, 12], "resnet8": [2, 3, 4, 5, 7]}[network]
        assert list(own) == [*(f"{place:02d}" for place in expected), "logits"]
        assert {len(values) for values in own.values()} == {3}
        torch.testing.assert_close(own["logits"].float(), model(subject.forget.images[:3]))
        features = model.features(subject.forget.images[:3])
        torch.testing.assert_close(own[list(own)[-2]].float(), features)
        keys = [row.key for row in layers.probe(dataclasses.replace(subject, model=model, original=model))]
        assert keys == [f"{part}/{layer}" for part in ("forget", "affected", "other") for layer in own]

    def test_it_is_its_slow_twin_on_the_right_examples(self, subject):
        changed = with_model(subject, fit_shortly(copy.deepcopy(subject.model), subject.forget, epochs=5))
        found = self.values(changed)
        affected = subject.test.labels == 4
        parts = {
            ("forget", "forget"): subject.forget.images,
            ("test", "affected"): subject.test.images[affected],
            ("test", "other"): subject.test.images[~affected],
        }
        for (split, part), images in parts.items():
            with torch.no_grad():
                for layer, read in (("12", lambda m, x: m.features(x)), ("logits", lambda m, x: m(x))):
                    pair = [read(model, images).double().numpy() for model in (changed.model, subject.original)]
                    assert found[split, f"{part}/{layer}"] == pytest.approx(slow_cka(*pair), abs=1e-6)
                early = [
                    model.body[:3](images).flatten(1).double().numpy() for model in (changed.model, subject.original)
                ]
                assert found[split, f"{part}/02"] == pytest.approx(slow_cka(*early), abs=1e-6)
        assert max(found.values()) <= 1 + 1e-9 and min(found.values()) < 0.99

    def test_it_knows_no_rotation_scale_or_shift_but_more_than_that(self):
        random = torch.Generator().manual_seed(0)
        one = torch.randn(50, 6, generator=random, dtype=torch.float64) * torch.arange(1, 7)
        rotation = torch.linalg.qr(torch.randn(6, 6, generator=random, dtype=torch.float64))[0]
        assert layers.linear_cka(one, 7 * one @ rotation + 3) == pytest.approx(1)
        assert layers.linear_cka(one, one * torch.tensor([9, 1, 1, 1, 1, 1])) < 0.9
        assert np.isnan(layers.linear_cka(one, torch.zeros(50, 6, dtype=torch.float64)))
        other = torch.randn(50, 9, generator=random, dtype=torch.float64)
        assert layers.linear_cka(one, other) == pytest.approx(slow_cka(one.numpy(), other.numpy()))

    def test_models_are_left_as_they_were(self, subject):
        before = bits(subject.model), bits(subject.original)
        list(layers.probe(subject))
        assert same(before[0], bits(subject.model)) and same(before[1], bits(subject.original))


class TestChooseK:
    def test_its_rows_are_those_of_support(self, subject):
        teacher = {"batch_size": 64, "epochs": 4}
        subject = with_model(subject, shuffled_head(subject.model))  # so that there are errors before the step
        found = list(choose_k.probe(subject, ks=[20, 60], lr=0.05, **teacher))
        values = {(row.metric, row.scope, row.key): row.value for row in found}
        assert len(values) == len(found) == 2 * 5 + 10 * 3
        curve = choose_k.teacher_curve(
            subject.model, subject.retain, subject.forget, [20, 60], seed=0, classes=10, **teacher
        )
        wanted = np.mean(
            [np.bincount(one[subject.forget_rows].argmax(axis=1), minlength=10) for one in subject.reference.logits],
            axis=0,
        )
        for point in curve:
            key = str(point["k"])
            for name in ("teacher_accuracy", "support_similarity", "support_affected"):
                assert values[name, "k", key] == point[name]
            assert values["histogram_divergence", "k", key] == pytest.approx(point["divergence"], nan_ok=True)
            expected = choose_k.histogram_divergence(wanted, point["histogram"])
            assert values["retrained_divergence", "k", key] == pytest.approx(expected)
        for one in choose_k.ascent_step_errors(subject.model, subject.retain, subject.forget, lr=0.05):
            key = str(one["bin"])
            assert values["count", "ascent_bin", key] == one["count"]
            assert values["similarity", "ascent_bin", key] == pytest.approx(one["similarity"], nan_ok=True)
            moved = one["after"] - one["before"]
            assert values["ascent_error", "ascent_bin", key] == pytest.approx(moved, nan_ok=True)

    def test_only_originals_are_asked(self, subject):
        for name in ("retrained", "ltd"):
            assert list(choose_k.probe(dataclasses.replace(subject, unlearner=name), ks=[20], lr=0.05)) == []

    def test_the_model_is_left_as_it_was(self, subject):
        before = bits(subject.model)
        list(choose_k.probe(subject, ks=[20], lr=0.05, batch_size=64, epochs=1))
        assert same(before, bits(subject.model)) and not subject.model.training


PLACE = {"forget_set": "f", "network": "n", "unlearner": "u"}


class TestProbe:
    """The stage `lfcore.stages.probe.probe` on files."""

    @pytest.fixture
    def files(self, trained, tmp_path):
        return {
            "dataset": trained / "dataset.safetensors",
            "forget_set": trained / "4_half.json",
            "network": "cnn",
            "unlearner": "original",
            "seeds": [0, 1],
            "folders": [trained / "original"],
            "originals": [trained / "original"],
            "original_seeds": [0, 1],
            "retrained": [trained / "retrained"],
            "reference_seeds": [0, 1],
            "device": "cpu",
            "out": tmp_path / "probed",
        }

    def test_choose_k_writes_a_table_and_changes_no_model(self, files, trained):
        before = (trained / "original" / "seed0.weights.safetensors").read_bytes()
        options = {"ks": [10, 20], "lr": 0.05, "batch_size": 64, "epochs": 2}
        table = probe.probe(**files, probes={"choose_k": options})
        assert set(table["seed"]) == {0, 1} and set(table["scope"]) == {"k", "ascent_bin"}
        assert set(table["forget_set"]) == {"4_half"} and set(table["unlearner"]) == {"original"}
        again = tables.read(files["out"].with_suffix(".csv"))
        assert (again["key"] == table["key"]).all() and (again["scope"] == table["scope"]).all()
        np.testing.assert_allclose(again["value"], table["value"])
        assert (trained / "original" / "seed0.weights.safetensors").read_bytes() == before

    def test_choose_k_has_nothing_to_say_of_others_and_writes_that(self, files, unlearned):
        options = {"ks": [10], "lr": 0.05, "batch_size": 64, "epochs": 1}
        table = probe.probe(**(files | {"unlearner": "ltd", "folders": [unlearned]}), probes={"choose_k": options})
        assert table.empty and tables.read(files["out"].with_suffix(".csv")).columns.tolist() == tables.COLUMNS
        tables.write(tables.tidy([Row(0, "", "forget", "m", "all", "", 2)], **PLACE), files["out"].with_name("b"))
        both = pd.concat([tables.read(files["out"].with_suffix(".csv")), tables.read(files["out"].with_name("b"))])
        assert both["value"].tolist() == [2.0] and both["value"].dtype == float, "the summary takes them together"

    def test_the_subject_is_the_model_of_its_seed_beside_its_original(
        self, files, unlearned, trained, digits, monkeypatch
    ):
        subjects = []
        monkeypatch.setattr(relearning, "probe", lambda subject: subjects.append(subject) or [])
        probe.probe(**(files | {"unlearner": "ltd", "folders": [unlearned]}), probes={"relearning": {}})
        retrained = {
            "unlearner": "retrained",
            "folders": [trained / "retrained"],
            "seeds": [2],
            "original_seeds": [1, 0],
        }
        probe.probe(**(files | retrained), probes={"relearning": {}})
        places = [(unlearned, 0, 0), (unlearned, 1, 1), (trained / "retrained", 2, 1)]
        for subject, (folder, seed, original) in zip(subjects, places, strict=True):
            assert subject.seed == seed and not subject.model.training and not subject.original.training
            for model, place, number in (
                (subject.model, folder, seed),
                (subject.original, trained / "original", original),
            ):
                written = checkpoint.read([place], number, networks.build("cnn", 1, 10, seed=0, stage="unread"))
                assert same(bits(model), bits(written))
            assert subject.affected == 4 and subject.reference.seeds == (0, 1)
            chosen = data.read_forget(files["forget_set"], digits)
            for part, rows in (("forget", chosen.forget), ("retain", chosen.retain), ("test", digits.test)):
                np.testing.assert_array_equal(getattr(subject, part).images, digits.images[rows])
                np.testing.assert_array_equal(getattr(subject, part).labels, digits.labels[rows])
            np.testing.assert_array_equal(subject.forget_rows, chosen.forget)

    def test_layers_and_relearning_run_on_files(self, files, unlearned):
        place = files | {"unlearner": "ltd", "folders": [unlearned]}
        table = probe.probe(**place, probes={"layers": {}})
        assert len(table) == 2 * 3 * 5 and table["value"].between(0, 1 + 1e-9).all()
        table = probe.probe(**place, probes={"relearning": {"steps": 3}})
        assert table["value"].between(0, 4).all() and len(table) == 2

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("no_such", {}, "no probe called 'no_such': choose one of choose_k, feature_mapping"),
            ("layers", {"depth": 3}, "probe layers .*'depth'"),
            ("relearning", {"epochs": 3}, "probe relearning .*'epochs'"),
            ("choose_k", {"ks": [10]}, "probe choose_k .*'lr'"),
            ("choose_k", {"ks": [10], "lr": 0.05, "width": 3}, "probe choose_k .*'width'"),
            ("choose_k", {"ks": [10**6], "lr": 0.05}, "k = 1000000 support examples can't be chosen"),
        ],
    )
    def test_a_wrong_option_is_one_sentence(self, files, name, options, message):
        with pytest.raises(InputError, match=message) as caught:
            probe.probe(**files, probes={name: options})
        assert "\n" not in str(caught.value) and not files["out"].with_suffix(".csv").exists()

    def test_a_mistake_within_a_probe_is_not_taken_for_a_wrong_option(self, files, monkeypatch):
        monkeypatch.setattr(layers, "activations", lambda model, images: 1 + "1")
        with pytest.raises(TypeError, match="unsupported operand"):
            probe.probe(**files, probes={"layers": {}})

"""Near-duplicates: their construction, residual influence, the wider request, and reconstruction."""

import copy
import dataclasses
import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from test_unlearners import bits, same

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.experiments import _reconstruction as reconstruct
from lfcore.experiments import _residual as residual
from lfcore.experiments import copies as condition
from lfcore.experiments import expansion, natural, reconstruction
from lfcore.geometry import near_duplicates
from lfcore.models.predict import outputs
from lfcore.plots import residual_influence as similar_plots
from lfcore.plots.tables import intervals
from lfcore.unlearners import _apply as unlearn
from lfcore.unlearners import ltd, ltd_distinct

BRIEF = {"epochs": 2, "batch_size": 32, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
SMALL = {"targets": 5, "ordinary": 60, "references": 2, "training": BRIEF}
SHORT = {"ascent": {"lr": 0.01, "epochs": 1, "batch_size": 32}, "fine_tuning": {"lr": 0.01, "epochs": 1}}


@pytest.fixture(autouse=True)
def short_teachers_may_fall_short():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The teacher's accuracy reached")
        yield


@pytest.fixture(scope="module")
def runs(digits):
    """Conditions of the experiment, each once: number of copies, or other options, to (table, arrays)."""
    common = {"seeds": [0, 1], "device": "cpu", **SMALL}
    return {
        "m0": condition.experiment(digits, copies=0, unlearners=SHORT, **common),
        "m4": condition.experiment(digits, copies=4, unlearners=SHORT, **common),
        "half": condition.experiment(digits, copies=4, share=0.5, **common),
    }


class TestMask:
    @pytest.mark.parametrize(("size", "block"), [((8, 8), 1), ((8, 8), 2), ((7, 5), 3), ((4, 4), 4)])
    def test_blocks_are_numbered_row_by_row(self, size, block):
        height, width = size
        slow = np.empty(size, dtype=int)
        for row in range(height):
            for column in range(width):
                slow[row, column] = (row // block) * int(np.ceil(width / block)) + column // block
        assert np.array_equal(near_duplicates.blocks(height, width, block), slow)

    @pytest.mark.parametrize(("block", "share", "pixels"), [(1, 0.25, 16), (2, 0.25, 16), (2, 0.5, 32), (4, 0.5, 32)])
    def test_whole_blocks_are_zeroed_in_all_channels_and_nothing_else_changes(self, block, share, pixels):
        images = np.random.default_rng(0).uniform(0.1, 1, (6, 3, 8, 8)).astype(np.float32)
        made = near_duplicates.mask(images, block=block, share=share, copies=3, seed=0)
        assert made.shape == (6, 3, 3, 8, 8) and made.dtype == np.float32
        hidden = (made == 0).all(axis=2)
        assert (hidden.sum(axis=(2, 3)) == pixels).all()
        assert np.array_equal(np.where(hidden[:, :, None], 0, images[:, None]), made)
        inside = hidden.reshape(6, 3, 8 // block, block, 8 // block, block).mean(axis=(3, 5))
        assert set(np.unique(inside)) == {0.0, 1.0}, "a block is masked as a whole"
        assert near_duplicates.changed(images, made) == pixels / 64
        assert len(np.unique(hidden.reshape(18, -1), axis=0)) > 4, "masks are drawn for each image and copy"

    def test_draws_are_nested_in_the_number_of_copies_and_in_the_share(self):
        images = np.ones((4, 1, 8, 8), dtype=np.float32)
        few, many = (near_duplicates.mask(images, block=1, share=0.3, copies=m, seed=0) for m in (2, 5))
        assert np.array_equal(few, many[:, :2])
        more = near_duplicates.mask(images, block=1, share=0.6, copies=2, seed=0)
        assert (more <= few).all() and not np.array_equal(
            few, near_duplicates.mask(images, block=1, share=0.3, copies=2, seed=1)
        )

    def test_zero_share_gives_exact_duplicates_and_changed_counts_what_was_not_zero(self, digits):
        images = digits.images[:20]
        assert (near_duplicates.mask(images, block=1, share=0, copies=2, seed=0) == images[:, None]).all()
        made = near_duplicates.mask(images, block=1, share=0.25, copies=2, seed=0)
        slow = [made[i, j, 0, r, c] != images[i, 0, r, c]
                for i in range(20) for j in range(2) for r in range(8) for c in range(8)]  # fmt: skip
        assert near_duplicates.changed(images, made) == np.mean(slow) < 0.25
        assert near_duplicates.mask(images, block=1, share=0.5, copies=0, seed=0).shape == (20, 0, 1, 8, 8)

    @pytest.mark.parametrize(
        "options",
        [
            {"share": 1.0},
            {"share": -0.1},
            {"copies": -1},
            {"block": 0},
            {"share": 0.001},
            {"block": 8},
            {"share": 0.999},
        ],
    )
    def test_impossible_copies_are_refused(self, options):
        with pytest.raises(InputError):
            near_duplicates.mask(
                np.ones((1, 1, 8, 8)), **({"block": 1, "share": 0.5, "copies": 1, "seed": 0} | options)
            )


class TestFinding:
    def test_nearness_is_the_largest_cosine(self):
        rng = np.random.default_rng(0)
        features, targets = rng.normal(size=(30, 5)), rng.normal(size=(4, 5))
        assert np.allclose(
            near_duplicates.nearness(features, targets), cosine_similarity(features, targets).max(axis=1)
        )
        assert near_duplicates.nearness(np.zeros((1, 5)), targets) == 0

    @pytest.mark.parametrize("chunk", [7, 1000])
    def test_pairs_are_mutual_nearest_neighbours_nearest_first(self, chunk):
        features = np.random.default_rng(0).normal(size=(60, 4))
        cosines = cosine_similarity(features)
        np.fill_diagonal(cosines, -2)
        slow = sorted(
            ((i, j) for i in range(60) for j in range(i + 1, 60)
             if cosines[i].argmax() == j and cosines[j].argmax() == i), key=lambda pair: -cosines[pair])  # fmt: skip
        found, values = near_duplicates.pairs(features, len(slow), chunk)
        assert found.tolist() == [list(pair) for pair in slow]
        assert np.allclose(values, [cosines[pair] for pair in slow])
        with pytest.raises(InputError, match="ask for fewer"):
            near_duplicates.pairs(features, len(slow) + 1)

    def test_exact_duplicates_come_first_and_are_counted(self, digits):
        images = np.concatenate([digits.images[:50], digits.images[[7, 3]]])
        found, values = near_duplicates.pairs(images.reshape(52, -1), 2)
        assert sorted(found.tolist()) == [[3, 51], [7, 50]] and np.allclose(values, 1)
        assert near_duplicates.exact(images) == 2 + near_duplicates.exact(digits.images[:50])


class TestResidual:
    def test_differences_are_positive_where_influence_remains_and_zero_for_the_reference_itself(self):
        def seen(confidence):
            values = np.array(confidence)
            return {"confidence": values, "loss": -np.log(values), "relative_margin": np.log(values / (1 - values)),
                    "membership": values.mean()}  # fmt: skip

        low, high = seen([0.2, 0.4]), seen([0.6, 0.9])
        found = residual.differences(high, [low, low])
        assert np.allclose(found["residual_confidence"], [0.4, 0.5])
        assert np.allclose(found["residual_loss"], np.log([3, 2.25]))
        assert all((value > 0).all() for value in found.values())
        assert all(np.allclose(value, 0) for value in residual.differences(low, [low]).values())
        mixed = residual.differences(seen([0.4, 0.4]), [low, high])
        assert np.allclose(mixed["residual_confidence"], [0, -0.25])

    def test_what_is_seen_of_a_model(self, digits, problem):
        part = Examples(problem.forget.images[:3], problem.forget.labels[:3])
        test = residual.choose(digits, digits.test, "cpu")
        seen = residual.measure(problem.model, residual.Parts(part, part, part, test, 10))
        logits, unseen = (outputs(problem.model, one.images)[0].double() for one in (part, test))
        p, q = logits.softmax(dim=1), unseen.softmax(dim=1)
        own, other = p[:, 4].numpy(), q[test.labels == 4][:, 4].numpy()
        assert np.allclose(seen["confidence"], own) and np.allclose(seen["loss"], -np.log(own))
        assert np.allclose(seen["probabilities"], q)
        wanted = np.log(own / (1 - own)) - np.log(other / (1 - other)).mean()
        assert np.allclose(seen["relative_margin"], wanted, atol=1e-4)
        assert seen["accuracy"] == pytest.approx(100 * float((q.argmax(dim=1) == test.labels).double().mean()))
        losses = -q[torch.arange(len(q)), test.labels].log().numpy()
        pairs = (losses[:, None] > seen["loss"]).mean()
        assert seen["membership"] == pytest.approx(pairs, abs=1e-6)

    def test_damage_is_total_variation_near_and_far(self):
        uniform, sure = np.full((10, 2), 0.5), np.tile([1.0, 0.0], (10, 1))
        own = np.where(np.arange(10)[:, None] >= 8, sure, uniform)
        found = residual.damage({"probabilities": own}, [{"probabilities": uniform}], np.arange(10.0))
        assert found == {"whole": pytest.approx(0.1), "near": 0.5, "far": 0.0}

    def test_without_copies_the_two_references_are_one_to_the_bit(self, runs):
        table, arrays = runs["m0"]
        for name in ("confidence", "relative_margin", "loss"):
            assert np.array_equal(arrays[f"retrained_{name}"], arrays[f"influence_free_{name}"])
        values = table[table["reference"] == residual.FLOOR].set_index(["unlearner", "seed", "metric", "key"])["value"]
        assert values.loc["retrained"].equals(values.loc["influence_free"])
        assert not np.array_equal(
            runs["m4"][1]["retrained_relative_margin"], runs["m4"][1]["influence_free_relative_margin"]
        )

    def test_the_references_are_the_same_whatever_the_copies_and_share_no_seed_with_the_floor(self, runs):
        for name in ("influence_free_relative_margin", "reference_relative_margin"):
            assert all(np.array_equal(arrays[name], runs["m0"][1][name]) for _, arrays in runs.values())
        floor, reference = (runs["m0"][1][f"{name}_relative_margin"] for name in ("influence_free", "reference"))
        assert reference.shape == (2, 5)
        assert not {tuple(row) for row in floor} & {tuple(row) for row in reference}

    def test_every_number_is_there_once_for_each_model_and_agrees_with_the_arrays(self, runs):
        table, arrays = runs["m4"]
        assert list(table.columns) == residual.COLUMNS
        assert not table.duplicated(residual.COLUMNS[:-1]).any() and table["value"].notna().all()
        assert set(table["unlearner"]) - {""} == {"original", "retrained", "influence_free", *SHORT}
        chosen = table[(table["metric"] == "residual_confidence") & (table["reference"] == residual.FLOOR)]
        for row in chosen.itertuples():
            gap = arrays[f"{row.unlearner}_confidence"][row.seed] - arrays["reference_confidence"].mean(axis=0)
            assert row.value == pytest.approx(gap.mean())
        own = table[(table["metric"] == "residual_margin") & (table["reference"] == "retrained")]
        assert set(own["unlearner"]) == {"original", *SHORT}, "retrained is not compared with itself"
        assert table.loc[table["metric"] == "changed", "value"].item() == near_duplicates.changed(
            arrays["targets"], arrays["copies"]
        )
        assert np.isfinite(arrays["copies"]).all() and arrays["copies"].shape == (5, 4, 1, 8, 8)

    def test_the_request_is_the_targets_alone_and_copies_stay(self, digits, monkeypatch):
        handed = []
        apply = unlearn.apply
        monkeypatch.setattr(unlearn, "apply", lambda *given: handed.append(given) or apply(*given))
        condition.experiment(digits, seeds=[0], device="cpu", copies=3, unlearners=SHORT, **SMALL)
        sets = {name: seen for name, _, seen, *_ in handed}
        targets = digits.images[residual.draw(digits, 5, "targets")]
        assert np.array_equal(sets["ascent"]["forget"].images, targets) and sets["ascent"]["retain"] is None
        retain = sets["fine_tuning"]["retain"].images.numpy()
        assert len(retain) == 60 + 15 and sets["fine_tuning"]["forget"] is None
        assert not (retain[:, None] == targets).all(axis=(2, 3, 4)).any()
        assert (near_duplicates.nearness(retain[:15].reshape(15, -1), targets.reshape(5, -1)) > 0.5).all()

    def test_the_same_seed_gives_the_same_table(self, digits, runs):
        again = condition.experiment(digits, seeds=[1], device="cpu", copies=0, unlearners=SHORT, **SMALL)[0]
        table = runs["m0"][0]
        chosen = again["metric"].isin(["confidence", "accuracy"]) & (again["unlearner"] != "influence_free")
        other = table[(table["seed"] == 1) & table["metric"].isin(["confidence", "accuracy"])]
        other = other[other["unlearner"] != "influence_free"]
        assert np.array_equal(again.loc[chosen, "value"], other["value"])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"targets": 5000}, "can't be drawn"),
            ({"ordinary": 5000}, "can't be drawn"),
            ({"network": "tower"}, "no network"),
            ({"unlearners": {"erase": {}}}, "no unlearner"),
            ({"unlearners": {"ascent": {"speed": 1}}}, "no option"),
            ({"seeds": []}, "a seed"),
            ({"references": 0}, "a reference"),
            ({"share": 1.5}, "share"),
        ],
    )
    def test_wrong_options_are_one_sentence_before_any_training(self, digits, options, message, monkeypatch):
        monkeypatch.setattr(residual, "train", lambda *_, **__: pytest.fail("trained"))
        with pytest.raises(InputError, match=message):
            condition.experiment(digits, **({"seeds": [0], "device": "cpu", **SMALL} | options))


@pytest.fixture(scope="module")
def margins(digits):
    """Residual margins of the retrained models with copies of the targets, and of others: {unrelated: (seeds,)}."""
    found = {}
    for unrelated in (False, True):
        options = {"targets": 20, "ordinary": 200, "copies": 10, "unrelated": unrelated}
        table, _ = condition.experiment(digits, seeds=[0, 1, 2], device="cpu", references=4, **options)
        rows = table[(table["metric"] == "residual_margin") & (table["reference"] == residual.FLOOR)]
        found[unrelated] = {name: part["value"].to_numpy() for name, part in rows.groupby("unlearner")}
    return found


def test_copies_leave_a_residual_in_retrained_models_and_copies_of_unrelated_images_a_small_part_of_it(margins):
    """The unrelated are of the targets' classes, and so leave a little."""
    floor = margins[False]["influence_free"]
    assert np.array_equal(floor, margins[True]["influence_free"])
    related, unrelated = margins[False]["retrained"], margins[True]["retrained"]
    assert unrelated.mean() - floor.mean() < 0.25 * (related.mean() - floor.mean())
    assert related.min() > max(floor.max(), unrelated.max())


def test_unrelated_sources_are_of_the_targets_classes_and_no_targets(digits):
    targets = residual.draw(digits, 20, "targets")
    rows = condition.unrelated_rows(digits, targets)
    assert np.array_equal(digits.labels[rows], digits.labels[targets])
    assert len(set(rows)) == 20 and not set(rows) & set(targets) and np.isin(rows, digits.train).all()


class TestNatural:
    @pytest.mark.parametrize("by", ["features", "pixels"])
    def test_planted_duplicates_are_found_and_one_of_each_is_requested(self, digits, by):
        rows = digits.train[:4]
        images = np.concatenate([digits.images, digits.images[rows]])
        added = np.arange(len(digits.images), len(images))
        planted = dataclasses.replace(
            digits, images=images, labels=np.concatenate([digits.labels, digits.labels[rows]]),
            train=np.concatenate([digits.train, added]))  # fmt: skip
        options = {"pairs": 4, "by": by, "ordinary": 60, "references": 1, "training": BRIEF}
        table, arrays = natural.experiment(planted, seeds=[0], device="cpu", **options)
        assert np.array_equal(arrays["pairs"][:, 0], arrays["pairs"][:, 1])
        facts = table[table["split"].isin(["pairs", "train"])].set_index(["metric", "key"])["value"]
        assert facts["cosine", "lowest"] == pytest.approx(1) and facts["same_class", ""] == 1
        assert facts["exact_duplicates", ""] == 4

    def test_another_way_to_find_pairs_is_refused(self, digits):
        with pytest.raises(InputError, match="features or pixels"):
            natural.experiment(digits, seeds=[0], device="cpu", by="name")


class TestExpansion:
    def test_requests_widen_as_thresholds_fall(self):
        nearness = np.array([0.99, 0.7, 0.95, 0.2])
        found = expansion.requests(nearness, 2, [0.98, 0.9, 0.1])
        assert {name: rows.tolist() for name, rows in found.items()} == {
            "targets": [False] * 4,
            "0.98": [True, False, False, False],
            "0.9": [True, False, True, False],
            "0.1": [True] * 4,
            "oracle": [True, True, False, False],
        }

    def test_a_split_is_a_partition_and_can_not_take_everything(self):
        def part(numbers):
            labels = torch.tensor(numbers)
            return Examples(labels.float()[:, None, None, None], labels)

        parts = residual.Parts(part([0, 1]), part([2, 3]), part([4, 5, 6]), part([7]), 10)
        request, kept = expansion.split(parts, np.array([True, False, False, True, False]))
        assert request.labels.tolist() == [0, 1, 2, 5] and kept.labels.tolist() == [3, 4, 6]
        with pytest.raises(InputError, match="raise the thresholds"):
            expansion.split(parts, np.ones(5, dtype=bool))

    def test_the_oracle_retrained_is_influence_free_and_each_request_is_measured(self, digits):
        options = {"thresholds": [0.999], "copies": 2, "unlearners": {"ascent": SHORT["ascent"]}, **SMALL}
        table, arrays = expansion.experiment(
            digits, seeds=[0, 1], device="cpu", narrow={"fine_tuning": SHORT["fine_tuning"]}, **options
        )
        assert arrays == {} and not table.duplicated(residual.COLUMNS[:-1]).any()
        values = table.set_index(["unlearner", "seed", "metric", "key"])["value"]
        for seed in (0, 1):
            assert values["retrained", seed, "residual_margin", "oracle"] == (
                values["influence_free", seed, "residual_margin", "targets"])  # fmt: skip
            assert values["", seed, "found", "oracle"] == 100 and values["", seed, "taken", "oracle"] == 0
        keys = {name: set(part["key"]) for name, part in table[table["metric"] == "residual_loss"].groupby("unlearner")}
        every = {"targets", "0.999", "oracle"}
        assert keys == {"influence_free": {"targets"}, "original": {"targets"}, "fine_tuning": {"targets"},
                        "retrained": every, "ascent": every}  # fmt: skip
        points = similar_plots.compare_requests(table.assign(experiment="expansion"))
        assert set(points["unlearner"]) == {"original", "retrained", "ascent", "fine_tuning"}
        one = points.set_index(["unlearner", "request"])
        near = table[table["key"].str.endswith("/near")].groupby(["unlearner", "key"])["value"].mean()
        wanted = 100 * (near["ascent", "oracle/near"] - near["influence_free", "targets/near"])
        assert one.loc[("ascent", "oracle"), "damage"] == pytest.approx(wanted)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            similar_plots.style.plt.close(
                similar_plots.request(points, ["retrained", "ascent"], {"fine_tuning": "ascent"})
            )

    @pytest.mark.parametrize(
        ("options", "message"), [({"by": "name"}, "features or pixels"), ({"copies": 0}, "copies")]
    )
    def test_wrong_options_are_refused(self, digits, options, message):
        with pytest.raises(InputError, match=message):
            expansion.experiment(digits, seeds=[0], device="cpu", thresholds=[0.9], **options)


class TestDistinct:
    def test_no_near_duplicate_of_a_forgotten_example_is_in_the_support(self, problem):
        retain = Examples(problem.forget.images[:5] * 1, problem.forget.labels[:5]) + problem.retain
        plain = ltd.choose_support(problem.model, retain, problem.forget, 150)
        distinct = ltd_distinct.choose_distinct(problem.model, retain, problem.forget, 100, 0.999)
        features = [outputs(problem.model, part.images)[1].numpy() for part in (distinct, plain, problem.forget)]
        assert (near_duplicates.nearness(features[0], features[2]) < 0.999).all() and len(distinct) == 100
        assert (near_duplicates.nearness(features[1], features[2]) >= 0.999).any()
        with pytest.raises(InputError, match="raise limit"):
            ltd_distinct.choose_distinct(problem.model, retain, problem.forget, 100, -1.0)

    def test_with_a_limit_that_excludes_nothing_it_is_ltd_to_the_bit(self, problem):
        options = {"k": 50, "epochs": 1, "lr": 3e-3, "batch_size": 64, "teacher_epochs": 2}
        pair = [
            module.unlearn(copy.deepcopy(problem.model), problem.retain, problem.forget, seed=0, **more, **options)
            for module, more in ((ltd, {}), (ltd_distinct, {"limit": 1.1}))
        ]
        assert same(*(bits(one.model) for one in pair)) and pair[0].notes == pair[1].notes


def slow_ssim(one, other, size):
    values = []
    for row in range(one.shape[0] - size + 1):
        for column in range(one.shape[1] - size + 1):
            a, b = (image[row : row + size, column : column + size].ravel() for image in (one, other))
            covariance = np.cov(a, b)
            top = (2 * a.mean() * b.mean() + 1e-4) * (2 * covariance[0, 1] + 9e-4)
            values.append(top / (a.mean() ** 2 + b.mean() ** 2 + 1e-4) / (np.trace(covariance) + 9e-4))
    return np.mean(values)


class TestSimilarity:
    @pytest.mark.parametrize("size", [3, 7, 8])
    def test_ssim_is_its_slow_twin(self, size):
        one, other = np.random.default_rng(0).uniform(size=(2, 4, 8, 9))
        slow = [slow_ssim(*pair, size) for pair in zip(one, other, strict=True)]
        assert np.allclose(reconstruct.uniform_ssim(one, other, size=size), slow)

    def test_closed_forms(self):
        image = np.random.default_rng(0).uniform(size=(8, 8))
        assert reconstruct.uniform_ssim(image, image) == pytest.approx(1)
        flat = [np.full((8, 8), value) for value in (0.2, 0.7)]
        assert reconstruct.uniform_ssim(*flat) == pytest.approx((2 * 0.14 + 1e-4) / (0.04 + 0.49 + 1e-4))
        assert reconstruct.uniform_ssim(image, 1 - image) < 0
        with pytest.raises(InputError, match="lower size"):
            reconstruct.uniform_ssim(image[:5], image[:5])

    def test_correlation_is_pearsons_and_the_nearest_has_the_highest(self):
        images, candidates = np.random.default_rng(0).uniform(size=(2, 5, 8, 8))
        found = reconstruct.correlate(images.reshape(5, -1), candidates.reshape(5, -1))
        pearson = np.corrcoef(images.reshape(5, -1), candidates.reshape(5, -1))[:5, 5:]
        assert np.allclose(found, pearson)
        best, scores = reconstruct.nearest(images, candidates)
        assert np.array_equal(best, candidates[pearson.argmax(axis=1)])
        assert np.allclose(scores, [reconstruct.uniform_ssim(*pair) for pair in zip(images, best, strict=True)])
        assert reconstruct.correlate(np.ones((1, 4)), images.reshape(5, -1)[:, :4])[0].tolist() == [0] * 5


@pytest.fixture(scope="module")
def planted():
    """Five random images of 36 pixels in five classes, and two networks trained on them until they nearly stand."""
    draw = torch.Generator().manual_seed(0)
    images, labels = torch.rand(5, 36, generator=draw, dtype=torch.float64) - 0.5, torch.arange(5)
    recipe = {"hidden": 100, "steps": 4000, "lr": 0.1, "weight_decay": 0.005}
    return images, labels, reconstruct.train(images, labels, 5, seeds=[0, 1], stage="test", **recipe)


class TestReconstruct:
    def test_combine_is_the_sum_of_gradients(self, planted):
        images, _, weights = planted
        amounts = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found = reconstruct.combine(weights, images.expand(2, 5, 36), amounts)
        leaves = reconstruct.Weights(*(part.clone().requires_grad_() for part in weights))
        (amounts * reconstruct.logits(leaves, images.expand(2, 5, 36))).sum().backward()
        assert all(torch.allclose(a, b.grad, atol=1e-5) for a, b in zip(found, leaves, strict=True))

    def test_trained_weights_are_the_sum_of_their_examples_gradients(self, planted):
        images, labels, weights = planted
        batch = images.expand(2, 5, 36)
        wanted = torch.nn.functional.one_hot(labels, 5) - reconstruct.logits(weights, batch).softmax(dim=2)
        pairs = list(zip(weights, reconstruct.combine(weights, batch, wanted / 5 / 0.005), strict=True))
        assert (pairs[2][0] - pairs[2][1]).norm() < 0.05 * pairs[2][0].norm()
        left = sum((part - total).square().sum() for part, total in pairs)  # units may rest on the kink of ReLU
        assert left < 0.1 * sum(part.square().sum() for part, _ in pairs)

    def test_a_network_becomes_a_model_and_back(self, planted):
        images, _, weights = planted
        models = [reconstruct.classifier(weights, place, (1, 6, 6)) for place in (0, 1)]
        for place, model in enumerate(models):
            found = outputs(model, images.reshape(5, 1, 6, 6))[0]
            assert torch.allclose(found, reconstruct.logits(weights, images.expand(2, 5, 36))[place], atol=1e-5)
        assert all(torch.equal(a, b) for a, b in zip(reconstruct.read(models), weights, strict=True))
        with pytest.raises(InputError, match="shape"):
            reconstruct.classifier(weights, 0, (1, 5, 5))

    def test_seeds_do_not_influence_one_another(self, planted):
        images, labels, _ = planted
        recipe = {"hidden": 80, "steps": 200, "lr": 0.1, "weight_decay": 0.01, "stage": "test"}
        both, one = (reconstruct.train(images, labels, 5, seeds=seeds, **recipe) for seeds in ([0, 1], [1]))
        assert all(torch.allclose(a[1], b[0], atol=1e-4) for a, b in zip(both, one, strict=True))

    def test_images_are_recovered_and_unseen_images_are_not(self, planted):
        images, _, weights = planted
        edge = images.new_full((36,), 0.5)
        found, left = reconstruct.recover(weights, 10, low=-edge, high=edge, seed=0, steps=1500)
        assert found.shape == (2, 10, 36) and (left < 0.05).all()
        unseen = np.random.default_rng(1).uniform(size=(50, 36))
        for candidates in found.numpy():
            best = reconstruct.correlate(images.numpy(), candidates).max(axis=1)
            chance = reconstruct.correlate(unseen, candidates).max(axis=1)
            assert np.median(best) > 0.9 > np.quantile(chance, 0.9)

    @pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 200_000}, {"recovery_steps": 0}, {"ordinary": 57}])
    def test_what_is_too_long_or_too_large_is_refused(self, digits, options):
        given = {"targets": 2, "ordinary": 2, "copies": 1, "steps": 2, "recovery_steps": 2, "hidden": 5}
        with pytest.raises(InputError):
            reconstruction.experiment(digits, seeds=[0], device="cpu", **(given | options))

    def test_the_experiment_measures_every_model_against_chance_and_keeps_pictures(self, digits):
        table, arrays = reconstruction.experiment(
            digits, seeds=[0, 1], device="cpu", targets=2, ordinary=4, copies=1, hidden=20, steps=20,
            recovery_steps=20, unlearners={"ascent": SHORT["ascent"]})  # fmt: skip
        assert set(table["unlearner"]) == {"original", "retrained", "influence_free", "ascent"}
        assert not table.duplicated(residual.COLUMNS[:-1]).any()
        values = table.set_index(["unlearner", "seed", "split", "metric"])["value"]
        for name in ("original", "ascent"):
            assert arrays[f"{name}_best"].shape == (2, 2, 8, 8)
            assert values[name, 1, "forget", "ssim"] == pytest.approx(arrays[f"{name}_ssim"][1].mean())
            gap = values[name, 0, "forget", "ssim"] - values[name, 0, "test", "ssim"]
            assert values[name, 0, "forget", "ssim_above_chance"] == pytest.approx(gap)
        figure = similar_plots.pictures(arrays, table.assign(experiment="one"), ["original", "ascent"])
        similar_plots.style.plt.close(figure)


class TestPlots:
    def test_intervals_are_students_and_conditions_go_to_their_sweeps(self, runs, tmp_path):
        paths = []
        for name, options in {"m0": {"copies": 0}, "m4": {"copies": 4}, "half": {"copies": 4, "share": 0.5}}.items():
            given = {"share": 0.2, "block": 1, "unrelated": False} | options
            tables.write(runs[name][0].assign(experiment=name, **given), tmp_path / f"{name}.csv")
            paths.append(tmp_path / f"{name}.csv")
        table = similar_plots.read(paths)
        rows = similar_plots.average_residuals(table)
        one = rows[
            (rows["experiment"] == "m4") & (rows["unlearner"] == "ascent") & (rows["metric"] == "residual_margin")
        ]
        values = runs["m4"][0]
        values = values[(values["unlearner"] == "ascent") & (values["metric"] == "residual_margin")]
        values = values.loc[values["reference"] == residual.FLOOR, "value"]
        assert one["mean"].item() == pytest.approx(values.mean())
        assert one["high"].item() - one["mean"].item() == pytest.approx(12.7062 * values.std() / np.sqrt(2), rel=1e-4)
        swept = similar_plots.conditions(rows, copies=4, block=1, share=0.2)
        found = {name: set(part["experiment"]) for name, part in swept.groupby("sweep")}
        assert found == {"copies": {"m0", "m4"}, "share": {"m4", "half"}}
        figure = similar_plots.residual(swept, ["original", "influence_free", "retrained", "ascent", "absent"])
        assert len(figure.axes) == 6
        similar_plots.style.plt.close(figure)
        text = intervals(one, ["unlearner"], ["metric"])
        assert text.iloc[0, 0].startswith(f"{one['mean'].item():.2f} [")

    def test_nothing_to_draw_is_one_sentence(self):
        with pytest.raises(InputError):
            similar_plots.read([])
        with pytest.raises(InputError):
            similar_plots.pictures({"targets": np.zeros((1, 8, 8))}, pd.DataFrame(), ["ascent"])


def test_no_option_has_the_name_of_a_column():
    """The stage adds a column for each."""
    for module in (condition, natural, expansion, reconstruction):
        names = set(inspect.signature(module.experiment).parameters) - {"data", "seeds", "device"}
        assert not names & {"experiment", *residual.COLUMNS, *tables.NUMBERS} - {"steps"}, module.__name__


def test_the_studys_unlearners_have_the_default_profiles_options(merged):
    """Those of the digits, as the rule chose them; reconstruction, on another network, has its own."""
    config = merged()
    draft = config["studies"]["similar"]["experiments"]
    known = config["unlearners"] | config["studies"]["field"]["unlearners"]
    for name in ("copies", "natural", "expansion"):
        for unlearner, options in draft[name]["unlearners"].items():
            assert options == known[unlearner] | config["choices"]["rule"][unlearner], unlearner
    residual_recipe = residual.TRAINING
    assert residual_recipe == config["training"]

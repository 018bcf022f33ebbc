"""The attacks: identities that are exact, what an attacker may not read, and pictures that come back."""

import ast
import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from lfcore import attacks, probes
from lfcore.attacks import feature_mapping, head_recovery, inversion, relearning_curve
from lfcore.core import checkpoint, data, plugins, tables
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.paths import ROOT
from lfcore.core.run import Predictions, Run
from lfcore.geometry import image_quality
from lfcore.metrics import depth
from lfcore.models import gradients, networks
from lfcore.plots import deep_or_shallow
from lfcore.plots import panels as views
from lfcore.plots.deep_or_shallow import pair_recovery_and_damage
from lfcore.probes import layer_depth
from lfcore.stages import probe
from lfcore.unlearners import opc
from lfcore.unlearners.bad_teacher import reinitialise
from lfcore.workflow import studies
from lfcore.workflow.config import check_config
from lfcore.workflow.dependencies import probe_file

NAMES = plugins.known(attacks)
CHEAP = {
    "feature_mapping": {},
    "head_recovery": {},
    "inversion": {"images": 2, "restarts": 1, "steps": 3},
    "relearning_curve": {"steps": [0, 1, 3]},
}


def nans(examples):
    return Examples(torch.full_like(examples.images, torch.nan), examples.labels)


@pytest.fixture(scope="module")
def whole(digits, problem):
    """The trained network, with all fours to forget: a subject of which parts can be replaced."""
    fours = digits.labels[digits.train] == 4
    parts = {"forget": digits.train[fours], "retain": digits.train[~fours], "test": digits.test}
    return probe.Probed(
        unlearner="ascent",
        seed=0,
        model=problem.model,
        original=problem.model,
        **{name: choose(digits, rows, "cpu") for name, rows in parts.items()},
        affected=4,
        forget_rows=parts["forget"],
        reference=None,
    )


def changed(subject, **more):
    """Another subject, which keeps its own arrays."""
    return probe.Probed(**{**subject.__dict__, "kept": {}, **more})


@pytest.fixture(scope="module")
def retrained(whole):
    """A network that never saw a four."""
    from tests.conftest import fit_briefly

    return fit_briefly(networks.build("cnn", 1, 10, seed=1, stage="without", dtype=torch.float64), whole.retain)


@pytest.fixture(scope="module")
def silenced(whole):
    """Forgetting of the shallowest kind: the head never says four again, and no feature has changed."""
    model = copy.deepcopy(whole.model)
    with torch.no_grad():
        model.head.bias[4] = -1e3
    return model


@pytest.fixture(scope="module")
def contracted(whole):
    """OPC on the features: all fours at the origin."""
    options = {"seed": 0, "lr": 0.01, "epochs": 20, "batch_size": 64, "norm": "features"}
    return opc.unlearn(whole.model, whole.retain, whole.forget, **options)


def measure(module, subject, **options):
    rows = list(module.probe(subject, **options))
    table = pd.DataFrame(rows, columns=tables.COLUMNS[3:])
    assert not table.duplicated(tables.COLUMNS[3:-1]).any(), "each number has a name of its own"
    assert set(table["seed"]) <= {subject.seed} and set(table["split"]) <= {"forget", "test"}
    return table


def value(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert len(table) == 1, table
    return table["value"].item()


class TestAll:
    def test_every_attack_says_which_weights_and_which_data(self):
        assert {"feature_mapping", "head_recovery", "inversion", "relearning_curve"} <= set(NAMES)
        for name in NAMES:
            text = ast.get_docstring(ast.parse((ROOT / "lfcore" / "attacks" / f"{name}.py").read_text()))
            assert "Threat model: " in text or "threat models" in text, name
            assert "holds" in text or "knows" in text, name

    def test_a_name_is_in_one_folder_alone_and_found_in_either(self):
        assert not set(NAMES) & set(plugins.known(probes))
        assert probe.find("inversion") is inversion and probe.find("layer_depth") is layer_depth
        with pytest.raises(InputError, match="no probe called 'no_such': choose one of choose_k, feature_mapping"):
            probe.find("no_such")
        assert probe_file("layers") == "lfcore/probes/layers.py"
        assert probe_file("inversion") == "lfcore/attacks/inversion.py"

    def test_the_config_knows_both(self, merged):
        config = check_config(merged({"probes": {"inversion": {"steps": 5}, "layers": {}}}))
        assert set(config["probes"]) == {"inversion", "layers"}
        with pytest.raises(InputError, match="inversion has no option 'step': choose from images, restarts"):
            check_config(merged({"probes": {"inversion": {"step": 5}}}))
        with pytest.raises(
            InputError, match=r"no probe called 'no_such' in the config: choose from .*inversion.*layers"
        ):
            check_config(merged({"probes": {"no_such": {}}}))

    def test_every_attack_is_in_a_study_and_deep_has_every_unlearner(self, merged):
        config = check_config(merged())
        found = studies.read(config)
        deep = found["deep"]
        assert set(NAMES) <= {*deep.probes, *found["blind"].probes}
        frozen = {"ascent-frozen", "random_labels-frozen"}  # variants of two methods that are there
        assert set(deep.unlearners) == {*found["field"].unlearners, "opc", "opc-lr0.02", "opc-features"} - frozen

    @pytest.mark.parametrize("name", CHEAP)
    def test_the_same_seed_gives_the_same_numbers_and_models_stay_as_they_were(self, name, whole):
        subject = changed(whole, original=reinitialise(whole.model, 5))
        before = {key: tensor.clone() for key, tensor in subject.model.state_dict().items()}
        one, other = (measure(probe.find(name), subject, **CHEAP[name]) for _ in range(2))
        pd.testing.assert_frame_equal(one, other)
        assert all(torch.equal(before[key], tensor) for key, tensor in subject.model.state_dict().items())
        assert not subject.model.training

    @pytest.mark.parametrize("name", CHEAP)
    def test_every_attack_runs_on_a_random_set(self, name, whole):
        few = {
            part: Examples(getattr(whole, part).images[::9], getattr(whole, part).labels[::9])
            for part in ("retain", "test")
        }
        mixed = Examples(few["retain"].images[:40], few["retain"].labels[:40])
        table = measure(probe.find(name), changed(whole, affected=None, forget=mixed, **few), **CHEAP[name])
        assert np.isfinite(table["value"]).all() and not table["key"].str.contains("affected").any()


class TestFeatureMapping:
    @pytest.mark.parametrize("name", ["held_out", "retain", "all"])
    def test_without_a_penalty_the_original_gives_back_itself(self, whole, name):
        """The identity in float64: its own logits, and its own accuracy to the last example."""
        images = feature_mapping.calibrations(whole)[name]
        recover = feature_mapping.attack(whole.model, whole.model, images, rho=0.0)
        weights, bias = feature_mapping.head(whole.model)
        for shown in (images, whole.retain.images):
            own = feature_mapping.features(whole.model, shown) @ weights + bias
            assert own.dtype == np.float64
            np.testing.assert_allclose(recover(shown), own, atol=1e-9)

    def test_without_a_penalty_its_accuracy_is_exactly_its_own(self, whole):
        table = measure(feature_mapping, whole, rho=0.0)
        with torch.no_grad():
            for split, ending, shown in (("forget", "", whole.forget), ("test", "/other", None)):
                if shown is None:
                    others = whole.test.labels != 4
                    shown = Examples(whole.test.images[others], whole.test.labels[others])
                right = (whole.model(shown.images).argmax(dim=1) == shown.labels).double().mean()
                for name in ("held_out", "retain", "all"):
                    assert value(table, split=split, metric="feature_mapping", key=name + ending) == 100 * float(right)

    def test_it_is_scikit_learns_ridge(self):
        random = np.random.default_rng(0)
        features, targets = random.normal(size=(50, 6)) * [1, 2, 3, 4, 5, 0], random.normal(size=(50, 3))
        weights, offset = feature_mapping.fit_map(features, targets, rho=0.1)
        scatter = ((features - features.mean(axis=0)) ** 2).sum()
        twin = Ridge(alpha=0.1 * scatter / 6).fit(features, targets)
        np.testing.assert_allclose(features @ weights + offset, twin.predict(features), atol=1e-10)
        free, _ = feature_mapping.fit_map(features, targets, rho=0.0)
        assert np.linalg.norm(free) > np.linalg.norm(weights) and (free[5] == 0).all()

    def test_scale_and_rotation_of_features_hide_nothing(self):
        random = np.random.default_rng(0)
        features, targets = random.normal(size=(50, 6)), random.normal(size=(50, 3))
        turned = 1e-5 * features @ np.linalg.qr(random.normal(size=(6, 6)))[0] + 7
        for rho in (0.0, 0.1):
            plain, other = (
                f @ w + b for f in (features, turned) for w, b in [feature_mapping.fit_map(f, targets, rho)]
            )
            np.testing.assert_allclose(plain, other, atol=1e-8)

    def test_a_head_that_is_silent_is_undone(self, whole, silenced):
        """Also without the class, since no feature has changed."""
        with torch.no_grad():
            assert not (silenced(whole.forget.images).argmax(dim=1) == 4).any()
        table = measure(feature_mapping, changed(whole, model=silenced))
        own = measure(feature_mapping, whole)
        for metric in ("feature_mapping", "feature_mapping_linear"):
            place = {"metric": metric, "split": "forget", "key": "held_out"}
            assert value(table, **place) == value(own, **place) > 95

    def test_baselines(self, whole, retrained):
        """Without the class neither a random nor a retrained network has all of it; with all data even a random one."""
        table = measure(feature_mapping, changed(whole, unlearner="original"))
        ours = measure(feature_mapping, changed(whole, model=retrained))
        assert set(ours["metric"]) == {"feature_mapping", "feature_mapping_linear"}
        ours = ours[ours["metric"] == "feature_mapping"]
        fresh = table[table["metric"] == "feature_mapping_random"]
        plain = table[table["metric"] == "feature_mapping"]
        assert value(fresh, split="forget", key="held_out") < value(plain, split="forget", key="held_out")
        for found in (fresh, ours):
            assert value(found, split="forget", key="held_out") + 5 < value(found, split="forget", key="all")
            assert value(found, split="forget", key="all") > 95

    def test_a_retrained_model_is_contracted_too_as_a_control(self, whole, retrained):
        subject = changed(whole, model=retrained, unlearner="retrained")
        before = {name: now.clone() for name, now in retrained.state_dict().items()}
        table = measure(feature_mapping, subject, contract={"lr": 0.003, "epochs": 3, "batch_size": 64})
        assert all((now == before[name]).all() for name, now in retrained.state_dict().items())
        plain = value(table, metric="feature_mapping", split="forget", key="held_out")
        control = value(table, metric="feature_mapping_contracted", split="forget", key="held_out")
        assert 0 <= control <= 100 and control != plain
        none = measure(feature_mapping, changed(whole, unlearner="ltd"), contract={"lr": 0.003})
        assert not none["metric"].str.contains("contracted").any()

    def test_through_the_origin_a_contracted_set_gets_the_bias_and_with_an_offset_more(self, whole, contracted):
        random = np.random.default_rng(0)
        features, targets = random.normal(size=(50, 6)) + 3, random.normal(size=(50, 3)) + 1
        weights, offset = feature_mapping.fit_map(features, targets, rho=0.1, offset=False)
        twin = Ridge(alpha=0.1 * (features**2).sum() / 6, fit_intercept=False).fit(features, targets)
        assert not offset.any()
        np.testing.assert_allclose(features @ weights, twin.predict(features), atol=1e-10)
        images, bias = feature_mapping.calibrations(whole)["held_out"], feature_mapping.head(whole.model)[1]
        far = [
            abs(
                feature_mapping.attack(contracted, whole.model, images, 1e-3, offset=offset)(whole.forget.images) - bias
            )
            for offset in (False, True)
        ]
        assert far[0].max() < 0.3 * far[1].max(), "the origin is mapped to the origin, whose logits are the bias"

    def test_contraction_to_a_point_leaves_nothing_to_map(self, whole, contracted):
        images = feature_mapping.calibrations(whole)["held_out"]
        answers = {}
        for name, model in (("contracted", contracted), ("original", whole.model)):
            logits = feature_mapping.attack(model, whole.model, images, 1e-3)(whole.forget.images)
            answers[name] = np.ptp(logits, axis=0).max()
        assert answers["contracted"] < 0.1 * answers["original"], "all forgotten images have one answer"

    def test_calibration_without_the_class_holds_none_of_it(self, whole):
        found = feature_mapping.calibrations(whole)
        four = {image.numpy().tobytes() for image in whole.test.images[whole.test.labels == 4]}
        assert not four & {image.numpy().tobytes() for image in found["held_out"]}
        assert len(found["held_out"]) == (whole.test.labels != 4).sum()
        assert len(found["all"]) == len(whole.retain) + len(whole.forget)
        assert len(feature_mapping.calibrations(changed(whole, affected=None))["held_out"]) == len(whole.test)

    @pytest.mark.parametrize("name", ["held_out", "retain"])
    def test_forgotten_images_are_never_read_to_calibrate(self, whole, silenced, name):
        clean, dirty = (
            feature_mapping.attack(silenced, whole.model, feature_mapping.calibrations(subject)[name], 1e-3)
            for subject in (whole, changed(whole, forget=nans(whole.forget)))
        )
        np.testing.assert_array_equal(clean(whole.forget.images), dirty(whole.forget.images))
        with pytest.raises(np.linalg.LinAlgError):
            dirty = feature_mapping.calibrations(changed(whole, forget=nans(whole.forget)))["all"]
            feature_mapping.attack(silenced, whole.model, dirty, 1e-3)


class TestHeadRecovery:
    def test_it_is_scikit_learns_ridge_on_one_hot_labels(self, whole, silenced):
        few, rest = head_recovery.split_few(whole.test, 5)
        recover = head_recovery.attack(silenced, few, 10, rho=1e-3)
        features = feature_mapping.features(silenced, few.images)
        alpha = 1e-3 * ((features - features.mean(axis=0)) ** 2).sum() / features.shape[1]
        twin = Ridge(alpha=alpha).fit(features, np.eye(10)[few.labels])
        shown = feature_mapping.features(silenced, rest.images)
        np.testing.assert_allclose(recover(rest.images), twin.predict(shown), atol=1e-8)

    def test_few_are_the_first_of_each_class(self):
        labels = torch.tensor([1, 0, 1, 1, 2, 0, 0, 2])
        assert head_recovery.choose_few(labels, 2).tolist() == [True, True, True, False, True, True, False, True]

    def test_a_class_of_which_nothing_is_retained_can_not_be_named(self, whole, silenced):
        table = measure(head_recovery, changed(whole, model=silenced))
        assert (
            value(table, split="forget", key="retain") == 0 and value(table, split="test", key="retain/affected") == 0
        )
        assert value(table, split="forget", key="few") > 90 and value(table, split="forget", key="all") > 95

    def test_a_contracted_class_is_easy_to_find(self, whole, contracted):
        table = measure(head_recovery, changed(whole, model=contracted))
        assert value(table, split="forget", key="few") > 95

    def test_the_original_brings_its_random_network(self, whole):
        table = measure(head_recovery, changed(whole, unlearner="original"))
        assert set(table["metric"]) == {"head_recovery", "head_recovery_random"}
        few = (table["split"] == "test") & (table["key"] == "few/other")
        values = table[few].set_index("metric")["value"]
        assert values["head_recovery"] > values["head_recovery_random"] + 10

    @pytest.mark.parametrize("name", ["few", "retain"])
    def test_forgotten_images_are_never_read_to_train(self, whole, name):
        table, own = (
            measure(head_recovery, changed(whole, forget=forget, retain=whole.retain), per_class=3)
            for forget in (whole.forget, Examples(whole.forget.images.flip(-1), whole.forget.labels))
        )
        for ending in ("/affected", "/other"):
            assert value(table, split="test", key=name + ending) == value(own, split="test", key=name + ending)
        assert value(table, split="test", key="all/other") is not None


class TestRelearning:
    def test_no_steps_are_the_model_as_it_is(self, whole, silenced):
        table = measure(relearning_curve, changed(whole, model=silenced), steps=[0, 2, 4])
        assert value(table, key="half/0") == value(table, key="retain/0") == 0
        assert set(table["key"]) == {f"{kind}/{step}" for kind in ("half", "retain") for step in (0, 2, 4)}

    def test_what_was_hidden_comes_back_before_what_was_never_learned(self, whole, retrained):
        """The head of the one lacks a little, the other lacks the class."""
        hidden = copy.deepcopy(whole.model)
        with torch.no_grad():
            hidden.head.bias[4] -= 10
        curves = [measure(relearning_curve, changed(whole, model=model), steps=[0, 10], lr=0.005)
                  for model in (hidden, retrained)]  # fmt: skip
        ours, theirs = ([value(curve, key=f"half/{step}") for step in (0, 10)] for curve in curves)
        assert ours[0] < 60 and ours[1] > 90 and theirs[0] == 0 and theirs[1] < 40

    def test_the_half_that_is_measured_is_never_trained_on(self, whole):
        """Nor, with retained data alone, is any forgotten example: a NaN would end training with Diverged."""
        images = whole.forget.images.clone()
        images[1::2] = torch.nan
        known = Examples(images, whole.forget.labels)
        options = {"steps": [0, 1, 3], "seed": 0, "lr": 0.01, "batch_size": 64}
        measure(relearning_curve, changed(whole, forget=known), steps=[0, 1, 3])
        found = relearning_curve.relearn(whole.model, whole.retain, nans(whole.forget), **options)
        assert len(found) == 3

    def test_the_curve_at_a_step_is_training_for_so_long(self, whole, retrained):
        options = {"seed": 0, "lr": 0.05, "batch_size": 32}
        examples = Examples(whole.forget.images[::2], whole.forget.labels[::2])
        together = relearning_curve.relearn(retrained, examples, whole.forget, [0, 1, 2, 7], **options)
        alone = [
            relearning_curve.relearn(retrained, examples, whole.forget, [step], **options)[0] for step in (1, 2, 7)
        ]
        assert together[1:] == alone and together[3] > together[0]


class Small(nn.Module):
    """A network small and smooth enough that its gradient determines its input."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh())
            self.head = nn.Linear(32, 10)

    def forward(self, images):
        return self.head(self.body(images))


class TestInversion:
    def test_it_recovers_a_known_image_from_an_exact_gradient(self, whole):
        """To more than 30 dB, three images at once: one mean error of 3 % of the range of a pixel."""
        model = Small().double().eval()
        known = Examples(whole.test.images[:3], whole.test.labels[:3])
        exact = next(gradients.per_example(model, known, chunk=3)).detach()
        options = {"limits": (0.0, 1.0), "seed": 0, "purpose": "test", "steps": 300, "lr": 0.1, "tv": 0.0}
        found, cosines = inversion.invert(model, exact, known.labels, (1, 8, 8), **options)
        quality = image_quality.psnr(found.numpy(), known.images.numpy())
        assert (quality > 30).all(), quality
        assert (cosines > 0.999).all()
        shuffled, _ = inversion.invert(model, exact.roll(1, dims=0), known.labels, (1, 8, 8), **options)
        assert image_quality.psnr(shuffled.numpy(), known.images.numpy()).max() < 20, "it is the gradient that tells"

    def test_images_do_not_tell_one_another_anything(self, whole):
        """Several at once are each a batch of one."""
        model = Small().double().eval()
        known = Examples(whole.test.images[:2], whole.test.labels[:2])
        exact = next(gradients.per_example(model, known, chunk=2)).detach()
        options = {"limits": (0.0, 1.0), "seed": 0, "purpose": "test", "steps": 20, "lr": 0.1, "tv": 0.01}
        both, _ = inversion.invert(model, exact, known.labels, (1, 8, 8), **options)
        one, _ = inversion.invert(model, exact[:1], known.labels[:1], (1, 8, 8), **options)
        torch.testing.assert_close(both[:1], one, rtol=1e-3, atol=1e-4)

    def test_pixels_stay_within_their_limits(self, whole):
        exact = torch.randn(2, sum(p.numel() for p in Small().parameters()), generator=torch.Generator().manual_seed(0))
        options = {"seed": 0, "purpose": "test", "steps": 10, "lr": 1.0, "tv": 0.0}
        found, _ = inversion.invert(Small(), exact, torch.tensor([1, 2]), (1, 8, 8), limits=(-2.0, 3.0), **options)
        assert found.min() >= -2 and found.max() <= 3 and found.max() > 1

    def test_total_variation_by_hand(self):
        images = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
        assert inversion.total_variation(images).item() == pytest.approx((3 + 2) / 2 + (1 + 0) / 2)
        assert inversion.total_variation(torch.ones(2, 3, 4, 4)).tolist() == [0, 0]

    def test_the_difference_has_the_direction_of_a_step_of_ascent(self, whole):
        """Of one example forgotten by a step up its loss, the weights' difference is its gradient."""
        model, one = copy.deepcopy(whole.model), Examples(whole.forget.images[:1], whole.forget.labels[:1])
        exact = next(gradients.per_example(whole.model, one))[0].detach()
        with torch.no_grad():
            for parameter, part in zip(model.parameters(), exact.split([p.numel() for p in model.parameters()]),
                                       strict=True):  # fmt: skip
                parameter += 0.01 * part.view_as(parameter)
        moved = inversion.difference(model, whole.model)
        assert torch.nn.functional.cosine_similarity(moved, exact, dim=0) > 0.999

    def test_an_attacker_with_both_weights_reads_no_image(self, whole, retrained):
        pictures = []
        for forget in (whole.forget, nans(whole.forget)):
            subject = changed(whole, model=retrained, forget=forget)
            list(inversion.probe(subject, **CHEAP["inversion"]))
            pictures.append(subject.kept)
        np.testing.assert_array_equal(*(kept["inversion_difference"] for kept in pictures))
        gradients = [kept["inversion_gradient"] for kept in pictures]
        assert not np.allclose(*gradients), "the other attacker has what a device sends"

    def test_an_attacker_with_a_gradient_reads_nothing_else(self, whole):
        """All but the first forgotten images may be anything."""
        images = whole.forget.images.clone()
        images[2:] = torch.nan
        pictures = []
        for forget in (whole.forget, Examples(images, whole.forget.labels)):
            subject = changed(whole, forget=forget, retain=nans(whole.retain))
            list(inversion.probe(subject, **CHEAP["inversion"]))
            pictures.append(subject.kept["inversion_gradient"])
        np.testing.assert_array_equal(*pictures)

    def test_a_model_that_did_not_move_gives_no_difference(self, whole):
        subject = changed(whole)
        table = measure(inversion, subject, **CHEAP["inversion"])
        assert set(table["key"]) == {"gradient"} and "inversion_difference" not in subject.kept
        moved = changed(whole, original=reinitialise(whole.model, 1))
        assert set(measure(inversion, moved, **CHEAP["inversion"])["key"]) == {"gradient", "difference"}
        assert moved.kept["inversion_difference"].shape == (1, 1, 8, 8)

    def test_another_seed_starts_elsewhere(self, whole):
        pictures = []
        for seed in (0, 1):
            subject = changed(whole, seed=seed)
            measure(inversion, subject, **CHEAP["inversion"])
            pictures.append(subject.kept["inversion_gradient"])
        assert pictures[0].shape == (2, 1, 8, 8) and not np.allclose(*pictures)

    def test_chance(self, whole):
        """A guess is right once in all the forgotten, and half the time between equally many forgotten and unseen."""
        moved = changed(whole, original=reinitialise(whole.model, 1))
        table = measure(inversion, moved, **CHEAP["inversion"])
        chance = table[table["metric"] == "inversion_chance"].set_index("key")["value"]
        assert chance["gradient"] == pytest.approx(100 / len(whole.forget)) and chance["difference"] == 50
        mean = whole.test.images[whole.test.labels == 4].mean(dim=0).numpy()
        blind = image_quality.psnr(np.stack([mean, mean]), whole.forget.images[:2].numpy()).mean()
        assert value(table, metric="inversion_psnr_blind") == pytest.approx(blind)

    def test_a_lineup_has_equally_many_of_each_class(self, whole):
        forget = whole.forget + Examples(whole.retain.images[:60], whole.retain.labels[:60])
        ours, theirs = inversion.lineup(forget, whole.test)
        assert (
            len(ours)
            == len(theirs)
            == sum(
                min(int((forget.labels == c).sum()), int((whole.test.labels == c).sum()))
                for c in forget.labels.unique()
            )
        )


def slow_ssim(one, other, size, sigma=1.5, peak=1.0):
    """Wang et al., window by window."""
    half = size // 2
    at = np.arange(-half, half + 1)
    weights = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    values = []
    for row in range(half, one.shape[0] - half):
        for column in range(half, one.shape[1] - half):
            x, y = (image[row - half : row + half + 1, column - half : column + half + 1] for image in (one, other))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            xy = (weights * (x - mx) * (y - my)).sum()
            c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
            values.append((2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


class TestLikeness:
    @pytest.mark.parametrize(("side", "size"), [(8, 7), (11, 11), (16, 11)])
    @pytest.mark.parametrize("peak", [1.0, 255.0])
    def test_ssim_is_its_slow_twin(self, side, size, peak):
        random = np.random.default_rng(side)
        images, others = peak * random.uniform(size=(2, 3, 2, side, side))
        twin = [np.mean([slow_ssim(a, b, size, peak=peak) for a, b in zip(*pair, strict=True)])
                for pair in zip(images, others, strict=True)]  # fmt: skip
        np.testing.assert_allclose(image_quality.gaussian_ssim(images, others, peak), twin, atol=1e-10)

    def test_ssim_is_one_for_equal_pictures_and_falls_with_noise_shift_and_contrast(self):
        random = np.random.default_rng(0)
        image = random.uniform(size=(1, 1, 16, 16))
        assert image_quality.gaussian_ssim(image, image)[0] == pytest.approx(1)
        scores = [
            image_quality.gaussian_ssim(image, image + noise * random.normal(size=image.shape))[0]
            for noise in (0.01, 0.1, 1)
        ]
        assert 1 > scores[0] > scores[1] > scores[2]
        assert image_quality.gaussian_ssim(image, 1 - image)[0] < 0

    def test_psnr_is_its_definition(self):
        image = np.zeros((2, 1, 4, 4))
        other = image + np.array([0.1, 0.01])[:, None, None, None]
        np.testing.assert_allclose(image_quality.psnr(image, other), [20, 40])
        np.testing.assert_allclose(image_quality.psnr(image, other, peak=10), [40, 60])
        assert image_quality.psnr(image, image)[0] == np.inf

    def test_distances(self):
        random = np.random.default_rng(0)
        one, other = random.normal(size=(4, 1, 2, 3)), random.normal(size=(5, 1, 2, 3))
        found = image_quality.distances(one, other)
        assert found.shape == (4, 5) and found[2, 3] == pytest.approx(((one[2] - other[3]) ** 2).sum())


K = 3


def make_run(features, logits=None, labels=None, forget=None, train_rows=90):
    """A run of one seed with these features, (n, width), of which the first 90 rows are for training."""
    n = len(features)
    labels = np.arange(n) % K if labels is None else labels
    forget = np.arange(0, 30) if forget is None else forget
    logits = np.eye(K)[labels] if logits is None else logits
    one = Predictions((0,), logits[None], features[None])
    chosen = data.Forget("x", None, forget, np.setdiff1d(np.arange(train_rows), forget))
    return Run(one, one, one, False, labels, K, chosen, np.arange(train_rows, n), np.zeros(n))


def rows(run):
    return pd.DataFrame(depth.measure(run, None), columns=tables.COLUMNS[3:])


class TestDepth:
    def test_ratios_by_hand(self):
        features = np.random.default_rng(0).normal(size=(150, 5)) + 3
        run = make_run(features, logits=4 * features[:, :K])
        table, rest = rows(run), np.arange(30, 90)
        assert value(table, metric="spread_ratio") == pytest.approx(
            features[:30].var(axis=0).sum() / features[rest].var(axis=0).sum()
        )
        lengths = np.sqrt((features**2).sum(axis=1))
        assert value(table, metric="feature_norm_ratio") == pytest.approx(lengths[:30].mean() / lengths[rest].mean())
        assert value(table, metric="feature_norm", split="test") == pytest.approx(lengths[90:].mean())
        lengths = 4 * np.sqrt((features[:, :K] ** 2).sum(axis=1))
        assert value(table, metric="logit_norm_ratio") == pytest.approx(lengths[:30].mean() / lengths[rest].mean())

    def test_a_point_has_no_spread_wherever_it_is(self):
        features = np.random.default_rng(0).normal(size=(150, 5))
        features[:30] = 7
        table = rows(make_run(features))
        assert value(table, metric="spread_ratio") == pytest.approx(0, abs=1e-12)
        assert value(table, metric="feature_norm_ratio") > 3

    def test_entropy_and_its_bound(self):
        logits = np.random.default_rng(0).normal(size=(150, K))
        table = rows(make_run(logits, logits=logits))
        for split in ("forget", "retain", "test"):
            least = value(table, metric="entropy_bound", split=split)
            assert value(table, metric="entropy", split=split) > least
        assert value(table, metric="entropy_bound", split="forget") == pytest.approx(
            np.log(K) - np.sqrt(2) * np.linalg.norm(logits[:30], axis=1).mean()
        )
        flat = rows(make_run(logits, logits=np.zeros_like(logits)))
        assert value(flat, metric="entropy", split="forget") == pytest.approx(np.log(K))
        sure = rows(make_run(logits, logits=1e4 * np.eye(K)[np.arange(150) % K]))
        assert value(sure, metric="entropy", split="forget") == 0

    def test_the_linear_probe_is_scikit_learns_on_test_examples(self):
        random = np.random.default_rng(0)
        labels = np.arange(150) % K
        features = np.eye(K)[labels] * 2 + random.normal(size=(150, K))
        run = make_run(features, labels=labels)
        twin = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features[90:], labels[90:])
        found = value(rows(run), metric="linear_probe", key="test")
        assert found == pytest.approx(100 * twin.score(features[:30], labels[:30])) and 60 < found < 100
        run.predictions.features[0, 30:90] = np.nan  # no retained example is read
        with np.errstate(all="ignore"):
            again = depth.probe("linear_probe", run.predictions.features[0], labels, run.test, run.forget_set.forget)
        assert again == found

    def test_only_the_other_probe_sees_what_is_not_linear(self):
        """Two rings around one centre."""
        random = np.random.default_rng(0)
        labels = np.arange(400) % 2
        angle, radius = random.uniform(0, 2 * np.pi, 400), 1 + 2 * labels + 0.1 * random.normal(size=400)
        features = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
        run = make_run(features, labels=labels, logits=np.zeros((400, K)), train_rows=200)
        table = rows(run)
        for key in ("test", "within"):
            assert value(table, metric="linear_probe", key=key) < 80
            assert value(table, metric="nonlinear_probe", key=key) > 90

    def test_within_sees_through_scale_and_place(self):
        """A set contracted to nearly a point still tells its classes apart, to who has labels of it."""
        random = np.random.default_rng(0)
        labels = np.arange(150) % K
        features = np.eye(K)[labels] * 4 + random.normal(size=(150, K))
        shrunk = features.copy()
        shrunk[:30] = 1e-6 * shrunk[:30] + 5
        before, after = (rows(make_run(one, labels=labels)) for one in (features, shrunk))
        within = value(after, metric="linear_probe", key="within")
        assert within == value(before, metric="linear_probe", key="within") > 80
        assert value(after, metric="linear_probe", key="test") < 50
        alone = make_run(np.where(np.arange(150)[:, None] < 30, 5.0, features), labels=labels)
        assert value(rows(alone), metric="linear_probe", key="within") < 50, "a point tells nothing"

    def test_a_single_class_has_nothing_within(self):
        labels = np.where(np.arange(150) < 30, 0, np.arange(150) % K)
        table = rows(make_run(np.random.default_rng(0).normal(size=(150, 4)), labels=labels))
        assert set(table[table["scope"] == "trained"]["key"]) == {"test"}

    def test_layers_are_scikit_learns_classifiers(self):
        random = np.random.default_rng(0)
        train_rows, test_rows = (torch.from_numpy(random.normal(size=(size, 30))) for size in (80, 40))
        labels = torch.from_numpy(random.integers(0, 4, size=80))
        found = layer_depth.neighbours(train_rows, labels, test_rows)
        twin = KNeighborsClassifier(5, metric="cosine").fit(train_rows, labels).predict(test_rows)
        assert (found.numpy() == twin).all()
        mean = train_rows.mean(dim=0)
        found = layer_depth.linear(train_rows - mean, labels, test_rows - mean, rho=0.1)
        alpha = 0.1 * float(((train_rows - mean) ** 2).sum()) / 30
        twin = RidgeClassifier(alpha=alpha).fit(train_rows, labels).predict(test_rows)
        assert (found.numpy() == twin).mean() > 0.97

    def test_layers_of_a_model(self, whole, contracted):
        before, after = (measure(layer_depth, changed(whole, model=model)) for model in (whole.model, contracted))
        assert set(before["metric"]) == {"layer_spread", "layer_linear", "layer_nonlinear"}
        assert set(before["key"]) == {"02", "06", "10", "12", "logits"}
        spreads = [value(table, metric="layer_spread", key="12") for table in (before, after)]
        assert spreads[1] < 0.2 * spreads[0]


class TestStage:
    """The stage `lfcore.stages.probe` on files."""

    @pytest.fixture(scope="class")
    @staticmethod
    def files(trained):
        return {
            "dataset": trained / "dataset.safetensors",
            "forget_set": trained / "4_half.json",
            "network": "cnn",
            "seeds": [1, 2],
            "unlearner": "retrained",
            "folders": [trained / "retrained"],
            "originals": [trained / "original"],
            "original_seeds": [0, 1],
            "retrained": [trained / "retrained"],
            "reference_seeds": [0],
            "device": "cpu",
        }

    def test_several_probes_fill_one_table_and_one_file_of_arrays(self, files, tmp_path):
        chosen = {"inversion": CHEAP["inversion"], "head_recovery": {}}
        table = probe.probe(**files, probes=chosen, out=tmp_path / "x")
        assert set(table["seed"]) == {1, 2} and tables.read(tmp_path / "x.csv").columns.tolist() == tables.COLUMNS
        assert {"inversion_psnr", "head_recovery"} <= set(table["metric"])
        with np.load(tmp_path / "x.npz") as arrays:
            kinds = ("targets", "gradient", "difference")
            assert set(arrays.files) == {f"inversion_{kind}_{seed}" for kind in kinds for seed in (1, 2)}
        alone = probe.probe(**files, probes={"head_recovery": {}}, out=tmp_path / "y")
        both = table[table["metric"] == "head_recovery"]
        pd.testing.assert_frame_equal(alone, both.reset_index(drop=True))
        again = probe.probe(**files, probes=chosen, out=tmp_path / "z")
        pd.testing.assert_frame_equal(table, again)

    def test_an_option_that_a_probe_lacks_is_one_sentence(self, files, tmp_path):
        with pytest.raises(InputError, match=r"The probe head_recovery has no option 'rhoo'"):
            probe.probe(**files, probes={"head_recovery": {"rhoo": 1}}, out=tmp_path / "x")
        assert not list(tmp_path.iterdir())

    def test_models_are_those_of_the_files(self, files, trained, tmp_path):
        table = probe.probe(**files, probes={"relearning_curve": {"steps": [0]}}, out=tmp_path / "x")
        forget = data.read_forget(trained / "4_half.json", data.read(trained / "dataset.safetensors")).forget
        for seed in (1, 2):
            logits = checkpoint.predictions([trained / "retrained"], seed)["logits"][forget]
            own = 100 * (logits.argmax(axis=1) == 4).mean()
            assert value(table, seed=seed, key="retain/0") == pytest.approx(own)


def summary_table(rows):
    """A summary by hand: (forget_set, unlearner, reference, split, metric, scope, key, mean, sd)."""
    names = ["forget_set", "unlearner", "reference", "split", "metric", "scope", "key", "mean", "sd"]
    table = pd.DataFrame(rows, columns=names).assign(network="cnn", n=3)
    return table.assign(low=table["mean"] - table["sd"], high=table["mean"] + table["sd"])


class TestViews:
    @pytest.fixture
    @staticmethod
    def found():
        rows = []
        for forget_set in ("4_all", "random_tenth"):
            for position, name in enumerate(("original", "retrained", "opc")):
                mapped = {"original": 100, "retrained": 10, "opc": 0}[name]
                rows.append([forget_set, name, "", "forget", "accuracy", "all", "", 5.0 * position, 1])
                rows.append([forget_set, name, "", "forget", "feature_mapping", "calibration", "held_out", mapped, 2])
                for step in (10, 0, 5):
                    rows.append([forget_set, name, "", "forget", "relearned", "steps", f"half/{step}", step, 1])
                    rows.append([forget_set, name, "", "forget", "relearned", "steps", f"retain/{step}", 2 * step, 1])
                if name != "retrained":
                    place = ["retrained", "test", "confidence_gap_excess", "range", "other/near"]
                    rows.append([forget_set, name, *place, 0.02 * position, 0.01])
            place = ["", "forget", "feature_mapping_random", "calibration", "held_out"]
            rows.append([forget_set, "original", *place, 23.0, 1])
        return summary_table(rows)

    def test_the_plane_is_the_difference_to_retrained_models(self, found):
        points = pair_recovery_and_damage(found, "feature mapping", "confidence")
        at = points.set_index(["forget_set", "unlearner"])
        assert set(points["unlearner"]) == {"original", "opc"}
        assert at.loc[("4_all", "opc"), "recovery"] == -10 and at.loc[("4_all", "original"), "recovery"] == 90
        assert at.loc[("4_all", "opc"), "damage"] == pytest.approx(4)
        assert at.loc[("4_all", "opc"), "damage_low"] == pytest.approx(3)
        low, high = at.loc[("4_all", "opc"), ["recovery_low", "recovery_high"]]
        half = 2.7764451 * np.sqrt(2**2 / 3 + 2**2 / 3)
        assert (low, high) == (pytest.approx(-10 - half), pytest.approx(-10 + half))
        deep_or_shallow.style.plt.close(deep_or_shallow.recovery_plane(points, ["original", "opc", "gone"], ("x", "y")))

    def test_what_the_plane_does_not_know_is_one_sentence(self, found):
        with pytest.raises(InputError, match="no 'mapping' for the plane: choose one of feature mapping"):
            pair_recovery_and_damage(found, "mapping", "confidence")
        with pytest.raises(InputError, match="no 'x' for the plane: choose one of confidence"):
            pair_recovery_and_damage(found, "feature mapping", "x")
        with pytest.raises(InputError, match="no relearning beside near - far"):
            pair_recovery_and_damage(found, "relearning", "near - far")

    def test_lines_are_in_the_order_of_their_steps(self, found):
        lines = views.lines(found, "relearning")
        assert list(lines["at"].unique()) == [0, 5, 10] and len(lines["panel"].unique()) == 2
        one = lines[(lines["panel"] == "retained data alone") & (lines["unlearner"] == "opc")]
        assert one[one["forget_set"] == "4_all"]["mean"].tolist() == [0, 10, 20]
        deep_or_shallow.style.plt.close(deep_or_shallow.lines(lines, ["original", "retrained", "opc"], "steps"))
        with pytest.raises(InputError, match="no lines called 'x': choose one of relearning, layers"):
            views.lines(found, "x")
        with pytest.raises(InputError, match="none of the lines of layers"):
            views.lines(found, "layers")

    def test_recovery_has_the_floor_and_the_guess(self, found):
        rows, guess = (views.pick(found, panels) for panels in ("recovery", "random network"))
        figure = deep_or_shallow.recovery(rows, guess, ["original", "retrained", "opc"])
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert {"retrained (floor)", "random network or guess", "after", "before any attack"} <= set(labels)
        assert [axis.get_title() for axis in figure.axes[:2]] == ["map with offset", "relearning, 5 steps"]
        deep_or_shallow.style.plt.close(figure)
        with pytest.raises(InputError, match="choose other unlearners for the figure"):
            deep_or_shallow.recovery(rows, guess, ["gone"])

    def test_pictures(self, tmp_path):
        random = np.random.default_rng(0)
        for name in ("original", "opc"):
            kept = {f"inversion_{kind}_{seed}": random.uniform(size=(3, 1, 8, 8)) + seed
                    for kind in ("targets", "gradient", "difference") for seed in (3, 10)}  # fmt: skip
            if name == "original":
                kept = {key: array for key, array in kept.items() if "difference" not in key}
            (tmp_path / "4_all").mkdir(exist_ok=True)
            np.savez(tmp_path / "4_all" / f"{name}.npz", **kept)
        paths = [*(tmp_path / "4_all").iterdir(), tmp_path / "other" / "ltd.npz"]
        found = deep_or_shallow.read_pictures(paths, "4_all", ["opc", "original", "ltd"])
        assert list(found) == ["opc", "original"] and set(found["original"]) == {"targets", "gradient"}
        assert (found["opc"]["gradient"] < 4).all(), "the first seed"
        figure = deep_or_shallow.pictures(found)
        assert len(figure.axes) == 3 * 6
        deep_or_shallow.style.plt.close(figure)
        with pytest.raises(InputError, match="no pictures of 9_all for opc"):
            deep_or_shallow.read_pictures(paths, "9_all", ["opc"])

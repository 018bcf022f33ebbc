"""OU@eps, the prototypical attack and Spotter's parts: by hand, step by step, at their ends, and on trained models."""

import copy
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from lfcore.attacks import over_unlearning, prototypical
from lfcore.core import checkpoint, tables
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, choose
from lfcore.geometry import projection
from lfcore.geometry.perturbations import MODES, dispersion, mask, perturb, runner_up
from lfcore.models import networks
from lfcore.plots import blind_spots, panels, style
from lfcore.plots.blind_spots import beside_paper, compare_definitions, pair_definitions
from lfcore.stages import data, probe
from lfcore.unlearners import _apply as apply
from lfcore.unlearners import _spotter_penalty, boundary_shrink, delete, spotter
from lfcore.unlearners._spotter_penalty import distil, penalty
from lfcore.workflow import dependencies

AFFECTED = 4
OU = {"eps": [0.0, 0.03, 0.3], "mean": 0.449, "std": 0.226}
PRA = {"ks": (1, 5), "alphas": (0.5, 1.0), "draws": 3}


def subject_of(model, original, digits, *, unlearner="delete", seed=0, fraction=1.0):
    """What an attack sees: class 4 is forgotten, whole unless `fraction` says otherwise."""
    forget = data.choose_forget(digits, AFFECTED, fraction)
    rows = {"forget": forget, "retain": np.setdiff1d(digits.train, forget), "test": digits.test}
    parts = {name: choose(digits, chosen, "cpu") for name, chosen in rows.items()}
    return probe.Probed(
        unlearner=unlearner, seed=seed, model=model, original=original, **parts, affected=AFFECTED, forget_rows=forget,
        reference=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(problem, digits):
    """The original against itself, class 4 forgotten whole."""
    return subject_of(problem.model, problem.model, digits, unlearner="original")


def table(found):
    rows = pd.DataFrame(list(found), columns=tables.COLUMNS[3:])
    assert not rows.duplicated(tables.COLUMNS[3:-1]).any(), "each number has a name of its own"
    return rows.set_index(["metric", "split", "key"])["value"].sort_index()


def bits(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class MaskedHead(torch.nn.Module):
    """The original with the logit of the forgotten class so low that its probability is 0: the masked original."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        logits = self.model(images).clone()
        logits[:, AFFECTED] = -torch.inf
        return logits


class TestDivergences:
    def random(self, n=200, k=5, scale=4.0):
        generator = torch.Generator().manual_seed(0)
        return [scale * torch.randn(n, k, generator=generator) for _ in range(2)]

    def test_they_are_scipys(self):
        before, after = self.random()
        found = over_unlearning.divergences(before, after, torch.tensor([1, 3]))
        p = before.double().softmax(1).numpy()
        p[:, [1, 3]] = 0
        p /= p.sum(axis=1, keepdims=True)
        q = after.double().softmax(1).numpy()
        np.testing.assert_allclose(found["over_unlearning"], jensenshannon(p, q, axis=1) ** 2, atol=1e-12)
        kl = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0).sum(axis=1)
        np.testing.assert_allclose(found["over_unlearning_kl"], kl, atol=1e-12)
        q[:, [1, 3]] = 0
        q /= q.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found["over_unlearning_masked"], jensenshannon(p, q, axis=1) ** 2, atol=1e-12)

    def test_js_is_between_0_and_ln_2_and_reaches_both(self):
        before, after = self.random(scale=300.0)
        js = over_unlearning.divergences(before, after, torch.tensor([0]))["over_unlearning"]
        assert js.min() >= 0 and js.max() <= math.log(2) and js.max() > 0.99 * math.log(2)
        apart = torch.tensor([[0.0, 900.0, 0.0]]), torch.tensor([[900.0, 0.0, 0.0]])
        ends = over_unlearning.divergences(*apart, torch.tensor([0]))["over_unlearning"]
        assert ends.item() == pytest.approx(math.log(2), abs=1e-12)

    def test_it_is_0_for_the_masked_original_alone(self):
        before, _ = self.random()
        masked = before.clone()
        masked[:, 2] = -torch.inf
        found = over_unlearning.divergences(before, masked, torch.tensor([2]))
        assert found["over_unlearning"].max() < 1e-12 and found["over_unlearning_kl"].max() < 1e-12
        moved = over_unlearning.divergences(before, before, torch.tensor([2]))
        assert moved["over_unlearning"].min() > 0, "the unlearned model is not masked: mass left on the class counts"
        assert moved["over_unlearning_masked"].max() < 1e-12, "and is out of the question if it is"

    def test_what_remains_on_the_forgotten_class_raises_it(self):
        before, _ = self.random()
        left = [before.clone().index_fill(1, torch.tensor([2]), value) for value in (-30.0, 0.0, 5.0)]
        js = [over_unlearning.divergences(before, one, torch.tensor([2]))["over_unlearning"].mean() for one in left]
        assert js[0] < js[1] < js[2]

    def test_masking_every_class_is_one_sentence(self):
        with pytest.raises(InputError, match="forget fewer"):
            mask(torch.zeros(2, 3), torch.arange(3))

    def test_margins_by_hand(self):
        found = over_unlearning.boundary_margins(torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]]), torch.tensor([0, 2]))
        assert found.tolist() == [1.0, -4.0]


class TestReleased:
    """The public code's arithmetic on a linear model of images 3x2x2, normalised by the statistics it uses on CIFAR-10.

    z = (x - mean) / std;  logits = W z.  Every number below follows from `ov_utils.py` by hand.
    """

    MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    EPS, STEP = 0.03, 0.01

    def inputs(self):
        """Two images: one grey level for each channel, so that every normalised value can be written down."""
        levels = torch.tensor([[0.1, 0.5, 0.6], [0.9, 0.46, 0.405]])
        return levels.view(2, 3, 1, 1).expand(2, 3, 2, 2).contiguous()

    def model(self, images):
        """Logits of pixels: three classes that weigh the channels of z, one each, four pixels alike."""
        mean, std = (torch.tensor(one).view(3, 1, 1) for one in (self.MEAN, self.STD))
        return ((images - mean) / std).mean(dim=(2, 3)) * torch.tensor([1.0, 2.0, 3.0])

    def perturb(self, kind, eps, monkeypatch, noise):
        """With noise of our own in place of the generator's: uniform in [0, 1] for pgd, normal for gaussian."""
        monkeypatch.setattr(
            torch, "rand" if kind == "pgd" else "randn", lambda shape, generator, dtype: noise.expand(shape)
        )
        examples = Examples(self.inputs(), torch.tensor([2, 0]))
        return perturb(
            self.model, examples, kind=kind, eps=eps, mode="released", seed=0, stage="x", mean=self.MEAN, std=self.STD
        )

    def normalised(self, pixels):
        mean, std = (torch.tensor(one).view(3, 1, 1) for one in (self.MEAN, self.STD))
        return ((pixels - mean) / std)[:, :, 0, 0]

    def test_pgd_step_by_step(self, monkeypatch):
        """The first image, z = (-1.681, 0.196, 0.862), has logits (-1.681, 0.393, 2.587): label 2 is right, and the
        runner-up is 1. The gradient of CE towards 1 is p_c > 0 for channels 0 and 2, and p_1 - 1 < 0 for channel 1;
        the code adds its sign. So channels 0 and 2 go up and channel 1 down, *away* from class 1.

        The second, z = (1.812, 0.018, -0.004), has logits (1.812, 0.036, -0.013): label 0, runner-up 1.
        """
        start = 0.5 * torch.ones(1)  # the middle of the noise: no shift
        z = self.normalised(self.perturb("pgd", self.EPS, monkeypatch, start))
        before = self.normalised(self.inputs())
        torch.testing.assert_close(
            before, torch.tensor([[-1.6812, 0.1964, 0.8622], [1.8122, 0.0179, -0.0044]]), atol=1e-4, rtol=0
        )
        # Image 1, channel 0: -1.681 is clamped to 0, then 0.01 up, and pulled back into [-1.711, -1.651], clamped to 0.
        # Channel 1: 0.1964 - 3 * 0.01 = 0.1664 = z - eps. Channel 2: 0.8622 + 0.03 = 0.8922 = z + eps.
        torch.testing.assert_close(z[0], torch.tensor([0.0, 0.1664, 0.8922]), atol=1e-4, rtol=0)
        # Image 2, channel 0: 1.812 is clamped to 1 and stays there. Channel 1: 0.0179 - 0.03 is clamped to 0.
        # Channel 2: -0.0044 is clamped to 0, and goes up to z + eps = 0.0256 in three steps (0.01, 0.02, 0.0256).
        torch.testing.assert_close(z[1], torch.tensor([1.0, 0.0, 0.0256]), atol=1e-4, rtol=0)

    def test_where_the_first_choice_is_wrong_it_is_the_aim(self):
        logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        assert runner_up(logits, torch.tensor([0, 1, 2])).tolist() == [1, 0, 0]

    def test_the_random_start_is_uniform_within_eps(self, monkeypatch):
        """At the upper end of the noise channel 1 of image 1 starts at 0.2264, and three steps down end at 0.1964."""
        z = self.normalised(self.perturb("pgd", self.EPS, monkeypatch, torch.ones(1)))
        assert z[0, 1].item() == pytest.approx(0.1964, abs=1e-4)

    def test_gaussian_by_hand(self, monkeypatch):
        """std 0.01 (eps 0.03): noise of 2 standard deviations adds 0.02; then the clamp to [0, 1]."""
        z = self.normalised(self.perturb("gaussian", self.EPS, monkeypatch, 2 * torch.ones(1)))
        torch.testing.assert_close(z, torch.tensor([[0.0, 0.2164, 0.8822], [1.0, 0.0379, 0.0156]]), atol=1e-4, rtol=0)

    def test_most_uniform_pixels_are_clipped(self):
        """All but [mean, mean + std]: 77 % under these statistics, the code's own eps notwithstanding."""
        images = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        examples = Examples(images, torch.zeros(50, dtype=torch.long))
        moved = perturb(
            self.model, examples, kind="gaussian", eps=0.0, mode="released", seed=0, stage="x", mean=self.MEAN,
            std=self.STD,
        )  # fmt: skip
        clipped = ((moved - images).abs() > 1e-5).double().mean().item()
        assert clipped == pytest.approx(1 - np.mean(self.STD), abs=0.01) and 0.76 < clipped < 0.79
        assert (moved - images).abs().max() > 10 * 0.03

    def test_the_divergence_by_hand(self):
        """p = (1/2, 1/4, 1/4) without class 0 is (0, 1/2, 1/2); q = (1/4, 1/4, 1/2); m = (1/8, 3/8, 1/2).

        KL(p~ || m) = 1/2 ln 4/3; KL(q || m) = 1/4 ln 2 + 1/4 ln 2/3 = 1/4 ln 4/3; their mean is 3/8 ln 4/3 = 0.1079.
        """
        before, after = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.25, 0.25, 0.5]]).log()
        expected = 3 / 8 * math.log(4 / 3)
        found = over_unlearning.released_divergence(before, after, torch.tensor([0]))
        assert found.dtype == torch.float32 and found.item() == pytest.approx(expected, rel=1e-5)
        ours = over_unlearning.divergences(before, after, torch.tensor([0]))["over_unlearning"]
        assert ours.item() == pytest.approx(expected, rel=1e-6)

    def test_its_small_constant_shrinks_the_masked_original_of_a_sure_one(self):
        """All but e^-23 = 1.03e-10 is on class 0: the rest, divided by itself plus 1e-10, has a sum of 0.507, not 1.

        Against q = that same rest, the code sees p~ = 0.507 on class 1 where it should see 1.
        """
        before, after = torch.tensor([[23.0, 0.0, -40.0]]), torch.tensor([[-60.0, 60.0, -60.0]])
        total = math.exp(-23) / (math.exp(-23) + 1e-10)
        assert total == pytest.approx(0.507, abs=1e-3)
        middle = (total + 1) / 2
        expected = 0.5 * (total * math.log(total / middle) + math.log(1 / middle))
        found = over_unlearning.released_divergence(before, after, torch.tensor([0])).item()
        assert found == pytest.approx(expected, abs=1e-4)
        ours = over_unlearning.divergences(before, after, torch.tensor([0]))["over_unlearning"].item()
        assert ours == pytest.approx(0, abs=1e-12) and abs(found) > 0.01


class TestPerturb:
    def near(self, subject, kind, eps, mode="intended", seed=0):
        return perturb(
            subject.original, subject.forget, kind=kind, eps=eps, mode=mode, seed=seed, stage="x"
        )  # fmt: skip

    @pytest.mark.parametrize("kind", ["pgd", "gaussian"])
    def test_they_are_pixels_near_the_images_and_of_the_seed(self, whole, kind):
        found = self.near(whole, kind, 0.05)
        assert found.min() >= 0 and found.max() <= 1 and not found.requires_grad
        change = (found - whole.forget.images).abs()
        assert change.max() > 0 and (kind == "gaussian" or change.max() <= 0.05 + 1e-6)
        torch.rand(7)
        assert torch.equal(found, self.near(whole, kind, 0.05))
        assert not torch.equal(found, self.near(whole, kind, 0.05, seed=1))

    @pytest.mark.parametrize("kind", ["pgd", "gaussian"])
    def test_eps_0_changes_nothing(self, whole, kind):
        assert torch.equal(self.near(whole, kind, 0.0), whole.forget.images)

    def test_gaussian_noise_has_a_third_of_eps_for_its_deviation(self, problem):
        grey = Examples(torch.full((100, 1, 8, 8), 0.5), torch.zeros(100, dtype=torch.long))
        found = perturb(problem.model, grey, kind="gaussian", eps=0.15, mode="intended", seed=0, stage="x")
        assert (found - 0.5).std().item() == pytest.approx(0.05, rel=0.05)

    def test_intended_goes_to_the_boundary_and_released_away_from_it(self, whole):
        near = {mode: self.near(whole, "pgd", 0.2, mode) for mode in MODES}
        with torch.no_grad():
            margin = {
                mode: over_unlearning.boundary_margins(whole.original(images), whole.forget.labels)
                for mode, images in near.items()
            }
            before = over_unlearning.boundary_margins(whole.original(whole.forget.images), whole.forget.labels)
        assert (margin["intended"] < before).double().mean() > 0.95
        assert (margin["released"] > margin["intended"]).double().mean() > 0.95

    def test_the_model_is_left_as_it_was(self, whole):
        before = bits(whole.original)
        self.near(whole, "pgd", 0.1)
        assert same(before, bits(whole.original))

    def test_an_unknown_mode_or_kind_is_one_sentence(self, whole):
        for kind, mode in (("pgd", "meant"), ("uniform", "intended")):
            with pytest.raises(InputError, match="choose intended or released, pgd or gaussian"):
                self.near(whole, kind, 0.1, mode)


class TestOverUnlearning:
    @pytest.fixture(scope="class")
    @staticmethod
    def found(whole):
        return table(over_unlearning.probe(whole, **OU))

    def test_one_call_sweeps_modes_kinds_and_eps(self, found):
        keys = {
            f"{m}/{k}/{e}" for m in ("intended", "released") for k in ("pgd", "gaussian") for e in ("0", "0.03", "0.3")
        }
        assert set(found["over_unlearning"]["forget"].index) == keys
        assert set(found["over_unlearning_kl"]["forget"].index) == {key for key in keys if key.startswith("intended")}
        assert found["over_unlearning"].between(0, math.log(2)).all() and np.isfinite(found).all()
        assert (
            found["over_unlearning", "forget", "intended/pgd/0"]
            == found["over_unlearning", "forget", "intended/gaussian/0"]
        )

    def test_the_original_is_far_from_itself_masked_and_the_masked_original_is_not(self, whole, found):
        assert found["over_unlearning", "forget", "intended/pgd/0"] > 0.5
        assert found["over_unlearning_masked"].max() == pytest.approx(0, abs=1e-12)
        masked = SimpleNamespace(**whole.__dict__ | {"model": MaskedHead(whole.model)})
        rows = table(over_unlearning.probe(masked, eps=[0.0, 0.1], modes=("intended",)))
        assert rows["over_unlearning"].max() == pytest.approx(0, abs=1e-7)

    def test_by_hand_at_eps_0(self, whole, digits):
        other = networks.build("cnn", 1, 10, seed=5, stage="other").eval()
        rows = table(over_unlearning.probe(subject_of(other, whole.original, digits), eps=[0.0], modes=("intended",)))
        with torch.no_grad():
            p, q = (model(whole.forget.images).double().softmax(1).numpy() for model in (whole.original, other))
        p[:, AFFECTED] = 0
        p /= p.sum(axis=1, keepdims=True)
        expected = (jensenshannon(p, q, axis=1) ** 2).mean()
        assert rows["over_unlearning", "forget", "intended/pgd/0"] == pytest.approx(expected, rel=1e-5)

    def test_clamping_normalised_pixels_moves_images_by_far_more_than_eps(self, found):
        moved = found["perturbation"]["forget"]
        assert moved["intended/pgd/0.03"] == pytest.approx(0.03, rel=1e-3) and moved["intended/pgd/0"] == 0
        assert moved["released/pgd/0.03"] > 0.3

    def test_the_margin_filter_keeps_images_near_the_boundary(self, whole):
        rows = table(over_unlearning.probe(whole, eps=[0.0, 0.2], modes=("intended",), kinds=("pgd",), beta=1.0))
        near = perturb(
            whole.original, whole.forget, kind="pgd", eps=0.2, mode="intended", seed=0, stage="over_unlearning"
        )
        with torch.no_grad():
            logits = whole.original(near)
        kept = over_unlearning.boundary_margins(logits, whole.forget.labels).abs() <= 1
        assert 0 < rows["over_unlearning_count", "forget", "intended/pgd/0.2"] == kept.sum() < len(kept)
        expected = over_unlearning.divergences(logits, logits, torch.tensor([AFFECTED]))["over_unlearning"][kept].mean()
        assert rows["over_unlearning", "forget", "intended/pgd/0.2"] == pytest.approx(expected.item())
        none = table(over_unlearning.probe(whole, eps=[0.0], modes=("intended",), kinds=("pgd",), beta=1e-9))
        assert none["over_unlearning_count", "forget", "intended/pgd/0"] == 0
        assert np.isnan(none["over_unlearning", "forget", "intended/pgd/0"])

    def test_every_unlearner_of_a_seed_is_asked_about_the_same_images(self, whole, digits):
        other = networks.build("cnn", 1, 10, seed=5, stage="other").eval()
        one, two = (
            table(over_unlearning.probe(subject_of(model, whole.original, digits, seed=3), **OU))["perturbation"]
            for model in (whole.model, other)
        )
        assert one.equals(two)

    def test_a_class_that_is_partly_retained_is_one_sentence(self, whole, digits):
        half = subject_of(whole.model, whole.original, digits, fraction=0.5)
        with pytest.raises(InputError, match=r"about whole classes.*use fraction 1\.$"):
            list(over_unlearning.probe(half, eps=[0.0]))


class TestPrototypes:
    @pytest.fixture(scope="class")
    @staticmethod
    def unlearned(problem, whole):
        return delete.unlearn(problem.model, None, whole.forget, seed=0, lr=1e-3, epochs=20, batch_size=64)

    @pytest.fixture(scope="class")
    @staticmethod
    def found(unlearned, problem, digits):
        return table(prototypical.probe(subject_of(unlearned, problem.model, digits), **PRA))

    @pytest.mark.parametrize("kind", prototypical.KINDS)
    def test_strength_0_changes_nothing(self, problem, kind):
        head = problem.model.head
        attacked = prototypical.attack(head, {AFFECTED: torch.rand(64)}, kind=kind, alpha=0.0)
        assert same(bits(head), bits(attacked)) and attacked is not head

    def test_the_row_by_hand(self):
        head = torch.nn.Linear(2, 3)
        head.weight.data, head.bias.data = torch.tensor([[1.0, 0], [0, 2], [3, 4]]), torch.tensor([1.0, 2, 3])
        p = torch.tensor([0.6, 0.8])
        expected = {
            "cosine": ([0.25 * 0.6 + 0.75 * 1, 0.25 * 0.8], 0.75),
            "l2": ([0.25 * 1.2 + 0.75 * 1, 0.25 * 1.6], 0.75 - 0.25),
            "scaled": ([0.25 * 0.6 * 3.5 + 0.75 * 1, 0.25 * 0.8 * 3.5], 0.25 * 2.5 + 0.75),
        }
        for kind, (weight, bias) in expected.items():
            attacked = prototypical.attack(head, {0: p}, kind=kind, alpha=0.25)
            torch.testing.assert_close(attacked.weight[0], torch.tensor(weight))
            assert attacked.bias[0].item() == pytest.approx(bias)
            assert torch.equal(attacked.weight[1:], head.weight[1:]) and torch.equal(attacked.bias[1:], head.bias[1:])

    def test_a_sweep_is_the_attack_at_each_strength(self, problem, whole):
        features = problem.model.features(whole.forget.images).detach()
        prototypes = prototypical.draw(features, whole.forget.labels, 5, torch.arange(len(features)))
        head, alphas = problem.model.head, [0.0, 0.3, 0.7, 1.0]
        for kind in prototypical.KINDS:
            ends = prototypical.attack(head, prototypes, kind=kind, alpha=1.0)
            swept = prototypical.sweep(head, ends, features, whole.forget.labels, torch.tensor(alphas))
            for alpha, accuracy in zip(alphas, swept, strict=True):
                one = prototypical.attack(head, prototypes, kind=kind, alpha=alpha)
                right = (one(features).argmax(1) == whole.forget.labels).double().mean().item()
                assert accuracy == pytest.approx(100 * right, abs=100.1 / len(features)), "a tie may tip over"

    def test_a_prototype_is_the_unit_mean_of_the_first_k(self):
        features = torch.tensor([[3.0, 0], [0, 4], [9, 9], [0, 2], [9, 0]])
        found = prototypical.draw(features, torch.tensor([1, 1, 0, 1, 0]), 2, torch.tensor([3, 2, 0, 4, 1]))
        torch.testing.assert_close(found[1], torch.tensor([1.5, 1.0]) / math.sqrt(1.5**2 + 1))
        torch.testing.assert_close(found[0], torch.tensor([9.0, 4.5]) / math.sqrt(9**2 + 4.5**2))

    def test_too_few_examples_are_one_sentence(self):
        with pytest.raises(InputError, match="has 2 forget examples, fewer than k = 3: lower k"):
            prototypical.draw(torch.rand(2, 4), torch.tensor([1, 1]), 3, torch.arange(2))

    def test_an_unknown_kind_is_one_sentence(self, problem):
        with pytest.raises(InputError, match="choose one of cosine, l2, scaled"):
            prototypical.attack(problem.model.head, {0: torch.rand(64)}, kind="angle", alpha=1.0)

    def test_without_an_attack_it_is_the_accuracy_of_the_model(self, found, unlearned, digits, problem):
        part = subject_of(unlearned, problem.model, digits)
        test = part.test.labels == AFFECTED
        with torch.no_grad():
            right = {
                "forget": (unlearned(part.forget.images).argmax(1) == part.forget.labels),
                "retain": (unlearned(part.retain.images).argmax(1) == part.retain.labels),
                "test": (unlearned(part.test.images[test]).argmax(1) == AFFECTED),
            }
        for split, hits in right.items():
            for kind in prototypical.KINDS:
                assert found["prototype", split, f"{kind}/5/0"] == pytest.approx(100 * hits.double().mean().item())

    def test_the_best_keeps_the_retain_accuracy_and_is_no_worse_than_any_that_does(self, found):
        for kind in prototypical.KINDS:
            for k in (1, 5):
                alphas = [f"{kind}/{k}/{alpha}" for alpha in ("0", "0.5", "1")]
                kept = found["prototype", "retain", alphas[0]] - 1
                cheap = [
                    found["prototype", "forget", key] for key in alphas if found["prototype", "retain", key] >= kept
                ]
                assert found["prototype_best", "forget", f"{kind}/{k}"] >= max(cheap) - 1e-9

    def test_it_recovers_a_class_that_delete_forgot_and_costs_nothing_it_may_not(self, found):
        assert found["prototype", "forget", "cosine/5/0"] < 10
        assert found["prototype_best", "forget"].max() > 50

    def test_a_budget_of_nothing_leaves_what_costs_nothing(self, unlearned, problem, digits):
        part = subject_of(unlearned, problem.model, digits)
        strict, free = (table(prototypical.probe(part, **PRA, drop=drop)) for drop in (0.0, 100.0))
        for key in strict["prototype_best", "forget"].index:
            assert strict["prototype_best", "forget", key] <= free["prototype_best", "forget", key]
        assert free["prototype_best", "forget"].max() > 99, "at any price the class comes back"

    def test_the_same_seed_attacks_with_the_same_examples(self, unlearned, problem, digits):
        one, two, other = (
            table(prototypical.probe(subject_of(unlearned, problem.model, digits, seed=seed), **PRA))
            for seed in (0, 0, 1)
        )
        assert one.equals(two) and not one.equals(other)

    def test_the_model_is_left_as_it_was(self, unlearned, problem, digits):
        before = bits(unlearned)
        list(prototypical.probe(subject_of(unlearned, problem.model, digits), **PRA))
        assert same(before, bits(unlearned)), "the public code attacks in place, the original too"

    def test_the_cosine_of_features_by_a_loop(self, found, unlearned, whole):
        with torch.no_grad():
            features = unlearned.features(whole.forget.images).double()
        pairs = [
            torch.cosine_similarity(features[i], features[j], dim=0).item()
            for i in range(len(features))
            for j in range(i)
        ]
        assert found["feature_cosine", "forget", ""] == pytest.approx(np.mean(pairs))


class TestSpotter:
    def test_dispersion_is_the_mean_cosine_of_pairs_of_one_label(self):
        features = torch.tensor([[1.0, 0], [0, 2], [3, 3], [5, 0]])
        one = dispersion(features, torch.tensor([0, 0, 0, 1]))
        assert one.item() == pytest.approx((0 + 2 * math.sqrt(0.5)) / 3)
        assert dispersion(features, torch.arange(4)) == 0

    def test_distillation_is_the_kl(self):
        logits, targets = torch.randn(6, 4), torch.randn(6, 4).softmax(1)
        expected = (targets * (targets.log() - logits.log_softmax(1))).sum(1).mean()
        torch.testing.assert_close(distil(logits, targets), expected)

    def test_the_penalty_by_hand(self, problem, whole):
        """With the whole forget set in one batch."""
        options = {"seed": 0, "stage": "x", "eps": 0.1, "batch_size": 10**6}
        student = networks.build("cnn", 1, 10, seed=5, stage="other").eval()
        near = perturb(
            problem.model, whole.forget, kind="pgd", eps=0.1, mode="intended", seed=0, stage="x perturbations"
        )
        targets = mask(problem.model(near), torch.tensor([AFFECTED]))
        on_near = distil(student(near), targets)
        together = dispersion(student.features(whole.forget.images), whole.forget.labels)
        for weights in ({"lambda_1": 0.7, "lambda_2": 1.0}, {"lambda_1": 0.0, "lambda_2": 0.25}):
            found = penalty(problem.model, student, whole.forget, **weights, **options)()
            expected = (1 - weights["lambda_1"]) * on_near + weights["lambda_2"] * together
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

    def test_its_passes_do_not_move_a_hosts_statistics(self, problem, whole):
        student = copy.deepcopy(problem.model).train()
        add = penalty(
            problem.model, student, whole.forget, seed=0, stage="x", lambda_1=0.5, lambda_2=1.0, eps=0.03, batch_size=16
        )
        before = {name: buffer.clone() for name, buffer in student.named_buffers()}
        add().backward()
        assert all(torch.equal(buffer, before[name]) for name, buffer in student.named_buffers())
        assert all(layer.training for layer in networks.batchnorms(student)), "and the host's mode is what it was"

    def test_without_its_terms_it_is_delete(self, problem, whole):
        """In one batch, whose order does not matter but for rounding."""
        options = {"lr": 1e-3, "epochs": 3, "batch_size": 10**6, "weight_decay": 0.0}
        one = spotter.unlearn(problem.model, None, whole.forget, seed=0, lambda_1=1.0, lambda_2=0.0, **options)
        two = delete.unlearn(problem.model, None, whole.forget, seed=0, batchnorm="frozen", **options)
        for ours, theirs, before in zip(one.parameters(), two.parameters(), problem.model.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
            assert not torch.equal(ours, before)

    @pytest.mark.parametrize(
        ("name", "options"),
        [("salun", {"lr": 0.01, "epochs": 1}), ("boundary_shrink", {"lr": 1e-3, "epochs": 2})],
    )
    def test_a_host_without_the_plug_in_is_itself(self, problem, name, options, monkeypatch):
        """To the bit: the published numbers of a host are those of the file without it."""
        run = apply.find(name).unlearn
        plain = run(problem.model, problem.retain, problem.forget, seed=0, batch_size=64, **options)
        monkeypatch.setattr(_spotter_penalty, "perturb", None)
        off = run(
            problem.model, problem.retain, problem.forget, seed=0, batch_size=64, lambda_1=1.0, lambda_2=0.0, **options
        )
        assert same(bits(plain), bits(off))
        monkeypatch.undo()
        on = run(problem.model, problem.retain, problem.forget, seed=0, batch_size=64, lambda_2=1.0, **options)
        assert not same(bits(plain), bits(on))

    def test_it_forgets_keeps_the_rest_and_scatters(self, problem, whole):
        """And with more weight on dispersion it scatters more."""
        options = {"lr": 1e-4, "epochs": 60, "batch_size": 64}
        results = [
            spotter.unlearn(problem.model, None, whole.forget, seed=0, lambda_2=weight, **options)
            for weight in (0.0, 1.0)
        ]
        with torch.no_grad():
            cosines = [float(dispersion(m.features(whole.forget.images), whole.forget.labels)) for m in results]
            forgotten, kept = (
                (results[1](part.images).argmax(1) == part.labels).double().mean().item()
                for part in (whole.forget, whole.retain)
            )
        assert forgotten < 0.05 and kept > 0.9 and cosines[1] < cosines[0] - 0.1

    @pytest.mark.parametrize("name", ["spotter", "delete", "boundary_shrink"])
    def test_they_need_no_retain_data(self, name, problem):
        module = apply.find(name)
        assert set(module.READS) == {"forget"}
        module.unlearn(problem.model, None, problem.forget, seed=0, lr=1e-4, epochs=1, batch_size=32)

    def test_spotter_freezes_batchnorm(self, problem, whole):
        result = spotter.unlearn(problem.model, None, whole.forget, seed=0, lr=1e-3, epochs=2, batch_size=32)
        before, after = (dict(model.named_buffers()) for model in (problem.model, result))
        assert all(torch.equal(before[name], after[name]) for name in before)


class TestBaselines:
    def test_deletes_target_leaves_each_label_out(self):
        logits = torch.randn(5, 4)
        labels = torch.tensor([0, 1, 2, 3, 0])
        found = delete.without_label(logits, labels)
        for row, label, target in zip(logits, labels, found, strict=True):
            p = row.softmax(0)
            expected = p / (1 - p[label])
            expected[label] = 0
            torch.testing.assert_close(target, expected)

    def test_boundary_shrink_takes_the_class_across_the_boundary(self, problem, whole):
        """At bound 0 that is the second choice; and never the label itself, even where FGSM fails."""
        with torch.no_grad():
            logits = problem.model(whole.forget.images)
        second = logits.clone()
        second[:, AFFECTED] = -torch.inf
        assert torch.equal(boundary_shrink.nearest_labels(problem.model, whole.forget, 0.0), second.argmax(1))
        found = boundary_shrink.nearest_labels(problem.model, whole.forget, 0.1)
        assert (found != AFFECTED).all() and len(found.unique()) > 1


class TestEmbedding:
    def test_the_plane_is_the_principal_one(self):
        random = np.random.default_rng(0)
        axes = np.linalg.qr(random.normal(size=(6, 6)))[0]
        features = 3 + random.normal(size=(500, 6)) * [9, 5, 1, 1, 1, 1] @ axes.T
        center, found = projection.principal(features)
        assert np.abs(found.T @ axes[:, :2]).round(1).tolist() == [[1, 0], [0, 1]]
        assert (found[np.abs(found).argmax(axis=0), [0, 1]] > 0).all()
        np.testing.assert_allclose(center, features.mean(axis=0))

    def test_a_rotation_is_undone_and_distances_are_kept(self):
        random = np.random.default_rng(0)
        onto, turn = random.normal(size=(80, 5)), np.linalg.qr(random.normal(size=(5, 5)))[0]
        turned = onto @ turn + 7
        rows = np.arange(40)
        np.testing.assert_allclose(projection.rotate(turned, onto, rows), onto, atol=1e-9)
        other = projection.rotate(random.normal(size=(80, 5)), onto, rows)
        assert other.shape == onto.shape and not np.allclose(other, onto)

    @pytest.fixture
    def folders(self, trained, tmp_path):
        """Models where the workflow has them: network, forget set, unlearner, seeds."""
        places = {"none/original": "original", "4_half/retrained": "retrained", "4_half/delete": "original"}
        found = []
        for place, source in places.items():
            folder = tmp_path / "models" / "cnn" / place / "0-1"
            folder.parent.mkdir(parents=True)
            folder.symlink_to(trained / source)
            found.append(folder)
        (tmp_path / "data").symlink_to(trained)
        return found, tmp_path / "data"

    def test_every_model_is_projected_onto_one_plane(self, folders, trained, digits, forget_set):
        points = projection.project(*folders, ["retrained", "original", "delete", "absent"])
        assert points["unlearner"].unique().tolist() == ["retrained", "original", "delete"]
        assert points["forget"].sum() == 3 * len(forget_set.forget) and len(points) == 3 * len(digits.train)
        one, two = (points[points["unlearner"] == name][["x", "y"]].to_numpy() for name in ("original", "delete"))
        np.testing.assert_array_equal(one, two)
        before = checkpoint.predictions([trained / "original"], 0)["features"][digits.train].astype(float)
        np.testing.assert_allclose(
            np.abs(one.std(axis=0)),
            np.linalg.svd(before - before.mean(axis=0))[1][:2] / np.sqrt(len(before)),
            rtol=1e-4,
        )
        figure = blind_spots.embeddings(points)
        assert [axis.get_title() for axis in figure.axes] == ["retrained (rotated)", "original", "delete"]
        style.plt.close(figure)

    def test_without_an_unlearned_model_or_an_original_it_is_one_sentence(self, folders):
        (original, *others), place = folders
        with pytest.raises(InputError, match="run the study"):
            projection.project([original], place, ["original"])
        with pytest.raises(InputError, match="originals is missing"):
            projection.project(others, place, ["delete"])


def summary(numbers):
    """A summary by hand: {(unlearner, metric, key): (mean, low, high)}, of the place where each metric stands."""
    places = {"total_variation": ("retrained", "test", "range"), "localization": ("retrained", "test", "range")}
    rows = []
    for (unlearner, metric, key), (mean, low, high) in numbers.items():
        reference, split, scope = places.get(metric, ("", "forget", "near"))
        rows.append(["7_all", "cnn", unlearner, reference, split, metric, scope, key, mean, 0.1, low, high, 5])
    return pd.DataFrame(rows, columns=[*tables.GROUP, "mean", "sd", "low", "high", "n"])


class TestViews:
    OU, TV, LOCAL, ITSELF = (
        ("over_unlearning", "intended/pgd/0.03"),
        ("total_variation", "other/near"),
        ("localization", "other"),
        ("total_variation", "affected/whole"),
    )

    def world(self):
        ou = {"original": 0.6, "retrained": 0.2, "spotter": 0.01, "delete": 0.05, "salun": 0.3}
        tv = {"original": 0.1, "retrained": 0.02, "spotter": 0.09, "delete": 0.08, "salun": 0.03}
        numbers = {(name, *self.OU): (value, value - 0.01, value + 0.01) for name, value in ou.items()}
        for place in (self.TV, self.LOCAL, self.ITSELF):
            numbers |= {(name, *place): (value, value - 0.005, value + 0.005) for name, value in tv.items()}
        return summary(numbers)

    def test_keys_become_columns(self):
        rows = panels.keyed(self.world(), "over_unlearning", ["mode", "kind", "eps"])
        assert set(rows["mode"]) == {"intended"} and set(rows["kind"]) == {"pgd"} and set(rows["eps"]) == {0.03}
        with pytest.raises(InputError, match="no prototype: add its probe"):
            panels.keyed(self.world(), "prototype", ["kind", "k", "alpha"])

    def test_the_plane_sets_both_definitions_side_by_side(self):
        table = pair_definitions(panels.pick(self.world(), "definitions"))
        assert len(table) == 15 and table["panel"].unique().tolist() == list(panels.PANELS["definitions"])[1:]
        one = table[table["unlearner"] == "salun"].iloc[0]
        assert one[["mean", "low", "high", "mean_ou", "low_ou", "high_ou"]].tolist() == pytest.approx(
            [0.03, 0.025, 0.035, 0.3, 0.29, 0.31]
        )
        figure = blind_spots.two_definitions(table, ["original", "retrained", "spotter", "delete", "salun"])
        assert len(figure.axes) == 3
        style.plt.close(figure)

    def test_what_it_says_is_computed(self):
        text = compare_definitions(pair_definitions(panels.pick(self.world(), "definitions")))
        assert "OU@0.03 = 0.200 [0.190, 0.210] nats, not 0; 2 of 3 methods are below it" in text
        assert "0.020 [0.015, 0.025]; 0 of 3 methods are below that" in text
        assert "spotter (0.010), is by this measure number 3 of 3 (0.090)" in text
        assert "over methods: -1.00" in text

    def test_the_papers_numbers_stand_beside_ours(self):
        numbers = {}
        for name, shift in (("original", 0.1), ("spotter", 0.2), ("ltd", 0.3)):
            for key in ("released/pgd/0.03", "intended/pgd/0.03", "released/gaussian/0.03", "intended/gaussian/0.03"):
                numbers[name, "over_unlearning", key] = (shift + len(key) / 1000, 0, 1)
            numbers[name, "prototype_best", "cosine/5"] = (100 * shift, 0, 1)
        found = beside_paper(summary(numbers))
        assert found.index.tolist() == [("7_all", "original"), ("7_all", "spotter")], "and no method that it has not"
        row = found.loc["7_all", "spotter"]
        assert row["OU, PGD: paper"] == 0.0228 and row["prototype attack: paper"] == 0.24
        assert row["OU, PGD: here, released"] == pytest.approx(0.217) and row["prototype attack: here"] == 20
        assert row["OU, Gaussian: here, intended"] == pytest.approx(0.222)

    def test_figures_have_a_line_for_each_method(self, whole):
        rows = [["7_all", "cnn", "ltd", "", *row[2:-1], row[-1], 0.1, 0.0, 1.0, 5] for row in self.measured(whole)]
        found = pd.DataFrame(rows, columns=[*tables.GROUP, "mean", "sd", "low", "high", "n"])
        figure = blind_spots.over_unlearning(
            panels.keyed(found, "over_unlearning", ["mode", "kind", "eps"]), ["ltd", "absent"]
        )
        assert [axis.get_title() for axis in figure.axes] == [
            "intended, pgd", "intended, gaussian", "released, pgd", "released, gaussian",
        ]  # fmt: skip
        style.plt.close(figure)
        best = panels.keyed(found, "prototype_best", ["kind", "k"])
        figure = blind_spots.prototypes(best, panels.keyed(found, "prototype", ["kind", "k", "alpha"]), ["ltd"], 5)
        assert len(figure.axes) == 6 and all(len(axis.lines) == 1 for axis in figure.axes)
        style.plt.close(figure)

    def measured(self, whole):
        return [*over_unlearning.probe(whole, **OU), *prototypical.probe(whole, **PRA)]


class TestThePipeline:
    def test_attacks_are_found_like_probes(self):
        assert probe.find("prototypical") is prototypical and probe.find("layers").__name__ == "lfcore.probes.layers"
        assert dependencies.probe_file("over_unlearning") == "lfcore/attacks/over_unlearning.py"
        assert dependencies.probe_file("relearning") == "lfcore/probes/relearning.py"
        with pytest.raises(InputError, match="no probe called 'x'"):
            probe.find("x")

    def test_options_may_come_from_a_config(self, whole):
        """As lists, which YAML has in place of tuples."""
        one, other = (table(prototypical.probe(whole, **options)) for options in (PRA, json.loads(json.dumps(PRA))))
        assert one.equals(other)

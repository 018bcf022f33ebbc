"""Every unlearner does what its docstring says: reads what it may, moves what it should, repeats itself to the bit."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import data
from lfcore.core.errors import Diverged, InputError
from lfcore.core.examples import Examples
from lfcore.geometry.similarity import nearest, similarity
from lfcore.models import gradients, networks
from lfcore.stages import train, unlearn
from lfcore.training.batchnorm import recompute_statistics
from lfcore.training.fit import Loop
from lfcore.unlearners import ltd, neighbour_labels
from lfcore.unlearners._apply import apply, find, known

SHORT = {
    "amun": {"lr": 0.01, "epochs": 1, "batch_size": 64},
    "ascent_fine_tuning": {"ascent_lr": 1e-3, "lr": 0.02, "ascent_epochs": 1, "epochs": 1, "batch_size": 64},
    "bad_teacher": {"lr": 1e-3, "epochs": 1, "batch_size": 64},
    "influence": {"alpha": 5.0, "samples": 100},
    "l1_sparse": {"lr": 0.02, "epochs": 1, "batch_size": 64},
    "neggrad_plus": {"lr": 0.01, "epochs": 1, "batch_size": 64},
    "random_labels_fine_tuning": {"random_lr": 1e-3, "lr": 0.02, "random_epochs": 1, "epochs": 1, "batch_size": 64},
    "salun": {"lr": 0.02, "epochs": 1, "batch_size": 64, "ratio": 0.5},
    "scrub": {"lr": 1e-3, "epochs": 2, "max_epochs": 1, "batch_size": 64},
    "ssd": {"alpha": 1.0},
    "ascent": {"lr": 1e-3, "epochs": 2, "batch_size": 32},
    "ascent-frozen": {"lr": 1e-2, "epochs": 2, "batch_size": 32, "batchnorm": "frozen"},
    "drift": {"epochs": 2, "batch_size": 32},
    "fine_tuning": {"lr": 0.02, "epochs": 1, "batch_size": 64},
    "ltd": {"lr": 3e-3, "k": 100, "epochs": 1, "batch_size": 64, "teacher_epochs": 3},
    "ltd_distinct": {"lr": 3e-3, "k": 100, "limit": 1.1, "epochs": 1, "batch_size": 64, "teacher_epochs": 3},
    "neighbour_labels": {"lr": 3e-3, "k": 100, "epochs": 1, "batch_size": 64},
    "opc": {"lr": 0.01, "epochs": 1, "batch_size": 64},
    "opc-features": {"norm": "features", "lr": 0.01, "epochs": 1, "batch_size": 64},
    "random_labels": {"lr": 1e-3, "epochs": 2, "batch_size": 32},
    "random_labels-frozen": {"lr": 1e-4, "epochs": 2, "batch_size": 32, "batchnorm": "frozen"},
    "random_labels_retain": {"lr": 0.02, "epochs": 1, "batch_size": 64},
    "boundary_shrink": {"lr": 1e-3, "epochs": 2, "batch_size": 32},
    "boundary_shrink-spotter": {"lr": 1e-3, "epochs": 2, "batch_size": 32, "lambda_1": 0.7, "lambda_2": 1.0},
    "delete": {"lr": 1e-3, "epochs": 2, "batch_size": 32},
    "delete-frozen": {"lr": 1e-4, "epochs": 2, "batch_size": 32, "batchnorm": "frozen"},
    "salun-spotter": {"lr": 0.003, "epochs": 1, "batch_size": 64, "lambda_1": 0.7, "lambda_2": 1.0},
    "spotter": {"lr": 1e-4, "epochs": 2, "batch_size": 32},
}
ONE_SHOT = {"influence", "ssd"}
PARTIAL = {"salun", "salun-spotter", "ssd"}
"""Methods that change some weights and keep others by design."""
TRAINED = sorted(set(SHORT) - {"drift"} - ONE_SHOT)
FROZEN = {name for name in SHORT if "frozen" in name} | {"spotter"}
MOVES = {name: name not in FROZEN | ONE_SHOT for name in SHORT}
"""Whether BatchNorm's running statistics move."""
RATES = {
    "ascent_fine_tuning": {"ascent_lr": 0.0, "lr": 0.0},
    "random_labels_fine_tuning": {"random_lr": 0.0, "lr": 0.0},
}
NO_EPOCHS = {
    "ascent_fine_tuning": {"ascent_epochs": 0, "epochs": 0},
    "random_labels_fine_tuning": {"random_epochs": 0, "epochs": 0},
}


@pytest.fixture(autouse=True)
def short_teachers_may_fall_short():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The teacher's accuracy reached")
        yield


def whole_run(name, problem, seed=0, loop=Loop(), **more):
    """Unlearn as the pipeline does: with None for what the method is not allowed to see."""
    module = find(name)
    seen = {part: getattr(problem, part) if part in module.READS else None for part in ("retain", "forget")}
    return apply(name, problem.model, seen, seed, SHORT[name] | more, loop)[0]


def run(name, problem, **more):
    return whole_run(name, problem, **more).model


def bits(model, kind=""):
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if kind in name}


def parameters(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_every_unlearner_is_tested_here():
    assert {name.split("-")[0] for name in SHORT} == set(known())


@pytest.mark.parametrize("name", SHORT)
def test_the_model_given_is_left_as_it_was(name, problem):
    before = bits(problem.model)
    result = run(name, problem)
    assert same(before, bits(problem.model))
    assert result is not problem.model and not result.training


@pytest.mark.parametrize("name", SHORT)
def test_weights_change_and_statistics_do_what_the_docstring_says(name, problem):
    result = run(name, problem)
    changed = [not torch.equal(a, b) for a, b in zip(problem.model.parameters(), result.parameters(), strict=True)]
    if name in PARTIAL:
        assert any(changed)
    else:
        assert not any(changed) if name == "drift" else all(changed)
    before, after = bits(problem.model, "running"), bits(result, "running")
    moved = [not torch.equal(before[key], after[key]) for key in before]
    assert all(moved) if MOVES[name] else not any(moved)


@pytest.mark.parametrize("name", TRAINED)
def test_rate_zero_leaves_every_parameter_and_moves_only_statistics(name, problem):
    result = run(name, problem, **RATES.get(name, {"lr": 0.0}))
    assert same(parameters(problem.model), parameters(result))
    assert same(bits(problem.model, "running"), bits(result, "running")) is not MOVES[name]


@pytest.mark.parametrize("name", sorted(set(SHORT) - ONE_SHOT))
def test_zero_epochs_change_nothing(name, problem):
    assert same(bits(problem.model), bits(run(name, problem, **NO_EPOCHS.get(name, {"epochs": 0}))))


@pytest.mark.parametrize(("name", "strength"), [("influence", {"alpha": 0.0}), ("ssd", {"alpha": 1e9})])
def test_zero_strength_changes_nothing(name, strength, problem):
    assert same(bits(problem.model), bits(run(name, problem, **strength)))


@pytest.mark.parametrize("name", SHORT)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(name, problem):
    first = bits(run(name, problem))
    torch.rand(7)  # the global generator must not matter
    assert same(first, bits(run(name, problem)))
    assert same(first, bits(run(name, problem, seed=1))) is (name == "ssd"), "ssd draws nothing"


@pytest.mark.parametrize("name", SHORT)
def test_what_a_method_may_not_read_it_is_not_given(name, problem, monkeypatch, tmp_path):
    """Through the pipeline: images it says it does not read become NaN, and the weights stay the same to the bit."""
    module = find(name)
    expected = bits(run(name, problem))
    forbidden = {"forget", "retain"} - module.READS
    poisoned = {
        part: Examples(torch.full_like(getattr(problem, part).images, torch.nan), getattr(problem, part).labels)
        if part in forbidden
        else getattr(problem, part)
        for part in ("retain", "forget")
    }
    result = apply(name, problem.model, poisoned, 0, SHORT[name])[0].model
    assert same(expected, bits(result))
    forget_only, retain_only = {"ascent", "drift", "random_labels"}, {"fine_tuning", "l1_sparse"}
    forget_only |= {"boundary_shrink", "delete", "spotter"}
    read = {"forget"} if name.split("-")[0] in forget_only else {"retain"} if name in retain_only else set(poisoned)
    assert read == module.READS


@pytest.mark.parametrize("name", [name for name in TRAINED if "forget" in find(name).READS])
def test_the_forget_set_matters_to_methods_that_read_it(name, problem):
    other = Examples(problem.forget.images.flip(-1), problem.forget.labels)
    changed = copy.copy(problem.__dict__) | {"forget": other}
    assert not same(bits(run(name, problem)), bits(run(name, type(problem)(**changed))))


def test_a_diverged_ascent_fails_by_name(problem, digits, forget_set, tmp_path):
    with pytest.raises(Diverged, match="lower lr"):
        run("ascent", problem, lr=1e20, epochs=20)


def test_random_labels_are_uniform_over_all_classes_and_redrawn_each_epoch(problem):
    labels = find("random_labels").draw(problem.model, 1000, 20, seed=0, stage="s", device="cpu")
    counts = torch.bincount(labels.flatten(), minlength=10)
    chi2 = ((counts - 2000.0) ** 2 / 2000).sum()
    assert chi2 < 27.9, "the 0.1 % point of chi-squared with 9 degrees of freedom"
    agreement = (labels[0] == labels[1]).float().mean()
    assert 0.05 < agreement < 0.15, "two epochs agree by chance alone"


def test_drift_sees_images_as_ascent_sees_them(problem):
    single = type(problem)(
        copy.deepcopy(problem.model).float(), problem.retain, problem.forget
    )  # bf16 is short for float32
    plain = bits(run("drift", single), "running")
    for loop in ({"augment": "crop_flip"}, {"precision": "bf16"}):
        assert not same(plain, bits(run("drift", single, loop=Loop(**loop)), "running"))


def test_scrub_moves_the_student_away_from_the_teacher_and_back(problem):
    """The max phase raises the divergence on the forget set; with it alone, the student forgets."""
    module = find("scrub")
    only_max = run("scrub", problem, epochs=10, max_epochs=10, batch_size=32, alpha=0.0, gamma=0.0)
    with torch.no_grad():
        theirs = problem.model(problem.forget.images)
        assert module.divergence(only_max(problem.forget.images), theirs, 1.0) > 0.05
        assert module.divergence(theirs, theirs, 2.0) == pytest.approx(0, abs=1e-6)


def test_scrubs_divergence_is_the_definition():
    one, other = torch.randn(5, 4), torch.randn(5, 4)
    p, q = (one / 2).softmax(1), (other / 2).softmax(1)
    expected = 4 * (q * (q / p).log()).sum(1).mean()
    torch.testing.assert_close(find("scrub").divergence(one, other, 2.0), expected)


def test_saluns_masked_weights_stay_bit_identical(problem):
    """Under momentum and a weight decay that would move every weight."""
    mask = find("salun").saliency_mask(problem.model, problem.forget, 0.3)
    result = run("salun", problem, ratio=0.3, weight_decay=0.01)
    share = sum(int(part.sum()) for part in mask.values()) / sum(part.numel() for part in mask.values())
    assert share == pytest.approx(0.3, abs=1e-4)
    for name, parameter in result.named_parameters():
        before = dict(problem.model.named_parameters())[name]
        assert torch.equal(parameter[~mask[name]], before[~mask[name]])
        moved = parameter[mask[name]] != before[mask[name]]
        assert moved.float().mean() > 0.99 or not mask[name].any()


def test_ssd_does_not_depend_on_the_order_of_examples(problem):
    flipped = [Examples(part.images.flip(0), part.labels.flip(0)) for part in (problem.retain, problem.forget)]
    one = run("ssd", problem)
    other = find("ssd").unlearn(problem.model, *flipped, seed=0, **SHORT["ssd"])
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)


def test_per_example_gradients_are_those_of_a_loop(problem):
    few = Examples(problem.forget.images[:5], problem.forget.labels[:5])
    found = torch.cat(list(gradients.per_example(copy.deepcopy(problem.model), few, chunk=2)))
    model = copy.deepcopy(problem.model).eval()
    for row, image, label in zip(found, few.images, few.labels, strict=True):
        loss = cross_entropy(model(image[None]), label[None])
        slow = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        torch.testing.assert_close(row, slow, rtol=1e-3, atol=1e-5)


def test_influence_solves_with_the_dense_matrix():
    random = torch.Generator().manual_seed(0)
    rows, v = (torch.randn(*size, generator=random, dtype=torch.float64) for size in ((6, 9), (9,)))
    dense = torch.eye(9, dtype=torch.float64) + rows.T @ rows / 6
    torch.testing.assert_close(find("influence").solve(rows, v), torch.linalg.solve(dense, v))


def test_influence_raises_the_loss_on_the_forget_set(problem):
    result = run("influence", problem, alpha=1.0, samples=200)
    with torch.no_grad():
        before, after = (
            cross_entropy(m(problem.forget.images), problem.forget.labels) for m in (problem.model, result)
        )
    assert after > before


def test_amuns_examples_are_adversarial_near_and_within_range(problem):
    found = find("amun").attack(problem.model, problem.forget)
    with torch.no_grad():
        right = problem.model(problem.forget.images).argmax(1) == problem.forget.labels
        choice = problem.model(found.images).argmax(1)
    assert torch.equal(choice, found.labels) and (choice[right] != problem.forget.labels[right]).all()
    assert found.images.min() >= 0 and found.images.max() <= 1
    assert torch.equal(found.images[~right], problem.forget.images[~right]), "what is wrong already needs no attack"
    distance = (found.images - problem.forget.images).flatten(1).norm(dim=1)
    assert distance[right].min() > 0 and distance.max() < 5


def test_amuns_continued_search_stops_nearer(problem):
    """And as surely at a wrong label; the search that starts again ends at the edge of its last ball."""
    found = {
        search: find("amun").attack(problem.model, problem.forget, search=search)
        for search in ("restarted", "continued")
    }
    distance = {name: (part.images - problem.forget.images).flatten(1).norm(dim=1) for name, part in found.items()}
    moved = distance["restarted"] > 0
    assert (found["continued"].labels[moved] != problem.forget.labels[moved]).all() and moved.sum() > 30
    assert (distance["continued"] <= distance["restarted"] + 1e-4).all()
    assert distance["continued"][moved].mean() < 0.9 * distance["restarted"][moved].mean()


def test_saluns_mask_of_augmented_views_is_another_where_images_are_augmented(problem):
    for augment, alike in (("none", True), ("crop_flip", False)):
        one, other = (
            run("salun", problem, mask_views=views, loop=Loop(augment=augment)) for views in ("plain", "augmented")
        )
        assert same(bits(one), bits(other)) is alike
    drawn = find("salun").views(problem.forget, "augmented", "crop_flip", 0)
    assert drawn.images.shape == problem.forget.images.shape and torch.equal(drawn.labels, problem.forget.labels)
    assert not torch.equal(drawn.images, problem.forget.images)


@pytest.mark.parametrize(("name", "option"), [("amun", "search"), ("salun", "mask_views")])
def test_another_variant_is_one_sentence(name, option, problem):
    with pytest.raises(InputError, match=f"no {option} called 'x': choose"):
        run(name, problem, **{option: "x"})


def test_the_bad_teacher_knows_nothing_and_shares_no_weight(problem):
    ignorant = find("bad_teacher").reinitialise(problem.model, 0)
    with torch.no_grad():
        accuracy = (ignorant(problem.retain.images).argmax(1) == problem.retain.labels).float().mean()
    assert accuracy < 0.4
    pairs = zip(ignorant.named_parameters(), problem.model.parameters(), strict=True)
    assert not any(torch.equal(a, b) for (_, a), b in pairs)


def test_neggrad_plus_with_all_weight_on_the_retain_set_is_fine_tuning_but_for_batchnorm(problem):
    """alpha 1: the forget set has no gradient, and only passes through BatchNorm."""
    options = {"lr": 0.01, "epochs": 1, "batch_size": 64, "alpha": 1.0}
    other = Examples(problem.forget.images.flip(-1), problem.forget.labels)
    module = find("neggrad_plus")
    one = module.unlearn(problem.model, problem.retain, problem.forget, seed=0, **options)
    two = module.unlearn(problem.model, problem.retain, other, seed=0, **options)
    assert same(parameters(one), parameters(two)) and not same(bits(one, "running"), bits(two, "running"))


def test_l1_prunes(problem):
    sizes = [
        sum(p.abs().sum() for p in run("l1_sparse", problem, gamma=gamma).parameters()) for gamma in (0.0, 1e-3, 1e-2)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


class TestLocalTeacherDistillation:
    def test_support_is_the_k_most_similar_retained_examples(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 50)
        with torch.no_grad():
            kept, gone = (problem.model.features(part.images).double() for part in (problem.retain, problem.forget))
        center = gone.mean(dim=0)
        slow = sorted(range(len(kept)), key=lambda i: -float(torch.cosine_similarity(kept[i], center, dim=0)))[:50]
        assert torch.equal(support.images, problem.retain.images[slow])
        assert torch.equal(support.labels, problem.retain.labels[slow])

    @pytest.mark.parametrize("k", [0, 10**6])
    def test_k_out_of_range_is_one_sentence(self, problem, k):
        with pytest.raises(InputError, match=f"k = {k} support examples can't be chosen from {len(problem.retain)}"):
            run("ltd", problem, k=k)

    def test_the_teacher_is_trained_without_the_forget_set(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        seen = {image.numpy().tobytes() for image in support.images}
        assert not seen & {image.numpy().tobytes() for image in problem.forget.images}

    def test_the_teacher_stops_when_it_is_accurate_enough(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        teacher = ltd.train_teacher(support, 10, seed=0)
        with torch.no_grad():
            right = (teacher.model(support.images).argmax(1) == support.labels).double().mean()
        assert teacher.accuracy == float(right) >= 0.99 and not teacher.model.training and teacher.epochs < 250

    def test_after_few_steps_a_teacher_with_running_statistics_does_not_know_its_support(self, problem):
        """What the released code leaves: right in train mode, in which it does not teach."""
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        found = {kind: [] for kind in ("running", "recomputed")}
        for seed in range(3):
            for kind, accuracies in found.items():
                accuracies.append(ltd.train_teacher(support, 10, seed=seed, statistics=kind, accuracy=0.7).accuracy)
        assert min(found["recomputed"]) > 0.9 and max(found["running"]) < 0.7
        with pytest.raises(InputError, match="choose recomputed or running"):
            ltd.train_teacher(support, 10, seed=0, statistics="fresh")

    def test_recomputed_statistics_are_those_of_the_whole_support(self, problem):
        """The mean and unbiased variance of what the first layer gives, and nothing of what they were before."""
        model = copy.deepcopy(problem.model).train()
        first, layer = model.body[0], model.body[1]
        layer.running_mean.fill_(7)
        recompute_statistics(model, problem.retain.images)
        with torch.no_grad():
            seen = first(model.normalise(problem.retain.images)).transpose(0, 1).flatten(1)
        torch.testing.assert_close(layer.running_mean, seen.mean(1))
        torch.testing.assert_close(layer.running_var, seen.var(1))
        assert model.training and layer.momentum == 0.1
        weights = {name for name, _ in model.named_parameters()}
        assert all(
            torch.equal(tensor, bits(problem.model)[name]) for name, tensor in bits(model).items() if name in weights
        )

    def test_an_ensemble_averages_probabilities_and_begins_with_the_single_teacher(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        one, two = (ltd.train_teacher(support, 10, seed=seed, epochs=2).model for seed in (0, 1))
        images = problem.forget.images
        with torch.no_grad():
            expected = (one(images).softmax(1) + two(images).softmax(1)) / 2
        torch.testing.assert_close(ltd.teach([one, two], images).softmax(1), expected)
        torch.testing.assert_close(ltd.teach([one], images), one(images).detach())
        assert not same(bits(run("ltd", problem, teachers=2)), bits(run("ltd", problem)))
        with pytest.raises(InputError, match="needs a teacher: set teachers to 1 or more"):
            run("ltd", problem, teachers=0)

    def test_fixed_targets_are_those_of_every_view(self, problem):
        """Without augmentation targets are computed once; with a view that is the image they are the same."""
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        teacher = ltd.train_teacher(support, 10, seed=0, epochs=2).model
        options = {"seed": 0, "lr": 1e-3, "beta": 2.0, "epochs": 1, "batch_size": 64, "weight_decay": 0.0}
        once = ltd.distil(problem.model, [teacher], problem.retain, problem.forget, top=3, **options)
        by_batch = ltd.fit_targets(problem.model, lambda images, rows: ltd.soften(ltd.teach([teacher], images), 3),
                                   problem.retain, problem.forget, stage="ltd", **options)  # fmt: skip
        for one, other in zip(once.parameters(), by_batch.parameters(), strict=True):
            torch.testing.assert_close(one, other)

    def test_a_teacher_that_falls_short_says_so(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        with pytest.warns(UserWarning, match=r"reached 0\.\d+ in train mode and .* not 0\.99, in 1 epochs"):
            ltd.train_teacher(support, 10, seed=0, epochs=1)

    def test_targets_keep_the_three_largest_probabilities_renormalised(self):
        logits = torch.log(torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.97, 0.01, 0.01, 0.01]]))
        targets = ltd.soften(logits)
        torch.testing.assert_close(targets[0], torch.tensor([4 / 9, 3 / 9, 2 / 9, 0.0]))
        torch.testing.assert_close(targets.sum(1), torch.ones(2))
        torch.testing.assert_close(ltd.soften(logits, top=9), logits.softmax(1))

    @pytest.mark.parametrize("batch_size", [1, 2])
    def test_batches_of_only_retain_or_only_forget_images_work(self, problem, batch_size):
        few = Examples(problem.retain.images[:9], problem.retain.labels[:9])
        one = Examples(problem.forget.images[:2], problem.forget.labels[:2])
        result = ltd.unlearn(problem.model, few, one, seed=0, k=5, lr=1e-4, epochs=1, batch_size=batch_size,
                             teacher_epochs=1)  # fmt: skip
        assert all(torch.isfinite(parameter).all() for parameter in result.model.parameters())

    def test_beta_zero_is_fine_tuning_that_only_counts_retained_images(self, problem):
        """With beta 0 the labels that the teacher would give can't matter."""
        options = {"seed": 0, "lr": 1e-3, "beta": 0.0, "epochs": 1, "batch_size": 64, "weight_decay": 0.0, "top": 3}
        results = [
            ltd.distil(problem.model, [networks.build("cnn", 1, 10, seed=seed, stage="t").eval()], problem.retain,
                       problem.forget, **options)
            for seed in (0, 1)
        ]  # fmt: skip
        assert same(bits(results[0]), bits(results[1]))

    def test_kinds_of_support_are_the_two_ends_of_the_ranking_and_a_draw(self, problem):
        model, k = problem.model, 50
        ranked = np.sort(ltd.similarities(model, problem.retain, problem.forget))
        found = {
            kind: ltd.choose_support(model, problem.retain, problem.forget, k, support=kind)
            for kind in ("nearest", "farthest", "random")
        }
        values = {kind: ltd.similarities(model, support, problem.forget) for kind, support in found.items()}
        np.testing.assert_allclose(values["nearest"], ranked[::-1][:k], rtol=1e-5)
        np.testing.assert_allclose(values["farthest"], ranked[:k], rtol=1e-5)
        assert values["farthest"].max() < values["random"].mean() < values["nearest"].min()

    def test_random_support_is_drawn_from_the_seed_without_repeats(self, problem):
        one, again, other = (
            ltd.choose_support(problem.model, problem.retain, problem.forget, 90, support="random", seed=seed).images
            for seed in (0, 0, 1)
        )
        assert torch.equal(one, again) and not torch.equal(one, other)
        kept = [image.numpy().tobytes() for image in problem.retain.images]
        drawn = [image.numpy().tobytes() for image in one]
        assert set(drawn) <= set(kept) and all(drawn.count(image) <= kept.count(image) for image in drawn)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"support": "closest"}, "no support called 'closest': choose one of nearest, random, farthest"),
            ({"teacher": "no_such"}, "no teacher called 'no_such': choose one of cnn, .*small_cnn, .*frozen_mlp"),
        ],
    )
    def test_unknown_supports_and_teachers_are_named_with_the_known(self, problem, options, message):
        with pytest.raises(InputError, match=message):
            run("ltd", problem, **options)

    @pytest.mark.parametrize(
        "options",
        [{"support": "random"}, {"support": "farthest"}, {"teacher": "small_cnn"}, {"teacher": "frozen_mlp"}],
    )
    def test_every_ablation_repeats_itself_and_differs_from_the_method(self, problem, options):
        before = bits(problem.model)
        result = run("ltd", problem, **options)
        assert same(before, bits(problem.model))
        assert same(bits(result), bits(run("ltd", problem, **options)))
        assert not same(bits(result), bits(run("ltd", problem)))

    def test_a_teacher_on_frozen_features_leaves_them_and_still_knows_what_it_never_saw(self, problem):
        """All fours but three are forgotten: enough for an MLP on features that know them, too few for a network."""
        fours = torch.nonzero(problem.retain.labels == 4)[3:, 0]
        kept = torch.ones(len(problem.retain), dtype=torch.bool).index_fill(0, fours, False)
        retain = Examples(problem.retain.images[kept], problem.retain.labels[kept])
        forget = problem.forget + Examples(problem.retain.images[fours], problem.retain.labels[fours])
        support = ltd.choose_support(problem.model, retain, forget, 50)
        before, accuracy = bits(problem.model), {}
        for network in ("resnet8", "frozen_mlp"):
            teacher = ltd.train_teacher(support, 10, seed=0, network=network, model=problem.model, batch_size=64)
            logits = ltd.teach([teacher.model], forget.images)
            accuracy[network] = ltd.notes(problem.model, [teacher], logits, support, forget)["teacher_accuracy"]
        assert same(before, bits(problem.model)) and all(p.requires_grad for p in problem.model.parameters())
        body = {name: tensor for name, tensor in before.items() if name.startswith("body")}
        assert (
            any("running" in name for name in body) and same(body, bits(teacher.model)) and not teacher.model.training
        )
        assert accuracy["resnet8"] < 40 and accuracy["frozen_mlp"] > 90

    def test_a_lower_threshold_stops_the_teacher_earlier(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        early, late = (ltd.train_teacher(support, 10, seed=0, batch_size=64, accuracy=a).epochs for a in (0.6, 0.99))
        assert 1 <= early < late < 250

    def test_it_returns_what_its_teacher_said(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        teacher = ltd.train_teacher(support, 10, seed=0, epochs=3)
        with torch.no_grad():
            logits = teacher.model(problem.forget.images)
        student = whole_run("ltd", problem)
        assert student.teacher_logits.dtype == np.float32
        np.testing.assert_allclose(student.teacher_logits, logits, rtol=1e-4, atol=1e-5)
        assert {type(value) for value in student.notes.values()} == {float}
        assert student.notes == pytest.approx({
            "teacher_accuracy": 100 * float((logits.argmax(1) == 4).double().mean()),
            "teacher_support_accuracy": 100 * teacher.accuracy,
            "teacher_epochs": 3,
            "support_affected": float((support.labels == 4).double().mean()),
            "support_similarity": np.sort(ltd.similarities(problem.model, problem.retain, problem.forget))[-100],
        })  # fmt: skip

    def test_targets_are_asked_for_the_images_and_rows_of_forget_examples_alone(self, problem):
        asked = []

        def targets(images, rows):
            assert torch.equal(images, problem.forget.images[rows])
            asked.extend(rows.tolist())
            return torch.full((len(rows), 10), 0.1)

        options = {"lr": 1e-3, "beta": 1.0, "epochs": 2, "batch_size": 64, "weight_decay": 0.0}
        ltd.fit_targets(problem.model, targets, problem.retain, problem.forget, stage="test", seed=0, **options)
        assert sorted(asked) == sorted(2 * list(range(len(problem.forget))))


class TestNeighbourLabels:
    def test_targets_are_the_label_shares_of_each_examples_own_neighbours(self, problem):
        """A slow twin, one example at a time."""
        with torch.no_grad():
            kept, gone = (problem.model.features(part.images).numpy() for part in (problem.retain, problem.forget))
        labels = problem.retain.labels.numpy()
        cosines = [similarity(kept, own[None]) for own in gone]
        twin = np.array([np.bincount(labels[nearest(each, 70)], minlength=10) / 70 for each in cosines])
        student = whole_run("neighbour_labels", problem, k=70)
        assert student.teacher_logits.dtype == np.float32
        np.testing.assert_allclose(student.teacher_logits, np.log(twin.clip(1e-12)), rtol=1e-4, atol=1e-5)
        assert {type(value) for value in student.notes.values()} == {float}
        assert student.notes == pytest.approx({
            "teacher_accuracy": 100 * np.mean(twin.argmax(axis=1) == 4),
            "support_affected": twin[:, 4].mean(),
            "support_similarity": min(np.sort(each)[-70] for each in cosines),
        })  # fmt: skip

    def test_chunks_do_not_matter(self, problem):
        one, other = (
            neighbour_labels.neighbours(problem.model, problem.retain, problem.forget, 5, chunk=chunk)
            for chunk in (7, 1000)
        )
        torch.testing.assert_close(one, other)

    def test_as_many_candidates_as_neighbours_are_one_histogram_for_the_set(self, problem):
        support = ltd.choose_support(problem.model, problem.retain, problem.forget, 100)
        shares = np.exp(whole_run("neighbour_labels", problem, candidates=100).teacher_logits)
        expected = np.tile(np.bincount(support.labels, minlength=10) / 100, (len(problem.forget), 1))
        np.testing.assert_allclose(shares, expected, atol=1e-6)

    @pytest.mark.parametrize("options", [{"k": 0}, {"k": 10**6}, {"k": 51, "candidates": 50}])
    def test_more_neighbours_than_there_are_is_one_sentence(self, problem, options):
        with pytest.raises(InputError, match=f"k = {options['k']} neighbours can't be chosen from"):
            run("neighbour_labels", problem, **options)

    def test_the_student_learns_them(self, problem):
        """Of 400 neighbours few are fours, so the student stops calling the forget set fours."""
        student = whole_run("neighbour_labels", problem, k=400, epochs=5, beta=5.0)
        with torch.no_grad():
            before, after = (
                (model(problem.forget.images).argmax(1) == 4).float().mean() for model in (problem.model, student.model)
            )
        assert student.notes["support_affected"] < 0.2 and before > 0.9 and after < before - 0.2


class TestStage:
    """The stage `lfcore.stages.unlearn.unlearn` on files."""

    @pytest.fixture(scope="class")
    @staticmethod
    def files(digits, forget_set, tmp_path_factory):
        folder = tmp_path_factory.mktemp("stage")
        data.write(digits, folder / "d.safetensors")
        data.write_forget(folder / "f.json", "4_half", 4, forget_set.forget)
        recipe = {"epochs": 2, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
        train.train(dataset=folder / "d.safetensors", forget_set=None, network="cnn", role="original", seeds=[0],
                    options=recipe, device="cpu", out=folder / "original")  # fmt: skip
        return {"dataset": folder / "d.safetensors", "forget_set": folder / "f.json", "network": "cnn", "seeds": [0],
                "device": "cpu", "originals": [folder / "original"], "out": folder / "out"}  # fmt: skip

    def test_it_returns_accuracies(self, files):
        (record,) = unlearn.unlearn(**files, unlearner="fine_tuning", options=SHORT["fine_tuning"])
        assert set(record) == {"seed", "forget", "retain", "test"} and 50 < record["test"] <= 100

    def test_a_diverged_ascent_names_method_set_and_seed_and_writes_nothing(self, files):
        with pytest.raises(Diverged, match="ascent-x on 4_half, seed 0, diverged"):
            out = files["out"].with_name("diverged")
            unlearn.unlearn(**(files | {"out": out}), unlearner="ascent-x", options={"lr": 1e20, "epochs": 9})
        assert not out.exists()

    @pytest.mark.parametrize(
        ("unlearner", "options", "message"),
        [
            ("no_such", {}, "amun, ascent, ascent_fine_tuning"),
            ("ascent", {"lr": 0.1, "epoch": 3}, "has no option 'epoch': choose from lr, epochs"),
            ("ascent", {"epochs": 3}, "needs the option 'lr'"),
        ],
    )
    def test_bad_options_are_one_sentence(self, files, unlearner, options, message):
        with pytest.raises(InputError, match=message):
            unlearn.unlearn(**files, unlearner=unlearner, options=options)

    def test_no_shared_shuffle_fakes_agreement(self, files, tmp_path, forget_set, digits):
        """Same-index and cross-index pairs of (unlearned, retrained) models agree equally."""
        recipe = {"epochs": 3, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
        seeds, common = (
            list(range(6)),
            {"dataset": files["dataset"], "network": "cnn", "device": "cpu", "options": recipe},
        )
        for role, index in (("original", None), ("retrained", files["forget_set"])):
            train.train(**common, forget_set=index, role=role, seeds=seeds, out=tmp_path / role)
        unlearn.unlearn(**(files | {"seeds": seeds, "originals": [tmp_path / "original"], "out": tmp_path / "ft"}),
                        unlearner="fine_tuning", options=SHORT["fine_tuning"])  # fmt: skip
        from lfcore.core.run import read_predictions

        ours, theirs = (read_predictions([tmp_path / name], seeds).probabilities for name in ("ft", "retrained"))
        distance = np.abs(ours[:, None] - theirs[None])[:, :, digits.test].sum(-1).mean(-1) / 2
        assert _permutation_p(distance) > 0.02


def _permutation_p(distance):
    """How often a random pairing of rows and columns has as small a mean distance as the pairing of equal indices."""
    random = np.random.default_rng(0)
    n = len(distance)
    means = [distance[np.arange(n), random.permutation(n)].mean() for _ in range(2000)]
    return float(np.mean(np.array(means) <= distance.trace() / n))

"""The measures of other papers on closed forms, at their ends, and against scipy, scikit-learn and slow twins."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import rel_entr
from scipy.stats import entropy, norm
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from lfcore.core import tables
from lfcore.core.data import Forget
from lfcore.core.run import Predictions, Run
from lfcore.metrics import cka, discrepancy, divergence, klom, lira, membership, membership_variants, tow

N, K = 90, 3
LABELS = np.arange(N) % K
TRAIN, TEST = np.arange(60), np.arange(60, N)
FORGET = TRAIN[LABELS[TRAIN] == 1][:12]
MODULES = [cka, divergence, klom, lira, membership_variants, tow]


def predictions(seed, count=5, scale=2.0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, N, K), scale=scale)
    return Predictions(tuple(range(count)), logits, random.normal(size=(count, N, 4)))


def with_margins(margins):
    """Predictions with these margins, (seeds, N)."""
    logits = np.zeros((*margins.shape, K))
    logits[:, np.arange(N), LABELS] = margins + np.log(K - 1)
    return Predictions(tuple(range(len(margins))), logits, logits)


def make_run(**given):
    """A run with these fields in place of the usual ones, and a memo of its own."""
    known = {
        "predictions": predictions(1),
        "originals": predictions(2),
        "floor": predictions(3),
        "is_floor": False,
        "labels": LABELS,
        "classes": K,
        "forget_set": Forget("x", 1, FORGET, np.setdiff1d(TRAIN, FORGET)),
        "test": TEST,
        "similarity": np.random.default_rng(0).uniform(size=N),
    }
    return Run(**(known | given))


def rows(module, run, reference=None):
    return pd.DataFrame(module.measure(run, reference or predictions(4, 20)), columns=tables.COLUMNS[3:])


def value(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert len(table) == 1, table
    return table["value"].item()


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("is_floor", [False, True])
def test_rows_are_finite_and_name_one_number_each(module, is_floor):
    run = make_run(is_floor=is_floor, predictions=predictions(3) if is_floor else predictions(1))
    table = rows(module, run)
    assert set(table["reference"]) <= {"", "retrained", "retrained_mean"}
    assert set(table["split"]) <= {"forget", "retain", "test", "all"} and set(table["scope"]) <= {
        "all",
        "class",
        "range",
    }
    assert not table.duplicated(tables.COLUMNS[3:-1]).any() and np.isfinite(table["value"]).all()
    averaged = table[table["reference"] == "retrained_mean"]
    assert set(averaged["seed"]) <= {"mean", *(f"mean-{seed}" for seed in range(5))}
    others = table[(table["reference"] != "retrained_mean") & (table["seed"] != "")]
    assert set(others["seed"]) <= set(range(5))


# Membership by one number


def test_scores_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    found = membership_variants.scores(np.log(p), np.array([0, 1]))
    np.testing.assert_allclose(found["membership_loss"], -np.log([0.7, 0.2]))
    np.testing.assert_allclose(found["membership_entropy"], entropy(p, axis=1))
    expected = [
        -0.3 * np.log(0.7) - 0.2 * np.log(0.8) - 0.1 * np.log(0.9),
        -0.8 * np.log(0.2) - 0.7 * np.log(0.3) - 0.1 * np.log(0.9),
    ]
    np.testing.assert_allclose(found["membership_modified_entropy"], expected)


def test_scores_stay_finite_and_ordered_where_a_probability_rounds_to_one():
    sure = np.array([[20.0, 0, 0], [40, 0, 0], [60, 0, 0], [600, 0, 0]])
    right = membership_variants.scores(sure, np.zeros(4, dtype=int))
    for name, score in right.items():
        assert (score >= 0).all() and (np.diff(score) < 0).all(), name
    wrong = membership_variants.scores(sure, np.ones(4, dtype=int))["membership_modified_entropy"]
    assert np.isfinite(wrong).all() and (np.diff(wrong) > 0).all(), "surer of a wrong class: less like a member"


def test_area_is_scikit_learns_and_a_count_of_pairs():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 8, size=30) + 1.0, random.integers(0, 8, size=50) + 0.0
    pairs = np.mean([(a > b) + 0.5 * (a == b) for a in one for b in other])
    assert membership_variants.auc(one, other) == pytest.approx(pairs)
    assert pairs == pytest.approx(roc_auc_score(np.repeat([1, 0], [30, 50]), np.concatenate([one, other])))
    assert np.isnan(membership_variants.auc(one, other[:0]))


def test_membership_areas_are_of_the_forget_set_against_test_examples():
    run, reference = make_run(), predictions(4, 3)
    table = rows(membership_variants, run, reference)
    affected = TEST[LABELS[TEST] == 1]
    loss = -np.log(run.predictions.probabilities[:, np.arange(N), LABELS])
    for scope, key, others in (("all", "", TEST), ("class", "1", affected)):
        both = np.concatenate([FORGET, others])
        expected = roc_auc_score(np.isin(both, FORGET), -loss[2][both])
        assert value(table, seed=2, metric="membership_loss", scope=scope, key=key) == pytest.approx(expected)
        as_model = rows(membership_variants, make_run(predictions=reference))
        for name in ("membership_loss", "membership_entropy", "membership_modified_entropy"):
            target = as_model[(as_model["metric"] == name) & (as_model["scope"] == scope)]["value"].mean()
            found = value(table, metric=f"{name}_reference", reference="retrained", scope=scope, key=key)
            assert found == pytest.approx(target)


def test_members_give_one_the_unseen_a_half_and_the_destroyed_zero():
    margins = np.full((1, N), 1.0)
    for shift, expected in ((5, 1), (0, 0.5), (-0.9, 0)):
        margins[0, FORGET] = 1 + shift
        table = rows(membership_variants, make_run(predictions=with_margins(margins)))
        found = table[(table["seed"] == 0) & (table["split"] == "forget")]["value"]
        assert (found == expected).all() and len(found) == 6


# Tug of war


def test_tow_of_the_reference_itself_is_one_and_by_hand_otherwise():
    one, reference = predictions(4, 1), predictions(4, 3)
    assert (rows(tow, make_run(predictions=one), one)["value"] == 1).all()
    run = make_run()
    table, factors = rows(tow, run, reference), []
    for members in run.splits.values():
        target = np.mean([accuracy_score(LABELS[members], logits[members].argmax(1)) for logits in reference.logits])
        found = accuracy_score(LABELS[members], run.predictions.logits[1][members].argmax(1))
        factors.append(1 - abs(found - target))
    assert min(factors) < 1
    assert value(table, seed=1, metric="tow") == pytest.approx(np.prod(factors))
    attacks = membership.scores(run.predictions, run)[1], membership.scores(reference, run).mean()
    expected = (1 - abs(attacks[0] - attacks[1]) / 100) * factors[1] * factors[2]
    assert value(table, seed=1, metric="tow_mia") == pytest.approx(expected)


# Divergences


def test_divergences_are_scipys():
    run, reference = make_run(), predictions(4, 3)
    found = divergence.against(run.predictions, reference)
    for i, u in enumerate(run.predictions.probabilities):
        kl = np.mean([rel_entr(r, u).sum(axis=1) for r in reference.probabilities], axis=0)
        np.testing.assert_allclose(found["kl_divergence"][i], kl, atol=1e-12)
        js = [(entropy(r, (r + u) / 2, axis=1) + entropy(u, (r + u) / 2, axis=1)) / 2 for r in reference.probabilities]
        np.testing.assert_allclose(found["jensen_shannon"][i], np.mean(js, axis=0), atol=1e-12)


def test_divergences_of_equal_predictions_are_exactly_zero():
    one = predictions(1, 1)
    assert all((values == 0).all() for values in divergence.against(one, one).values())
    assert (rows(divergence, make_run(predictions=one), one)["value"] == 0).all()


def test_jensen_shannon_is_symmetric_and_at_most_log_two_and_kl_is_neither():
    near, far = predictions(1, 1, scale=1), predictions(2, 1, scale=300)
    forth, back = divergence.against(near, far), divergence.against(far, near)
    np.testing.assert_allclose(forth["jensen_shannon"], back["jensen_shannon"], atol=1e-12)
    assert not np.allclose(forth["kl_divergence"], back["kl_divergence"])
    opposite = divergence.against(*(Predictions((0,), 900 * np.eye(K)[None, [i]], np.zeros(0)) for i in (0, 1)))
    assert opposite["jensen_shannon"].item() == pytest.approx(np.log(2)) and forth["jensen_shannon"].max() <= np.log(2)
    assert opposite["kl_divergence"].item() == pytest.approx(900), "no clipping bounds it"


def test_divergence_rows_are_means_over_the_ranges_of_discrepancy():
    run = make_run()
    table, values = rows(divergence, run), divergence.against(run.predictions, predictions(4, 20))
    assert set(table[table["split"] == "forget"]["scope"]) == {"all"}
    assert set(table["scope"]) == {"all", "range"}
    parts = {key: part for scope, key, part in discrepancy.partition(run, TEST) if scope == "range"}
    assert len(parts) == 9
    for name, key in (("kl_divergence", "other/near"), ("jensen_shannon", "affected/far")):
        expected = values[name][2][parts[key]].mean()
        assert value(table, seed=2, split="test", metric=name, key=key) == pytest.approx(expected)
    expected = values["kl_divergence"][0][FORGET].mean()
    assert value(table, seed=0, split="forget", metric="kl_divergence", key="") == pytest.approx(expected)


# KLoM


def slow_klom(unlearned, retrained):
    result = []
    for u, r in zip(np.clip(unlearned, -100, 100).T, np.clip(retrained, -100, 100).T, strict=True):
        edges = np.linspace(min(u.min(), r.min()), max(u.max(), r.max()), 21)
        p, q = (np.histogram(one, edges)[0] / len(one) for one in (u, r))
        result.append(entropy(p, np.where((p > 0) & (q < 1e-5), 1e-5, q)))
    return result


def test_margins_are_log_odds_without_overflow():
    p = predictions(1).probabilities[:, np.arange(N), LABELS]
    np.testing.assert_allclose(klom.margin_to_all_others(predictions(1).logits, LABELS), np.log(p / (1 - p)))
    wanted = np.linspace(-900, 900, N)[None]
    np.testing.assert_allclose(klom.margin_to_all_others(with_margins(wanted).logits, LABELS), wanted)


def test_klom_is_its_slow_twin():
    random = np.random.default_rng(0)
    unlearned, retrained = random.normal(size=(5, 40)), random.normal(1, 2, size=(20, 40))
    unlearned[0, 0], retrained[0, 1] = 1e4, -1e4
    np.testing.assert_allclose(klom.klom(unlearned, retrained), slow_klom(unlearned, retrained))


def test_klom_of_equal_margins_is_zero_and_of_disjoint_ones_its_bound():
    random = np.random.default_rng(0)
    margins = random.normal(size=(20, 7))
    np.testing.assert_allclose(klom.klom(margins, margins), 0, atol=1e-12)
    assert (klom.klom(np.ones((5, 3)), np.ones((20, 3))) == 0).all()
    np.testing.assert_allclose(klom.klom(np.full((5, 1), 50.0), np.zeros((20, 1))), np.log(1e5), atol=1e-4)


def test_klom_of_retrained_models_is_near_the_equal_n_floor_and_grows_with_a_shift():
    """Far above zero, since five margins seldom fall where twenty did; so an excess over the floor is what counts."""
    random = np.random.default_rng(0)
    center, spread = random.normal(3, 2, size=N), random.uniform(0.5, 2, size=N)

    def draw(count, shift=0.0):
        return with_margins(center + shift + spread * random.normal(size=(count, N)))

    reference, floor = draw(20), draw(5)
    means = []
    for models, is_floor in ((floor, True), (draw(5), False), (draw(5, 2), False), (draw(5, 6), False)):
        table = rows(klom, make_run(predictions=models, floor=floor, is_floor=is_floor), reference)
        means.append(value(table, seed="mean", split="retain", metric="klom_mean"))
    assert means[0] > 2 and means[1] == pytest.approx(means[0], rel=0.15)
    assert means[2] > 1.15 * means[1] and means[3] > 1.15 * means[2]


def test_klom_rows_are_statistics_over_examples_for_all_seeds_and_without_each():
    run, reference = make_run(), predictions(4, 20)
    table = rows(klom, run, reference)
    margins, target = (klom.margin_to_all_others(of.logits, LABELS) for of in (run.predictions, reference))
    for label, chosen in (("mean", [0, 1, 2, 3, 4]), ("mean-3", [0, 1, 2, 4])):
        values = klom.klom(margins[chosen], target)[FORGET]
        expected = {
            "klom_mean": values.mean(),
            "klom_median": np.median(values),
            "klom_95": np.percentile(values, 95),
        }
        for name, number in expected.items():
            assert value(table, seed=label, split="forget", metric=name) == pytest.approx(number)
    np.testing.assert_allclose(klom.per_example(run, reference)["klom"], klom.klom(margins, target))


def test_klom_compares_as_many_models_as_the_floor_has():
    many, few = predictions(1, 7), predictions(3, 5)
    reference = predictions(4, 20)
    expected = klom.klom(
        klom.margin_to_all_others(many.logits[:5], LABELS), klom.margin_to_all_others(reference.logits, LABELS)
    )
    found = klom.per_example(make_run(predictions=many, originals=predictions(2, 7), floor=few), reference)["klom"]
    np.testing.assert_allclose(found, expected)
    run = make_run(predictions=many, originals=predictions(2, 3), floor=many, is_floor=True)
    assert set(rows(klom, run)["seed"]) == {"mean", "mean-0", "mean-1", "mean-2"}, "a larger floor is cut to the others"


def test_few_reference_models_give_no_rows_of_klom_and_lira():
    run, few = make_run(), predictions(4, 19)
    assert rows(klom, run, few).empty and rows(lira, run, few).empty and klom.per_example(run, few) == {}
    assert rows(lira, make_run(predictions=predictions(1, 2))).empty


# U-LiRA


def test_log_ratio_is_that_of_two_normal_distributions():
    random = np.random.default_rng(0)
    values, one, other = random.normal(size=(4, 6)), random.normal(size=6), random.normal(size=6)
    expected = norm.logpdf(values, one, 0.5) - norm.logpdf(values, other, 3)
    np.testing.assert_allclose(lira.log_ratio(values, (one, 0.25), (other, 9.0)), expected)


def test_the_variance_is_pooled_over_examples():
    values = np.array([[0.0, 5.0], [2.0, 5.0]])
    mean, variance = lira.fit(values)
    assert mean.tolist() == [1, 5] and variance == 1, "sample variances 2 and 0"
    assert lira.fit(np.ones((3, 2)))[1] > 0


def test_true_positive_rate_is_scikit_learns():
    random = np.random.default_rng(0)
    positives, negatives = random.normal(1, 1, 80).round(1), random.normal(0, 1, 230).round(1)
    false, true, _ = roc_curve(
        np.repeat([1, 0], [80, 230]), np.concatenate([positives, negatives]), drop_intermediate=False
    )
    for rate in (0.01, 0.05, 0.5):
        assert lira.true_positive_rate(positives, negatives, rate) == pytest.approx(true[false <= rate].max())
    assert lira.true_positive_rate(positives, negatives[:5], 0.01) == (positives > negatives[:5].max()).mean()


def test_the_attack_is_its_slow_twin():
    random = np.random.default_rng(0)
    unlearned, retrained = random.normal(1, 1, size=(4, 9)), random.normal(size=(20, 9))
    areas = []
    for first in range(0, 20, 5):
        fitted = np.concatenate([retrained[:first], retrained[first + 5 :]])
        spreads = [np.sqrt(np.mean([np.var(x, ddof=1) for x in of.T])) for of in (unlearned[1:], fitted)]

        def score(phi, x, fitted=fitted, spreads=spreads):
            return norm.logpdf(phi, unlearned[1:, x].mean(), spreads[0]) - norm.logpdf(
                phi, fitted[:, x].mean(), spreads[1]
            )

        one = [score(unlearned[0, x], x) for x in range(9)]
        other = [score(retrained[model, x], x) for model in range(first, first + 5) for x in range(9)]
        areas.append(np.mean([a > b for a in one for b in other]))
    assert lira.attack(unlearned, retrained)[0]["lira_auc"] == pytest.approx(np.mean(areas))


def test_retrained_models_cannot_be_told_from_retrained_ones():
    """Also where a model moves all its margins at once; a model that took part in a fit would be told apart."""
    random = np.random.default_rng(0)
    center = random.normal(size=30)

    def draw(count):
        return center + random.normal(size=(count, 30)) + 0.5 * random.normal(size=(count, 1))

    found = pd.DataFrame([one for _ in range(60) for one in lira.attack(draw(5), draw(20))]).mean()
    assert found["lira_auc"] == pytest.approx(0.5, abs=0.02)
    assert found["lira_tpr_1"] < 0.02 and found["lira_tpr_5"] == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("shift", [5, -5])
def test_remembering_and_destroying_are_both_found(shift):
    random = np.random.default_rng(0)
    reference, margins = with_margins(random.normal(size=(20, N))), random.normal(size=(5, N))
    margins[:, FORGET] += shift
    table = rows(lira, make_run(predictions=with_margins(margins)), reference)
    found = table.groupby("metric")["value"].min()
    assert found["lira_auc"] > 0.99 and found["lira_tpr_5"] > 0.9 and set(table["split"]) == {"forget"}


# CKA


def slow_cka(one, other):
    """By the Gram matrices of all examples, Kornblith et al., eq. 3 with linear kernels."""
    n = len(one)
    centering = np.eye(n) - 1 / n
    grams = [centering @ x @ x.T @ centering for x in (one, other)]
    return np.trace(grams[0] @ grams[1]) / np.sqrt(np.prod([np.trace(gram @ gram) for gram in grams]))


def test_cka_is_its_slow_twin():
    random = np.random.default_rng(0)
    one, other = random.normal(3, 1, size=(40, 6)), random.normal(size=(40, 9))
    other[:, :3] += one[:, :3]
    assert cka.cka(cka.center(one), cka.center(other)) == pytest.approx(slow_cka(one, other))


def test_cka_knows_no_rotation_scale_or_shift_but_more_than_that():
    random = np.random.default_rng(0)
    one = random.normal(size=(400, 6)) * np.arange(1, 7)
    rotation = np.linalg.qr(random.normal(size=(6, 6)))[0]
    assert cka.cka(cka.center(one), cka.center(one)) == pytest.approx(1)
    assert cka.cka(cka.center(one), cka.center(7 * one @ rotation + 3)) == pytest.approx(1)
    assert cka.cka(cka.center(one), cka.center(one * [9, 1, 1, 1, 1, 1])) < 0.9
    assert cka.cka(cka.center(one), cka.center(random.normal(size=(400, 6)))) < 0.1
    assert np.isnan(cka.cka(cka.center(one), np.zeros((400, 6))))


def test_cka_is_with_the_original_of_the_seed_and_the_mean_reference():
    originals, reference = predictions(2, 2), predictions(4, 3)
    run = make_run(predictions=predictions(3), originals=originals, is_floor=True)
    table = rows(cka, run, reference)
    features = run.predictions.features[3][FORGET]
    expected = slow_cka(features, originals.features[1][FORGET])
    assert value(table, seed=3, split="forget", metric="cka_original") == pytest.approx(expected), "3 modulo 2 is 1"
    expected = np.mean([slow_cka(features, one[FORGET]) for one in reference.features])
    assert value(table, seed=3, split="forget", metric="cka_retrained") == pytest.approx(expected)
    undone = rows(cka, make_run(predictions=originals, originals=originals))
    assert undone[undone["metric"] == "cka_original"]["value"].to_numpy() == pytest.approx(1)

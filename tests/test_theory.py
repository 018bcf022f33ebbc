"""The propositions as identities, each beside a formula that is slightly wrong and must be told apart from it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from lfcore.core.errors import InputError
from lfcore.plots import theory
from lfcore.theory import fine_tuning_limit, linear, logistic, relabelling, sampling, teacher

TINY = 1e-10
AT = {"steps": 12, "lr": 0.02}


def far(a, b):
    """The largest absolute difference."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


@pytest.fixture
def line():
    return linear.draw_problem(3, n=25, d=4, variance=0.5)


@pytest.fixture
def logit():
    return logistic.draw_problem(3, n=10, d=14, forgotten=2, scale=0.5)


def test_draws_depend_on_seed_and_run_alone():
    one, same, other = (linear.draw_problem(1, n=9, d=2, variance=1.0, run=run) for run in (0, 0, 1))
    assert far(one.retain, same.retain) == 0 and far(one.retain, other.retain) > 0.1
    longer = linear.draw_problem(1, n=9, d=2, variance=4.0)
    noise = [p.targets - p.retain @ p.truth for p in (one, longer)]
    assert far(2 * noise[0], noise[1]) < TINY, "the variance scales the same noise"
    labels = relabelling.draw_labels(0, (4000, 1))
    assert set(labels.ravel()) == {0.0, 1.0} and abs(labels.mean() - 0.5) < 0.05


def test_the_logistic_problem_is_the_papers():
    problem = logistic.draw_problem(0, n=15, d=20)
    assert problem.retain.shape == (14, 20) and problem.forget.shape == (1, 20)
    np.testing.assert_allclose(np.linalg.norm(problem.forget), np.sqrt(20))
    assert far(problem.retain @ problem.full, problem.retain @ problem.retrained) < TINY, "the same retained logits"
    assert far(problem.forget @ problem.full, problem.forget @ problem.retrained) > 0.1
    for unit, norm in ((False, np.sqrt(20)), (True, 1.0)):
        queries = logistic.draw_queries(0, problem, 7, unit=unit)
        np.testing.assert_allclose(np.linalg.norm(queries, axis=1), norm)
        assert np.linalg.matrix_rank(np.vstack([problem.retain, queries])) == 14


# Prop 3.1


def test_ascent_one_by_one_is_the_closed_form(line):
    full, _ = linear.fit_both(line)
    place = line.point, line.target
    found = linear.ascend(full, *place, **AT)
    assert far(found, linear.ascend_at_once(full, *place, **AT)) < TINY
    assert far(found, linear.ascend_at_once(full, *place, steps=11, lr=0.02)) > 1e-3
    growth = (line.target - found @ line.point) / (line.target - full @ line.point)
    assert far(growth, (1 + 2 * 0.02 * line.point @ line.point) ** 12) < TINY


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_gap_and_the_excess_loss_are_exact_at_finite_n(line, ridge):
    full, retrained = linear.fit_both(line, ridge)
    unlearned = linear.ascend(full, line.point, line.target, **AT)
    residual = line.target - full @ line.point
    gap = linear.ascent_gap(line.retain, line.point, line.retain, residual, ridge=ridge, **AT)
    measured = sampling.discrepancy(unlearned, retrained, line.retain)
    assert far(gap, measured) < TINY
    without = -residual * np.sqrt(linear.ascent_constant(line.point, **AT)) * (line.retain @ line.point)
    assert far(without, measured) > 1e-3, "the retraining term counts"
    place = line.retain, line.targets
    excess = linear.excess_loss(unlearned, retrained, *place)
    assert far(linear.excess_of_gap(gap, retrained, *place), excess) < TINY
    assert far(gap**2, excess) > 1e-3, "one draw has a cross term"


@pytest.mark.parametrize("draws", [2_000, 32_000])
def test_the_mean_excess_over_label_noise_is_the_exact_expectation(draws):
    problem = linear.draw_problem(0, n=20, d=4, variance=1.0)
    at, queries = {"steps": 10, "lr": 0.01, "variance": 0.7}, problem.retain[:6]
    means = linear.monte_carlo(1, problem, queries=queries, draws=draws, **at)
    exact = {
        name: linear.expected_excess(problem.retain, problem.point, queries, fresh="fresh" in name, **at)
        for name in means
    }
    for name, (mean, error) in means.items():
        assert np.abs((mean - exact[name]) / error).max() < 4, name
    if draws > 10_000:  # enough to tell the exact form from its leading term, and a fresh label from a trained one
        mean, error = means["excess"]
        leading = linear.leading_excess(problem.point, queries, **at)
        assert np.abs((mean - leading) / error).max() > 6
        assert np.abs((mean - exact["fresh excess"]) / error).max() > 6


def test_what_prop_3_1_leaves_out_falls_as_one_over_n():
    table = linear.remainders(0, runs=20, sizes=[100, 1600], d=5, steps=60, lr=0.05)
    found = table[table["curve"] != "d / n"].set_index("n")["mean"]
    assert 10 < found[100] / found[1600] < 26  # 16, but for twenty deleted points each


def test_no_steps_or_no_rate_is_no_ascent(line):
    full, _ = linear.fit_both(line)
    for at in ({"steps": 0, "lr": 0.1}, {"steps": 9, "lr": 0.0}):
        assert far(linear.ascend(full, line.point, line.target, **at), full) == 0
        assert far(linear.ascend_at_once(full, line.point, line.target, **at), full) == 0
        assert linear.ascent_constant(line.point, **at) == 0
        assert far(linear.leading_excess(line.point, line.retain, variance=1.0, **at), 0) == 0
        fresh = linear.expected_excess(line.retain, line.point, line.retain, variance=1.0, fresh=True, **at)
        assert (fresh <= 0).all(), "on new labels one more training point only helps"


def test_the_released_code_amplifies_the_bias_of_its_ridge():
    problem = linear.draw_problem(0, n=200, d=3, variance=0.0)
    full, _ = linear.fit_both(problem, 0.5)
    place = problem.retain, problem.point, problem.truth
    assert far(problem.target - full @ problem.point, linear.ridge_residual(*place, 0.5)) < TINY
    assert linear.ridge_residual(*place, 0.0) == 0
    rate = linear.released_rate(0.05, problem.point)
    assert far(2 * rate * problem.point @ problem.point, 0.05) < TINY, "a growth of 1 + lr a step"
    table = linear.protocols(n=5000, d=10, variance=0.1, ridge=1e-6, lr=0.05, steps=450, short=60)
    assert (table["excess"] > 1e15).tolist() == [True, True, False, False]


# Props 3.2 and A.3


def test_steps_and_their_decay():
    assert relabelling.robbins_monro(3, 0.5, power=1.0).tolist() == [0.5, 0.25, 0.5 / 3]
    assert relabelling.decay(0.5, 0.1, 2).tolist() == [0.95, 0.95]
    assert relabelling.decay(0.5, 0.1, 2, decoupled=True).tolist() == [0.9, 0.9], "the released code's asks for no rate"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("lr", [0.05, relabelling.robbins_monro(30, 0.3)], ids=["constant", "Robbins-Monro"])
def test_prop_3_2_holds_on_the_retained_span_and_a_3_everywhere(logit, lr, sign, decoupled):
    at = {"lr": lr, "weight_decay": 0.1, "sign": sign, "decoupled": decoupled}
    full, retrained, forget = logit.full, logit.retrained, logit.forget
    labels = relabelling.draw_labels(1, (20, 30, 2))
    gamma = relabelling.decay(lr, 0.1, 30, decoupled=decoupled).prod()
    theta = relabelling.random_labels(full, forget, labels, **at)
    after = relabelling.random_label_logits(forget @ full, forget @ forget.T, labels, **at)
    assert far(theta @ forget.T, after) < TINY
    inside = logistic.draw_queries(1, logit, 9)
    outside = np.random.default_rng(1).normal(size=(9, 14))
    place = forget @ full, after, gamma, full
    left = sampling.discrepancy(theta, retrained, inside)
    assert far(left, relabelling.predicted_discrepancy(forget, inside, *place)) < TINY
    assert far(left, relabelling.predicted_discrepancy(forget, inside, forget @ full, after, 1.0, full)) > 1e-2, (
        "no Gamma"
    )
    left = sampling.discrepancy(theta, retrained, outside)
    assert far(left, relabelling.predicted_discrepancy(forget, outside, *place, retrained)) < TINY
    assert far(left, relabelling.predicted_discrepancy(forget, outside, *place)) > 1e-2, (
        "off the span the references differ"
    )
    covariance = np.cov(after.T)
    variance = relabelling.predicted_variance(forget, outside, covariance)
    assert far(left.var(axis=0, ddof=1), variance) < TINY
    diagonal = relabelling.predicted_variance(forget, outside, np.diag(np.diag(covariance)))
    assert far(diagonal, variance) > 1e-6, "the deleted rows' logits are correlated"


def test_a_3_with_fine_tuning_takes_all_rows(logit):
    rows, probabilities = (
        np.vstack([logit.forget, logit.retain]),
        expit(logit.retain @ logit.truth),
    )
    labels, at = relabelling.draw_labels(2, (30, 2)), {"lr": 0.05, "weight_decay": 0.1}
    theta = relabelling.random_labels(logit.full, rows, labels, probabilities, **at)
    after = relabelling.random_label_logits(rows @ logit.full, rows @ rows.T, labels, probabilities, **at)
    outside = np.random.default_rng(1).normal(size=(9, 14))
    left, gamma = sampling.discrepancy(theta, logit.retrained, outside), 0.995**30
    place = outside, rows @ logit.full, after, gamma, logit.full, logit.retrained
    assert far(left, relabelling.predicted_discrepancy(rows, *place)) < TINY
    alone = (
        rows[:2],
        outside,
        rows[:2] @ logit.full,
        after[:2],
        gamma,
        logit.full,
        logit.retrained,
    )
    assert far(left, relabelling.predicted_discrepancy(*alone)) > 1e-2, "the forget span alone does not explain it"


def test_the_flipped_sign_climbs_the_loss_of_random_labels():
    forget, theta = np.array([[1.0, 0, 0]]), np.array([2.0, 1.0, 0])
    labels = relabelling.draw_labels(0, (500, 200, 1))
    down, up = (relabelling.random_labels(theta, forget, labels, lr=0.05, sign=sign)[:, 0].mean() for sign in (1, -1))
    assert down < 2 < up
    still = relabelling.random_labels(theta, forget, labels, lr=0.0)
    assert far(still, theta) == 0
    assert far(relabelling.random_labels(theta, forget, labels[:, :0], lr=0.1), theta) == 0


def test_labels_and_runs_are_batched_without_mixing():
    problems = [logistic.draw_problem(0, n=6, d=8, run=run) for run in range(3)]
    forget, full = np.stack([p.forget for p in problems]), np.stack([p.full for p in problems])
    labels, rates = relabelling.draw_labels(0, (3, 15, 1)), np.array([[0.1], [0.2], [0.3]]) * np.ones(15)
    together = relabelling.random_labels(full, forget, labels, lr=rates, weight_decay=0.2)
    for run, problem in enumerate(problems):
        alone = relabelling.random_labels(problem.full, problem.forget, labels[run], lr=rates[run], weight_decay=0.2)
        assert far(alone, together[run]) < TINY


def test_weight_decay_sends_random_labels_to_the_model_that_says_nothing(logit):
    labels, forget, full = relabelling.draw_labels(0, (100, 4000, 2)), logit.forget, logit.full
    theta = relabelling.random_labels(full, forget, labels, lr=relabelling.robbins_monro(4000, 0.1), weight_decay=1.0)
    logits = theta @ forget.T
    assert np.abs(logits.mean(axis=0) / (logits.std(axis=0) / 10)).max() < 4
    assert np.linalg.norm(theta, axis=1).max() < 0.2 < np.linalg.norm(full)
    theta = relabelling.random_labels(full, forget, labels[:5], lr=0.02)
    still = theta - full - (theta - full) @ np.linalg.pinv(forget) @ forget
    assert far(still, 0) < TINY, "without weight decay only the forget span moves"


# Prop 3.3


def test_newton_finds_the_surrogates_optimum(logit):
    rows = np.vstack([logit.retain, logit.forget])
    targets, ridge = np.append(logit.retain @ logit.truth, [0.0, 0.0]), 0.05
    found = fine_tuning_limit.surrogate(rows, targets, ridge)
    assert far(rows.T @ (expit(rows @ found) - expit(targets)) + ridge * found, 0) < 1e-12

    def objective(theta):
        logits = rows @ theta
        return np.sum(np.logaddexp(0, logits) - expit(targets) * logits) + ridge / 2 * theta @ theta

    slow = minimize(objective, np.zeros(14), method="BFGS", options={"gtol": 1e-7}).x
    assert far(found, slow) < 1e-4
    hard = fine_tuning_limit.surrogate(logit.retain, np.array([np.inf, -np.inf] * 4), 1e-9)
    error = expit(logit.retain @ hard) - np.array([1.0, 0.0] * 4)
    assert far(logit.retain.T @ error / 1e-9 + hard, 0) < 1e-4


def test_the_limit_of_fine_tuning_is_the_claimed_one_and_is_approached_at_the_ridges_rate(logit):
    rows, soft = np.vstack([logit.retain, logit.forget]), logit.retain @ logit.truth
    weights = np.random.default_rng(0).normal(size=(6, 10))
    queries = weights @ rows
    claimed = fine_tuning_limit.limit_logits(logit.retain, logit.forget, logit.retrained, queries)
    spelled = queries @ logit.retrained - weights[:, 8:] @ logit.forget @ logit.retrained
    assert far(claimed, spelled) < TINY
    limit = logistic.min_norm(rows, np.append(soft, [0.0, 0.0]))
    assert far(queries @ limit, claimed) < TINY
    gaps = [
        far(queries @ fine_tuning_limit.surrogate(rows, np.append(soft, [0, 0]), 10.0**-k), claimed) for k in (5, 7, 9)
    ]
    assert gaps[2] < 1e-6
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.05) and gaps[1] / gaps[2] == pytest.approx(100, rel=0.05)
    assert far(queries @ logit.retrained, claimed) > 0.1, "it is not retraining"
    retained = fine_tuning_limit.limit_logits(logit.retain, logit.forget, logit.retrained, logit.retain)
    assert far(retained, soft) < TINY, "but on retained points it is"


def test_hard_labels_break_the_limit_in_logits_and_not_in_probabilities():
    table = fine_tuning_limit.limits(0, runs=3, n=10, d=14, ridges=[1e-4, 1e-12]).pivot(
        index="curve", columns="ridge", values="mean"
    )
    assert (table.loc[["soft, test logits", "soft, retained logits"], 1e-12] < 1e-7).all()
    assert (table.loc[["hard, test logits", "hard, retained logits"], 1e-12] > 0.1).all()
    assert (table.loc["hard, retained probabilities", 1e-12]) < 1e-8


# Prop A.2 and Cor A.3


@pytest.mark.parametrize("size", [1, 3])
def test_a_support_points_discrepancy_is_its_target_mismatch(size):
    problem = logistic.draw_problem(5, n=10, d=14, scale=0.5)
    point, chosen = problem.forget[0], problem.retain[:size]
    queries = np.random.default_rng(0).normal(size=(9, 14))
    place = problem.retain, point, problem.retrained, chosen
    left = teacher.support_discrepancy(*place, queries)
    assert far(left, teacher.predicted_support_discrepancy(*place, queries)) < TINY
    other = problem.retain, point, problem.retrained, problem.retain[1 : size + 1]
    assert far(left, teacher.predicted_support_discrepancy(*other, queries)) > 1e-2
    assert far(teacher.support_discrepancy(*place, logistic.draw_queries(0, problem, 5)), 0) < TINY, "alpha_{q,F} is 0"
    everything = problem.retain, point, problem.retrained, problem.retain
    assert far(teacher.support_discrepancy(*everything, queries), 0) < TINY, "all of it teaches what retraining knows"


def test_the_residual_and_the_bound_of_one_support_point():
    problem = logistic.draw_problem(5, n=10, d=14)
    point, retrained = problem.forget[0], problem.retrained
    for chosen in problem.retain:
        residual, cosine = teacher.support_residual(chosen[None], point), teacher.cosine(point, chosen)
        assert far(residual @ residual, point @ point * (1 - cosine**2)) < TINY
        assert far(residual @ residual, point @ point * (1 - cosine)) > 1e-2
        assert abs(retrained @ residual) <= teacher.support_bound(retrained, point, chosen)
        assert far(teacher.support_residual(-chosen[None], point), residual) < TINY, "the cosine's sign is nothing"
    reached = teacher.support_residual(problem.retain[:1], point)
    bound = teacher.support_bound(reached, point, problem.retain[0])
    assert far(abs(reached @ reached), bound) < TINY, "no smaller bound would do"


def test_the_mean_mismatch_is_exact_and_the_nearest_point_has_the_least():
    problem = logistic.draw_problem(5, n=10, d=14)
    point = problem.forget[0]
    means = [teacher.expected_mismatch(problem.retain, point, chosen[None]) for chosen in problem.retain]
    near = np.abs(teacher.cosine(point, problem.retain))
    assert np.argsort(means).tolist() == np.argsort(-near).tolist()
    truths = np.random.default_rng(0).normal(size=(20_000, 14))
    retrained = logistic.min_norm(problem.retain, problem.retain @ truths.T).T
    squares = (retrained @ teacher.support_residual(problem.retain[:1], point)) ** 2
    error = squares.std(ddof=1) / np.sqrt(len(squares))
    assert abs(squares.mean() - means[0]) < 4 * error
    residual = teacher.support_residual(problem.retain[:1], point)
    assert abs(squares.mean() - residual @ residual) > 4 * error, "||r_s|| alone is too much: theta is in the span"


# Tables and figures


def test_bins_give_one_number_a_run():
    samples = [
        (np.array([-0.9, -0.8, 0.5, 3.0]), {"a": np.array([1.0, 3.0, 10.0, 99.0])}),
        (np.array([-0.7, 0.6]), {"a": np.array([4.0, 20.0])}),
    ]
    table = sampling.bin_runs(samples, np.array([-1.0, 0.0, 1.0]))
    assert table[["bin", "mean", "runs"]].to_numpy().tolist() == [[0, 3, 2], [1, 15, 2]]
    np.testing.assert_allclose(table["alignment"], [(-0.85 - 0.7) / 2, 0.55])
    np.testing.assert_allclose(table["high"] - table["mean"], 12.7062 * np.array([1, 5]), rtol=1e-4)
    assert len(sampling.EDGES) == 30


@pytest.mark.parametrize("identities", [linear.identities, relabelling.identities, teacher.identities])
def test_the_tables_of_identities(identities):
    table = identities(7, cases=6).set_index("kind")["largest error"]
    newton = identities(7, cases=6)["identity"].str.contains("Newton").to_numpy()
    kinds = table.index.to_numpy()
    assert (table[(kinds == "identity") & ~newton] < TINY).all()
    assert (table[newton] < 1e-8).all()
    assert (table[kinds == "mean"] < 5).all()
    assert (table[kinds == "counterexample"] > 0.1).all()
    assert theory.readable(identities(7, cases=1)).map(str).notna().all().all()


def test_the_curves_and_their_figures():
    size = {"runs": 6, "n": 8, "d": 10}
    ascent = linear.ascent_curves(0, runs=12, n=400, d=3, variance=0.1, steps=30, lr=0.05)
    means = ascent.pivot(index="bin", columns="curve", values="mean")
    assert np.abs(means["before unlearning"]).max() < 0.05 * means["gradient ascent"].max()
    assert means["gradient ascent"].corr(means["Prop 3.1"]) > 0.95
    curves = relabelling.random_label_curves(0, queries=200, steps=50, lr=0.01, **size)
    assert curves.loc[curves["curve"] == "before unlearning", "mean"].max() < TINY
    drifts = relabelling.drifts(0, queries=50, steps=2000, lr=0.01, weight_decay=1.0, marks=6, **size)
    last = drifts[drifts["steps"] == 2000].set_index("curve")["mean"]
    assert last["weight decay, constant steps"] > 0.9 > 0.7 > last["no weight decay"]
    limits = fine_tuning_limit.limits(0, runs=2, n=8, d=10, ridges=[1e-2, 1e-6])
    mismatches = teacher.mismatch_curves(0, shared=1.0, **size)
    pairs = mismatches.pivot(index="bin", columns="curve", values="mean")
    assert (pairs["mismatch"] <= pairs["Cor A.3's bound"]).all()
    sizes = teacher.support_sizes(0, shared=1.0, sizes=[1, 7], **size)
    assert sizes.loc[sizes["size"] == 7, "mean"].max() < TINY, "all retained rows"
    size["runs"] = 100
    first = teacher.support_sizes(0, shared=0.0, sizes=[2], **size).set_index("curve")["mean"]
    assert first["nearest |cos|"] < first["random"] < first["farthest |cos|"]
    wins = teacher.nearest_wins(0, runs=200, n=8, d=10, shared=1.0)
    assert (wins["share of runs"] > wins["blindly"]).all()
    for figure in (
        theory.ascent(ascent, ascent, linear.remainders(0, runs=2, sizes=[50, 90], d=3, steps=9, lr=0.05)),
        theory.random_labels(curves, drifts, limits),
        theory.support(mismatches, sizes, sizes),
    ):
        assert all(axis.get_xlabel() and axis.get_ylabel() and axis.get_legend() for axis in figure.axes)
        theory.style.plt.close(figure)
    assert isinstance(wins, pd.DataFrame)


# Bad input


def test_what_cannot_be_computed_is_refused_in_one_sentence(line, logit):
    twice = np.vstack([logit.retain, logit.retain[:1]])
    theta = logit.full
    refused = {
        "rank 4, not 3": lambda: linear.least_squares(line.retain[:3], line.targets[:3]),
        "rank 5, not 4": lambda: linear.least_squares(line.retain[:, [0, 1, 2, 3, 3]], line.targets),
        "25 independent rows, not 4": lambda: logistic.coefficients(np.vstack([line.retain, line.point]), line.retain),
        "24 independent rows, not 4": lambda: logistic.min_norm(line.retain, line.targets),
        "9 independent rows, not 8": lambda: fine_tuning_limit.surrogate(twice, np.zeros(9), 0.1),
        "12 independent rows": lambda: logistic.draw_problem(0, n=12, d=6).full,
        "zero vector has no cosine": lambda: teacher.cosine(np.zeros(3), np.ones((2, 3))),
        "zero vector": lambda: teacher.support_bound(theta, theta, 0 * theta),
        "no direction": lambda: linear.ascent_constant(np.zeros(3), steps=1, lr=0.1),
        "not 2": lambda: relabelling.random_labels(theta, logit.forget, np.zeros((3, 2)), lr=0.1, sign=2),
        "ridge above 0": lambda: fine_tuning_limit.surrogate(logit.retain, np.zeros(8), 0.0),
        "above 1/2": lambda: relabelling.robbins_monro(5, 0.1, power=0.5),
        "7 retained rows": lambda: teacher.support_sizes(0, runs=1, n=8, d=10, shared=0.0, sizes=[8]),
    }
    for words, call in refused.items():
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value), words
    assert np.isfinite(linear.least_squares(line.retain[:3], line.targets[:3], ridge=0.1)).all()

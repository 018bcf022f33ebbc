"""The propositions as identities, each beside a formula that is slightly wrong and must be told apart from it."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from lfcore import theory, theory_plots
from lfcore.errors import InputError

TINY = 1e-10
AT = {"steps": 12, "lr": 0.02}


def far(a, b):
    """The largest absolute difference."""
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


@pytest.fixture
def linear():
    return theory.linear_problem(3, n=25, d=4, variance=0.5)


@pytest.fixture
def logistic():
    return theory.logistic_problem(3, n=10, d=14, forgotten=2, scale=0.5)


def test_draws_depend_on_seed_and_run_alone():
    one, same, other = (theory.linear_problem(1, n=9, d=2, variance=1.0, run=run) for run in (0, 0, 1))
    assert far(one.retain, same.retain) == 0 and far(one.retain, other.retain) > 0.1
    longer = theory.linear_problem(1, n=9, d=2, variance=4.0)
    noise = [p.targets - p.retain @ p.truth for p in (one, longer)]
    assert far(2 * noise[0], noise[1]) < TINY, "the variance scales the same noise"
    labels = theory.draw_labels(0, (4000, 1))
    assert set(labels.ravel()) == {0.0, 1.0} and abs(labels.mean() - 0.5) < 0.05


def test_the_logistic_problem_is_the_papers():
    problem = theory.logistic_problem(0, n=15, d=20)
    assert problem.retain.shape == (14, 20) and problem.forget.shape == (1, 20)
    np.testing.assert_allclose(np.linalg.norm(problem.forget), np.sqrt(20))
    assert far(problem.retain @ problem.full, problem.retain @ problem.retrained) < TINY, "the same retained logits"
    assert far(problem.forget @ problem.full, problem.forget @ problem.retrained) > 0.1
    for unit, norm in ((False, np.sqrt(20)), (True, 1.0)):
        queries = theory.draw_queries(0, problem, 7, unit=unit)
        np.testing.assert_allclose(np.linalg.norm(queries, axis=1), norm)
        assert np.linalg.matrix_rank(np.vstack([problem.retain, queries])) == 14


# Prop 3.1


def test_ascent_one_by_one_is_the_closed_form(linear):
    full, _ = theory.fit_both(linear)
    place = linear.point, linear.target
    found = theory.ascend(full, *place, **AT)
    assert far(found, theory.ascend_at_once(full, *place, **AT)) < TINY
    assert far(found, theory.ascend_at_once(full, *place, steps=11, lr=0.02)) > 1e-3
    growth = (linear.target - found @ linear.point) / (linear.target - full @ linear.point)
    assert far(growth, (1 + 2 * 0.02 * linear.point @ linear.point) ** 12) < TINY


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_gap_and_the_excess_loss_are_exact_at_finite_n(linear, ridge):
    full, retrained = theory.fit_both(linear, ridge)
    unlearned = theory.ascend(full, linear.point, linear.target, **AT)
    residual = linear.target - full @ linear.point
    gap = theory.ascent_gap(linear.retain, linear.point, linear.retain, residual, ridge=ridge, **AT)
    measured = theory.discrepancy(unlearned, retrained, linear.retain)
    assert far(gap, measured) < TINY
    without = -residual * np.sqrt(theory.ascent_constant(linear.point, **AT)) * (linear.retain @ linear.point)
    assert far(without, measured) > 1e-3, "the retraining term counts"
    place = linear.retain, linear.targets
    excess = theory.excess_loss(unlearned, retrained, *place)
    assert far(theory.excess_of_gap(gap, retrained, *place), excess) < TINY
    assert far(gap**2, excess) > 1e-3, "one draw has a cross term"


@pytest.mark.parametrize("draws", [2_000, 32_000])
def test_the_mean_excess_over_label_noise_is_the_exact_expectation(draws):
    problem = theory.linear_problem(0, n=20, d=4, variance=1.0)
    at, queries = {"steps": 10, "lr": 0.01, "variance": 0.7}, problem.retain[:6]
    means = theory.linear_monte_carlo(1, problem, queries=queries, draws=draws, **at)
    exact = {
        name: theory.expected_excess(problem.retain, problem.point, queries, fresh="fresh" in name, **at)
        for name in means
    }
    for name, (mean, error) in means.items():
        assert np.abs((mean - exact[name]) / error).max() < 4, name
    if draws > 10_000:  # enough to tell the exact form from its leading term, and a fresh label from a trained one
        mean, error = means["excess"]
        leading = theory.leading_excess(problem.point, queries, **at)
        assert np.abs((mean - leading) / error).max() > 6
        assert np.abs((mean - exact["fresh excess"]) / error).max() > 6


def test_what_prop_3_1_leaves_out_falls_as_one_over_n():
    table = theory.remainders(0, runs=20, sizes=[100, 1600], d=5, steps=60, lr=0.05)
    found = table[table["curve"] != "d / n"].set_index("n")["mean"]
    assert 10 < found[100] / found[1600] < 26  # 16, but for twenty deleted points each


def test_no_steps_or_no_rate_is_no_ascent(linear):
    full, _ = theory.fit_both(linear)
    for at in ({"steps": 0, "lr": 0.1}, {"steps": 9, "lr": 0.0}):
        assert far(theory.ascend(full, linear.point, linear.target, **at), full) == 0
        assert far(theory.ascend_at_once(full, linear.point, linear.target, **at), full) == 0
        assert theory.ascent_constant(linear.point, **at) == 0
        assert far(theory.leading_excess(linear.point, linear.retain, variance=1.0, **at), 0) == 0
        fresh = theory.expected_excess(linear.retain, linear.point, linear.retain, variance=1.0, fresh=True, **at)
        assert (fresh <= 0).all(), "on new labels one more training point only helps"


def test_the_released_code_amplifies_the_bias_of_its_ridge():
    problem = theory.linear_problem(0, n=200, d=3, variance=0.0)
    full, _ = theory.fit_both(problem, 0.5)
    place = problem.retain, problem.point, problem.truth
    assert far(problem.target - full @ problem.point, theory.ridge_residual(*place, 0.5)) < TINY
    assert theory.ridge_residual(*place, 0.0) == 0
    rate = theory.released_rate(0.05, problem.point)
    assert far(2 * rate * problem.point @ problem.point, 0.05) < TINY, "a growth of 1 + lr a step"
    table = theory.protocols(n=5000, d=10, variance=0.1, ridge=1e-6, lr=0.05, steps=450, short=60)
    assert (table["excess"] > 1e15).tolist() == [True, True, False, False]


# Props 3.2 and A.3


def test_steps_and_their_decay():
    assert theory.robbins_monro(3, 0.5, power=1.0).tolist() == [0.5, 0.25, 0.5 / 3]
    assert theory.decay(0.5, 0.1, 2).tolist() == [0.95, 0.95]
    assert theory.decay(0.5, 0.1, 2, decoupled=True).tolist() == [0.9, 0.9], "the released code's asks for no rate"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("lr", [0.05, theory.robbins_monro(30, 0.3)], ids=["constant", "Robbins-Monro"])
def test_prop_3_2_holds_on_the_retained_span_and_a_3_everywhere(logistic, lr, sign, decoupled):
    at = {"lr": lr, "weight_decay": 0.1, "sign": sign, "decoupled": decoupled}
    full, retrained, forget = logistic.full, logistic.retrained, logistic.forget
    labels = theory.draw_labels(1, (20, 30, 2))
    gamma = theory.decay(lr, 0.1, 30, decoupled=decoupled).prod()
    theta = theory.random_labels(full, forget, labels, **at)
    after = theory.random_label_logits(forget @ full, forget @ forget.T, labels, **at)
    assert far(theta @ forget.T, after) < TINY
    inside = theory.draw_queries(1, logistic, 9)
    outside = np.random.default_rng(1).normal(size=(9, 14))
    place = forget @ full, after, gamma, full
    left = theory.discrepancy(theta, retrained, inside)
    assert far(left, theory.predicted_discrepancy(forget, inside, *place)) < TINY
    assert far(left, theory.predicted_discrepancy(forget, inside, forget @ full, after, 1.0, full)) > 1e-2, "no Gamma"
    left = theory.discrepancy(theta, retrained, outside)
    assert far(left, theory.predicted_discrepancy(forget, outside, *place, retrained)) < TINY
    assert far(left, theory.predicted_discrepancy(forget, outside, *place)) > 1e-2, "off the span the references differ"
    covariance = np.cov(after.T)
    variance = theory.predicted_variance(forget, outside, covariance)
    assert far(left.var(axis=0, ddof=1), variance) < TINY
    diagonal = theory.predicted_variance(forget, outside, np.diag(np.diag(covariance)))
    assert far(diagonal, variance) > 1e-6, "the deleted rows' logits are correlated"


def test_a_3_with_fine_tuning_takes_all_rows(logistic):
    rows, probabilities = np.vstack([logistic.forget, logistic.retain]), expit(logistic.retain @ logistic.truth)
    labels, at = theory.draw_labels(2, (30, 2)), {"lr": 0.05, "weight_decay": 0.1}
    theta = theory.random_labels(logistic.full, rows, labels, probabilities, **at)
    after = theory.random_label_logits(rows @ logistic.full, rows @ rows.T, labels, probabilities, **at)
    outside = np.random.default_rng(1).normal(size=(9, 14))
    left, gamma = theory.discrepancy(theta, logistic.retrained, outside), 0.995**30
    place = outside, rows @ logistic.full, after, gamma, logistic.full, logistic.retrained
    assert far(left, theory.predicted_discrepancy(rows, *place)) < TINY
    alone = rows[:2], outside, rows[:2] @ logistic.full, after[:2], gamma, logistic.full, logistic.retrained
    assert far(left, theory.predicted_discrepancy(*alone)) > 1e-2, "the forget span alone does not explain it"


def test_the_flipped_sign_climbs_the_loss_of_random_labels():
    forget, theta = np.array([[1.0, 0, 0]]), np.array([2.0, 1.0, 0])
    labels = theory.draw_labels(0, (500, 200, 1))
    down, up = (theory.random_labels(theta, forget, labels, lr=0.05, sign=sign)[:, 0].mean() for sign in (1, -1))
    assert down < 2 < up
    still = theory.random_labels(theta, forget, labels, lr=0.0)
    assert far(still, theta) == 0
    assert far(theory.random_labels(theta, forget, labels[:, :0], lr=0.1), theta) == 0


def test_labels_and_runs_are_batched_without_mixing():
    problems = [theory.logistic_problem(0, n=6, d=8, run=run) for run in range(3)]
    forget, full = np.stack([p.forget for p in problems]), np.stack([p.full for p in problems])
    labels, rates = theory.draw_labels(0, (3, 15, 1)), np.array([[0.1], [0.2], [0.3]]) * np.ones(15)
    together = theory.random_labels(full, forget, labels, lr=rates, weight_decay=0.2)
    for run, problem in enumerate(problems):
        alone = theory.random_labels(problem.full, problem.forget, labels[run], lr=rates[run], weight_decay=0.2)
        assert far(alone, together[run]) < TINY


def test_weight_decay_sends_random_labels_to_the_model_that_says_nothing(logistic):
    labels, forget, full = theory.draw_labels(0, (100, 4000, 2)), logistic.forget, logistic.full
    theta = theory.random_labels(full, forget, labels, lr=theory.robbins_monro(4000, 0.1), weight_decay=1.0)
    logits = theta @ forget.T
    assert np.abs(logits.mean(axis=0) / (logits.std(axis=0) / 10)).max() < 4
    assert np.linalg.norm(theta, axis=1).max() < 0.2 < np.linalg.norm(full)
    theta = theory.random_labels(full, forget, labels[:5], lr=0.02)
    still = theta - full - (theta - full) @ np.linalg.pinv(forget) @ forget
    assert far(still, 0) < TINY, "without weight decay only the forget span moves"


# Prop 3.3


def test_newton_finds_the_surrogates_optimum(logistic):
    rows = np.vstack([logistic.retain, logistic.forget])
    targets, ridge = np.append(logistic.retain @ logistic.truth, [0.0, 0.0]), 0.05
    found = theory.surrogate(rows, targets, ridge)
    assert far(rows.T @ (expit(rows @ found) - expit(targets)) + ridge * found, 0) < 1e-12

    def objective(theta):
        logits = rows @ theta
        return np.sum(np.logaddexp(0, logits) - expit(targets) * logits) + ridge / 2 * theta @ theta

    slow = minimize(objective, np.zeros(14), method="BFGS", options={"gtol": 1e-7}).x
    assert far(found, slow) < 1e-4
    hard = theory.surrogate(logistic.retain, np.array([np.inf, -np.inf] * 4), 1e-9)
    error = expit(logistic.retain @ hard) - np.array([1.0, 0.0] * 4)
    assert far(logistic.retain.T @ error / 1e-9 + hard, 0) < 1e-4


def test_the_limit_of_fine_tuning_is_the_claimed_one_and_is_approached_at_the_ridges_rate(logistic):
    rows, soft = np.vstack([logistic.retain, logistic.forget]), logistic.retain @ logistic.truth
    weights = np.random.default_rng(0).normal(size=(6, 10))
    queries = weights @ rows
    claimed = theory.limit_logits(logistic.retain, logistic.forget, logistic.retrained, queries)
    spelled = queries @ logistic.retrained - weights[:, 8:] @ logistic.forget @ logistic.retrained
    assert far(claimed, spelled) < TINY
    limit = theory.min_norm(rows, np.append(soft, [0.0, 0.0]))
    assert far(queries @ limit, claimed) < TINY
    gaps = [far(queries @ theory.surrogate(rows, np.append(soft, [0, 0]), 10.0**-k), claimed) for k in (5, 7, 9)]
    assert gaps[2] < 1e-6
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.05) and gaps[1] / gaps[2] == pytest.approx(100, rel=0.05)
    assert far(queries @ logistic.retrained, claimed) > 0.1, "it is not retraining"
    retained = theory.limit_logits(logistic.retain, logistic.forget, logistic.retrained, logistic.retain)
    assert far(retained, soft) < TINY, "but on retained points it is"


def test_hard_labels_break_the_limit_in_logits_and_not_in_probabilities():
    table = theory.limits(0, runs=3, n=10, d=14, ridges=[1e-4, 1e-12]).pivot(
        index="curve", columns="ridge", values="mean"
    )
    assert (table.loc[["soft, test logits", "soft, retained logits"], 1e-12] < 1e-7).all()
    assert (table.loc[["hard, test logits", "hard, retained logits"], 1e-12] > 0.1).all()
    assert (table.loc["hard, retained probabilities", 1e-12]) < 1e-8


# Prop A.2 and Cor A.3


@pytest.mark.parametrize("size", [1, 3])
def test_a_support_points_discrepancy_is_its_target_mismatch(size):
    problem = theory.logistic_problem(5, n=10, d=14, scale=0.5)
    point, support = problem.forget[0], problem.retain[:size]
    queries = np.random.default_rng(0).normal(size=(9, 14))
    place = problem.retain, point, problem.retrained, support
    left = theory.support_discrepancy(*place, queries)
    assert far(left, theory.predicted_support_discrepancy(*place, queries)) < TINY
    other = problem.retain, point, problem.retrained, problem.retain[1 : size + 1]
    assert far(left, theory.predicted_support_discrepancy(*other, queries)) > 1e-2
    assert far(theory.support_discrepancy(*place, theory.draw_queries(0, problem, 5)), 0) < TINY, "alpha_{q,F} is 0"
    everything = problem.retain, point, problem.retrained, problem.retain
    assert far(theory.support_discrepancy(*everything, queries), 0) < TINY, "all of it teaches what retraining knows"


def test_the_residual_and_the_bound_of_one_support_point():
    problem = theory.logistic_problem(5, n=10, d=14)
    point, retrained = problem.forget[0], problem.retrained
    for support in problem.retain:
        residual, cosine = theory.support_residual(support[None], point), theory.cosine(point, support)
        assert far(residual @ residual, point @ point * (1 - cosine**2)) < TINY
        assert far(residual @ residual, point @ point * (1 - cosine)) > 1e-2
        assert abs(retrained @ residual) <= theory.support_bound(retrained, point, support)
        assert far(theory.support_residual(-support[None], point), residual) < TINY, "the cosine's sign is nothing"
    reached = theory.support_residual(problem.retain[:1], point)
    bound = theory.support_bound(reached, point, problem.retain[0])
    assert far(abs(reached @ reached), bound) < TINY, "no smaller bound would do"


def test_the_mean_mismatch_is_exact_and_the_nearest_point_has_the_least():
    problem = theory.logistic_problem(5, n=10, d=14)
    point = problem.forget[0]
    means = [theory.expected_mismatch(problem.retain, point, support[None]) for support in problem.retain]
    near = np.abs(theory.cosine(point, problem.retain))
    assert np.argsort(means).tolist() == np.argsort(-near).tolist()
    truths = np.random.default_rng(0).normal(size=(20_000, 14))
    retrained = theory.min_norm(problem.retain, problem.retain @ truths.T).T
    squares = (retrained @ theory.support_residual(problem.retain[:1], point)) ** 2
    error = squares.std(ddof=1) / np.sqrt(len(squares))
    assert abs(squares.mean() - means[0]) < 4 * error
    residual = theory.support_residual(problem.retain[:1], point)
    assert abs(squares.mean() - residual @ residual) > 4 * error, "||r_s|| alone is too much: theta is in the span"


# Tables and figures


def test_bins_give_one_number_a_run():
    samples = [
        (np.array([-0.9, -0.8, 0.5, 3.0]), {"a": np.array([1.0, 3.0, 10.0, 99.0])}),
        (np.array([-0.7, 0.6]), {"a": np.array([4.0, 20.0])}),
    ]
    table = theory.bin_runs(samples, np.array([-1.0, 0.0, 1.0]))
    assert table[["bin", "mean", "runs"]].to_numpy().tolist() == [[0, 3, 2], [1, 15, 2]]
    np.testing.assert_allclose(table["alignment"], [(-0.85 - 0.7) / 2, 0.55])
    np.testing.assert_allclose(table["high"] - table["mean"], 12.7062 * np.array([1, 5]), rtol=1e-4)
    assert len(theory.EDGES) == 30


@pytest.mark.parametrize(
    "identities", [theory.linear_identities, theory.logistic_identities, theory.support_identities]
)
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
    ascent = theory.ascent_curves(0, runs=12, n=400, d=3, variance=0.1, steps=30, lr=0.05)
    means = ascent.pivot(index="bin", columns="curve", values="mean")
    assert np.abs(means["before unlearning"]).max() < 0.05 * means["gradient ascent"].max()
    assert means["gradient ascent"].corr(means["Prop 3.1"]) > 0.95
    curves = theory.random_label_curves(0, queries=200, steps=50, lr=0.01, **size)
    assert curves.loc[curves["curve"] == "before unlearning", "mean"].max() < TINY
    drifts = theory.drifts(0, queries=50, steps=2000, lr=0.01, weight_decay=1.0, marks=6, **size)
    last = drifts[drifts["steps"] == 2000].set_index("curve")["mean"]
    assert last["weight decay, constant steps"] > 0.9 > 0.7 > last["no weight decay"]
    limits = theory.limits(0, runs=2, n=8, d=10, ridges=[1e-2, 1e-6])
    mismatches = theory.mismatch_curves(0, shared=1.0, **size)
    pairs = mismatches.pivot(index="bin", columns="curve", values="mean")
    assert (pairs["mismatch"] <= pairs["Cor A.3's bound"]).all()
    sizes = theory.support_sizes(0, shared=1.0, sizes=[1, 7], **size)
    assert sizes.loc[sizes["size"] == 7, "mean"].max() < TINY, "all retained rows"
    size["runs"] = 100
    first = theory.support_sizes(0, shared=0.0, sizes=[2], **size).set_index("curve")["mean"]
    assert first["nearest |cos|"] < first["random"] < first["farthest |cos|"]
    wins = theory.nearest_wins(0, runs=200, n=8, d=10, shared=1.0)
    assert (wins["share of runs"] > wins["blindly"]).all()
    for figure in (
        theory_plots.ascent(ascent, ascent, theory.remainders(0, runs=2, sizes=[50, 90], d=3, steps=9, lr=0.05)),
        theory_plots.random_labels(curves, drifts, limits),
        theory_plots.support(mismatches, sizes, sizes),
    ):
        assert all(axis.get_xlabel() and axis.get_ylabel() and axis.get_legend() for axis in figure.axes)
        theory_plots.style.plt.close(figure)
    assert isinstance(wins, pd.DataFrame)


# Bad input


def test_what_cannot_be_computed_is_refused_in_one_sentence(linear, logistic):
    twice = np.vstack([logistic.retain, logistic.retain[:1]])
    theta = logistic.full
    refused = {
        "rank 4, not 3": lambda: theory.least_squares(linear.retain[:3], linear.targets[:3]),
        "rank 5, not 4": lambda: theory.least_squares(linear.retain[:, [0, 1, 2, 3, 3]], linear.targets),
        "25 independent rows, not 4": lambda: theory.coefficients(
            np.vstack([linear.retain, linear.point]), linear.retain
        ),
        "24 independent rows, not 4": lambda: theory.min_norm(linear.retain, linear.targets),
        "9 independent rows, not 8": lambda: theory.surrogate(twice, np.zeros(9), 0.1),
        "12 independent rows": lambda: theory.logistic_problem(0, n=12, d=6).full,
        "zero vector has no cosine": lambda: theory.cosine(np.zeros(3), np.ones((2, 3))),
        "zero vector": lambda: theory.support_bound(theta, theta, 0 * theta),
        "no direction": lambda: theory.ascent_constant(np.zeros(3), steps=1, lr=0.1),
        "not 2": lambda: theory.random_labels(theta, logistic.forget, np.zeros((3, 2)), lr=0.1, sign=2),
        "ridge above 0": lambda: theory.surrogate(logistic.retain, np.zeros(8), 0.0),
        "above 1/2": lambda: theory.robbins_monro(5, 0.1, power=0.5),
        "7 retained rows": lambda: theory.support_sizes(0, runs=1, n=8, d=10, shared=0.0, sizes=[8]),
    }
    for words, call in refused.items():
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value), words
    assert np.isfinite(theory.least_squares(linear.retain[:3], linear.targets[:3], ridge=0.1)).all()

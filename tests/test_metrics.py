"""Metrics on closed forms, and against scikit-learn and slow twins."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr, t, ttest_1samp, ttest_ind, ttest_rel
from sklearn.metrics import accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from lfcore.core import tables
from lfcore.core.data import Forget
from lfcore.core.errors import InputError
from lfcore.core.run import Predictions, Row, Run
from lfcore.geometry import similarity
from lfcore.geometry.similarity import mean_similarity
from lfcore.metrics import accuracy, average_gap, discrepancy, membership
from lfcore.stages import evaluate
from lfcore.statistics import claims, summary

N, K = 60, 3


def predictions(seed, seeds=(0, 1, 2), scale=2.0):
    random = np.random.default_rng(seed)
    shape = (len(seeds), N, K)
    return Predictions(tuple(seeds), random.normal(size=shape, scale=scale), random.normal(size=(*shape[:2], 5)))


@pytest.fixture
def run():
    labels = np.arange(N) % K
    train, test = np.arange(40), np.arange(40, N)
    forget = train[labels[train] == 1][:6]
    chosen = Forget("x", 1, forget, np.setdiff1d(train, forget))
    originals = predictions(3)
    return Run(
        predictions=predictions(1),
        originals=originals,
        floor=predictions(2, (5, 6)),
        is_floor=False,
        labels=labels,
        classes=K,
        forget_set=chosen,
        test=test,
        similarity=mean_similarity(originals, forget),
    )


def changed(run, **fields):
    """A run with some other fields, and nothing kept of what was computed from the old ones."""
    return dataclasses.replace(run, **fields, memo={})


def rows(module, run, reference=None):
    table = pd.DataFrame(module.measure(run, reference or predictions(4, (0, 1))), columns=tables.COLUMNS[3:])
    assert set(table["reference"]) <= {"", "retrained", "retrained_mean"}
    return table


def value(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert len(table) == 1, table
    return table["value"].item()


def test_probabilities_are_a_softmax_without_overflow():
    logits = np.array([[[1000.0, 1000.0, 0.0], [-1000.0, 0.0, 0.0]]])
    found = Predictions((0,), logits, logits).probabilities
    np.testing.assert_allclose(found, [[[0.5, 0.5, 0], [0, 0.5, 0.5]]], atol=1e-12)


def test_similarity_is_the_cosine_to_the_mean_forget_feature():
    random = np.random.default_rng(0)
    features, forget = random.normal(size=(20, 5)), random.normal(size=(4, 5))
    expected = cosine_similarity(features, forget.mean(axis=0, keepdims=True))[:, 0]
    np.testing.assert_allclose(similarity.similarity(features, forget), expected, atol=1e-12)
    unnormalised = similarity.similarity(features, forget * np.array([[9], [1], [1], [1]]))
    assert not np.allclose(unnormalised, expected), "a long forget feature counts for more"
    assert similarity.similarity(np.zeros((1, 5)), forget) == 0
    with pytest.raises(InputError, match="empty"):
        similarity.similarity(features, forget[:0])


def test_bins():
    values = np.array([0.0, 0.09, 0.1, 0.5, 0.99, 1.0])
    assert similarity.equal_width_bins(values).tolist() == [0, 0, 1, 5, 9, 9]
    assert similarity.equal_count_bins(np.array([5.0, 1, 3, 2, 4]), 5).tolist() == [4, 0, 2, 1, 3]
    counts = np.bincount(similarity.equal_count_bins(np.random.default_rng(0).normal(size=103), 10))
    assert counts.min() == 10 and counts.max() == 11
    assert np.bincount(similarity.equal_count_bins(np.zeros(20), 10)).tolist() == [2] * 10, "ties are cut too"
    assert similarity.equal_width_bins(np.full(4, 0.3)).tolist() == [9] * 4
    assert similarity.nearest(np.array([0.1, 0.9, 0.9, 0.5]), 3).tolist() == [1, 2, 3]


def test_the_nearest_are_the_first_of_a_stable_sort():
    """The slow twin sorts everything; here with ties at the edge and a value that is not a number."""
    values = np.random.default_rng(0).integers(20, size=200) / 20
    for given in (values, np.where(values == 0.5, np.nan, values)):
        for k in (0, 1, 7, 100, 195, 200, 300):
            assert similarity.nearest(given, k).tolist() == np.argsort(-given, kind="stable")[:k].tolist()


def test_similarity_in_parts_is_similarity(monkeypatch):
    features = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    features[3] = 0
    whole = [measure(features, features[:30]) for measure in (similarity.similarity, similarity.nearest_similarity)]
    assert np.allclose(whole[0], cosine_similarity(features, features[:30].sum(axis=0)[None])[:, 0], atol=1e-6)
    nearest = np.sort(cosine_similarity(features.astype(float), features[:30].astype(float)), axis=1)[:, -5:].mean(
        axis=1
    )
    assert np.allclose(whole[1], nearest)
    monkeypatch.setattr(similarity, "CHUNK", 64)
    parts = [measure(features, features[:30]) for measure in (similarity.similarity, similarity.nearest_similarity)]
    assert np.allclose(parts, whole, rtol=1e-14)


def test_accuracy_is_scikit_learns(run):
    table = rows(accuracy, run)
    for position, seed in enumerate(run.predictions.seeds):
        choice = run.predictions.logits[position].argmax(1)
        for split, members in run.splits.items():
            expected = 100 * accuracy_score(run.labels[members], choice[members])
            assert value(table, seed=seed, split=split, scope="all", metric="accuracy") == pytest.approx(expected)
        affected = run.test[run.labels[run.test] == 1]
        expected = 100 * accuracy_score(run.labels[affected], choice[affected])
        assert value(table, seed=seed, split="test", scope="class", key="1", metric="accuracy") == pytest.approx(
            expected
        )


def test_membership_tells_what_it_can_tell():
    random = np.random.default_rng(0)
    members, others, targets = np.arange(100), np.arange(100, 200), np.arange(200, 260)
    confidence = np.concatenate([random.uniform(0.9, 1, 100), random.uniform(0, 0.5, 100), np.full(60, 0.95)])
    assert membership.non_members(confidence, members, others, targets) == 0
    confidence[targets] = 0.2
    assert membership.non_members(confidence, members, others, targets) == 100
    confidence[targets[:30]] = 0.95
    assert membership.non_members(confidence, members, others, targets) == 50


def test_shadow_members_are_one_fixed_draw_of_retained_examples(run):
    drawn = membership.shadow_members(run)
    assert len(drawn) == len(set(drawn)) == 20 and np.isin(drawn, run.forget_set.retain).all()
    assert (drawn == membership.shadow_members(run)).all()


def test_gaps_of_the_reference_itself_are_zero_on_average_only(run):
    same = changed(run, predictions=predictions(4, (0, 1)))
    table = rows(average_gap, same)
    for name in ("average_gap", "average_gap_without_mia", "affected_gap"):
        assert value(table, metric=name, seed="mean", reference="retrained_mean") == pytest.approx(0, abs=1e-9)
    assert value(table, metric="average_gap_without_mia", seed=0, reference="retrained") > 0


def test_accuracy_gap_by_hand(run):
    reference = predictions(4, (0, 1))
    table = rows(average_gap, run, reference)
    deviations = []
    for members in run.splits.values():
        target = np.mean([accuracy_score(run.labels[members], one[members].argmax(1)) for one in reference.logits])
        deviations.append(
            abs(accuracy_score(run.labels[members], run.predictions.logits[0][members].argmax(1)) - target)
        )
    assert value(table, metric="average_gap_without_mia", seed=0) == pytest.approx(100 * np.mean(deviations))


def test_discrepancies_of_two_predictions_by_hand():
    model, reference = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]), np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1]])
    found = discrepancy.compare(model, reference, np.array([1, 1]))
    np.testing.assert_allclose(found["confidence_gap"], [0.4, -0.1])
    np.testing.assert_allclose(found["accuracy_gap"], [1, 0])
    np.testing.assert_allclose(found["total_variation"], [0.6, 0.1])
    np.testing.assert_allclose(found["flip"], [1, 0])


def test_discrepancies_of_equal_models_are_zero_and_of_opposites_one():
    one, other = np.eye(K)[[0, 1]], np.eye(K)[[1, 2]]
    assert all((values == 0).all() for values in discrepancy.compare(one, one, np.array([0, 1])).values())
    assert (discrepancy.compare(one, other, np.array([0, 1]))["total_variation"] == 1).all()


def test_each_seed_is_averaged_over_the_references(run):
    reference = predictions(4, (0, 1))
    found = discrepancy.per_example(run, reference)["total_variation"]
    for i, u in enumerate(run.predictions.probabilities):
        slow = [np.mean([0.5 * abs(u[x] - r[x]).sum() for r in reference.probabilities]) for x in range(N)]
        np.testing.assert_allclose(found[i], slow)


def test_averaged_predictions_have_less_discrepancy_than_pairs(run):
    table = rows(discrepancy, run)
    whole = table[(table["metric"] == "total_variation") & (table["key"] == "all/whole") & (table["split"] == "test")]
    pairs = whole[whole["reference"] == "retrained"]["value"].mean()
    assert value(whole, seed="mean") < pairs, "total variation is convex"


def test_bins_and_ranges_partition_the_examples(run):
    for split in ("retain", "test"):
        members = run.splits[split]
        parts = list(discrepancy.partition(run, members))
        for classes, chosen in run.of_classes(members).items():
            for scope in ("width_bin", "count_bin"):
                found = [part for where, key, part in parts if where == scope and key.startswith(f"{classes}/")]
                assert len(found) == 10 and sorted(np.concatenate(found)) == sorted(chosen)
            ranges = {key: part for where, key, part in parts if where == "range"}
            near, far = ranges[f"{classes}/near"], ranges[f"{classes}/far"]
            assert (len(near), len(far)) == (len(chosen) // 5, len(chosen) // 2)
            rest = np.setdiff1d(chosen, near)
            assert run.similarity[near].min() >= run.similarity[rest].max()
            assert run.similarity[far].max() <= run.similarity[np.setdiff1d(chosen, far)].min()
    affected = run.of_classes(run.test)["affected"]
    assert (run.labels[affected] == 1).all() and len(affected) + len(run.of_classes(run.test)["other"]) == 20


def test_the_forget_set_is_in_no_bin(run):
    members = {
        row
        for split in ("retain", "test")
        for *_, part in discrepancy.partition(run, run.splits[split])
        for row in part
    }
    assert not members & set(run.forget_set.forget)


def test_bin_means_weighted_by_counts_give_the_mean(run):
    table = rows(discrepancy, run)
    for scope, classes in itertools.product(("width_bin", "count_bin"), ("all", "affected", "other")):
        part = table[
            (table["scope"] == scope) & (table["split"] == "test") & table["key"].str.startswith(f"{classes}/")
        ]
        counts = part[part["metric"] == "count"].set_index("key")["value"]
        means = part[(part["metric"] == "confidence_gap") & (part["seed"] == 0)].set_index("key")["value"]
        expected = value(table, metric="confidence_gap", seed=0, split="test", scope="range", key=f"{classes}/whole")
        assert (means * counts).sum() / counts.sum() == pytest.approx(expected)


def test_spearman_is_scipys_on_the_excess(run):
    reference = predictions(4, (0, 1))
    table = rows(discrepancy, run, reference)
    tv = discrepancy.against(run.predictions, reference, run.labels)["total_variation"]
    floor = discrepancy.against(run.floor, reference, run.labels)["total_variation"].mean(axis=0)
    other = run.of_classes(run.test)["other"]
    expected = spearmanr(run.similarity[other], (tv[0] - floor)[other]).statistic
    assert value(table, metric="spearman", seed=0, split="test", key="other") == pytest.approx(expected)


def test_a_floor_model_is_compared_with_the_others_of_the_floor(run):
    reference = predictions(4, (0, 1))
    as_floor = changed(run, predictions=run.floor, is_floor=True)
    tv = discrepancy.against(run.floor, reference, run.labels)["total_variation"]
    np.testing.assert_allclose(discrepancy.excess(as_floor, reference), [tv[0] - tv[1], tv[1] - tv[0]])
    other = Predictions((5, 6), run.predictions.logits[:2], run.predictions.features[:2])
    expected = discrepancy.against(other, reference, run.labels)["total_variation"] - tv.mean(axis=0)
    found = discrepancy.excess(changed(run, predictions=other), reference)
    np.testing.assert_allclose(found, expected, err_msg="an unlearner has its seeds' numbers by chance alone")


def _table(values, unlearner="ltd", reference="", metric="accuracy", seeds=None, scope="all", key=""):
    rows = [
        Row(seed, reference, "test", metric, scope, key, value)
        for seed, value in zip(seeds or range(len(values)), values, strict=True)
    ]
    return tables.tidy(rows, forget_set="f", network="n", unlearner=unlearner)


def test_intervals_are_students():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    row = summary.summarize(_table(values)).iloc[0]
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (row["mean"], row["sd"], row["n"]) == (2.8, pytest.approx(np.std(values, ddof=1)), 5)
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))


def test_an_interval_from_one_seed_is_nan_and_not_zero():
    row = summary.summarize(_table([3.0])).iloc[0]
    assert row["mean"] == 3 and np.isnan([row["sd"], row["low"], row["high"]]).all()


def test_seed_averaged_numbers_get_the_jackknife():
    """For a plain mean the jackknife is the standard error itself."""
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    seeds = ["mean", *(f"mean-{seed}" for seed in range(5))]
    averaged = [values.mean(), *((values.sum() - value) / 4 for value in values)]
    plain = summary.summarize(_table(values)).iloc[0]
    row = summary.summarize(_table(averaged, reference="retrained_mean", seeds=seeds)).iloc[0]
    for column in ("mean", "sd", "low", "high", "n"):
        assert row[column] == pytest.approx(plain[column])


def test_excess_over_the_floor_is_welchs():
    ours, floor = [0.3, 0.5, 0.4, 0.9, 0.2], [0.1, 0.2, 0.1, 0.15, 0.3]
    where = {"reference": "retrained", "metric": "total_variation", "scope": "range", "key": "other/near"}
    both = pd.concat([_table(ours, **where), _table(floor, unlearner="retrained", seeds=range(5, 10), **where)])
    found = summary.summarize(both)
    (row,) = found[found["metric"] == "total_variation_excess"].to_dict("records")
    low, high = ttest_ind(ours, floor, equal_var=False).confidence_interval(0.95)
    assert row["unlearner"] == "ltd" and row["mean"] == pytest.approx(np.mean(ours) - np.mean(floor))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))


def test_student_quantile_is_the_table_value():
    assert t.ppf(0.975, 4) == pytest.approx(2.776, abs=1e-3)
    low, high = summary.interval(1.0, 2.0, 4)
    assert (low, high) == (pytest.approx(1 - 2 * 2.776, abs=1e-2), pytest.approx(1 + 2 * 2.776, abs=1e-2))


def test_tables_survive_the_disk_and_equal_tables_are_equal_bytes(tmp_path):
    table = _table([0.1, float("nan"), 1e-12], seeds=[0, "mean", "mean-3"])
    for name in ("one.csv", "two.csv"):
        tables.write(table, tmp_path / name)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    again = tables.read(tmp_path / "one.csv")
    assert again["seed"].tolist() == ["0", "mean", "mean-3"] and (again["key"] == "").all()
    np.testing.assert_allclose(again["value"], table["value"])
    (tmp_path / "empty.csv").write_text("")
    for name in ("missing.csv", "empty.csv"):
        with pytest.raises(InputError, match=name):
            tables.read(tmp_path / name)


def test_unknown_metrics_are_named_with_the_known():
    with pytest.raises(InputError, match=r"no metric called 'no_such': choose one of accuracy, .*discrepancy, "):
        evaluate.find("no_such")
    assert evaluate.find("discrepancy") is discrepancy


DAMAGE = {"reference": "retrained", "metric": "confidence_gap", "scope": "range", "key": "affected/whole"}


def _damages(values):
    """The tidy table of the statistic "damage"; the floor's seeds are not the others'."""
    return pd.concat(
        _table(
            numbers, unlearner=name, seeds=[str(i + 50 * (name == "retrained")) for i in range(len(numbers))], **DAMAGE
        )
        for name, numbers in values.items()
    )


def test_claims_against_the_floor_are_welchs_and_between_unlearners_paired():
    values = {
        "ascent": [0.3, 0.5, 0.4, 0.9, 0.2],
        "ltd": [0.2, 0.3, 0.35, 0.7, 0.1],
        "retrained": [0.1, 0.2, 0.1, 0.15, 0.3, 0.12],
    }
    judged = claims.judge(_damages(values))
    assert set(judged["statistic"]) == {"damage"}, "claims about what the table lacks are left out"
    rows = judged.set_index(["more", "less"])
    tests = {
        ("ascent", "retrained"): ttest_ind(values["ascent"], values["retrained"], equal_var=False),
        ("ltd", "retrained"): ttest_ind(values["ltd"], values["retrained"], equal_var=False),
        ("ascent", "ltd"): ttest_rel(values["ascent"], values["ltd"]),
    }
    assert set(rows.index) == set(tests)
    for (more, less), test in tests.items():
        row = rows.loc[(more, less)]
        assert row["mean"] == pytest.approx(np.mean(values[more]) - np.mean(values[less]))
        low, high = test.confidence_interval(0.95)
        assert (row["low"], row["high"], row["p"]) == pytest.approx((low, high, test.pvalue))
        own = ttest_1samp(values[more], 0).confidence_interval(0.95) if less == "retrained" else (np.nan, np.nan)
        assert (row["own_low"], row["own_high"]) == pytest.approx(tuple(own), nan_ok=True)
    assert judged["p_holm"].isna().all() and set(judged["verdict"]) == {""}, "no claim of this forget set is primary"


def _primary(values, forget_sets="4"):
    """The primary claims about these damages, on each of the forget sets, as of the study of all classes."""
    table = pd.concat([_damages(values).assign(forget_set=name) for name in forget_sets])
    judged = claims.judge(table, claims.CLASSES)
    return judged[judged["id"] != ""]


def test_pairs_are_of_the_same_seed_in_whatever_order():
    values = {"ascent": [0.3, 0.5, 0.4, 0.9, 0.2], "ltd": [0.2, 0.3, 0.35, 0.7, 0.1]}
    table = _damages(values)
    shuffled = pd.concat([table[table["unlearner"] == "ltd"][::-1], table[table["unlearner"] == "ascent"]])
    pd.testing.assert_frame_equal(claims.judge(shuffled), claims.judge(table))


def test_the_verdict_looks_at_all_claims_of_all_forget_sets():
    """A difference that would be shown alone is not among many that could have been."""
    values = {"ascent": [0.3, 0.5, 0.4, 0.7, 0.25], "retrained": [0.1, 0.2, 0.1, 0.15, 0.2]}
    alone, among = _primary(values), _primary(values, "012345678")
    np.testing.assert_allclose(among["p"], alone["p"].item())
    assert alone["verdict"].item() == "holds beyond the floor"
    assert set(among["verdict"]) == {"not shown beyond the floor"}
    np.testing.assert_allclose(among["p_holm"], 9 * among["p"])


def test_what_a_claim_takes_off_first_is_of_the_same_seed():
    """The damage near the forget set less that near random sets, seed by seed, and then against the floor."""
    values = {"ascent": [0.3, 0.5, 0.4, 0.9], "retrained": [0.1, 0.2, 0.1]}
    taken = {"ascent": [0.1, 0.4, 0.2, 0.9], "retrained": [0.0, 0.2, 0.1]}
    tables_of = {"near - far": values, "random sets": taken}
    parts = []
    for statistic, numbers in tables_of.items():
        reference, _, metric, scope, key = claims.places()[statistic]
        parts.append(_damages(numbers).assign(reference=reference, metric=metric, scope=scope, key=key))
    judged = claims.judge(pd.concat(parts)).set_index(["more", "statistic"])
    row = judged.loc[("ascent", "near - far, less random sets")]
    less = {name: np.subtract(values[name], taken[name]) for name in values}
    expected = ttest_ind(less["ascent"], less["retrained"], equal_var=False)
    assert row["mean"] == pytest.approx(less["ascent"].mean() - less["retrained"].mean())
    assert (row["p"], row["low"]) == pytest.approx((expected.pvalue, expected.confidence_interval(0.95)[0]))
    assert row["own_low"] == pytest.approx(ttest_1samp(less["ascent"], 0).confidence_interval(0.95)[0])
    assert judged.loc[("ascent", "near - far"), "mean"] == pytest.approx(0.525 - 0.4 / 3)


def test_one_seed_gives_no_interval_and_no_verdict():
    judged = _primary({"ascent": [0.3], "ltd": [0.1], "retrained": [0.1, 0.2]})
    assert set(judged["verdict"]) == {"no interval"} and judged["p_holm"].isna().all()
    assert len(claims.judge(_damages({"retrained": [0.1, 0.2]}))) == 0


def test_a_claim_is_refuted_where_the_opposite_is_shown():
    judged = _primary({"ascent": [0.1, 0.11, 0.12], "retrained": [0.5, 0.51, 0.52]})
    assert judged["verdict"].item() == "does not hold, the opposite does" and judged["mean"].item() < 0


@pytest.mark.parametrize(
    ("mean", "p_holm", "own_low", "floor", "said"),
    [
        (0.2, 0.01, 0.1, True, "holds beyond the floor"),
        (0.2, 0.01, -0.1, True, "holds beyond the floor"),
        (0.2, 0.01, np.nan, False, "holds"),
        (0.2, 0.5, 0.1, True, "not shown beyond the floor"),
        (0.2, 0.5, -0.1, True, "not shown"),
        (0.2, 0.05, np.nan, False, "not shown"),
        (0.2, 0.5, 0.1, False, "not shown"),
        (-0.2, 0.01, 0.1, True, "does not hold, the opposite does"),
        (-0.2, 0.01, np.nan, False, "does not hold, the opposite does"),
        (-0.2, 0.5, np.nan, False, "not shown"),
        (0.2, np.nan, 0.1, True, "no interval"),
    ],
)
def test_verdicts(mean, p_holm, own_low, floor, said):
    assert claims.verdict(mean, p_holm, own_low, floor=floor) == said


def slow_holm(p):
    """Holm's definition: the k-th smallest of m times m - k + 1, never below the one before, at most 1."""
    known = sorted((value, i) for i, value in enumerate(p) if not np.isnan(value))
    result, largest = [np.nan] * len(p), 0.0
    for k, (value, i) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - k)))
        result[i] = largest
    return result


def test_holm_by_hand_and_its_slow_twin():
    np.testing.assert_allclose(claims.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    random = np.random.default_rng(0)
    for n in (1, 2, 7, 40):
        p = random.uniform(size=n) ** 3
        p[random.uniform(size=n) < 0.2] = np.nan
        np.testing.assert_allclose(claims.holm(p), slow_holm(p))
    np.testing.assert_allclose(claims.holm(np.array([0.02, np.nan, 0.02])), [0.04, np.nan, 0.04])
    assert np.isnan(claims.holm(np.full(3, np.nan))).all() and len(claims.holm(np.empty(0))) == 0


def test_holm_keeps_the_chance_of_any_false_rejection():
    """Of ten true hypotheses one is rejected in 5 % of the worlds, and without the adjustment in 40 %."""
    p = np.random.default_rng(0).uniform(size=(4000, 10))
    adjusted = np.array([claims.holm(world).min() for world in p])
    assert np.mean(adjusted < claims.ALPHA) == pytest.approx(0.05, abs=0.012)
    assert np.mean(p.min(axis=1) < claims.ALPHA) > 0.35

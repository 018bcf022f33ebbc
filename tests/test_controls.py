"""The controls of locality: each removes what it is there to remove, and leaves a real local effect."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr
from scipy.stats import t as student
from sklearn.metrics.pairwise import cosine_similarity

from lfcore.core import tables
from lfcore.core.data import Forget
from lfcore.core.errors import InputError
from lfcore.core.run import Predictions, Run
from lfcore.geometry import locality
from lfcore.geometry.similarity import mean_similarity
from lfcore.metrics import class_similarity, discrepancy, distances, matched, shuffled, targets
from lfcore.statistics import variance_components

K = 3
AFFECTED = 1


def from_confidence(confidence, labels, features=None):
    """Predictions with these confidences in the true class, (seeds, n), and the rest on the next class.

    The total variation of two of them is the difference of their confidences.
    """
    seeds, n = confidence.shape
    probabilities = np.full((seeds, n, K), 1e-300)
    probabilities[:, np.arange(n), labels] = confidence
    probabilities[:, np.arange(n), (labels + 1) % K] = 1 - confidence
    if features is None:
        features = np.random.default_rng(9).normal(size=(seeds, n, 4))
    return Predictions(tuple(range(seeds)), np.log(probabilities), features)


def from_margin(margin, labels, features=None):
    """Two originals with these margins, (n,)."""
    logits = np.zeros((2, len(labels), K))
    logits[:, np.arange(len(labels)), labels] = margin
    return Predictions((0, 1), logits, logits if features is None else features)


def make_run(n, predictions, originals, floor, similarity, **more):
    """A run of n examples, half of them for training, of which 20 of the affected class are forgotten."""
    labels, train = np.arange(n) % K, np.arange(n // 2)
    forget = train[labels[train] == AFFECTED][:20]
    known = {
        "predictions": predictions,
        "originals": originals,
        "floor": floor,
        "is_floor": False,
        "labels": labels,
        "classes": K,
        "forget_set": Forget("x", AFFECTED, forget, np.setdiff1d(train, forget)),
        "test": np.arange(n // 2, n),
        "similarity": similarity,
    }
    return Run(**(known | more))


def random_run(n=240, **more):
    random = np.random.default_rng(1)
    labels = np.arange(n) % K
    own, floor, reference = (random.uniform(0.05, 0.95, size=(seeds, n)) for seeds in (3, 2, 4))
    run = make_run(
        n,
        from_confidence(own, labels, random.normal(size=(3, n, 5))),
        from_margin(random.normal(size=n), labels, random.normal(size=(2, n, 5))),
        from_confidence(floor, labels),
        random.uniform(size=n),
        **more,
    )
    return run, from_confidence(reference, labels, random.normal(size=(4, n, 5)))


def rows(module, run, reference):
    table = pd.DataFrame(module.measure(run, reference), columns=tables.COLUMNS[3:])
    assert set(table["reference"]) <= {"", "retrained"}
    assert not table.duplicated(tables.COLUMNS[3:-1]).any(), "each number has a name of its own"
    return table


def value(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    assert len(table) == 1, table
    return table["value"].item()


class TestLocality:
    @pytest.mark.parametrize("n", [5, 6, 9, 10, 103])
    def test_near_and_far_are_the_ends_of_a_stable_sort(self, n):
        similarities = np.random.default_rng(n).integers(0, 4, size=n).astype(float)
        order = sorted(range(n), key=lambda i: (-similarities[i], i))
        assert locality.near(similarities).tolist() == order[: n // 5]
        assert locality.far(similarities).tolist() == order[n - n // 2 :]

    def test_near_minus_far_is_pandas(self):
        random = np.random.default_rng(0)
        table = pd.DataFrame({"s": random.normal(size=100), "v": random.normal(size=100)})
        expected = table.nlargest(20, "s")["v"].mean() - table.nsmallest(50, "s")["v"].mean()
        assert locality.near_minus_far(table["s"].to_numpy(), table["v"].to_numpy()) == pytest.approx(expected)
        assert locality.near_minus_far(np.arange(5.0), np.array([0, 0, 9, 9, 7.0])) == 7
        assert np.isnan(locality.near_minus_far(np.arange(4.0), np.ones(4)))

    def test_rank_is_scipys_and_pandas(self):
        random = np.random.default_rng(0)
        x, y = random.integers(0, 9, size=50) + 0.0, random.normal(size=50)
        assert locality.rank(x, y) == pytest.approx(spearmanr(x, y).statistic)
        assert locality.rank(x, y) == pytest.approx(pd.Series(x).corr(pd.Series(y), method="spearman"))
        assert locality.rank(y, np.exp(y)) == pytest.approx(1) and locality.rank(y, -(y**3)) == pytest.approx(-1)

    def test_partial_rank_is_the_closed_form_for_one_control(self):
        random = np.random.default_rng(0)
        z = random.integers(0, 12, size=60) + 0.0
        x, y = z + random.normal(size=60, scale=3), (2 * z + random.normal(size=60, scale=6)).round()
        xy, xz, yz = (spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
        expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        assert abs(expected) < 0.7 * xy
        assert locality.partial_rank(x, y, z[:, None]) == pytest.approx(expected)

    def test_partial_rank_is_the_correlation_of_residuals_for_several_controls(self):
        """By the precision matrix of all ranks, which regresses nothing."""
        random = np.random.default_rng(0)
        controls = random.normal(size=(80, 3))
        x, y = controls @ [1, 2, 0] + random.normal(size=80), controls @ [1, 0, 3] + random.normal(size=80)
        precision = np.linalg.inv(np.corrcoef(rankdata(np.column_stack([x, y, controls]), axis=0), rowvar=False))
        expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
        assert locality.partial_rank(x, y, controls) == pytest.approx(expected)

    def test_ranks_do_not_change_under_increasing_maps(self):
        random = np.random.default_rng(0)
        x, y, z = random.normal(size=(3, 40))
        assert locality.partial_rank(np.exp(x), y**3, np.exp(z)[:, None]) == pytest.approx(
            locality.partial_rank(x, y, z[:, None])
        )

    def test_a_confounder_is_removed_and_a_direct_effect_survives(self):
        random = np.random.default_rng(0)
        plain, partial, direct = [], [], []
        for _ in range(40):
            z = random.normal(size=400)
            x, y = z + random.normal(size=400), z + random.normal(size=400)
            plain.append(locality.rank(x, y))
            partial.append(locality.partial_rank(x, y, z[:, None]))
            direct.append(locality.partial_rank(x, y + x, z[:, None]))
        assert np.mean(plain) > 0.4 and np.mean(direct) > 0.4
        assert np.mean(partial) == pytest.approx(0, abs=0.03)

    @pytest.mark.filterwarnings("error")
    def test_what_is_undefined_is_nan_without_a_warning(self):
        some, flat, empty = np.random.default_rng(0).normal(size=9), np.ones(9), np.empty(0)
        for x, y in ((some, flat), (flat, some), (some[:2], some[:2]), (empty, empty), (some, np.full(9, np.nan))):
            assert np.isnan(locality.rank(x, y)) and np.isnan(locality.partial_rank(x, y, some[: len(x), None] ** 2))
        assert np.isnan(locality.partial_rank(some, -some, some[:, None])), "nothing is left but the control"
        x, y, z = np.array([[1.0, 2, 3, 4], [1.0, 3, 2, 4], [2.0, 3, 1, 4]])
        assert np.isnan(locality.partial_rank(x[:3], y[:3], z[:3, None])), "what is left is on one line"
        assert -1 < locality.partial_rank(x, y, z[:, None]) < 1


class TestMatching:
    def test_it_is_its_slow_twin(self):
        random = np.random.default_rng(0)
        for columns in (1, 2, 3):
            close, distant = random.uniform(size=(40, columns)), random.uniform(size=(60, columns))
            expected = []
            for i, one in enumerate(close):
                near = [j for j, other in enumerate(distant) if max(abs(one - other)) <= 0.1]
                if near:
                    expected.append((i, min(near, key=lambda j, one=one: (sum(abs(one - distant[j])), j))))
            assert expected and (len(expected) < 40 or columns == 1)
            assert list(zip(*matched.match(close, distant), strict=True)) == expected

    def test_the_caliper_holds_in_every_column(self):
        close, distant = np.array([[0.5, 0.5]]), np.array([[0.5, 0.62], [0.58, 0.58]])
        assert [found.tolist() for found in matched.match(close, distant)] == [[0], [1]], "0.16 in all, 0.08 in each"
        assert [found.tolist() for found in matched.match(close, distant, caliper=0.2)] == [[0], [0]]
        assert [found.tolist() for found in matched.match(close, distant[:1])] == [[], []]

    def test_a_match_may_serve_twice_and_ties_go_to_the_first(self):
        close, distant = np.array([[0.3], [0.32], [0.9]]), np.array([[0.31], [0.31], [0.5]])
        assert [found.tolist() for found in matched.match(close, distant)] == [[0, 1], [0, 0]]

    @pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0), (0, 0)])
    def test_nothing_to_match_is_no_error(self, m, n):
        found = matched.match(np.zeros((m, 2)), np.zeros((n, 2)))
        assert [len(part) for part in found] == [0, 0]
        np.arange(3)[found[0]]  # an index still

    def test_margins_by_hand(self):
        logits = np.array([[[3.0, 1.0, 2.0], [0.0, -1.0, 5.0]]], dtype=np.float32)
        before = logits.copy()
        np.testing.assert_allclose(matched.margin_to_runner_up(logits, np.array([0, 1])), [[1, -6]])
        np.testing.assert_array_equal(logits, before)

    def test_difficulty_is_the_originals_margin_and_the_variance_of_retraining(self):
        run, reference = random_run()
        found = matched.difficulty(run, reference)
        for i in (0, 7, 100):
            logits = run.originals.logits[:, i]
            own = logits[:, run.labels[i]]
            others = np.delete(logits, run.labels[i], axis=1).max(axis=1)
            assert found[i, 0] == pytest.approx((own - others).mean())
            assert found[i, 1] == pytest.approx(np.var([p[i, run.labels[i]] for p in reference.probabilities]))

    def test_the_metric_is_its_slow_twin(self):
        run, reference = random_run()
        table, hard = rows(matched, run, reference), matched.difficulty(run, reference)
        tv = discrepancy.per_example(run, reference)["total_variation"]
        for split in ("retain", "test"):
            other = run.of_classes(run.splits[split])["other"]
            order = sorted(other, key=lambda row: -run.similarity[row])
            near, far = order[: len(other) // 5], order[len(other) - len(other) // 2 :]
            ranks = {row: [np.sum(hard[other, c] <= hard[row, c]) / len(other) for c in (0, 1)] for row in other}
            pairs = []
            for row in near:
                apart = {x: np.abs(np.subtract(ranks[row], ranks[x])) for x in far}
                apart = {x: both.sum() for x, both in apart.items() if both.max() <= matched.CALIPER + 1e-12}
                if apart:
                    pairs.append((row, min(apart, key=apart.get)))
            assert 0 < len(pairs) < len(near)
            share = value(table, split=split, metric="unmatched_share", seed="")
            assert share == pytest.approx(1 - len(pairs) / len(near))
            expected = np.mean([tv[1, row] - tv[1, x] for row, x in pairs])
            found = value(table, split=split, metric="matched_localization", seed=1, key="other")
            assert found == pytest.approx(expected)
            above = discrepancy.excess(run, reference)
            affected = run.of_classes(run.splits[split])["affected"]
            expected = locality.partial_rank(run.similarity[affected], above[2][affected], hard[affected, :1])
            found = value(table, split=split, metric="partial_spearman", seed=2, key="affected")
            assert found == pytest.approx(expected)

    def test_no_seed_changes_who_is_matched(self):
        run, reference = random_run()
        other = dataclasses.replace(run, predictions=random_run()[1], memo={})
        shares = [rows(matched, one, reference).query("metric == 'unmatched_share'") for one in (run, other)]
        assert shares[0]["value"].tolist() == shares[1]["value"].tolist() and len(shares[0]) == 2

    def test_nothing_is_matched_where_near_means_hard(self):
        run, reference = random_run()
        run = dataclasses.replace(run, similarity=-matched.difficulty(run, reference)[:, 0], memo={})
        table = rows(matched, run, reference)
        assert set(table[table["metric"] == "unmatched_share"]["value"]) == {1}
        assert table[table["metric"] == "matched_localization"]["value"].isna().all()


N = 6000


def world(confounder, local):
    """A run where hard examples lie near and are damaged more; with `local`, near ones are damaged even more.

    confounder: what makes an example hard, "margin" or "variance" (of retraining). Returns the run and its reference.
    """
    random = np.random.default_rng(0)
    labels = np.arange(N) % K
    hard, place = random.normal(size=N), random.normal(size=N)
    similarity = hard + place
    damage = np.clip(0.25 + 0.07 * hard + local * place + 0.02 * random.normal(size=(3, N)), 0.01, 0.6)
    spread = np.exp(hard) if confounder == "variance" else np.exp(random.normal(size=N))
    signs = np.array([1, -1, 1, -1])[:, None]
    reference = from_confidence(0.9 + 0.002 * signs * np.minimum(spread, 40), labels)
    margin = -hard if confounder == "margin" else random.normal(size=N)
    floor = from_confidence(np.full((2, N), 0.9), labels)
    run = make_run(N, from_confidence(0.9 - damage, labels), from_margin(margin, labels), floor, similarity)
    return run, reference


@pytest.mark.parametrize("split", ["retain", "test"])
@pytest.mark.parametrize("confounder", ["margin", "variance"])
def test_difficulty_alone_looks_local_until_it_is_matched_and_a_local_effect_still_does(confounder, split):
    found = {}
    for local in (0.0, 0.05):
        run, reference = world(confounder, local)
        table = pd.concat([rows(matched, run, reference), rows(discrepancy_rows, run, reference)])
        table = table[(table["split"] == split) & (table["key"] == "other") & (table["seed"] == 0)]
        found[local] = table.set_index("metric")["value"]
        shares = rows(matched, run, reference).query("metric == 'unmatched_share'")["value"]
        assert 0 <= shares.max() < 0.5
    assert found[0.0]["localization"] > 0.05 and found[0.0]["spearman"] > 0.3
    assert found[0.0]["matched_localization"] == pytest.approx(0, abs=0.012)
    assert found[0.05]["matched_localization"] > 0.05
    if confounder == "margin":
        assert found[0.0]["partial_spearman"] == pytest.approx(0, abs=0.06)
    assert found[0.05]["partial_spearman"] > 0.4


class discrepancy_rows:
    """Of `discrepancy`, what compares single seeds."""

    @staticmethod
    def measure(run, reference):
        return [row for row in discrepancy.measure(run, reference) if row.reference != "retrained_mean"]


def test_within_the_affected_class_difficulty_is_removed_too():
    found = {}
    for local in (0.0, 0.05):
        table = rows(matched, *world("margin", local))
        found[local] = value(table, metric="partial_spearman", key="affected", split="test", seed=0)
    assert found[0.0] == pytest.approx(0, abs=0.08) and found[0.05] > 0.4


def test_a_floor_of_one_model_leaves_ranks_undefined():
    run, reference = random_run()
    one = Predictions((0,), run.floor.logits[:1], run.floor.features[:1])
    lonely = dataclasses.replace(run, predictions=one, floor=one, is_floor=True, memo={})
    for module, names in ((matched, ["partial_spearman"]), (shuffled, ["shuffled_spearman"])):
        table = rows(module, lonely, reference)
        assert table[table["metric"].isin(names)]["value"].isna().all() and table["value"].notna().any()


class TestShuffled:
    def test_draws_are_those_of_the_forget_set_alone(self):
        run, _ = random_run()
        sets = shuffled.random_sets(run)
        train = np.concatenate([run.forget_set.forget, run.forget_set.retain])
        assert len(sets) == shuffled.DRAWS == 20
        for one in sets:
            assert len(one) == len(set(one)) == len(run.forget_set.forget) and np.isin(one, train).all()
        assert len({tuple(sorted(one)) for one in sets}) == 20
        drawn = np.concatenate(sets)
        assert np.isin(drawn, run.forget_set.forget).any() and np.isin(drawn, run.forget_set.retain).any()
        other = dataclasses.replace(run, predictions=random_run()[1], is_floor=True, memo={})
        np.testing.assert_array_equal(sets, shuffled.random_sets(other))
        renamed = dataclasses.replace(run, forget_set=dataclasses.replace(run.forget_set, name="y"), memo={})
        assert not np.array_equal(sets, shuffled.random_sets(renamed))

    def test_the_metric_is_its_slow_twin(self):
        run, reference = random_run()
        table = rows(shuffled, run, reference)
        tv, above = discrepancy.per_example(run, reference)["total_variation"], discrepancy.excess(run, reference)
        for key in ("all", "other"):
            members = run.of_classes(run.test)[key]
            gaps, ranks = [], []
            for drawn in shuffled.random_sets(run):
                similar = [
                    cosine_similarity(f, f[drawn].mean(axis=0, keepdims=True))[:, 0] for f in run.originals.features
                ]
                part = pd.DataFrame({"s": np.mean(similar, axis=0), "tv": tv[1], "above": above[1]}).loc[members]
                far = part.nsmallest(len(part) // 2, "s")["tv"].mean()
                gaps.append(part.nlargest(len(part) // 5, "s")["tv"].mean() - far)
                ranks.append(part["s"].corr(part["above"], method="spearman"))
            where = {"split": "test", "seed": 1, "key": key}
            assert value(table, metric="shuffled_localization", **where) == pytest.approx(np.mean(gaps))
            assert value(table, metric="shuffled_spearman", **where) == pytest.approx(np.mean(ranks))
        assert set(table["key"]) == {"all", "other"} and set(table["split"]) == {"retain", "test"}

    def test_an_effect_around_the_true_forget_set_is_not_seen_around_random_ones(self):
        random = np.random.default_rng(0)
        n, labels = 3000, np.arange(3000) % K
        features = random.normal(size=(2, n, 30))
        members = np.flatnonzero(labels[: n // 2] == AFFECTED)[:20]
        features[:, members, 0] += 8
        originals = from_margin(np.ones(n), labels, features)
        place = mean_similarity(originals, members)
        damage = np.clip(0.3 + 0.6 * place + 0.02 * random.normal(size=(3, n)), 0.01, 0.85)
        floor = from_confidence(np.full((2, n), 0.9), labels)
        run = make_run(n, from_confidence(0.9 - damage, labels), originals, floor, place)
        np.testing.assert_array_equal(run.forget_set.forget, members)
        true, other = rows(discrepancy_rows, run, floor), rows(shuffled, run, floor)
        for split in ("retain", "test"):
            where = {"split": split, "seed": 0, "key": "other"}
            seen = value(true, metric="localization", **where)
            assert seen > 0.1 and abs(value(other, metric="shuffled_localization", **where)) < 0.15 * seen
            seen = value(true, metric="spearman", **where)
            assert seen > 0.9 and abs(value(other, metric="shuffled_spearman", **where)) < 0.15


class TestDistances:
    def test_pixels_by_hand(self):
        random = np.random.default_rng(0)
        images = random.uniform(size=(240, 1, 3, 2))
        run, _ = random_run(images=lambda: images)
        flat = images.reshape(240, 6) - images[:120].reshape(120, 6).mean(axis=0)
        expected = cosine_similarity(flat, flat[run.forget_set.forget].mean(axis=0, keepdims=True))[:, 0]
        np.testing.assert_allclose(distances.pixels(run), expected)

    def test_pixels_know_the_mean_of_the_train_images_only(self):
        random = np.random.default_rng(0)
        images = random.uniform(size=(240, 1, 3, 2))
        moved = images.copy()
        moved[120:] += 5
        one, other = (distances.pixels(random_run(images=lambda used=used: used)[0]) for used in (images, moved))
        np.testing.assert_array_equal(one[:120], other[:120])
        assert not np.allclose(one[120:], other[120:])

    def test_each_distance_sees_the_effect_in_its_own_space(self):
        random = np.random.default_rng(0)
        n, labels = 3000, np.arange(3000) % K
        members = np.flatnonzero(labels[: n // 2] == AFFECTED)[:20]
        images, features = random.normal(size=(n, 1, 4, 5)), random.normal(size=(2, n, 20))
        images[members, 0, 0, 0] += 8
        features[:, members, 0] += 8
        reference = from_confidence(np.full((2, n), 0.9), labels, features)
        run, _ = random_run(n, images=lambda: images)
        places = {"pixels": distances.pixels(run), "retrained": mean_similarity(reference, members)}
        for name, place in places.items():
            damage = np.clip(0.3 + 0.6 * place, 0.01, 0.85)[None] + 0.01 * random.normal(size=(1, n))
            predictions = from_confidence(0.9 - damage, labels)
            floor = from_confidence(np.full((2, n), 0.9), labels)
            world = dataclasses.replace(run, predictions=predictions, floor=floor, memo={})
            table = rows(distances, world, reference)
            (blind,) = set(places) - {name}
            for key in ("all", "affected", "other"):
                where = {"split": "test", "seed": 0, "key": key}
                seen = value(table, metric=f"localization_{name}", **where)
                assert seen > 0.1 and abs(value(table, metric=f"localization_{blind}", **where)) < 0.2 * seen
                assert value(table, metric=f"spearman_{name}", **where) > 0.95
                assert abs(value(table, metric=f"spearman_{blind}", **where)) < 0.15

    def test_the_definitions_are_those_of_discrepancy(self):
        """With the originals as reference, its features are theirs, and both say the same."""
        run, _ = random_run(images=lambda: np.ones((240, 1, 1, 1)))
        run = dataclasses.replace(run, similarity=mean_similarity(run.originals, run.forget_set.forget), memo={})
        here, there = rows(distances, run, run.originals), rows(discrepancy_rows, run, run.originals)
        for name in ("localization", "spearman"):
            expected = there[there["metric"] == name].set_index(["seed", "split", "key"])["value"]
            found = here[here["metric"] == f"{name}_retrained"].set_index(["seed", "split", "key"])["value"]
            np.testing.assert_allclose(found, expected.reindex(found.index))
            assert len(found) == 18


class TestTargets:
    def test_mismatch_is_total_variation(self):
        one, other = np.array([[1.0, 0, 0], [0.5, 0.5, 0]]), np.array([[0, 1.0, 0], [0.5, 0.25, 0.25]])
        assert targets.mismatch(one, other) == pytest.approx((1 + 0.25) / 2)
        assert targets.mismatch(one, one) == 0

    def test_label_uniform_and_own_by_hand(self):
        run, reference = random_run()
        forget = run.forget_set.forget
        table = rows(targets, run, reference)
        wanted = reference.probabilities[:, forget].mean(axis=0)
        label = np.mean([1 - wanted[i, run.labels[row]] for i, row in enumerate(forget)])
        assert value(table, metric="target_label", seed="") == pytest.approx(label)
        uniform = np.mean([abs(wanted[i] - 1 / K).sum() / 2 for i in range(len(forget))])
        assert value(table, metric="target_uniform", seed="") == pytest.approx(uniform)
        own = np.mean(
            [abs(wanted[i] - run.predictions.probabilities[2][row]).sum() / 2 for i, row in enumerate(forget)]
        )
        assert value(table, metric="target_model", seed=2) == pytest.approx(own)
        assert set(table["metric"]) == {"target_label", "target_uniform", "target_model"}, "there is no teacher"
        assert set(table["split"]) == {"forget"} and len(table) == 5

    def test_a_teacher_is_measured_where_it_was_asked(self):
        run, reference = random_run()
        forget = run.forget_set.forget
        logits = np.random.default_rng(0).normal(size=(3, len(forget), K)).astype(np.float32)
        taught = dataclasses.replace(run.predictions, teacher_logits=logits)
        table = rows(targets, dataclasses.replace(run, predictions=taught, memo={}), reference)
        wanted = reference.probabilities[:, forget].mean(axis=0)
        for seed in range(3):
            p = np.exp(logits[seed]) / np.exp(logits[seed]).sum(axis=1, keepdims=True)
            expected = np.mean(np.abs(p - wanted).sum(axis=1) / 2)
            assert value(table, metric="target_teacher", seed=seed) == pytest.approx(expected, rel=1e-5)
            right = 100 * np.mean(logits[seed].argmax(axis=1) == AFFECTED)
            assert value(table, metric="teacher_accuracy", seed=seed) == pytest.approx(right)

    def test_a_teacher_who_says_what_retraining_says_is_perfect(self):
        run, reference = random_run()
        wanted = reference.probabilities[:, run.forget_set.forget].mean(axis=0)
        taught = dataclasses.replace(run.predictions, teacher_logits=np.log(np.stack([wanted] * 3)))
        table = rows(targets, dataclasses.replace(run, predictions=taught, memo={}), reference)
        assert table[table["metric"] == "target_teacher"]["value"].to_numpy() == pytest.approx(0, abs=1e-9)


def test_class_similarity_is_the_cosine_of_mean_test_features():
    run, reference = random_run()
    table = rows(class_similarity, run, reference)
    table = table[table["metric"] == "class_similarity"]
    assert table["key"].tolist() == ["0", "1", "2"] and set(table["seed"]) == {""} and set(table["scope"]) == {"class"}
    assert value(table, key="1") == pytest.approx(1)
    for label in (0, 2):
        cosines = []
        for features in run.originals.features:
            means = [features[run.test[run.labels[run.test] == one]].mean(axis=0, keepdims=True) for one in (label, 1)]
            cosines.append(cosine_similarity(*means).item())
        assert value(table, key=str(label)) == pytest.approx(np.mean(cosines))


def test_the_correlation_over_classes_is_scipys_of_what_each_seed_lost():
    """Six classes at angles from class 1 that their number gives, and hits by hand; class 1 itself does not count."""
    random, labels = np.random.default_rng(2), np.arange(120) % 6
    angles = np.array([2.0, 0.0, 0.3, 0.7, 1.1, 1.5])
    features = np.stack([np.cos(angles[labels]), np.sin(angles[labels])], axis=1)[None].repeat(2, axis=0)

    def predictions(hits):
        answers = np.where(hits, labels, (labels + 1) % 6)
        return Predictions(tuple(range(len(hits))), np.eye(6)[answers], np.zeros((len(hits), 120, 2)))

    hits = random.random((3, 120)) < 0.6
    hits[2] = True
    run, _ = random_run(120)
    originals = dataclasses.replace(run.originals, features=features)
    everywhere = {"labels": labels, "classes": 6, "test": np.arange(120), "originals": originals}
    run = dataclasses.replace(run, predictions=predictions(hits), memo={}, **everywhere)
    kept = random.random((2, 120)) < 0.9
    table = rows(class_similarity, run, predictions(kept))
    table = table[table["metric"] == "class_correlation"]
    others = [0, 2, 3, 4, 5]
    for seed in range(3):
        lost = [(kept.mean(axis=0) - hits[seed])[labels == one].mean() for one in others]
        assert value(table, seed=seed) == pytest.approx(pearsonr(np.cos(angles[others]), lost).statistic)
    same = rows(class_similarity, run, predictions(hits[:1]))
    first = same[(same["metric"] == "class_correlation") & (same["seed"] == 0)]["value"].item()
    assert np.isnan(first), "no class lost more than another"


class TestOnce:
    def test_it_computes_once_for_each_name_and_predictions(self):
        run, reference = random_run()
        calls = []

        def compute():
            calls.append(1)
            return len(calls)

        assert [run.once("a", compute, reference) for _ in range(3)] == [1, 1, 1]
        assert run.once("b", compute, reference) == 2 and run.once("a", compute, run.floor) == 3
        twin = dataclasses.replace(reference)
        assert run.once("a", compute, twin) == 4, "equal is not the same"
        assert run.once("a", compute, reference, run.floor) == 5, "two are not the first of them"
        assert random_run()[0].once("a", compute, reference) == 6, "another run keeps its own"

    def test_predictions_are_kept_so_that_no_other_gets_their_place(self):
        run, reference = random_run()
        found = [run.once("a", lambda i=i: i, dataclasses.replace(reference)) for i in range(50)]
        assert found == list(range(50))

    def test_metrics_share_what_they_compare(self, monkeypatch):
        run, reference = random_run(images=lambda: np.random.default_rng(0).uniform(size=(240, 1, 2, 2)))
        compared = []
        original = discrepancy.against
        monkeypatch.setattr(
            discrepancy, "against", lambda models, *more: compared.append(models) or original(models, *more)
        )
        for module in (discrepancy, matched, shuffled, distances):
            list(module.measure(run, reference))
        assert [id(models) for models in compared] in (
            [id(run.predictions), id(run.floor)],
            [id(run.floor), id(run.predictions)],
        )


class TestDraws:
    def test_components_are_anova_by_hand(self):
        """Rows (1, 3) and (5, 9): variances 2 and 8, so within 5; means 2 and 7, variance 12.5, less 5 / 2."""
        between, within = variance_components.components(np.array([[1.0, 3.0], [5.0, 9.0]]))
        assert (between, within) == pytest.approx((np.sqrt(10), np.sqrt(5)))
        assert variance_components.components(np.array([[1.0, 9.0], [2.0, 8.0]]))[0] == 0, "a negative estimate is zero"

    def test_components_are_the_mean_squares_of_a_one_way_anova(self):
        x = np.random.default_rng(0).normal(size=(6, 4)) + np.arange(6)[:, None]
        inner = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum() / (6 * 3)
        outer = 4 * ((x.mean(axis=1) - x.mean()) ** 2).sum() / 5
        assert variance_components.components(x) == pytest.approx((np.sqrt((outer - inner) / 4), np.sqrt(inner)))

    @pytest.mark.parametrize(("between", "within"), [(2.0, 1.0), (0.5, 2.0), (0.0, 1.0)])
    def test_planted_variances_are_found(self, between, within):
        random = np.random.default_rng(0)
        x = between * random.normal(size=(4000, 1)) + within * random.normal(size=(4000, 3))
        assert variance_components.components(x) == pytest.approx((between, within), abs=0.15)

    def test_the_bootstrap_has_the_width_of_its_two_levels(self):
        """The variance of its mean is (variance of row means + mean variance within rows / draws) / originals.

        The draws of one original have nothing to do with those of another, so what draws have in common counts as any.
        """
        random = np.random.default_rng(0)
        x = random.normal(size=(30, 8)) + random.normal(size=(30, 1)) + 2 * random.normal(size=(1, 8))
        low, high = variance_components.bootstrap(x)
        expected = np.sqrt((x.mean(axis=1).var() + x.var(axis=1).mean() / 8) / 30)
        assert low < x.mean() < high and high - low == pytest.approx(2 * 1.96 * expected, rel=0.05)
        assert (low + high) / 2 == pytest.approx(x.mean(), abs=0.1 * expected)

    def test_draws_are_resampled_within_their_own_original(self):
        """Without variance within originals it is the plain bootstrap of the originals, draws or not."""
        rows = np.random.default_rng(0).normal(size=(12, 1))
        low, high = variance_components.bootstrap(np.repeat(rows, 50, axis=1))
        assert high - low == pytest.approx(2 * 1.96 * rows.std() / np.sqrt(12), rel=0.06)

    def test_the_bootstrap_repeats_itself_and_narrows_with_the_level(self):
        x = np.random.default_rng(0).normal(size=(5, 3))
        assert (
            variance_components.bootstrap(x)
            == variance_components.bootstrap(x)
            != variance_components.bootstrap(x, seed=1)
        )
        (low, high), (inner_low, inner_high) = (
            variance_components.bootstrap(x),
            variance_components.bootstrap(x, level=0.5),
        )
        assert low < inner_low < x.mean() < inner_high < high
        assert variance_components.bootstrap(np.full((3, 2), 7.0)) == (7, 7)

    def trials(self, values, **columns):
        """Tidy rows of a statistic: values[draw][seed]."""
        rows = [
            {"unlearner": "ltd" if draw == 0 else f"ltd-draw{draw}", "seed": str(seed), "value": value}
            for draw, one in enumerate(values)
            for seed, value in enumerate(one)
        ]
        place = dict(zip(("reference", "split", "metric", "scope", "key"), self.PLACE, strict=True))
        return pd.DataFrame(rows).assign(forget_set="f", network="n", **place).assign(**columns)

    PLACE = ("retrained", "test", "confidence_gap", "range", "affected/whole")

    def test_a_table_becomes_originals_by_draws(self):
        values = [[1.0, 2, 3], [4, 5, 6]]
        table = self.trials(values).assign(draw=[0, 0, 0, 1, 1, 1]).sample(frac=1, random_state=0)
        np.testing.assert_array_equal(variance_components.matrix(table), np.transpose(values))

    @pytest.mark.parametrize("missing", [[5], [0], [3, 4, 5], [1, 2, 4, 5], [0, 1, 2, 3, 4, 5]])
    def test_a_table_that_is_not_balanced_is_one_sentence(self, missing):
        table = self.trials([[1.0, 2, 3], [4, 5, 6]]).assign(draw=[0, 0, 0, 1, 1, 1]).drop(index=missing)
        with pytest.raises(InputError, match=r"two or more draws of every one of two or more originals\.$"):
            variance_components.matrix(table)

    def test_axes_are_made_of_each_method_that_has_draws(self):
        values = np.random.default_rng(0).normal(size=(3, 5))
        table = pd.concat(
            [
                self.trials(values),
                self.trials(values[:, ::-1] + 1, forget_set="g"),
                self.trials(values, metric="something else"),
                self.trials(values[:1], unlearner="ascent"),
                self.trials(values[:1], unlearner="ltd-frozen"),
                self.trials(values[:1, :1], seed="mean"),
            ]
        )
        found = variance_components.axes(table, {"damage": self.PLACE})
        assert found[["forget_set", "method", "statistic"]].to_numpy().tolist() == [
            ["f", "ltd", "damage"],
            ["g", "ltd", "damage"],
        ]
        first = found.iloc[0]
        half = student.ppf(0.975, 4) * values[0].std(ddof=1) / np.sqrt(5)
        assert first["mean"] == pytest.approx(values.mean())
        assert (first["low"], first["high"]) == pytest.approx((values[0].mean() - half, values[0].mean() + half))
        assert (first["between"], first["within"]) == variance_components.components(values.T)
        assert (first["boot_low"], first["boot_high"]) == variance_components.bootstrap(values.T)
        assert found.iloc[1]["mean"] == pytest.approx(values.mean() + 1)

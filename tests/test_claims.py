"""Primary claims, and whether blocks of fresh models say so again."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lfcore.core.errors import InputError
from lfcore.core.tables import COLUMNS, PLACE
from lfcore.publish import calibration
from lfcore.statistics import claims, replicates
from lfcore.workflow import studies
from lfcore.workflow.config import complete, read


def measurements(values, forget_set="4_half", statistic="damage"):
    """A tidy table in which each unlearner has these values of one statistic."""
    place = dict(zip(PLACE, claims.places()[statistic], strict=True))
    rows = [
        {"forget_set": forget_set, "network": "cnn", "unlearner": name, "seed": str(seed), **place, "value": value}
        for name, given in values.items()
        for seed, value in enumerate(given)
    ]
    return pd.DataFrame(rows)[COLUMNS]


def test_the_claims_are_few_of_all_four_papers_and_of_what_the_config_runs():
    primary = claims.read()[1]
    config = complete(read("digits"))
    known = studies.read(config)
    assert 16 <= len(primary) <= 24 and {claim.id[0] for claim in primary} == set("1234")
    for claim in primary:
        study = known[claim.study]
        names = set(study.rows) | {"influence_free"} if claim.study == "similar" else set(study.rows)
        if claim.study == "similar":
            names |= {name for each in study.experiments.values() for name in each.get("unlearners", {})}
            names |= {"retrained", "original"}
            assert set(claim.forget_sets) <= set(study.experiments)
        else:
            assert set(claim.forget_sets) <= set(study.forget_sets)
        assert {claim.more, claim.less} <= names, claim
    blocks = [study for name, study in known.items() if name.startswith(claims.BLOCKS)]
    own = {name for claim in primary if not claim.study for name in (claim.more, claim.less)}
    assert len(blocks) >= 10 and all(own <= set(block.rows) for block in blocks)
    used = [set(block.unlearned) | set(block.reference) | set(block.floor) for block in [known[""], *blocks]]
    assert len(set.union(*used)) == sum(map(len, used)), "blocks share no seed"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{id: 1, text: a, statistic: damage, more: b, less: c}", "lacks .*forget_sets"),
        ("{id: 1, text: a, statistic: damage, more: b, less: c, forget_sets: [d], on: e}", "too many"),
        ("{id: 1, text: a, statistic: harm, more: b, less: c, forget_sets: [d]}", "no known statistic"),
    ],
)
def test_a_wrong_entry_is_one_clear_sentence(tmp_path, entry, message):
    path = tmp_path / "claims.yaml"
    path.write_text(f"statistics: {{damage: [a, b, c, d, e]}}\nclaims:\n  - {entry}\n")
    with pytest.raises(InputError, match=message):
        claims.read(path)


def test_only_primary_claims_have_a_verdict_and_holm_counts_only_them():
    draw = np.random.default_rng(0)
    table = measurements({"ascent": draw.normal(1, 0.1, 10), "retrained": draw.normal(0, 0.1, 10)})
    judged = claims.judge(table)
    primary = judged[judged["id"] != ""]
    assert list(primary["id"]) == ["1.1"] and set(primary["verdict"]) == {"holds beyond the floor"}
    assert set(judged[judged["id"] == ""]["verdict"]) == {""} and len(judged) > 1
    more, less = (table[table["unlearner"] == name]["value"] for name in ("ascent", "retrained"))
    expected = stats.ttest_ind(more, less, equal_var=False)
    assert primary["p"].iloc[0] == pytest.approx(expected.pvalue)
    assert primary["p_holm"].iloc[0] == pytest.approx(expected.pvalue), "of one claim, nothing is adjusted"
    assert not len(claims.judge(table, "support").query("id != ''")), "a claim counts in its own study alone"


def test_a_value_of_all_seeds_is_compared_with_each_seed():
    uniform = measurements({"ltd": [0.8]}, statistic="uniform targets").assign(seed="")
    teacher = measurements({"ltd": [0.2, 0.3, 0.4]}, statistic="teacher's targets")
    (row,) = claims.judge(pd.concat([uniform, teacher])).query("id == '1.7'").itertuples()
    expected = stats.ttest_1samp([0.6, 0.5, 0.4], 0)
    assert (row.mean, row.p) == (pytest.approx(0.5), pytest.approx(expected.pvalue))


def blocks(effect, spread, count=10):
    """Claims tables of `count` blocks."""
    draw, found = np.random.default_rng(0), []
    for block in range(count):
        values = {"ascent": effect + spread * draw.normal(size=10), "retrained": spread * draw.normal(size=10)}
        found.append(claims.judge(measurements(values, f"4_half_b{block}"), f"{claims.BLOCKS}{block}"))
    return pd.concat(found)


def test_pooling_is_students_test_over_blocks():
    table = blocks(0.1, 0.1)
    (row,) = replicates.pool(table).itertuples()
    values = table[table["id"] != ""]["mean"]
    expected = stats.ttest_1samp(values, 0)
    assert (row.mean, row.p) == (pytest.approx(values.mean()), pytest.approx(expected.pvalue))
    assert (row.low, row.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (row.blocks, row.verdict, row.forget_set) == (10, "holds", "4_half")
    assert replicates.pool(table.assign(mean=-table["mean"])).iloc[0]["verdict"] == "does not hold, the opposite does"


def test_a_claim_needs_nine_of_ten_blocks():
    table = blocks(1.0, 0.01)
    turned = table["forget_set"].isin(["4_half_b0", "4_half_b1"])
    few = table.assign(mean=table["mean"].where(~turned, -0.01))
    (row,) = replicates.pool(few).itertuples()
    assert row.p_holm < 0.05 and row.agree == 8 and row.verdict == "not shown"


def test_shared_references_make_one_block_sure_of_nothing_and_the_pooled_verdict_honest():
    """A nuisance that all seeds of a block share, and no effect: one block is wrong often, all of them seldom."""
    draw, alone, pooled = np.random.default_rng(0), [], []
    row = dict.fromkeys(["claim", "statistic", "more", "less", "network"], "x") | {"id": "1", "verdict": "not shown"}
    for _ in range(300):
        seeds = draw.normal(0, 0.1, size=(10, 10)) + 0.1 * draw.normal(size=(10, 1))
        alone += list(stats.ttest_1samp(seeds, 0, axis=1).pvalue < 0.05)
        table = pd.DataFrame([row | {"forget_set": f"f_b{b}", "mean": mean} for b, mean in enumerate(seeds.mean(1))])
        pooled.append(replicates.pool(table)["p"].iloc[0] < 0.05)
    assert np.mean(alone) > 0.3
    assert 0.02 < np.mean(pooled) < 0.09


def test_power_is_what_simulation_says():
    draw = np.random.default_rng(0)
    for effect in (0.0, 1.0, 2.8):
        simulated = np.mean(np.abs(draw.normal(effect, 1, 100_000)) > stats.norm.ppf(0.975))
        assert replicates.power(effect, 1.0) == pytest.approx(simulated, abs=0.005)


def fake_block(seed, shift=0.0):
    """A calibration block of 40 numbers, a quarter of them above a floor."""
    draw = np.random.default_rng(seed)
    values = draw.normal(shift, 1, size=(50, 10))
    base, floor = np.arange(40), np.where(np.arange(40) < 10, 40 + np.arange(40) % 10, -1)
    means = values.mean(axis=1)[base] - np.where(floor >= 0, values.mean(axis=1)[floor], 0)
    numbers = pd.DataFrame({"forget_set": "f", "network": "n", "unlearner": "u", "reference": "", "split": "test",
                            "metric": "m", "scope": "all", "key": [str(n) for n in base], "mean": means,
                            "tolerance": 4 * np.sqrt(2 / 10) * np.where(floor >= 0, np.sqrt(2), 1)})  # fmt: skip
    return calibration.Block(numbers, values, base, floor, np.arange(50) >= 40)


def test_calibration_alarms_seldom_and_finds_a_shift():
    same = [fake_block(seed) for seed in range(6)]
    found = calibration.calibrate(same, resamples=300)
    assert found["false_alarms"] <= 0.01 and found["fresh_alarms"] == 0 and found["allowed_share"] < 0.2
    assert found["fresh_high"] == pytest.approx(1 - 0.025 ** (1 / 6)), "Clopper and Pearson's interval of 0 of 6"
    assert calibration.share(same[0], same[0]) == 0
    assert calibration.share(same[0], fake_block(9, shift=3.0)) > 3 * found["allowed_share"]

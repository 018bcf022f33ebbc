"""The bench: its arithmetic, its table, its history; and that its parts run at a tiny size. No seconds are judged."""

import math

import bench
import bench_parts
import numpy as np
import pandas as pd
import pytest
from bench import Row

from lfcore.core.paths import ROOT


@pytest.fixture(scope="module")
def tiny():
    with bench_parts.Bench(bench_parts.TINY) as one:
        yield one


def test_a_ratio_is_held_to_its_target_and_a_number_alone_too():
    assert Row("1", "a", 3.0, "s", 2.0).ratio == 1.5 and Row("1", "a", 3.0, "s", 2.0).met == ""
    assert math.isnan(Row("1", "a", 3.0, "s").ratio)
    assert [Row("1", "a", 3.0, "s", 2.0, target).met for target in ("<= 1.6", "<= 1.4", ">= 1.5")] == [
        "yes",
        "no",
        "yes",
    ]
    assert [Row("3", "a", value, "s", target="<= 6").met for value in (5.9, 6.1)] == ["yes", "no"]


def test_a_slope_is_the_exponent_with_the_regressions_error():
    sizes = np.array([10, 20, 40, 80, 160])
    assert bench.slope(sizes, 3 * sizes**1.7) == pytest.approx((1.7, 0), abs=1e-9)
    costs = sizes * np.array([1.1, 0.9, 1.05, 0.95, 1.0])
    from scipy.stats import linregress

    twin = linregress(np.log(sizes), np.log(costs))
    assert bench.slope(sizes, costs) == pytest.approx((twin.slope, twin.stderr))
    assert math.isnan(bench.slope([1, 2], [1, 3])[1])


def test_the_table_is_long_and_the_history_reads_it_back(tmp_path):
    rows = [Row("4", "images", 95.0, "images/s", 100.0, ">= 0.95"), Row("3", "again", 7.0, "s", target="<= 6")]
    path = tmp_path / "bench.csv"
    assert bench.read(path).empty
    for _ in range(2):
        bench.append(bench.table(rows, 0.25), path)
    found = bench.read(path)
    assert list(found.columns) == bench.COLUMNS and len(found) == 4
    assert list(found["met"][:2]) == ["yes", "no"] and found["ratio"].notna().sum() == 2
    assert found["versions"].str.contains("torch").all() and found["machine"].str.len().min() > 0


def test_a_regression_is_a_sentence_and_only_on_the_same_machine():
    def rows(ratio, seconds):
        return bench.table([Row("4", "rate", ratio, "images/s", 1.0, ">= 0.5"), Row("3", "again", seconds, "s")], 0.0)

    history = pd.concat([rows(0.5, 9.0), rows(1.0, 3.0)])
    assert bench.regressions(rows(0.95, 3.5), history) == []
    slower = bench.regressions(rows(0.8, 3.5), history)
    assert len(slower) == 1 and "part 4, rate: ratio 0.8 after 1" in slower[0]
    assert "part 3, again: value 4.5 after 3" in bench.regressions(rows(1.2, 4.5), history)[0]
    assert bench.regressions(rows(0.1, 99.0), history.assign(machine="another")) == []
    assert bench.regressions(rows(0.1, 99.0), history.iloc[:0]) == []


def test_every_kind_of_job_is_told_by_its_command():
    commands = {
        "train": "python -m papermill results/bench/notebooks/02_train.ipynb out",
        "figure": "python -m papermill results/bench/notebooks/12_affected.ipynb out",
        "notebook": "python -m jupytext --output results/bench/notebooks/02_train.ipynb notebooks/02_train.py",
        "page": "python -m lfcore.publish.site page a b",
        "other": "true",
    }
    assert {bench_parts.kind(command): command for command in commands.values()} == commands


def test_the_committed_history_has_the_columns_of_the_bench():
    assert list(bench.read().columns) == bench.COLUMNS
    assert set(bench.read()["part"]) <= set(bench_parts.PARTS)


def test_a_synthetic_run_has_the_shapes_of_a_real_one():
    run, reference = bench_parts.synthetic(400, 8, 3)
    assert run.predictions.logits.shape == (3, 400, 8) and reference.features.shape == (4, 400, 32)
    parts = [run.forget_set.forget, run.forget_set.retain, run.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(400))
    assert set(run.labels[run.forget_set.forget]) == {0}


@pytest.mark.parametrize("part", ["4", "5"])
def test_the_parts_without_a_workflow_run(part, tiny):
    check(bench_parts.PARTS[part](tiny), part)


def test_growth_is_measured(tiny):
    check(bench_parts.growth(tiny), "6")


def test_the_parts_of_the_workflow_run(tiny):
    """One run of a tiny profile serves them all; part 2, which needs one on one core too, is left out."""
    check(bench_parts.overhead(tiny), "1")
    found = {row.what: row for row in check(bench_parts.again(tiny), "3")}
    assert next(row for what, row in found.items() if "over its own" in what).value == 2  # unlearn and evaluate
    check(bench_parts.memory(tiny), "7")


def check(rows, part):
    """The rows, each of this part, and finite but for the standard errors of two points."""
    found = list(rows)
    assert found and {row.part for row in found} == {part}
    assert all(math.isfinite(row.value) for row in found if "standard error" not in row.what)
    assert len({row.what for row in found}) == len(found)
    return found


def test_the_bench_is_a_command_of_the_makefile():
    assert "tests/bench.py" in (ROOT / "Makefile").read_text()

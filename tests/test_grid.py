"""An array of experiments: its forget sets and jobs, its table of examples, and what figure 61 makes of that."""

import os
import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from test_smoke import copy_project, jobs, last_line

from lfcore.core import layout, tables
from lfcore.core.errors import Damaged, InputError
from lfcore.core.layout import examples as file
from lfcore.core.parquet import connect
from lfcore.core.paths import ROOT
from lfcore.core.run import Run, read_predictions
from lfcore.metrics import discrepancy
from lfcore.plots import grid
from lfcore.plots.grid import PLACES, excess, over_classes, read
from lfcore.stages import evaluate
from lfcore.stages.per_example import SPLITS, measure, table, write
from lfcore.workflow import studies
from lfcore.workflow.config import check_config, complete
from lfcore.workflow.overlays import DEFAULT, merge_files

GRID = yaml.safe_load((ROOT / "config" / "grid.yaml").read_text())
UNLEARNERS = ["original", "retrained"]
ALL = check_config(merge_files(*DEFAULT))["metrics"]


def snakemake(folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment | {"PYTHONPATH": ""}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip


def arguments(trained, unlearner):
    """Of both `evaluate` and `examples.measure`; the retrained models pass through as an unlearner with three seeds."""
    folder = "original" if unlearner == "original" else "retrained"
    return {
        "dataset": trained / "dataset.safetensors",
        "forget_set": trained / "4_half.json",
        "network": "cnn",
        "unlearner": unlearner,
        "seeds": [0, 1] if unlearner == "original" else [0, 1, 2],
        "folders": [trained / folder],
        "originals": [trained / "original"],
        "original_seeds": [0, 1],
        "retrained": [trained / "retrained"],
        "reference_seeds": [0, 1],
        "floor_seeds": [2],
        "metrics": ["discrepancy"],
    }


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """The tables and arrays of `evaluate`, and beside them the files of examples, of the same predictions."""
    folder = tmp_path_factory.mktemp("measured")
    for name in UNLEARNERS:
        given = arguments(trained, name)
        evaluate.evaluate(**given, out=folder / name)
        write(measure(**given), file(folder, "cnn", "4_50", name))
    return folder


def test_unlearners_measured_together_are_measured_as_if_alone(trained, measured, tmp_path):
    """What they share is computed once, and nothing of one is taken for another's; every metric of the profile."""
    given = arguments(trained, "original") | {"metrics": ALL}
    common = {key: value for key, value in given.items() if key not in ("unlearner", "seeds", "folders")}
    runs = {name: arguments(trained, name) for name in UNLEARNERS}
    pairs = {name: (found["folders"], found["seeds"]) for name, found in runs.items()}
    for order in (UNLEARNERS, UNLEARNERS[::-1]):
        out = {name: tmp_path / "together" / name for name in order}
        together = evaluate.evaluate_all({name: pairs[name] for name in order}, out=out, **common)
        assert list(dict.fromkeys(together["unlearner"])) == list(order)
        for name in order:
            evaluate.evaluate(**runs[name] | {"metrics": ALL}, out=tmp_path / "alone" / name)
            for ending in ("csv", "npz"):
                one, other = (tmp_path / where / f"{name}.{ending}" for where in ("together", "alone"))
                assert one.read_bytes() == other.read_bytes(), (name, ending)


class TestForgetSets:
    def test_a_grid_is_every_fraction_of_every_class(self):
        found = studies.spread({"affected": [4, 11], "fractions": [0.1, 0.125, 1]})
        assert list(found) == ["4_10", "4_12_5", "4_100", "11_10", "11_12_5", "11_100"]
        assert found["11_12_5"] == {"affected": 11, "fraction": 0.125}

    def test_it_takes_the_place_of_the_profiles_forget_sets(self, merged):
        config = check_config(merged(GRID))
        assert config["forget_sets"] == studies.spread(GRID["grid"]) and len(config["forget_sets"]) == 50
        assert complete(config) == config
        (main,) = studies.read(config).values()
        assert list(main.forget_sets) == list(config["forget_sets"]) and len(main.unlearners) == 7

    def test_without_one_nothing_is_kept_of_examples(self, merged):
        config = check_config(merged())
        assert config["per_example"] == [] and list(config["forget_sets"]) == ["4_half", "9_most"]


def test_the_grid_is_five_thousand_jobs_whose_graph_is_quick(tmp_path):
    folder = copy_project(tmp_path / "project")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = snakemake(folder, "-n", "--quiet", "rules", "--configfile", "config/grid.yaml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout
    found, sets, seeds = jobs(done), 50, GRID["seeds"]
    trained = 10 + sets * (seeds["reference"] + seeds["floor"])
    wanted = {"train": trained, "unlearn": 7 * sets * 10, "evaluate": sets, "examples": 9 * sets}
    assert {rule: found[rule] for rule in wanted} == wanted and sum(found.values()) > 5000
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 60, "`make bench-dag` says where they go"


class TestExamples:
    def test_the_means_are_those_of_the_tables(self, measured):
        means = read(measured, "cnn", ["4_50"], UNLEARNERS, "total_variation")
        assert set(means["forget_set"]) == {"4_50"}, "and not the number 450"
        twin = pd.concat([tables.read(measured / f"{name}.csv") for name in UNLEARNERS])
        twin = twin[
            (twin["reference"] == "retrained") & (twin["metric"] == "total_variation") & (twin["split"] == "test")
        ]
        twin = twin[(twin["scope"] == "range") & ~twin["key"].str.startswith("all/")]
        both = means.assign(key=means["classes"] + "/" + means["place"], seed=means["seed"].astype(str))
        both = both.merge(twin[["unlearner", "seed", "key", "value"]], on=["unlearner", "seed", "key"])
        assert len(both) == len(twin) == 5 * 2 * 3
        np.testing.assert_allclose(both["value_x"], both["value_y"], rtol=1e-6)

    def test_the_values_are_those_of_the_arrays(self, measured, digits):
        arrays = tables.read_arrays(measured / "retrained.npz")
        rows = pd.DataFrame(connect().read_parquet(str(file(measured, "cnn", "4_50", "retrained"))).df())
        assert len(rows) == 3 * len(digits.labels)
        own = "seed example split label classes similarity bin place"
        assert list(rows.columns) == [*own.split(), *discrepancy.NAMES]
        for position, seed in enumerate([0, 1, 2]):
            part = rows[rows["seed"] == seed].set_index("example")
            assert part.index.is_monotonic_increasing and part.index.is_unique
            for name in discrepancy.NAMES:
                assert (part[name] == arrays[name][position][part.index].astype(np.float32)).all()
            assert (part["similarity"] == arrays["similarity"][part.index].astype(np.float32)).all()
            assert (part["label"] == digits.labels[part.index]).all()
        assert (rows["split"] == "forget").sum() == 3 * 54 and set(rows["split"]) == set(SPLITS)

    def test_bins_and_places_are_cut_within_split_and_classes(self, measured):
        rows = connect().read_parquet(str(file(measured, "cnn", "4_50", "original"))).df()
        for (split, _), part in rows[rows["seed"] == 0].groupby(["split", "classes"], observed=True):
            n, sizes = len(part), part["place"].value_counts()
            assert (sizes["near"], sizes["far"]) == (n // 5, n // 2), split
            assert part.groupby("bin").size().agg(np.ptp) <= 1
            by = part.groupby("place", observed=True)["similarity"]
            assert by.min()["near"] >= by.max()["between"] and by.min()["between"] >= by.max()["far"]
            edges = part.groupby("bin")["similarity"].agg(["min", "max"])
            assert (edges["max"].to_numpy()[:-1] <= edges["min"].to_numpy()[1:]).all()
        assert set(rows.loc[rows["classes"] == "affected", "label"]) == {4}
        assert 4 not in set(rows.loc[rows["classes"] == "other", "label"])

    def test_equal_rows_are_equal_bytes_and_sealed(self, trained, measured, tmp_path):
        path = file(measured, "cnn", "4_50", "original")
        write(measure(**arguments(trained, "original")), tmp_path / "again's.parquet")
        assert (tmp_path / "again's.parquet").read_bytes() == path.read_bytes()
        assert path.with_name("part.parquet.sha256").read_text().endswith("  part.parquet\n")
        assert sorted(each.name for each in path.parent.iterdir()) == ["part.parquet", "part.parquet.sha256"]

    def test_a_metric_without_a_value_for_each_example_is_refused(self, trained):
        with pytest.raises(InputError, match="accuracy has no value for each example: take it out of per_example"):
            measure(**arguments(trained, "original") | {"metrics": ["accuracy"]})

    def test_what_every_seed_shares_is_a_column_too(self, trained):
        given = arguments(trained, "original")
        rows = measure(**given)
        run = Run(*[read_predictions(given["originals"], [0, 1])] * 3, False, *_labels(trained))
        shared = table(run, {"klom": np.arange(len(run.labels))})
        assert (shared["klom"] == shared["example"]).all() and len(shared) == len(rows)


def _labels(trained):
    from lfcore.core import data

    found = data.read(trained / "dataset.safetensors", images=False)
    forget_set = data.read_forget(trained / "4_half.json", found)
    return found.labels, found.classes, forget_set, found.test, np.linspace(-1, 1, len(found.labels))


class TestReading:
    def test_what_is_missing_damaged_or_unknown_is_one_sentence(self, measured, tmp_path):
        with pytest.raises(InputError, match=r"unlearner=ltd/part\.parquet is missing: run snakemake"):
            read(measured, "cnn", ["4_50"], ["ltd"], "total_variation")
        with pytest.raises(InputError, match="no column 'no \" such': choose another measure"):
            read(measured, "cnn", ["4_50"], UNLEARNERS, 'no " such')
        path = file(tmp_path, "cnn", "4_50", "ltd")
        path.parent.mkdir(parents=True)
        content = file(measured, "cnn", "4_50", "original").read_bytes()
        path.write_bytes(content[:-100])
        with pytest.raises(Damaged, match="holds what is no table of examples") as caught:
            read(tmp_path, "cnn", ["4_50"], ["ltd"], "total_variation")
        assert "\n" not in str(caught.value)
        path.with_name("part.parquet.sha256").write_text("0  part.parquet\n")
        with pytest.raises(Damaged, match="is not what was written"):
            read(tmp_path, "cnn", ["4_50"], ["ltd"], "total_variation")

    def test_many_threads_and_little_memory_read_the_same(self, measured):
        one = read(measured, "cnn", ["4_50"], UNLEARNERS, "flip")
        two = read(measured, "cnn", ["4_50"], UNLEARNERS, "flip", threads=2, memory="100MiB")
        pd.testing.assert_frame_equal(one, two, rtol=1e-12)


def means():
    """Means by seed of one method and the floor, for two classes and two fractions, by hand."""
    chance, rows = np.random.default_rng(0), []
    for name, affected in (("1_50", 1), ("3_25", 3)):
        for unlearner, shift, seeds in (("retrained", 0.0, 4), ("ltd", 0.3 if affected == 1 else 0.0, 6)):
            for classes, place in PLACES:
                values = 0.1 + shift * (place == "near") + 0.01 * chance.normal(size=seeds)
                rows += [[name, unlearner, seed, classes, place, value, 9] for seed, value in enumerate(values)]
            rows.append([name, unlearner, 0, "other", "between", 9.0, 9])
    return pd.DataFrame(rows, columns=["forget_set", "unlearner", "seed", "classes", "place", "value", "count"])


SETS = {"1_50": {"affected": 1, "fraction": 0.5}, "3_25": {"affected": 3, "fraction": 0.25}}


class TestExcess:
    def test_it_is_welchs_over_seeds_in_points(self):
        given = means()
        rows = excess(given, SETS)
        assert len(rows) == 2 * 3 and set(rows["unlearner"]) == {"ltd"}
        row = rows[(rows["affected"] == 1) & (rows["place"] == "others, nearest")].iloc[0]
        part = given[(given["forget_set"] == "1_50") & (given["classes"] == "other") & (given["place"] == "near")]
        one, other = (part.loc[part["unlearner"] == name, "value"] * 100 for name in ("ltd", "retrained"))
        ends = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
        np.testing.assert_allclose([row["mean"], row["low"], row["high"]], [one.mean() - other.mean(), *ends])
        assert row["low"] > 25 and row["n"] == 6

    def test_it_needs_the_floor(self):
        given = means()
        with pytest.raises(InputError, match="put retrained among the unlearners"):
            excess(given[given["unlearner"] == "ltd"], SETS)

    def test_the_table_averages_over_classes(self):
        rows = excess(means(), SETS)
        shown = over_classes(rows)
        assert list(shown.columns) == ["25%", "50%", "beyond"]
        near = shown.loc[("others, nearest", "ltd")]
        assert near["50%"] > 25 and abs(near["25%"]) < 3 and near["beyond"] in (50, 100)

    def test_a_cell_whose_interval_holds_zero_is_in_brackets(self):
        rows = excess(means(), SETS)
        figure = grid.heat(rows, ["original", "retrained", "ltd"], "total_variation")
        panels = [axis for axis in figure.axes if axis.images and axis.texts]
        assert len(panels) == len(PLACES)
        texts = [text.get_text() for axis in panels for text in axis.texts]
        assert len(texts) == len(rows), "an experiment that was not made has no number"
        certain = (rows["low"] > 0) | (rows["high"] < 0)
        assert sum(not text.startswith("(") for text in texts) == certain.sum()
        with pytest.raises(InputError, match="None of salun is in this table"):
            grid.heat(rows, ["salun"], "total_variation")


def test_costs_are_of_the_jobs_that_the_workflow_names(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "ROOT", tmp_path)
    wanted = [f"cnn/{place}/ltd/{job}" for place in ("4_50", "4_75") for job in ("0-1", "2-2")]
    wanted += ["cnn/none/original/0-1", "cnn/none/original/2-2", "cnn/4_50/retrained/0-1", "cnn/4_75/retrained/0-1"]
    for job in [*wanted, "cnn/4_50/ltd/0-1.damaged", "cnn/4_50/other/0-1"]:
        folder = tmp_path / "results" / "p" / "models" / job
        folder.mkdir(parents=True)
        for seed in (0, 1) if "0-1" in job else (2,):
            (folder / f"seed{seed}.json").touch()
        benchmark = tmp_path / "results" / "p" / "benchmarks" / f"{job}.tsv"
        benchmark.parent.mkdir(parents=True, exist_ok=True)
        benchmark.touch()
    seeds = {"unlearned": [0, 1, 2], "retrained": [0, 1]}
    folders, files = layout.Files(["mine", "p"]).jobs(
        ["cnn"], ["4_50", "4_75"], ["original", "retrained", "ltd"], seeds
    )
    place = tmp_path / "results" / "p"
    assert [str(path.relative_to(place / "models")) for path in folders] == sorted(wanted)
    assert [str(path.relative_to(place / "benchmarks")) for path in files] == [f"{job}.tsv" for job in sorted(wanted)]


def test_a_small_grid_runs_for_real(tmp_path):
    """One class, two shares, one method and two seeds: from training to the figure."""
    folder = copy_project(tmp_path / "project")
    overlay = {
        "profile": "tiny",
        "grid": {"affected": [4], "fractions": [0.25, 0.75]},
        "seeds": {"unlearned": 2, "reference": 2, "floor": 2},
        "seeds_per_job": 4,
        "training": {"epochs": 2},
        "unlearners": {"random_labels_retain": None, "ltd": None},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(overlay))
    target = "figures/tiny/61_grid.png"
    given = (target, "--configfile", "config/corner.yaml", str(tmp_path / "tiny.yaml"))
    done = snakemake(folder, *given)
    assert done.returncode == 0, last_line(done)
    assert (folder / target).stat().st_size > 10_000
    found = sorted(path.relative_to(folder / "results/tiny/examples") for path in folder.rglob("part.parquet"))
    names = [("4_25", "4_75"), ("ascent", "original", "retrained")]
    assert [str(path) for path in found] == [
        f"network=cnn/forget_set={place}/unlearner={name}/part.parquet" for place in names[0] for name in names[1]
    ]
    rows = read(folder / "results/tiny/examples", "cnn", *map(list, names), "confidence_gap")
    assert rows.groupby(["forget_set", "unlearner"])["seed"].nunique().eq(2).all()
    assert "Nothing to be done" in snakemake(folder, *given).stdout

"""The driver that does without Snakemake: the same files, in order, and no more than needed."""

import json

import pytest
import yaml

from lfcore import slice as driver
from lfcore import tables, workflow
from lfcore.errors import InputError
from lfcore.paths import ROOT


@pytest.fixture
def config():
    """The smoke profile, still smaller."""
    found = workflow.complete(workflow.read("smoke"))
    found["seeds"] = {"first": 0, "unlearned": 1, "reference": 1, "floor": 1}
    found |= {"training": found["training"] | {"epochs": 1}, "metrics": ["accuracy"], "seeds_per_job": 2}
    return found | {"unlearners": {"ascent": {"lr": 0.001, "epochs": 1}}}


def test_the_config_is_the_workflows(merged):
    for profile in ("digits", "smoke", "cifar100"):
        overlay = yaml.safe_load((ROOT / "config" / f"{profile}.yaml").read_text())
        assert workflow.complete(workflow.read(profile)) == workflow.check_config(merged(overlay))
    with pytest.raises(InputError, match=r"no config/no_such\.yaml"):
        workflow.read("no_such")


def test_jobs_need_only_what_earlier_ones_make(config):
    found = driver.jobs(workflow.complete(workflow.read("cifar100")))
    made = set()
    for job in found:
        assert set(job.needs) <= made
        made |= set(job.makes)
    calls = [job.call for job in found]
    assert [calls.count(f"{name}") for name in ("train.train", "unlearn.unlearn", "evaluate.evaluate")] == [25, 180, 40]
    few = driver.choose(found, "couch_half/fine_tuning")
    assert [job.call for job in few] == [
        "slice.make_data",
        *["train.train"] * 15,
        *["unlearn.unlearn"] * 5,
        "evaluate.evaluate",
    ]
    assert [job.call for job in driver.choose(found, "data/dataset")] == ["slice.make_data"]


def test_a_slice_leaves_the_workflows_files_and_goes_on_where_it_stopped(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(driver, "ROOT", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = driver.jobs(config)
    options = {"on_device": 1, "cores": 1}
    assert driver.go_on(driver.choose(found, ""), minutes=0, **options) == 7, "no minute, no job"
    assert driver.go_on(driver.choose(found, ""), minutes=9, **options) == 0, capsys.readouterr().out
    results = tmp_path / "results" / "smoke"
    for place in ("none/original/0-0", "4_half/retrained/0-1", "4_half/ascent/0-0"):
        folder = results / "models" / "cnn" / place
        assert json.loads((folder / "seed0.json").read_text())["steps"] > 0
        header, row = (results / "benchmarks" / "cnn" / f"{place}.tsv").read_text().splitlines()
        assert {"s", "max_rss", "cpu_time"} <= set(header.split("\t")) and len(row.split("\t")) == 4
    for name in ("original", "retrained", "ascent"):
        assert len(tables.read(results / "measurements" / "cnn" / "4_half" / f"{name}.csv"))
    assert {path.stem for path in (results / "data").glob("*.json")} == {"4_half", "3_half", "3_all"}
    (results / "models" / "cnn" / "4_half" / "ascent" / "0-0" / "seed0.predictions.safetensors").unlink()
    assert driver.choose(found, "") == [], "it has been measured"
    (results / "measurements" / "cnn" / "4_half" / "ascent.csv").unlink()
    assert [job.call for job in driver.choose(found, "")] == ["unlearn.unlearn", "evaluate.evaluate"]


def test_settings_are_tried_and_rows_of_examples_made_as_by_the_workflow(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(driver, "ROOT", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config["tuning"] |= {"seeds": {"first": 90, "unlearned": 1, "reference": 1, "floor": 1}}
    config["tuning"] |= {"grids": {"ascent": {"lr": [0.001, 0.003]}}, "grids_at_steps": {}, "grids_of_class": {}}
    results, options = tmp_path / "results" / "smoke", {"minutes": 9, "on_device": 1, "cores": 1}
    found = driver.choose(driver.jobs(config, tuning=True), "tuning/epochs")
    assert [job.call for job in found] == ["slice.make_data", "train.train", "train.train", "tune.tune"]
    assert driver.go_on(found, **options) == 0, capsys.readouterr().out
    assert len(tables.read(results / "tuning" / "epochs" / "cnn" / "3_half" / "ascent.csv")) == 2
    assert driver.choose(driver.jobs(config, tuning=True), "tuning/epochs") == []
    found = driver.jobs(config | {"per_example": ["discrepancy"]})
    assert driver.go_on(driver.choose(found, "unlearner=ascent"), **options) == 0, capsys.readouterr().out
    assert driver.examples.file(results / "examples", "cnn", "4_half", "ascent").is_file()
    with pytest.raises(InputError, match="no tuning"):
        driver.jobs({key: value for key, value in config.items() if key != "tuning"}, tuning=True)


def test_a_job_that_fails_is_reported_and_nothing_waits_for_it(config, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(driver, "ROOT", tmp_path)
    found = driver.jobs(config | {"dataset": {"name": "no_such", "root": "data"}})
    assert driver.go_on(found, minutes=9, on_device=1, cores=1) == len(found)
    assert "no data set called" in capsys.readouterr().out

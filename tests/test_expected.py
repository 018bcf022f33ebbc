"""What is published is what the committed tables say: the README's tables, the tuned choices, the tolerances."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from lfcore import expected, tables, tuning
from lfcore.errors import InputError
from lfcore.paths import ROOT

PUBLISHED = ROOT / "tests" / "expected"


@pytest.mark.parametrize(("readme", "count"), [("README.md", 10), ("config/README.md", 2)])
def test_the_readmes_hold_the_published_numbers(readme, count):
    text = (ROOT / readme).read_text()
    assert expected.fill(text) == text, "`make expected` writes the tables of the READMEs"
    assert text.count("<!-- table ") == count
    changed = re.sub(r"\d\.\d", "7.7", text)
    assert expected.fill(changed) != changed, "the tables are made from the files, not kept"


def test_the_configured_choices_are_the_published_trials():
    trials = tables.read(PUBLISHED / "digits-tuning.csv")
    config = yaml.safe_load((ROOT / "config" / "choices.yaml").read_text())["choices"]
    grids = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())["tuning"]
    wanted = [("epochs", "rule"), ("epochs", "reachable"), ("steps", "matched"), ("class", "rule")]
    for budget, name in wanted:
        part = trials[trials["budget"] == budget].drop(columns=[*tuning.KEYS, "keeps"])
        again = tuning.choose(part.reset_index(drop=True))
        by = "rule" if name == "matched" else name
        of_class = {key for key in config[name] if key in grids["grids_of_class"]}
        for unlearner in of_class if budget == "class" else set(config[name]) - of_class:
            (chosen,) = again[again[by] & (again["unlearner"] == unlearner)]["options"]
            assert config[name][unlearner].items() <= json.loads(chosen).items(), (name, unlearner)
    assert set(config["rule"]) == {*grids["grids"], *grids["grids_of_class"]}
    assert set(config["reachable"]) == set(grids["grids"])


def test_tolerances_are_four_standard_deviations_of_a_difference_within_limits():
    row = {
        "forget_set": "f",
        "network": "n",
        "unlearner": "u",
        "reference": "",
        "split": "test",
        "scope": "all",
        "key": "",
    }
    cases = [("accuracy", 2.0, 10), ("accuracy", 0.0, 10), ("accuracy", 50.0, 10), ("total_variation", 0.02, 10)]
    rows = pd.DataFrame([{**row, "metric": name, "mean": 1.0, "sd": sd, "n": n} for name, sd, n in cases])
    found = expected.with_tolerance(rows)["tolerance"].to_numpy()
    np.testing.assert_allclose(found, [4.0, 4.0, np.nan, 4 * 0.02 * np.sqrt(0.2)])


def test_an_unknown_name_and_missing_trials_are_sentences(tmp_path, monkeypatch):
    assert "no published numbers" in expected.report("no_such")
    monkeypatch.setattr(expected, "ROOT", tmp_path)
    with pytest.raises(InputError, match="run snakemake --cores 4 tune"):
        expected._trials("digits-tuning")

"""Where results lie, said once."""

import os
import re

import pytest

from lfcore.core import layout as layouts
from lfcore.core.errors import InputError
from lfcore.core.layout import EXAMPLES, Files, Layout, ending, examples, glob, models
from lfcore.core.paths import ROOT

HELD = {"network": "cnn", "forget_set": "4_half", "unlearner": "ltd", "seeds": "0-9"}


def test_every_path_is_in_the_profiles_own_folders():
    layout = Layout("p")
    paths = {name: path for name, path in vars(layout).items() if name not in ("results", "figures")}
    assert all(path.startswith(("results/p/", "figures/p/")) for path in paths.values())
    assert len(set(paths.values())) == len(paths)


def test_wildcards_are_filled_in():
    layout = Layout("p")
    assert layout.models.format(**HELD) == "results/p/models/cnn/4_half/ltd/0-9"
    assert layout.originals.format(**HELD) == "results/p/models/cnn/none/original/0-9"
    assert layout.table.format(study=ending(""), table="costs") == "results/p/tables/costs.csv"
    assert layout.table.format(study=ending("deep"), table="costs") == "results/p/tables-deep/costs.csv"
    assert layout.log("05_summary{study}") == "results/p/executed/05_summary{study}.ipynb"
    assert layout.log("08_experiment", "{experiment}") == "results/p/executed/08_experiment/{experiment}.ipynb"
    assert glob(layout.models) == "results/p/models/*/*/*/*"


def test_what_a_notebook_looks_for_is_what_rules_make():
    layout = Layout("p")
    assert f"{layout.all_models}/{models(**HELD)}" == layout.models.format(**HELD)
    assert models(**HELD | {"unlearner": "original"}) == "cnn/none/original/0-9"
    part = {key: value for key, value in HELD.items() if key != "seeds"}
    assert layout.measurements.format(study="", **part) == "results/p/measurements/cnn/4_half/ltd"
    assert str(examples(layout.all_examples, **part)) == layout.examples.format(**part)
    assert layout.examples.endswith(EXAMPLES)


def test_nothing_else_makes_a_path_of_results():
    """Rules and library ask the layout; only a copy of the project leaves the whole folder out by its name."""
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"), *(ROOT / "lfcore").rglob("*.py")]
    found = {path.name for path in files if re.search(r"""["']results["'/]""", path.read_text())}
    assert found <= {"layout.py", "verify.py", "figure_costs.py"}


def test_a_file_is_read_from_the_first_folder_that_has_it_and_written_to_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    files, own = Files(["mine", "p"]), tmp_path / "results/p/tables-deep/summary.csv"
    with pytest.raises(InputError, match=r"no results/mine/tables-deep/summary\.csv and no results/p/tables-deep"):
        files.table("summary", "deep")
    own.parent.mkdir(parents=True)
    own.touch()
    assert files.table("summary", "deep") == own
    mine = files.write("table", table="summary", study="deep")
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert mine == tmp_path / "results/mine/tables-deep/summary.csv"
    os.utime(own, (1, 1))
    assert files.table("summary", "deep") == mine
    os.utime(mine, (0, 0))
    with pytest.warns(UserWarning, match="is older than .*p/tables-deep/summary.csv: delete it"):
        files.table("summary", "deep")
    with pytest.raises(InputError, match="names no folder"):
        Files([])


def test_a_measurement_is_read_from_the_first_study_that_has_it_and_what_was_made_by_hand_goes_before(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    files = Files(["mine", "p"])
    for place in ("p/measurements/cnn/4_half/ltd", "p/measurements-deep/cnn/4_half/opc"):
        path = tmp_path / "results" / f"{place}.csv"
        path.parent.mkdir(parents=True)
        path.touch()
    asked = ["", "deep"], ["cnn"], ["4_half"], ["ltd", "opc"]
    assert [path.parts[-4] for path in files.measured(*asked)] == ["measurements", "measurements-deep"]
    mine = files.write("measurements", ".csv", study="", network="cnn", forget_set="4_half", unlearner="opc")
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert files.measured(*asked)[1] == mine
    with pytest.raises(InputError, match=r"no results/mine/measurements/cnn/4_half/salun\.csv and no results/p/"):
        files.measured(["", "deep"], ["cnn"], ["4_half"], ["salun"])


def test_models_are_found_seed_by_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(layouts, "ROOT", tmp_path)
    files = Files(["mine", "p"])
    for folder, job, seeds in (("p", "0-2", (0, 1, 2)), ("mine", "1-1", (1,))):
        place = tmp_path / "results" / folder / "models/cnn/4_half/ltd" / job
        place.mkdir(parents=True)
        for seed in seeds:
            (place / f"seed{seed}.json").touch()
    found = files.models("cnn", "4_half", "ltd", [0, 1, 2])
    assert [path.parts[-5:][0] + path.name for path in found] == ["models0-2", "models1-1"]
    with pytest.raises(InputError, match="No model of seed 3 of cnn/4_half/ltd lies in results/mine or results/p"):
        files.models("cnn", "4_half", "ltd", [3])
    again = files.write_models("cnn", "4_half", "ltd", [1, 2])
    again.mkdir()
    (again / "seed1.json").touch()
    with pytest.raises(InputError, match="are one model made twice"):
        files.models("cnn", "4_half", "ltd", [1])

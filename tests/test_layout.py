"""Where results lie, said once."""

import re

from lfcore.core.layout import EXAMPLES, Layout, ending, examples, glob, models, run
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
    assert f"{layout.all_measurements}/{run(**part)}" == layout.measurements.format(**part)
    assert str(examples(layout.all_examples, **part)) == layout.examples.format(**part)
    assert layout.examples.endswith(EXAMPLES)


def test_nothing_else_makes_a_path_of_results():
    """Rules and library ask the layout; only a copy of the project leaves the whole folder out by its name."""
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk"), *(ROOT / "lfcore").rglob("*.py")]
    found = {path.name for path in files if re.search(r"""["']results["'/]""", path.read_text())}
    assert found <= {"layout.py", "verify.py", "figure_costs.py"}

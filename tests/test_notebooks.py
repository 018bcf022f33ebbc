"""The rules that notebooks keep, and the agreement of their parameters with the workflow's."""

import ast
import itertools
import json
import re
import subprocess
import sys

import jupytext
import pytest
import yaml

from lfcore.core.paths import ROOT
from lfcore.workflow import config, studies

PARTS = ("digits", "choices", "studies")
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
DEFAULT = config.check_config(
    {k: v for name in PARTS for k, v in yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()).items()}
)
IN_THE_WORKFLOW = [path for path in SOURCES if path.stem < "90"]
"""The others are to play with."""
names = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


def cells(path, kind="code"):
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == kind]


def parameters(path):
    """The typed, defaulted parameters of the cell that papermill replaces."""
    (cell,) = [cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", [])]
    tree = ast.parse(cell.source)
    assert all(isinstance(node, ast.AnnAssign) for node in tree.body), "each parameter has a type"
    return {node.target.id: ast.literal_eval(node.value) for node in tree.body}


def by_hand(path):
    """The cell, if any, that computes without the library what the library computes: below a text "By hand: ..."."""
    pairs = itertools.pairwise(jupytext.read(path).cells)
    return [code for text, code in pairs if text.cell_type == "markdown" and text.source.startswith("By hand")]


def calling(path):
    apart = [cell.source for cell in by_hand(path)]
    return [cell for cell in cells(path) if cell.source not in apart]


@names
def test_a_notebook_computes_by_hand_at_most_once_and_holds_the_library_to_it(path):
    found = by_hand(path)
    assert len(found) == (path.stem in ("02_train", "04_evaluate", "05_summary"))
    for cell in found:
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
        assert len(cell.source.splitlines()) <= 25


@names
def test_a_notebook_has_a_title_a_question_or_answer_and_little_code(path):
    first = jupytext.read(path).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith(f"# {path.stem[:2]} ")
    assert len(first.source.splitlines()) > 2
    code = "\n".join(cell.source for cell in calling(path))
    assert len(code.splitlines()) <= 60
    assert len(cells(path)) <= len(cells(path, "markdown")) + 2


@names
def test_a_notebook_only_calls_the_library(path):
    tree = ast.parse("\n".join(cell.source for cell in calling(path)))
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While)
    assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)]
    imported = {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert by_hand(path) or not {"torch", "numpy", "matplotlib"} & imported
    outside = [cell.source for cell in cells(path) if "parameters" not in cell.metadata.get("tags", [])]
    assert not re.search(r"[\"'][\w.]+/[\w./]+[\"']", "\n".join(outside)), "paths live in the parameters cell"


@names
def test_every_parameter_has_a_comment(path):
    (cell,) = [cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", [])]
    tree = ast.parse(cell.source)
    lines = cell.source.splitlines()
    assert [node.target.id for node in tree.body if "#" not in lines[node.lineno - 1]] == []


@names
def test_the_committed_rendering_has_the_same_cells_and_outputs_without_an_error(path):
    rendering = path.with_suffix(".ipynb")
    assert rendering.is_file(), "`make render` makes it"
    notebook = json.loads(rendering.read_text())
    source = [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]] == source
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert outputs or path.stem in NOT_RUN
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert rendering.stat().st_size < 1_000_000


def rule_parameters():
    """For each notebook, the names that its rule hands to papermill, read from a dry run's shell commands."""
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--forceall", "--cores", "1"]
    found = {}
    for targets in ([], ["tuning"], ["ablations"], ["--configfile", "config/corner.yaml"]):
        text = subprocess.run([*command, *targets], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            if "-m papermill" in line:
                stem = re.search(r"notebooks/(\w+)\.ipynb", line)[1]
                given = set(re.findall(r" -r (\w+) ", line))
                for block in re.findall(r" -y '(\{.*?\})'(?= |$)", line):
                    given |= set(yaml.safe_load(block.replace("'\"'\"'", "'")))
                found.setdefault(stem, set()).update(given)
    return found


def test_the_workflow_gives_no_notebook_a_parameter_it_does_not_have():
    """papermill only warns about a misspelt parameter."""
    given = rule_parameters()
    assert set(given) == {path.stem for path in IN_THE_WORKFLOW}
    for path in IN_THE_WORKFLOW:
        assert given[path.stem] <= set(parameters(path)), path.stem


def test_defaults_are_the_default_profiles():
    defaults = {path.stem: parameters(path) for path in SOURCES}
    main = studies.read(DEFAULT)[studies.MAIN]
    assert defaults["01_data"]["dataset"] == DEFAULT["dataset"]["name"]
    assert defaults["01_data"]["forget_sets"] == DEFAULT["forget_sets"]
    assert defaults["02_train"]["options"] == DEFAULT["training"]
    assert defaults["03_unlearn"]["options"] == main.unlearners[defaults["03_unlearn"]["unlearner"]]
    assert defaults["04_evaluate"]["metrics"] == main.metrics
    assert defaults["04_evaluate"]["seeds"] == main.unlearned
    assert defaults["04_evaluate"]["reference_seeds"] == main.reference
    assert defaults["04_evaluate"]["floor_seeds"] == main.floor
    assert defaults["05_summary"]["unlearners"] == main.rows
    assert defaults["05_summary"]["forget_sets"] == list(main.forget_sets)
    assert defaults["06_tune"]["seeds"] == studies.tuning(DEFAULT).unlearned
    for stem in ("11_localized", "12_affected", "13_targets", "14_controls", "24_measures"):
        named = {name for name in defaults[stem]["unlearners"] if not name.startswith("target: ")}
        assert named <= set(main.rows), stem


NEEDS = {
    "06_tune": "models/cnn/3_half",
    "16_series": "tables-dynamics",
    "17_choose_k": "tables-choose_k",
    "18_draws": "tables-draws",
    "19_tuning": "tuning",
    "20_ablation": "tables-support",
    "15_classes": "tables-whole",
    "25_layers": "tables-depth",
    "26_claims": "tables-replicates10",
    "31_shallow": "tables-deep",
    "32_plane": "tables-deep",
    "33_curves": "tables-deep",
    "34_pictures": "tables-deep",
    "41_over_unlearning": "tables-blind",
    "42_prototypes": "tables-blind",
    "43_embeddings": "tables-blind",
    "44_two_definitions": "tables-blind",
    "51_residual": "experiments/copies.csv",
    "52_request": "experiments/expansion.csv",
    "53_reconstruction": "experiments/reconstruction.csv",
    "54_language": "experiments/language.csv",
    "61_grid": "../corner/examples",
}
"""What a notebook of a study reads, of results/digits, or of another profile."""


NOT_RUN = [
    "06_tune", "07_probe", "08_experiment", "09_examples", "15_classes", "16_series", "17_choose_k", "18_draws",
    "19_tuning", "20_ablation", "25_layers", "26_claims", "31_shallow", "32_plane", "33_curves", "34_pictures",
    "41_over_unlearning", "42_prototypes", "43_embeddings", "44_two_definitions", "51_residual", "52_request",
    "53_reconstruction", "61_grid",
]  # fmt: skip
"""Notebooks of studies that have not been run since the network changed: their renderings show no outputs."""


@pytest.mark.skipif(
    not (ROOT / "results" / "digits" / "tables" / "summary.csv").is_file(), reason="needs one `make figures`"
)
@names
def test_run_all_works_after_one_make_figures(path, tmp_path):
    """From the notebooks' folder, as JupyterLab does it."""
    needed = ROOT / "results" / "digits" / NEEDS.get(path.stem, "tables")
    if not needed.exists():
        pytest.skip("needs its study")
    copied = ROOT / "notebooks" / f".{path.stem}.test.ipynb"
    jupytext.write(jupytext.read(path), copied)
    try:
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", str(tmp_path)]
        done = subprocess.run([*command, str(copied)], cwd=tmp_path, capture_output=True, text=True, check=False)
    finally:
        copied.unlink()
    assert done.returncode == 0, done.stderr


@names
def test_by_hand_a_notebook_writes_to_scratch(path):
    given = parameters(path)
    assert given["out"].startswith("results/scratch/") if "out" in given else given["base"][0] == "scratch"

"""The library alone: what a wheel holds, and what can be imported without torch, plots or the workflow."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from setuptools import find_packages

from lfcore.core.paths import ROOT

ALONE = [
    "lfcore",
    "lfcore.core.checkpoint",
    "lfcore.core.data",
    "lfcore.stages.evaluate",
    "lfcore.stages.summary",
    "lfcore.statistics.claims",
]
ALONE += [
    "lfcore.core.records",
    "lfcore.core.tables",
    "lfcore.geometry.similarity",
    "lfcore.workflow.studies",
    "lfcore.statistics.setting_choice",
    "lfcore.plots.html_table",
    "lfcore.stages.per_example",
]
HEAVY = ("torch", "torchvision", "matplotlib", "snakemake", "yaml", "jsonschema", "IPython", "duckdb")


def test_a_wheel_holds_every_folder_of_plug_ins():
    """As pyproject.toml asks setuptools to find them."""
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "lfcore").rglob("*.py")}
    assert folders == set(find_packages(ROOT, include=["lfcore*"]))
    assert {"lfcore.unlearners", "lfcore.metrics", "lfcore.probes", "lfcore.attacks", "lfcore.datasets"} <= folders


def test_no_file_is_over_250_lines_and_no_function_over_50():
    long = []
    for path in sorted((ROOT / "lfcore").rglob("*.py")):
        text, name = path.read_text(), path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > 250:
            long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                long += [f"{name}: {node.name} has {lines} lines"] if lines > 50 else []
    assert not long, "\n".join(long)


def test_imports_point_down_only():
    """import-linter's contract of pyproject.toml, whose layers are the wings."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_packages_import_nothing_themselves():
    """The search for a rule's inputs does not follow packages. lfcore itself imports `audit` only when it is asked."""
    for path in (ROOT / "lfcore").rglob("__init__.py"):
        found = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not found, path


def test_measuring_needs_no_torch_and_no_plots(trained):
    """Predictions are the interface: from them everything is measured with numpy, pandas, scikit-learn and scipy."""
    metrics = [path.stem for path in (ROOT / "lfcore" / "metrics").glob("*.py") if path.stem != "__init__"]
    code = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
for name in {ALONE + [f"lfcore.metrics.{name}" for name in metrics]!r}:
    importlib.import_module(name)
from lfcore.stages.evaluate import evaluate
folder = {str(trained)!r}
table = evaluate(dataset=folder + "/dataset.safetensors", forget_set=folder + "/4_half.json", network="cnn",
    unlearner="original", seeds=[0], folders=[folder + "/original"], originals=[folder + "/original"],
    original_seeds=[0, 1], retrained=[folder + "/retrained"], reference_seeds=[0, 1], floor_seeds=[2],
    metrics=["accuracy", "discrepancy"], out=folder + "/alone")
print(len(table))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def offline(code, log, **more):
    """Run code in a process that may not leave this machine and notes whom it would have talked to in `log`."""
    place = os.pathsep.join([str(ROOT / "tests" / "offline"), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": place, "OFFLINE": str(log), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, **more)


def test_the_library_asks_nobody(trained, tmp_path):
    """From data to the page of an audit, with every module imported. It may talk within this machine, as to kernels."""
    log = tmp_path / "talked"
    code = f"""
import importlib, pkgutil, lfcore
for found in pkgutil.walk_packages(lfcore.__path__, "lfcore."):
    importlib.import_module(found.name)
from pathlib import Path
from lfcore.core import checkpoint, data
from lfcore.datasets._load import load
from lfcore.models import networks
from lfcore.plots import style
from lfcore.stages import evaluate, unlearn
from lfcore.statistics import summary
folder, out = Path({str(trained)!r}), Path({str(tmp_path)!r})
load("digits")
everything = data.read(folder / "dataset.safetensors")
common = dict(dataset=folder / "dataset.safetensors", forget_set=folder / "4_half.json", network="cnn")
options = {{"lr": 0.001, "epochs": 1, "batch_size": 64}}
unlearn.unlearn(**common, unlearner="ascent", seeds=[0], options=options, device="cpu", originals=[folder / "original"],
    out=out / "ascent")
table = evaluate.evaluate(**common, unlearner="ascent", seeds=[0], folders=[out / "ascent"],
    originals=[folder / "original"], original_seeds=[0], retrained=[folder / "retrained"], reference_seeds=[0, 1],
    floor_seeds=[2], metrics=["accuracy", "discrepancy"], out=out / "measured")
summary.summarize(table)
figure, axis = style.plt.subplots()
style.save(figure, out / "figure")
def model(place):
    return checkpoint.read([place], 0, networks.build("cnn", 1, 10, seed=0, stage="blank"))
rows = everything.train[:200]
forget = [int(row) for row in range(200) if everything.labels[rows[row]] == 4]
lfcore.audit(model(folder / "original"), model(out / "ascent"), (everything.images[rows], everything.labels[rows]),
    forget, retrained=[model(folder / "retrained")]).save(out / "audit.html")
print("done")
"""
    done = offline(code, log)
    assert done.stdout.endswith("done\n") and (tmp_path / "audit.html").stat().st_size > 10_000, done.stderr
    assert not log.exists(), log.read_text()


def test_a_process_that_would_leave_the_machine_is_noted(tmp_path):
    """So that the test above can fail."""
    for code in (
        "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "import urllib.request; urllib.request.urlopen('http://example.org')",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "from lfcore.datasets._load import load; load('mnist', 'results/nowhere', download=True)",
    ):
        log = tmp_path / "talked"
        assert offline(code, log).returncode and log.read_text().count("\n") >= 1, code
        log.unlink()
    assert offline("import socket; socket.create_server(('127.0.0.1', 0))", tmp_path / "none").returncode == 0

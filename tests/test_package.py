"""The library alone: what a wheel holds, and what can be imported without torch, plots or the workflow."""

import subprocess
import sys

from setuptools import find_packages

from lfcore.paths import ROOT

ALONE = ["lfcore", "lfcore.checkpoint", "lfcore.data", "lfcore.evaluate", "lfcore.summary", "lfcore.claims"]
ALONE += [
    "lfcore.records",
    "lfcore.tables",
    "lfcore.similarity",
    "lfcore.studies",
    "lfcore.tuning",
    "lfcore.notebook",
    "lfcore.examples",
]
HEAVY = ("torch", "torchvision", "matplotlib", "seaborn", "snakemake", "yaml", "jsonschema", "IPython", "duckdb")


def test_a_wheel_holds_every_folder_of_plug_ins():
    """As pyproject.toml asks setuptools to find them."""
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / "lfcore").rglob("*.py")}
    assert folders == set(find_packages(ROOT, include=["lfcore*"]))
    assert {"lfcore.unlearners", "lfcore.metrics", "lfcore.probes", "lfcore.attacks", "lfcore.datasets"} <= folders


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
from lfcore.evaluate import evaluate
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

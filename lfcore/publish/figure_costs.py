"""What each figure takes, from nothing, and once its tables are there: a table for the README, from a finished run.

Minutes are of the jobs that a figure needs, added up as if one ran after the other: papermill's time of each notebook,
its start included. Memory is the largest of a training or unlearning job (Snakemake's benchmarks, in `costs.csv`); disk
is what its models, predictions and measurements take. Figures of one study share its jobs.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lfcore.core import tables
from lfcore.core.paths import ROOT
from lfcore.workflow import studies
from lfcore.workflow.notebooks import parameters

TABLES = {"summary", "measurements", "claims", "costs", "arrays", "folders"}
"""Parameters by which a figure's notebook asks for what a study measured."""


def measure(config: dict) -> pd.DataFrame:
    """A row for each figure that the results of `config` have, with all its jobs.

    Columns: figure, study, jobs, minutes (of all its jobs), own (minutes of its notebook alone), memory_mb (NaN where
    nothing is trained or unlearned), disk_mb.
    """
    results, rows = ROOT / "results" / config["profile"], []
    for name, study in studies.read(config).items():
        ending = f"-{name}" if name else ""
        for figure in study.figures:
            drawn = results / "executed" / f"{figure}.ipynb"
            if not drawn.is_file():
                continue
            jobs, used, memory = [drawn, results / "executed" / "01_data.ipynb"], [results / "data"], float("nan")
            asked = set(parameters(f"notebooks/{figure.split('-')[0]}.py"))
            if asked & TABLES and not study.experiments:
                costs = tables.read(results / f"tables{ending}" / "costs.csv")
                costs = costs[costs["kind"] == "job"]
                memory = costs["peak_mb"].max()
                made = [job.replace(" ", "/") for job in costs["name"]]
                used += [results / "models" / job for job in made]
                jobs += [_executed(results, job) for job in made] + [results / "executed" / f"05_summary{ending}.ipynb"]
                for network in config["networks"]:
                    for place in (f"{network}/{forget}/{row}" for forget in study.forget_sets for row in study.rows):
                        jobs.append(results / "executed" / "04_evaluate" / f"{place}.ipynb")
                        jobs += [results / "executed" / f"07_probe{ending}" / f"{place}.ipynb"] if study.probes else []
                        used += [results / "measurements" / f"{place}{kind}" for kind in (".csv", ".npz")]
            jobs += [results / "executed" / "08_experiment" / f"{each}.ipynb" for each in study.experiments]
            if not all(path.is_file() for path in jobs):
                continue  # drawn by hand, or its study was not run to the end
            rows.append([figure, name, len(jobs), _minutes(jobs), _minutes([drawn]), memory, _megabytes(used)])
    return pd.DataFrame(rows, columns=["figure", "study", "jobs", "minutes", "own", "memory_mb", "disk_mb"])


def _executed(results: Path, job: str) -> Path:
    stage = "02_train" if job.split("/")[2] in ("original", "retrained") else "03_unlearn"
    return results / "executed" / stage / f"{job}.ipynb"


def _minutes(notebooks: Iterable[Path]) -> float:
    found = (json.loads(path.read_text())["metadata"]["papermill"]["duration"] for path in notebooks)
    return sum(found) / 60


def _megabytes(paths: Iterable[Path]) -> float:
    files = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6

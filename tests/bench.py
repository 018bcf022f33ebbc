"""What a job costs before it does anything, beside an empty notebook that imports torch. Run by `make bench`.

Prints CPU seconds, the median and range of several runs in turn, and their ratio. Needs a finished default profile.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

from lfcore.paths import ROOT

RUNS = 5


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of a command and its children."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Time the empty notebook and every kind of job, with no seed to work on, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        empty = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import torch")])
        empty.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(empty, Path(folder) / "empty.ipynb")
        out = Path(folder) / "out.ipynb"
        papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", "--no-log-output"]
        idle = ["-y", "{seeds: []}"]
        jobs = {
            "empty notebook that imports torch": [*papermill, str(Path(folder) / "empty.ipynb"), str(out)],
            "02_train, no seed": [*papermill, "results/digits/notebooks/02_train.ipynb", str(out), *idle],
            "03_unlearn, no seed": [*papermill, "results/digits/notebooks/03_unlearn.ipynb", str(out), *idle],
        }
        seconds = {name: [] for name in jobs}
        for run in range(RUNS + 1):
            for name, command in jobs.items():
                spent = cpu_seconds(command)
                if run:  # the first warms the disk cache
                    seconds[name].append(spent)
    base = statistics.median(next(iter(seconds.values())))
    print("job,cpu_seconds_median,min,max,ratio_to_empty")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name},{median:.2f},{min(values):.2f},{max(values):.2f},{median / base:.2f}")


if __name__ == "__main__":
    main()

"""The stage that experiments: one condition, from training to a table, whose models serve nothing else."""

from pathlib import Path

import pandas as pd

from lfcore import experiments
from lfcore.core import data, plugins, tables
from lfcore.core.seeds import make_deterministic


def run(
    *, dataset: str | Path, experiment: str, seeds: list[int], options: dict, device: str, out: str | Path
) -> pd.DataFrame:
    """Run `lfcore/experiments/<experiment>.py`, or a variant of it, and return its table.

    Writes the table to `out`.csv, with the columns `experiment` and one for each option that is one value, and the
    arrays it keeps to `out`.npz.
    """
    make_deterministic(device)
    found = plugins.find(experiments, "experiment", experiment.split("-")[0])
    table, kept = found.experiment(data.read(dataset), seeds=seeds, device=device, **options)
    condition = {name: value for name, value in options.items() if not isinstance(value, dict | list)}
    table = table.assign(experiment=experiment, **condition)
    tables.write(table, f"{out}.csv")
    tables.write_arrays(kept, f"{out}.npz")
    return table

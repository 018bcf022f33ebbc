"""The stage that measures: one unlearner, one forget set, from predictions alone."""

from collections.abc import Iterator
from pathlib import Path

from lfcore import metrics as metric_files
from lfcore.core import checkpoint, data, plugins, tables
from lfcore.core.run import Predictions, Row, Run, read_predictions
from lfcore.geometry.similarity import mean_similarity


def find(metric: str):
    """The module of `metric`, a file in `lfcore/metrics`."""
    return plugins.find(metric_files, "metric", metric)


def read_run(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    unlearner: str,
    seeds: list[int],
    folders: list[str | Path],
    originals: list[str | Path],
    original_seeds: list[int],
    retrained: list[str | Path],
    reference_seeds: list[int],
    floor_seeds: list[int],
) -> tuple[Run, Predictions]:
    """What metrics measure: one unlearner's models beside the floor's, and the retrained ones to compare them with.

    unlearner "original" (nothing was done) and "retrained" (the floor) are read like any other.
    """
    everything = data.read(dataset, images=False)
    removed = data.read_forget(forget_set, everything)
    made = {"forget_set": removed.name, "network": network, "data": data.fingerprint(dataset)}
    checkpoint.check(folders, seeds, unlearner=unlearner, **made)
    checkpoint.check(originals, original_seeds, unlearner="original", **made)
    checkpoint.check(retrained, [*reference_seeds, *floor_seeds], unlearner="retrained", **made)
    originally = read_predictions(originals, original_seeds)
    run = Run(
        predictions=read_predictions(folders, seeds),
        originals=originally,
        floor=read_predictions(retrained, floor_seeds),
        is_floor=unlearner == tables.FLOOR,
        labels=everything.labels,
        classes=everything.classes,
        forget_set=removed,
        test=everything.test,
        similarity=mean_similarity(originally, removed.forget, scattered=removed.affected is None),
        images=lambda: data.read(dataset).images,
    )
    return run, read_predictions(retrained, reference_seeds)


def evaluate(*, network: str, unlearner: str, metrics: list[str], out: str | Path, **where):
    """Measure one unlearner against the retrained models of `reference_seeds`, beside those of `floor_seeds`.

    where: the other arguments of `read_run`.

    Writes the tidy table to `out`.csv (columns in `core.tables.COLUMNS`) and every per-example array to `out`.npz;
    returns the table.
    """
    run, reference = read_run(network=network, unlearner=unlearner, **where)
    modules = [find(metric) for metric in metrics]
    rows: Iterator[Row] = (row for module in modules for row in module.measure(run, reference))
    table = tables.tidy(rows, forget_set=run.forget_set.name, network=network, unlearner=unlearner)
    arrays = {"similarity": run.similarity}
    for module in modules:
        if hasattr(module, "per_example"):
            arrays |= module.per_example(run, reference)
    tables.write_arrays(arrays, f"{out}.npz")
    tables.write(table, f"{out}.csv")
    return table

"""The stage that measures: the unlearners of one forget set, from predictions alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lfcore import metrics as metric_files
from lfcore.core import checkpoint, data, plugins, tables
from lfcore.core.run import Predictions, Row, Run, read_predictions
from lfcore.geometry.similarity import mean_similarity


def find(metric: str):
    """The module of `metric`, a file in `lfcore/metrics`."""
    return plugins.find(metric_files, "metric", metric)


def read_common(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    originals: list[str | Path],
    original_seeds: list[int],
    retrained: list[str | Path],
    reference_seeds: list[int],
    floor_seeds: list[int],
) -> tuple[Run, Predictions]:
    """What every unlearner of a forget set is measured with: a run of the originals, and the reference models."""
    everything = data.read(dataset, images=False)
    removed = data.read_forget(forget_set, everything)
    made = {"forget_set": removed.name, "network": network, "data": data.fingerprint(dataset)}
    checkpoint.check(originals, original_seeds, unlearner="original", **made)
    checkpoint.check(retrained, [*reference_seeds, *floor_seeds], unlearner="retrained", **made)
    originally = read_predictions(originals, original_seeds)
    run = Run(
        predictions=originally,
        originals=originally,
        floor=read_predictions(retrained, floor_seeds),
        is_floor=False,
        labels=everything.labels,
        classes=everything.classes,
        forget_set=removed,
        test=everything.test,
        similarity=mean_similarity(originally, removed.forget, scattered=removed.affected is None),
        images=lambda: data.read(dataset).images,
    )
    return run, read_predictions(retrained, reference_seeds)


def read_runs(
    unlearners: dict[str, tuple[list[str | Path], list[int]]], *, dataset: str | Path, network: str, **where
) -> Iterator[tuple[str, Run, Predictions]]:
    """Each unlearner's name, its models beside the floor's, and the retrained ones to compare them with.

    unlearners: by name, the folders of its models and their seeds; "original" (nothing was done) and "retrained" (the
    floor) are read like any other. where: the other arguments of `read_common`.
    """
    common, reference = read_common(dataset=dataset, network=network, **where)
    made = {"forget_set": common.forget_set.name, "network": network, "data": data.fingerprint(dataset)}
    for unlearner, (folders, seeds) in unlearners.items():
        checkpoint.check(folders, seeds, unlearner=unlearner, **made)
        own = read_predictions(folders, seeds)
        yield unlearner, replace(common, predictions=own, is_floor=unlearner == tables.FLOOR), reference
        for key in [key for key, (read, _) in common.memo.items() if any(each is own for each in read)]:
            del common.memo[key]  # the rest of the memo is of what all share


def evaluate_all(unlearners, *, network: str, metrics: list[str], out: dict[str, str | Path], **where):
    """Measure each unlearner against the retrained models of `reference_seeds`, beside those of `floor_seeds`.

    unlearners and where: the arguments of `read_runs`. Writes, for each, the tidy table to `out[name]`.csv (columns in
    `core.tables.COLUMNS`) and every per-example array to `out[name]`.npz; returns the tables, in one.
    """
    modules, measured = [find(metric) for metric in metrics], []
    for unlearner, run, reference in read_runs(unlearners, network=network, **where):
        rows: Iterator[Row] = (row for module in modules for row in module.measure(run, reference))
        table = tables.tidy(rows, forget_set=run.forget_set.name, network=network, unlearner=unlearner)
        arrays = {"similarity": run.similarity}
        for module in modules:
            if hasattr(module, "per_example"):
                arrays |= module.per_example(run, reference)
        tables.write_arrays(arrays, f"{out[unlearner]}.npz")
        tables.write(table, f"{out[unlearner]}.csv")
        measured.append(table)
    return pd.concat(measured, ignore_index=True)


def evaluate(*, unlearner: str, seeds: list[int], folders: list[str | Path], out: str | Path, **where):
    """Measure one unlearner. where: the other arguments of `evaluate_all`."""
    return evaluate_all({unlearner: (folders, seeds)}, out={unlearner: out}, **where)

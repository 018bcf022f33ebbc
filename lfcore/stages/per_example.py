"""What each example says, model by model: a Parquet file for each unlearner on a forget set, read where they lie.

    <folder>/network=cnn/forget_set=4_50/unlearner=ltd/part.parquet

A folder of such files is one table, partitioned as Hive does it, which DuckDB, pandas, polars, Spark and R read alike.
A row is one example under one model. Beside each metric's own columns (`per_example` of a file in `lfcore/metrics`)
it has

    seed        of the model
    example     the row number in the data set
    split       forget, retain or test
    label       the true class
    classes     affected or other: whether that is the class that loses examples
    similarity  to the forget set, averaged over the originals, so that every model shares it
    bin         0 (farthest) to 9 (nearest): bins of equal count within the split and `classes`
    place       near (the nearest fifth), far (the farthest half) or between, within the same; `geometry.locality`

DuckDB and not pyarrow: where pyarrow is installed, pandas imports it in every job and keeps text in it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import records
from lfcore.core.errors import InputError
from lfcore.core.parquet import connect
from lfcore.core.paths import atomic
from lfcore.core.run import Run
from lfcore.geometry.locality import far, near
from lfcore.geometry.similarity import equal_count_bins
from lfcore.stages.evaluate import find, read_runs

BINS = 10
SPLITS, CLASSES, PLACES = ["forget", "retain", "test"], ["affected", "other"], ["near", "between", "far"]


def measure(*, unlearner: str, seeds: list[int], folders: list[str | Path], metrics: list[str], **where):
    """The rows of one unlearner on one forget set, from predictions alone. where: the arguments of `read_common`."""
    ((_, run, reference),) = read_runs({unlearner: (folders, seeds)}, **where)
    arrays: dict[str, np.ndarray] = {}
    for metric in metrics:
        if not hasattr(find(metric), "per_example"):
            raise InputError(f"The metric {metric} has no value for each example: take it out of per_example.")
        arrays |= find(metric).per_example(run, reference)
    return table(run, arrays)


def table(run: Run, arrays: dict[str, np.ndarray]) -> pd.DataFrame:
    """The rows of `run`, ordered by seed and example. arrays: (seeds, n), or (n,) if every seed shares it."""
    parts = [_places(run, split, rows) for split, rows in run.splits.items()]
    one = pd.concat(parts, ignore_index=True).sort_values("example", ignore_index=True)
    seeds = run.predictions.seeds
    rows = pd.concat([one] * len(seeds), ignore_index=True)
    rows.insert(0, "seed", np.repeat(np.array(seeds, dtype=np.int32), len(one)))
    for name, values in arrays.items():
        values = np.broadcast_to(values, (len(seeds), len(run.labels)))[:, one["example"]]
        rows[name] = values.astype(np.float32).ravel()
    for name, known in {"split": SPLITS, "classes": CLASSES, "place": PLACES}.items():
        rows[name] = pd.Categorical.from_codes(rows[name], known)
    return rows


def _places(run: Run, split: str, rows: np.ndarray) -> pd.DataFrame:
    """What every seed shares, of the examples of one split; names as their positions in SPLITS, CLASSES and PLACES."""
    parts = []
    for classes in CLASSES:
        members = run.of_classes(rows)[classes]
        similarity = run.similarity[members]
        place = np.full(len(members), PLACES.index("between"), dtype=np.int8)
        place[near(similarity)], place[far(similarity)] = PLACES.index("near"), PLACES.index("far")
        columns = {
            "example": members.astype(np.int32),
            "split": np.int8(SPLITS.index(split)),
            "label": run.labels[members].astype(np.int16),
            "classes": np.int8(CLASSES.index(classes)),
            "similarity": similarity.astype(np.float32),
            "bin": equal_count_bins(similarity, BINS).astype(np.int8),
            "place": place,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def write(rows: pd.DataFrame, path: str | Path) -> None:
    """Write rows as one Parquet file, their hash beside it; equal rows are equal bytes."""
    with atomic(path) as partial, connect() as database:
        database.register("rows", rows)
        quoted = str(partial).replace("'", "''")
        database.execute(f"COPY rows TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")
        records.seal(path, partial)

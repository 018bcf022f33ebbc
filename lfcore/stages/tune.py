"""The stage that tunes: every setting of one method's grid on one forget set, in one job."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import checkpoint, data, tables
from lfcore.core.errors import Diverged
from lfcore.core.run import Predictions, Run, read_predictions
from lfcore.core.seeds import make_deterministic
from lfcore.metrics import accuracy, average_gap
from lfcore.models import networks, predict
from lfcore.training.fit import Loop
from lfcore.unlearners._apply import apply, check_options, choose_sets

MEASURES = {
    "UA": ("accuracy", "forget"),
    "RA": ("accuracy", "retain"),
    "TA": ("accuracy", "test"),
    "RA_aff": ("accuracy", "retain"),
    "TA_aff": ("accuracy", "test"),
    "average_gap": ("average_gap", "all"),
    "affected_gap": ("affected_gap", "all"),
}


def tune(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    unlearner: str,
    grid: list[dict],
    seeds: list[int],
    device: str,
    originals: list[str | Path],
    retrained: list[str | Path],
    reference_seeds: list[int],
    out: str | Path,
    loop: dict | None = None,
) -> pd.DataFrame:
    """Unlearn with every setting of `grid` from the original of each seed, and write what came out to `out`.

    Columns: forget_set, unlearner, setting (its number in the grid), options (JSON), seed, the MEASURES in percentage
    points, steps, steps_aside and cpu_seconds. A setting that diverges has NaN. The gaps are to the retrained models;
    the paper's rule, which chooses without retraining, does not look at them. loop: options of `training.fit.Loop`.
    """
    make_deterministic(device)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything)
    seen = choose_sets(unlearner, everything, removed, device, grid[0] if grid else None)
    made = {"forget_set": removed.name, "network": network, "data": data.fingerprint(dataset)}
    checkpoint.check(originals, seeds, unlearner="original", **made)
    checkpoint.check(retrained, reference_seeds, unlearner="retrained", **made)
    reference = read_predictions(retrained, reference_seeds)
    how, rows, memo = Loop(**(loop or {})), [], {}  # what is known of the retrained models serves every setting
    for number, options in enumerate(grid):
        check_options(unlearner, options)
        for seed in seeds:
            place = [removed.name, unlearner, number, json.dumps(options), seed]
            try:
                start = networks.read(originals, seed, network, everything, device)
                result, took = apply(unlearner, start, seen, seed, options, how)
                predictions = predict.predict(result.model, everything.images, device)
                values = _measure(predictions, everything, removed, reference, memo)
            except Diverged:
                rows.append([*place, *[np.nan] * (len(MEASURES) + 3)])
                continue
            rows.append([*place, *values, took["steps"], took["steps_aside"], took["cpu_seconds"]])
    names = ["forget_set", "unlearner", "setting", "options", "seed", *MEASURES, "steps", "steps_aside", "cpu_seconds"]
    table = pd.DataFrame(rows, columns=names)
    tables.write(table, out)
    return table


def _measure(predictions: dict[str, np.ndarray], everything, removed, reference, memo: dict) -> list[float]:
    one = Predictions((0,), predictions["logits"][None], predictions["features"][None])
    run = Run(
        predictions=one,
        originals=one,
        floor=one,
        is_floor=False,
        labels=everything.labels,
        classes=everything.classes,
        forget_set=removed,
        test=everything.test,
        similarity=np.zeros(len(everything.labels)),
        memo=memo,
    )
    rows = [row for metric in (accuracy, average_gap) for row in metric.measure(run, reference)]
    values = {(row.metric, row.split, row.scope, row.key): row.value for row in rows if row.seed == 0}
    affected = ("class", str(removed.affected))
    wanted = ((*MEASURES[name], *(affected if name in ("RA_aff", "TA_aff") else ("all", ""))) for name in MEASURES)
    return [values.get(place, float("nan")) for place in wanted]  # a whole class has no RA_aff

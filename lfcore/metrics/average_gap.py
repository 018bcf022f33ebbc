"""How far the global numbers are from retraining: the mean absolute deviation over UA, RA, TA and MIA.

2605.31317, sec. 5. `average_gap` uses all four, `average_gap_without_mia` only UA, RA and TA, `affected_gap` UA, RA and
TA of the affected class. In percentage points, twice: each unlearned seed against the mean of the retrained models
(reference "retrained", which is not 0 even for a retrained model), and, as the paper computes it, the seeds' mean
against that mean (reference "retrained_mean").

`affected_gap` is over those of its three that there are: a whole class has no RA, and a random set none of them, so no
row.
"""

import numpy as np

from lfcore.core.run import Row, leave_one_out
from lfcore.metrics import accuracy, membership


def _values(predictions, run) -> dict[str, np.ndarray]:
    hits = accuracy.correct(predictions, run.labels)
    everyone = np.stack([100 * hits[:, rows].mean(axis=1) for rows in run.splits.values()])
    members = [run.of_classes(rows)["affected"] for rows in run.splits.values()]
    affected = [100 * hits[:, rows].mean(axis=1) for rows in members if len(rows)]
    return {
        "average_gap": np.vstack([everyone, membership.scores(predictions, run)]),
        "average_gap_without_mia": everyone,
        **({"affected_gap": np.stack(affected)} if affected else {}),
    }


def measure(run, reference):
    """Rows of the metrics "average_gap", "average_gap_without_mia" and "affected_gap", split "all"."""
    targets = {name: values.mean(axis=1, keepdims=True) for name, values in _values(reference, run).items()}
    for name, values in _values(run.predictions, run).items():
        seeds = run.predictions.seeds
        for seed, gap in zip(seeds, np.abs(values - targets[name]).mean(axis=0), strict=True):
            yield Row(seed, "retrained", "all", name, "all", "", float(gap))
        for label, chosen in leave_one_out(seeds):
            mean = values[:, chosen].mean(axis=1, keepdims=True)
            yield Row(label, "retrained_mean", "all", name, "all", "", float(np.abs(mean - targets[name]).mean()))

"""The same statistics with other notions of near: a retrained model's features, and raw pixels.

Ours. Similarity is measured in the original's features, which the method itself changes; a retrained model has never
seen the forget set, and pixels know no network. `localization_retrained`, `spearman_retrained` (cosine in features,
averaged over the reference models) and `localization_pixels`, `spearman_pixels` (cosine of images less the mean train
image). The definitions are those of `discrepancy`.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.geometry.locality import near_minus_far, rank
from lfcore.geometry.similarity import mean_similarity, to_forget_set
from lfcore.metrics import discrepancy


def pixels(run) -> np.ndarray:
    """Similarity to the forget set in centred pixels of every example, (n,)."""
    images = run.images().reshape(len(run.labels), -1)
    train = np.concatenate([run.forget_set.forget, run.forget_set.retain])
    images = images - images[train].mean(axis=0)
    return to_forget_set(images, images[run.forget_set.forget], scattered=run.scattered)


def _distances(run, reference) -> dict[str, np.ndarray]:
    features = mean_similarity(reference, run.forget_set.forget, scattered=run.scattered)
    return {"retrained": features, "pixels": pixels(run)}


def measure(run, reference):
    """Rows of the two statistics by each distance, keys "all", "affected" and "other"."""
    values = discrepancy.per_example(run, reference)["total_variation"]
    above = discrepancy.excess(run, reference)
    distances = run.once("distances", lambda: _distances(run, reference), reference)
    for split in ("retain", "test"):
        for classes, rows in run.of_classes(run.splits[split]).items():
            for name, place in distances.items():
                for position, seed in enumerate(run.predictions.seeds):
                    gap = near_minus_far(place[rows], values[position][rows])
                    order = rank(place[rows], above[position][rows])
                    yield Row(seed, "retrained", split, f"localization_{name}", "range", classes, gap)
                    yield Row(seed, "retrained", split, f"spearman_{name}", "range", classes, order)

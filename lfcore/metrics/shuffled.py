"""The same statistics with a forget set that was never forgotten: similarity to a random set of the same size.

Ours. If damage looked as localized around DRAWS random sets of train examples as around the real one, it would not be
about the forget set. `shuffled_localization` and `shuffled_spearman` are the averages over the draws, among the other
classes and among all; the draws are the same for every unlearner. A random forget set is one more of their kind.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.core.seeds import number
from lfcore.geometry.locality import near_minus_far, rank
from lfcore.geometry.similarity import mean_similarity
from lfcore.metrics import discrepancy

DRAWS = 20


def random_sets(run) -> list[np.ndarray]:
    """DRAWS sets of train rows, each as large as the forget set, from the stream of the forget set's name."""
    draw = np.random.default_rng(number(0, f"shuffled {run.forget_set.name}", "rows"))
    train = np.sort(np.concatenate([run.forget_set.forget, run.forget_set.retain]))
    return [draw.choice(train, size=len(run.forget_set.forget), replace=False) for _ in range(DRAWS)]


def _places(run) -> list[np.ndarray]:
    return [mean_similarity(run.originals, rows, scattered=run.scattered) for rows in random_sets(run)]


def measure(run, reference):
    """Rows of `shuffled_localization` and `shuffled_spearman`, keys "all" and "other"."""
    values = discrepancy.per_example(run, reference)["total_variation"]
    above = discrepancy.excess(run, reference)
    places = run.once("shuffled", lambda: _places(run), run.originals)
    for split in ("retain", "test"):
        parts = run.of_classes(run.splits[split])
        for classes in ("all", "other"):
            rows = parts[classes]
            for position, seed in enumerate(run.predictions.seeds):
                gaps = [near_minus_far(place[rows], values[position][rows]) for place in places]
                ranks = [rank(place[rows], above[position][rows]) for place in places]
                yield Row(seed, "retrained", split, "shuffled_localization", "range", classes, float(np.mean(gaps)))
                yield Row(seed, "retrained", split, "shuffled_spearman", "range", classes, float(np.mean(ranks)))

"""Linear CKA: how alike two models' penultimate features are, whatever their rotation and scale.

Kornblith et al., 1905.00414, sec. 3. With X and Y the features of the same examples, each column centred:

    CKA(X, Y) = |Y'X|_F^2 / (|X'X|_F |Y'Y|_F)        in [0, 1]

`cka_original` is between an unlearned model and the original of its seed, `cka_retrained` the mean over the reference
models. Both are on the forget, retain and test examples, centred within each. NaN where features do not vary at all.

A high `cka_original` is often read as knowledge left over. By itself it says little: models trained apart on nearly
the same data are alike too, so compare with the row `retrained`, whose models are paired with the originals in turn
though they share nothing with them. And with about as few examples as features, as in a small forget set, even
unrelated features have a high one: compare within a split only.
"""

import numpy as np

from lfcore.core.run import Row


def center(features: np.ndarray) -> np.ndarray:
    """Features, (n, width), less their mean, in float64."""
    features = features.astype(np.float64)
    return features - features.mean(axis=0)


def size(features: np.ndarray) -> float:
    """|X'X|_F of centred features."""
    return np.linalg.norm(features.T @ features)


def cka(one: np.ndarray, other: np.ndarray, sizes: tuple[float, float] | None = None) -> float:
    """Linear CKA of two centred feature matrices of the same examples, (n, width) and (n, other width).

    sizes: their `size`, if known.
    """
    first, second = sizes or (size(one), size(other))
    norm = first * second
    return float(np.linalg.norm(other.T @ one) ** 2 / norm) if norm > 0 else float("nan")


def centered(predictions, rows: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Each model's centred features of these rows, and their size."""
    return [(one, size(one)) for one in (center(features[rows]) for features in predictions.features)]


def measure(run, reference):
    """Rows of "cka_original" and "cka_retrained" on each split."""
    for split, rows in run.splits.items():
        originals = run.once(f"cka {split}", lambda rows=rows: centered(run.originals, rows), run.originals)
        targets = run.once(f"cka {split}", lambda rows=rows: centered(reference, rows), reference)
        for position, (seed, features) in enumerate(zip(run.predictions.seeds, run.predictions.features, strict=True)):
            model = center(features[rows])
            own, (original, its) = size(model), originals[position % len(originals)]
            yield Row(seed, "", split, "cka_original", "all", "", cka(model, original, (own, its)))
            retrained = np.mean([cka(model, target, (own, each)) for target, each in targets])
            yield Row(seed, "retrained", split, "cka_retrained", "all", "", float(retrained))

"""How deep does the forgetting go: what do the penultimate features still say of the forget set?

All from predictions, each beside its value for retrained models, which forgot nothing and have it anyway.

    spread_ratio        mean ||f(x) - mean f||^2 over D_f by the same over D_r, each about its own mean; 0 for a point
    feature_norm_ratio  mean ||f(x)||_2 over D_f by the mean over D_r; logit_norm_ratio: of the logits m(x)
    feature_norm, logit_norm    the means themselves, on each split; small logits need no small features
    entropy             of the softmax, mean in nats, on each split; `entropy_bound`: log C - sqrt(2) ||m(x)||_2, mean,
                        which it is never below (`lfcore.unlearners.opc`)
    linear_probe        accuracy in percent on D_f of a multinomial logistic regression on standardised features,
                        trained on the *test* examples with their labels, which no model saw in training
    nonlinear_probe     likewise, of a support-vector classifier with a radial kernel

That is the key "test" of their scope "trained". Key "within": trained and tested within the forget set, in five folds,
each standardised by itself, so that neither scale nor place of a contracted set matters; there are such rows only for a
set of several classes. A single class has nothing within to tell apart, and contracted to one point it is the easier to
tell from the others.

The one point, the norms and the entropy are those of OPC (2507.07754), whose auxiliary classifier is a linear probe;
the ratios, the test examples as training data, the second probe and the folds are ours. `cka` and
`lfcore.probes.layers` say how far the features are from the original's.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lfcore.core.run import Row
from lfcore.core.seeds import number

FOLDS = 5
PROBES = {
    "linear_probe": lambda: LogisticRegression(C=1.0, max_iter=1000),
    "nonlinear_probe": lambda: SVC(C=10.0, kernel="rbf", gamma="scale"),
}


def spread(features: np.ndarray) -> float:
    """Mean squared distance of features (n, width) to their mean."""
    features = features.astype(np.float64)
    return float(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean())


def norms(values: np.ndarray) -> np.ndarray:
    """The l2 norm of each row of `values` (n, width), float64 (n,)."""
    return np.linalg.norm(values.astype(np.float64), axis=1)


def ratio(one: float, other: float) -> float:
    """one / other; NaN if there is nothing to divide by."""
    return one / other if other > 0 else float("nan")


def classifier(name: str):
    """The probe of that name, untrained, with its own standardisation of every feature."""
    return make_pipeline(StandardScaler(), PROBES[name]())


def probe(name: str, features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """Accuracy in percent on the rows `test` of a probe trained on the rows `train`. features: (n, width)."""
    features = features.astype(np.float64)
    return 100 * classifier(name).fit(features[train], labels[train]).score(features[test], labels[test])


def probe_within(name: str, features: np.ndarray, labels: np.ndarray, forget_set) -> float:
    """Accuracy in percent on the forget set, each fifth of it by a probe trained on the others; NaN for one class.

    Classes with fewer than FOLDS examples are left out.
    """
    rows = forget_set.forget
    classes, counts = np.unique(labels[rows], return_counts=True)
    rows = rows[np.isin(labels[rows], classes[counts >= FOLDS])]
    if (counts >= FOLDS).sum() < 2:
        return float("nan")
    seed = number(0, f"depth {forget_set.name}", "folds") % 2**32
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return 100 * float(
        cross_val_score(classifier(name), features[rows].astype(np.float64), labels[rows], cv=folds).mean()
    )


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of `probabilities` (n, classes)."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)


def measure(run, reference):
    """Rows of the measures above."""
    forget, retain = run.forget_set.forget, run.forget_set.retain
    models = zip(run.predictions.seeds, run.predictions.logits, run.predictions.features, strict=True)
    for position, (seed, logits, features) in enumerate(models):
        sizes = {"feature_norm": norms(features), "logit_norm": norms(logits)}
        of_all = {
            **sizes,
            "entropy": entropy(run.predictions.probabilities[position]),
            "entropy_bound": np.log(run.classes) - np.sqrt(2) * sizes["logit_norm"],
        }
        for split, rows in run.splits.items():
            for name, values in of_all.items():
                yield Row(seed, "", split, name, "all", "", float(values[rows].mean()))
        ratios = {f"{name}_ratio": ratio(size[forget].mean(), size[retain].mean()) for name, size in sizes.items()}
        ratios["spread_ratio"] = ratio(spread(features[forget]), spread(features[retain]))
        for name, value in ratios.items():
            yield Row(seed, "", "forget", name, "all", "", float(value))
        for name in PROBES:
            from_test = probe(name, features, run.labels, run.test, forget)
            yield Row(seed, "", "forget", name, "trained", "test", from_test)
            within = probe_within(name, features, run.labels, run.forget_set)
            if not np.isnan(within):
                yield Row(seed, "", "forget", name, "trained", "within", within)

"""Do the classes most similar to the affected one lose most accuracy? The axes of the paper's figure 1.

2605.31317, fig. 1 and its MNIST code: the similarity of a class is the cosine between its mean test features and the
affected class's, in the original; here averaged over the originals. "class_correlation" is Pearson's correlation, over
the other classes, of that and the test accuracy that a model lost against the mean of the retrained ones; the paper's r
is of the loss averaged over models, whose noise is smaller.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.metrics.accuracy import correct


def measure(run, reference):
    """On the test examples: `class_similarity`, scope "class", the same for every unlearner, and `class_correlation`.

    The latter has a row for each seed, NaN where all classes lost the same. None for a random forget set, which affects
    no class.
    """
    if run.scattered:
        return
    labels = run.labels[run.test]
    classes = np.unique(labels)
    means = np.stack([run.originals.features[:, run.test[labels == one]].mean(axis=1) for one in classes])
    means = means.astype(np.float64) / np.linalg.norm(means, axis=-1, keepdims=True)
    cosines = (means * means[classes == run.forget_set.affected]).sum(axis=-1).mean(axis=1)
    for one, cosine in zip(classes, cosines, strict=True):
        yield Row("", "", "test", "class_similarity", "class", str(one), float(cosine))
    lost = correct(reference, run.labels).mean(axis=0) - correct(run.predictions, run.labels)
    others = classes != run.forget_set.affected
    by_class = np.stack([lost[:, run.test[labels == one]].mean(axis=1) for one in classes[others]], axis=-1)
    for seed, losses in zip(run.predictions.seeds, by_class, strict=True):
        same = np.ptp(losses) == 0
        value = float("nan") if same else float(np.corrcoef(cosines[others], losses)[0, 1])
        yield Row(seed, "retrained", "test", "class_correlation", "all", "", value)

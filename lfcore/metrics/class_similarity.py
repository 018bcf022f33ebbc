"""How similar is each class to the affected one? The x axis of the paper's figure 1.

2605.31317, fig. 1 and its MNIST code: the cosine between the mean test features of a class and of the affected class,
in the original; here averaged over the originals. One row for each class, the same for every unlearner; none for a
random forget set, which affects no class.
"""

import numpy as np

from lfcore.evaluate import Row


def measure(run, reference):
    """Rows of `class_similarity`, scope "class", on the test examples."""
    if run.scattered:
        return
    labels = run.labels[run.test]
    classes = np.unique(labels)
    means = np.stack([run.originals.features[:, run.test[labels == one]].mean(axis=1) for one in classes])
    means = means.astype(np.float64) / np.linalg.norm(means, axis=-1, keepdims=True)
    cosines = (means * means[classes == run.forget_set.affected]).sum(axis=-1).mean(axis=1)
    for one, cosine in zip(classes, cosines, strict=True):
        yield Row("", "", "test", "class_similarity", "class", str(one), float(cosine))

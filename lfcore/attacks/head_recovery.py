"""Head recovery: does a new linear head on the unlearned features know the forgotten examples?

Threat model: the attacker holds the unlearned body f_u alone, no original, and labelled images to train with, nothing
else. In closed form, with the penalty of `feature_mapping`:

    W, b = argmin sum_{(x, y) in Cal} ||W f_u(x) + b - onehot(y)||^2 + rho (trace(G) / d) ||W||^2

A linear probe, and ours as an attack: reviews of OPC (2507.07754) speak of an auxiliary linear classifier, whose form
is not public. The training images:

    few      the first `per_class` test images of every class, which no model was trained on
    retain   the retained training images; of a whole class none is retained, so nothing is recovered by construction
    all      all training images, those to forget with their labels included

`head_recovery`, scope "calibration": accuracy in percent on the forget set, and on the test examples that are not
among the few (split "test", keys "few/affected", "few/other" …). `head_recovery_random`, with the rows of `original`
only: the same on a network with fresh weights. A high value where a whole class is forgotten says that its images are
alike and unlike others, which a retrained model's features say too; and a class contracted to one point is the easiest
of all to find.
"""

import numpy as np
import torch

from lfcore.attacks.feature_mapping import features, fit_map, measured_on, percent
from lfcore.core.examples import Examples
from lfcore.core.run import Row
from lfcore.core.seeds import number
from lfcore.unlearners.bad_teacher import reinitialise


def choose_few(labels: torch.Tensor, per_class: int) -> torch.Tensor:
    """Whether each example is one of the first `per_class` of its class, bool (n,)."""
    counts = torch.nn.functional.one_hot(labels).cumsum(dim=0)
    return counts.gather(1, labels[:, None])[:, 0] <= per_class


def split_few(test: Examples, per_class: int) -> tuple[Examples, Examples]:
    """The first `per_class` examples of each class, and the others."""
    few = choose_few(test.labels, per_class)
    return test[few], test[~few]


def attack(model, examples, classes: int, rho: float):
    """What the attacker makes of its labelled images: a function from images to scores (n, classes)."""
    targets = np.eye(classes)[examples.labels.cpu().numpy()]
    weights, offset = fit_map(features(model, examples.images), targets, rho)
    return lambda seen: features(model, seen) @ weights + offset


def probe(subject, *, rho: float = 1e-3, per_class: int = 5):
    """Rows of `head_recovery`, and of `head_recovery_random` for the original."""
    models = {"head_recovery": subject.model}
    if subject.unlearner == "original":
        fresh = reinitialise(subject.original, number(subject.seed, "head_recovery", "random network"))
        models["head_recovery_random"] = fresh
    few, rest = split_few(subject.test, per_class)
    known = {"few": few, "retain": subject.retain, "all": subject.retain + subject.forget}
    for metric, model in models.items():
        for name, examples in known.items():
            recover = attack(model, examples, subject.model.head.out_features, rho)
            for (split, ending), shown in measured_on(subject, rest).items():
                found = percent(recover(shown.images), shown.labels)
                yield Row(subject.seed, "", split, metric, "calibration", name + ending, found)

"""Attacks that an audit can be asked for: is what was to be forgotten still in there?

feature_mapping: a linear map from the features of the audited model back to the original's, fitted in closed form on
test examples of other classes (without test rows: on examples that are not forgotten), and the original's head on top
(`lfcore.attacks.feature_mapping`). The head is linear and the ridge regression linear in its targets, so the map is
fitted to the original's logits at once, which gives the same predictions without the head.
relearning: optimizer steps of fine-tuning on the forget set until its loss is low (`lfcore.probes.relearning`).

Every retrained model is attacked too: what it gives away is no knowledge of the forget set.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from lfcore.auditing.collect import Collected
from lfcore.auditing.forward import fit_to, predict
from lfcore.auditing.inputs import Inputs, at_most, batches
from lfcore.auditing.subjects import Subject
from lfcore.core.errors import InputError
from lfcore.core.seeds import number

KNOWN = ("feature_mapping", "relearning")
CALIBRATION, FORGET = 5000, 1000
"""At most so many examples calibrate a map or are attacked; of more, so many are drawn."""


def check(names, subjects: list[Subject]) -> tuple[str, ...]:
    """The attacks' names; InputError for an unknown one, or one that these subjects do not allow."""
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in KNOWN:
            raise InputError(f"There is no attack called {name!r} in an audit: choose from {', '.join(KNOWN)}.")
    for subject in [subject for subject in subjects if subject.network is None]:
        if "feature_mapping" in names and subject.features is None:
            raise InputError(f"feature_mapping needs the {subject.name} model's features: give them beside logits.")
        if "relearning" in names:
            raise InputError(f"relearning trains the {subject.name} model: give the model instead of predictions.")
    return names


def attack(names: tuple[str, ...], inputs: Inputs, collected: Collected, affected: int) -> pd.DataFrame:
    """A row for each model and attack: `model`, `attack`, `measure` and `value`."""
    draw = np.random.default_rng(number(inputs.seed, "audit", "attacks"))
    chosen, table = at_most(inputs.forget, FORGET, draw), []
    if "feature_mapping" in names:
        samples = inputs.samples
        pool = np.setdiff1d(samples.train, inputs.forget) if samples.test is None else samples.test
        rows = at_most(pool[collected.labels[pool] != affected], CALIBRATION, draw)
        table += _map_features(inputs, collected, rows, chosen)
    if "relearning" in names:
        table += _relearn(inputs, chosen)
    return pd.DataFrame(table, columns=["model", "attack", "measure", "value"])


def _map_features(inputs: Inputs, collected: Collected, rows: np.ndarray, chosen: np.ndarray) -> list[tuple]:
    """Accuracy on the rows `chosen`, before and after a map that the `rows` calibrate."""
    from lfcore.attacks.feature_mapping import fit_map

    targets, labels, table = _read(inputs, inputs.original, rows)[0], collected.labels[chosen], []
    for subject in inputs.subjects:
        weights, offset = fit_map(_read(inputs, subject, rows)[1], targets, 1e-3)
        recovered = _read(inputs, subject, chosen)[1] @ weights + offset
        right = 100 * float((recovered.argmax(axis=1) == labels).mean())
        own = 100 * float(collected.right[subject.name][chosen].mean())
        table += [(subject.name, "feature_mapping", "accuracy on the forget set before, percent", own)]
        table += [(subject.name, "feature_mapping", "recovered accuracy on it, percent", right)]
    return table


def _relearn(inputs: Inputs, chosen: np.ndarray) -> list[tuple]:
    """Steps until each model's loss on the rows `chosen` is low."""
    from lfcore.core.examples import Examples
    from lfcore.probes import relearning

    parts = [(images, labels) for _, images, labels in batches(inputs.samples, chosen, inputs.batch_size, True)]
    images = torch.cat([images for images, _ in parts])
    labels = torch.from_numpy(np.concatenate([labels for _, labels in parts])).long()
    table = []
    for subject in inputs.subjects:
        shown = fit_to(subject.network, images)
        forget = Examples(shown, labels.to(shown.device))
        (row,) = relearning.probe(SimpleNamespace(model=subject.network, forget=forget, seed=inputs.seed))
        table.append((subject.name, "relearning", "steps until its loss is low (101: not within 100)", row.value))
    return table


def _read(inputs: Inputs, subject: Subject, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of some rows, float64."""
    parts = batches(inputs.samples, rows, inputs.batch_size, subject.network is not None)
    found = [predict(subject, part, images, inputs.layer) for part, images, _ in parts]
    return tuple(np.concatenate([pair[i] for pair in found]).astype(np.float64) for i in (0, 1))

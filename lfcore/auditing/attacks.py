"""Attacks that an audit can be asked for: is what was to be forgotten still in there?

feature_mapping: a linear map from the features of the audited model back to the original's, fitted in closed form on
test examples of other classes (without test rows: on examples that are not forgotten), and the original's head on top
(`lfcore.attacks.feature_mapping`). The head is linear and the ridge regression linear in its targets, so the map is
fitted to the original's logits at once, which gives the same predictions without the head.
relearning: optimizer steps of fine-tuning on the forget set until its loss is low (`lfcore.probes.relearning`).

Every retrained model is attacked too: what it gives away is no knowledge of the forget set.
"""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from lfcore.auditing.collect import Collected
from lfcore.auditing.forward import predict
from lfcore.auditing.read import Samples, Subject, batches
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
    if "feature_mapping" in names:
        _fit_map()
        for subject in subjects:
            if subject.network is None and subject.features is None:
                raise InputError(f"feature_mapping needs the {subject.name} model's features: give them beside logits.")
    if "relearning" in names:
        for subject in subjects:
            if subject.network is None:
                raise InputError(f"relearning trains the {subject.name} model: give the model instead of predictions.")
    return names


def _fit_map():
    try:
        from lfcore.attacks.feature_mapping import fit_map
    except ImportError:
        raise InputError("feature_mapping is not in this version of lfcore: leave it out of attacks=.") from None
    return fit_map


def attack(
    names: tuple[str, ...],
    subjects: list[Subject],
    samples: Samples,
    collected: Collected,
    forget: np.ndarray,
    affected: int,
    layer: str | Callable,
    batch_size: int,
    seed: int,
) -> pd.DataFrame:
    """A row for each model and attack: `model`, `attack`, `measure` and `value`. The first subject is the original."""
    draw = np.random.default_rng(number(seed, "audit", "attacks"))
    chosen = np.sort(draw.choice(forget, FORGET, replace=False)) if len(forget) > FORGET else forget
    table = []
    if "feature_mapping" in names:
        known = np.ones(samples.count, dtype=bool) if samples.test is None else np.zeros(samples.count, dtype=bool)
        known[samples.test if samples.test is not None else forget] = samples.test is not None
        pool = np.flatnonzero(known & (collected.labels != affected))
        rows = np.sort(draw.choice(pool, CALIBRATION, replace=False)) if len(pool) > CALIBRATION else pool
        targets = _read(subjects[0], samples, rows, layer, batch_size)[0]
        for subject in subjects:
            weights, offset = _fit_map()(_read(subject, samples, rows, layer, batch_size)[1], targets, 1e-3)
            recovered = _read(subject, samples, chosen, layer, batch_size)[1] @ weights + offset
            right = 100 * float((recovered.argmax(axis=1) == collected.labels[chosen]).mean())
            own = 100 * float((collected.choice[subject.name][chosen] == collected.labels[chosen]).mean())
            table += [(subject.name, "feature_mapping", "accuracy on the forget set before, percent", own)]
            table += [(subject.name, "feature_mapping", "recovered accuracy on it, percent", right)]
    if "relearning" in names:
        from lfcore.core.examples import Examples
        from lfcore.probes import relearning

        parts = [(images, labels) for _, images, labels in batches(samples, chosen, batch_size, True)]
        images = torch.cat([images for images, _ in parts])
        labels = torch.from_numpy(np.concatenate([labels for _, labels in parts])).long()
        for subject in subjects:
            device = next(subject.network.parameters()).device
            seen = SimpleNamespace(
                model=subject.network, forget=Examples(images.to(device), labels.to(device)), seed=seed
            )
            (row,) = relearning.probe(seen)
            table.append((subject.name, "relearning", "steps until its loss is low (101: not within 100)", row.value))
    return pd.DataFrame(table, columns=["model", "attack", "measure", "value"])


def _read(subject, samples, rows, layer, batch_size) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of some rows, float64."""
    running = subject.network is not None
    found = [predict(subject, part, images, layer) for part, images, _ in batches(samples, rows, batch_size, running)]
    return tuple(np.concatenate([pair[i] for pair in found]).astype(np.float64) for i in (0, 1))

"""The audit of a model that any tool unlearned: what did it break, and for whom?"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lfcore.auditing import attacks as attacking
from lfcore.auditing import measure, page, warn, words
from lfcore.auditing.collect import Collected, collect, find_center, nearest
from lfcore.auditing.forward import find_layer, predict
from lfcore.auditing.read import Samples, Subject, batches, read_rows, read_samples, read_subject
from lfcore.core.errors import InputError
from lfcore.core.paths import atomic

WORST, NEAREST = 5, 3
"""Worst-hit examples of the affected class and of the others, and the forget examples shown beside each."""


@dataclass(frozen=True)
class Audit:
    """What an audit found. Shows itself in a notebook; `save` writes the same as a page.

    tables: "questions" (what the verdict rests on), "statistics" (every statistic, split and scope), "accuracy",
    "bins", "classes", "examples" (the worst hit), and "attacks" if asked. warnings: what looks wrong with the inputs.
    said: pairs (headline, numbers), the first about forgetting and the second about damage. facts: what was compared.
    main: the split that the questions are about. date: of the audit, as 2026-01-31. examples,
    pictures: what the page shows.
    """

    tables: dict[str, pd.DataFrame]
    warnings: list[str]
    said: list[tuple[str, str]]
    facts: list[str]
    main: str
    reference: str
    date: str
    examples: pd.DataFrame = field(repr=False)
    pictures: dict[int, np.ndarray] = field(repr=False)

    @property
    def verdict(self) -> str:
        """The warnings, then the verdict in words, with the numbers, a paragraph for each question."""
        return "\n\n".join([*self.warnings, *(f"{head} {rest}".strip() for head, rest in self.said)])

    def figure(self):
        """The curves along similarity to the forget set, a matplotlib figure."""
        return page.draw_curves(self.tables["bins"], self.main, self.reference)

    def save(self, path: str | Path) -> Path:
        """Write one self-contained HTML page, and return its path."""
        with atomic(path) as partial:
            partial.write_text(page.write_page(self), encoding="utf-8")
        return Path(path)

    def to_csv(self, folder: str | Path) -> None:
        """Write each table to `folder`/<name>.csv."""
        for name, table in self.tables.items():
            with atomic(Path(folder) / f"{name}.csv") as partial:
                table.to_csv(partial, index=False)

    def __repr__(self) -> str:
        return self.verdict

    def _repr_html_(self) -> str:
        return page.write_body(self)


def audit(
    original,
    unlearned,
    data,
    forget,
    *,
    retrained=(),
    features: str | Callable | None = None,
    labels=None,
    test=None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    images=None,
    batch_size: int = 256,
    attacks: Sequence[str] = (),
    bins: int = 10,
    seed: int = 0,
) -> Audit:
    """Compare an unlearned model with retrained ones, example by example, and say what it broke and for whom.

    original, unlearned, retrained: each a torch.nn.Module in eval mode that returns logits (n, classes), or its
    predictions: an array of logits, a dict of "logits" (n, classes) and "features" (n, width), or the path of an npz
    or safetensors file of them. `unlearned` and `retrained` may be lists, of independent seeds. A model is run on the
    device where it lies; none is changed.
    data: a Dataset of (image, label) without random augmentation, or images with `labels`; None if there are only
    predictions, with `labels`. forget: rows of the data, or a mask.
    test: the rows that no model was trained on, or a second Dataset, put after `data`. Without it retained and unseen
    examples are not told apart.
    features: the layer of the original in whose features similarity is measured, a path of `named_modules()`: of the
    layer that makes the logits the input is read, of any other the output. None: the last linear layer. Or a function
    (model, images) -> (n, width).
    class_names: names by class number; None: the data's own `classes`, if there are. images: pictures to show instead
    of the data's, by row. attacks: of "feature_mapping" and "relearning". bins: of the curves. seed: of the random sets
    and of what is drawn from large sets.

    Three retrained models or more give a floor and a verdict (`lfcore.auditing.measure` says exactly what is done);
    with fewer the verdict is withheld, and without any the original stands in. The affected class is the one that
    most forget examples have. Raises InputError, one sentence, for whatever can't be audited.
    """
    if batch_size < 1 or bins < 2:
        raise InputError(f"batch_size is {batch_size} and bins {bins}: give at least 1 and 2.")
    old = read_subject("original", original)
    new, again = _read_all("unlearned", unlearned), _read_all("retrained", retrained)
    if not new:
        raise InputError("There is no unlearned model: give at least one.")
    subjects = [old, *new, *again]
    samples = read_samples(data, labels, test, subjects)
    rows = read_rows("forget", forget, samples.count, samples.train)
    _check_split(rows, samples)
    asked = attacking.check(attacks, subjects)
    layer = features if callable(features) or old.network is None else find_layer(old.network, features)
    layer = layer or "features"  # of predictions
    center = find_center(old, samples, rows, layer, batch_size, seed)
    collected = collect(old, new, again, samples, center, layer, batch_size)
    _check_different(collected, {"unlearned": [s.name for s in new], "retrained": [s.name for s in again]})
    own = getattr(data, "classes", None)
    if class_names is None and isinstance(own, list | tuple) and len(own) == collected.classes:
        class_names = own
    names = _name_classes(class_names, collected.classes)
    counts = np.bincount(collected.labels[rows], minlength=collected.classes)
    affected = int(counts.argmax())

    splits = measure.split_rows(collected, rows, samples.test)
    main = "test" if "test" in splits else "rest"
    statistics = measure.measure_statistics(collected, splits, affected, seed)
    tables = {
        "questions": measure.answer(statistics, main),
        "statistics": statistics,
        "accuracy": measure.measure_accuracy(collected, splits, affected, retrained=bool(again)),
        "bins": measure.measure_bins(collected, splits, affected, bins),
        "classes": measure.measure_classes(collected, splits, names),
    }
    worst = measure.find_worst(collected, splits, main, affected, WORST)
    examples = _describe(worst, collected, main, affected, names, bool(again))
    found, cosines = _find_nearest(old, samples, worst, center, layer, batch_size)
    examples["nearest"], examples["nearest_similarities"] = list(found), list(cosines)
    examples["nearest_classes"] = [[names[label] for label in collected.labels[near]] for near in found]
    shown = examples.drop(columns=["nearest", "nearest_similarities", "nearest_classes", "stand_in"])
    shown["nearest_forget"] = [" ".join(map(str, near)) for near in found]
    tables["examples"] = shown
    if asked:
        tables["attacks"] = attacking.attack(
            asked, subjects, samples, collected, rows, affected, layer, batch_size, seed
        )
    said = words.say(
        tables["questions"],
        unlearned=len(new),
        retrained=len(again),
        affected=names[affected],
        main=main,
        same=len(warn.find_same(collected)) == len(new),
    )
    return Audit(
        tables=tables,
        warnings=warn.find_warnings(collected, rows, samples.test, bool(again)),
        said=said,
        facts=_tell(splits, new, again, names[affected], counts, layer, features, old),
        main=main,
        reference="retrained" if again else "original",
        date=datetime.date.today().isoformat(),
        examples=examples,
        pictures=_read_pictures(images, samples, np.unique(np.concatenate([worst, *found]).astype(int))),
    )


def _read_all(what: str, given) -> list[Subject]:
    many = list(given) if isinstance(given, list | tuple) else [given]
    return [read_subject(f"{what} {i}" if len(many) > 1 else what, one) for i, one in enumerate(many, start=1)]


def _check_split(forget: np.ndarray, samples: Samples) -> None:
    test = np.empty(0, dtype=int) if samples.test is None else samples.test
    both = np.intersect1d(forget, test)
    if len(both) and len(samples.train) and both[0] > samples.train[-1] and samples.appended:
        raise InputError(
            f"The forget rows hold {both[0]}, but the train rows go from 0 to {samples.train[-1]}: "
            "give rows of the data."
        )
    if len(both):
        raise InputError(f"Example {both[0]} is in the forget set and in test: a test example was never trained on.")
    if len(forget) + len(test) >= samples.count:
        raise InputError("Every example is forgotten or test, so none was retained: give the retained ones too.")


def _check_different(collected: Collected, groups: dict[str, list[str]]) -> None:
    for names in groups.values():
        for one, other in combinations(names, 2):
            if np.array_equal(collected.confidence[one], collected.confidence[other]):
                raise InputError(f"The models {one} and {other} predict the same: give models of independent seeds.")
    for name in groups["retrained"]:
        if collected.apart[name] < warn.SAME:
            raise InputError(
                f"The models original and {name} predict the same: give one trained without the forget set."
            )


def _name_classes(given, classes: int) -> list[str]:
    if given is None:
        return [f"class {label}" for label in range(classes)]
    try:
        return [str(given[label]) for label in range(classes)]
    except (KeyError, IndexError):
        raise InputError(f"There are {len(given)} class names and {classes} classes: give a name for each.") from None


def _describe(worst, collected: Collected, main: str, affected: int, names: list[str], retrained: bool) -> pd.DataFrame:
    """A row for each of the worst-hit examples. Of several models, the first one's choice and the mean confidence."""

    def mean(models, row):
        return float(np.mean([collected.confidence[name][row] for name in models]))

    first, reference = collected.unlearned[0], collected.references
    table = []
    for row in worst:
        choices = [collected.choice[name][row] for name in reference]
        table.append({
            "row": int(row),
            "split": main,
            "label": names[collected.labels[row]],
            "classes": "affected class" if collected.labels[row] == affected else "other class",
            "similarity": collected.similarity[row],
            "damage": np.mean([collected.damage(name, np.array([row]))[0] for name in collected.unlearned]),
            "original_says": names[collected.choice["original"][row]],
            "original_confidence": mean(["original"], row),
            "unlearned_says": names[collected.choice[first][row]],
            "unlearned_confidence": mean(collected.unlearned, row),
            "reference_says": names[np.bincount(choices).argmax()],
            "reference_confidence": mean(reference, row),
            "stand_in": not retrained,
        })  # fmt: skip
    columns = ["row", "split", "label", "classes", "similarity", "damage", "original_says", "original_confidence"]
    columns += ["unlearned_says", "unlearned_confidence", "reference_says", "reference_confidence", "stand_in"]
    return pd.DataFrame(table, columns=columns)


def _find_nearest(old: Subject, samples: Samples, worst, center, layer, batch_size: int):
    order = np.sort(worst)
    parts = batches(samples, order, batch_size, old.network is not None)
    features = [predict(old, part, images, layer)[1] for part, images, _ in parts]
    if not features:
        return np.empty((0, NEAREST), dtype=int), np.empty((0, NEAREST))
    return nearest(np.concatenate(features)[np.searchsorted(order, worst)], center, NEAREST)


def _read_pictures(images, samples: Samples, rows: np.ndarray) -> dict[int, np.ndarray]:
    if images is None and samples.dataset is None:
        return {}
    found = {}
    for row in map(int, rows):
        try:
            picture = samples.dataset[row][0] if images is None else images[row]
        except (IndexError, KeyError):
            raise InputError(f"There is no picture of example {row} in images=: give one for each example.") from None
        picture = picture[0] if isinstance(picture, tuple) else picture
        found[row] = picture.detach().cpu().numpy() if isinstance(picture, torch.Tensor) else np.asarray(picture)
    return found


def _tell(splits, new, again, affected: str, counts, layer, features, old: Subject) -> list[str]:
    sizes = ", ".join(f"{len(rows)} {name}" for name, rows in splits.items())
    what = f"{len(again)} retrained" if again else "no retrained model (the original stands in, a reference it is not)"
    told = [f"Examples: {sizes}. Models: the original, {len(new)} unlearned, {what}."]
    told.append(f"The affected class is {affected}: {counts.max()} of {counts.sum()} forget examples have it.")
    if counts.max() < counts.sum() / 2:
        told.append("Most forget examples are of other classes, so read “affected” as the largest part only.")
    where = "features of the predictions" if old.network is None else f"features at layer {layer!r}"
    where = "features by the function given" if callable(features) else where
    chosen = ", the last linear layer, since none was named" if features is None and old.network is not None else ""
    told.append(f"Similarity is measured in the original's {where}{chosen}.")
    return told

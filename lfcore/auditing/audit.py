"""The audit of a model that any tool unlearned: what did it break, and for whom?"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.auditing import attacks as attacking
from lfcore.auditing import checks, measure, page, questions, verdict, worst_examples
from lfcore.auditing.collect import Center, Collected, collect, find_center
from lfcore.auditing.forward import find_layer
from lfcore.auditing.inputs import Inputs, name_classes, read_rows, read_samples
from lfcore.auditing.subjects import read_subject, read_subjects
from lfcore.core.errors import InputError
from lfcore.core.paths import atomic


@dataclass(frozen=True)
class Audit:
    """What an audit found. Shows itself in a notebook; `save` writes the same as a page.

    tables: "questions" (what the verdict rests on), "statistics" (every statistic, split and scope), "accuracy",
    "bins", "classes", "examples" (the worst hit), and "attacks" if asked. warnings: what looks wrong with the inputs.
    findings: pairs (headline, numbers), the first about forgetting and the second about damage. facts: what was
    compared. main: the split that the questions are about. date: of the audit, as 2026-01-31. examples, pictures:
    what the page shows.
    """

    tables: dict[str, pd.DataFrame]
    warnings: list[str]
    findings: list[tuple[str, str]]
    facts: list[str]
    main: str
    reference: str
    date: str
    examples: pd.DataFrame = field(repr=False)
    pictures: dict[int, np.ndarray] = field(repr=False)

    @property
    def verdict(self) -> str:
        """The warnings, then the verdict in words, with the numbers, a paragraph for each question."""
        return "\n\n".join([*self.warnings, *(f"{head} {rest}".strip() for head, rest in self.findings)])

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
    original, unlearned, data, forget, *, retrained=(), features: str | Callable | None = None, labels=None, test=None,
    class_names: Sequence[str] | Mapping[int, str] | None = None, images=None, batch_size: int = 256,
    attacks: Sequence[str] = (), bins: int = 10, seed: int = 0,
) -> Audit:  # fmt: skip
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

    Three retrained models or more give a floor and a verdict (`lfcore.auditing.floor` says exactly how); with fewer the
    verdict is withheld, and without any the original stands in. The affected class is the one that most forget examples
    have. Raises InputError, one sentence, for whatever can't be audited.
    """
    if batch_size < 1 or bins < 2:
        raise InputError(f"batch_size is {batch_size} and bins {bins}: give at least 1 and 2.")
    old = read_subject("original", original)
    new, again = read_subjects("unlearned", unlearned), read_subjects("retrained", retrained)
    if not new:
        raise InputError("There is no unlearned model: give at least one.")
    samples = read_samples(data, labels, test, [old, *new, *again])
    rows = read_rows("forget", forget, samples.count, samples.train)
    checks.check_split(rows, samples)
    asked = attacking.check(attacks, [old, *new, *again])
    layer = features if callable(features) or old.network is None else find_layer(old.network, features)
    inputs = Inputs(old, new, again, samples, rows, layer or "features", batch_size, seed)  # "features" of predictions
    center = find_center(inputs)
    collected = collect(inputs, center)
    checks.check_different(inputs, collected)
    names = name_classes(class_names, getattr(data, "classes", None), collected.classes)
    return _report(inputs, center, collected, names, asked, images, bins, named_layer=features is not None)


def _report(
    inputs: Inputs, center: Center, collected: Collected, names: list[str], attacks, images, bins: int, *, named_layer
) -> Audit:
    counts = np.bincount(collected.labels[inputs.forget], minlength=collected.classes)
    affected, retrained = int(counts.argmax()), len(inputs.retrained)
    splits = measure.split_rows(inputs)
    main = list(splits)[-1]
    statistics = measure.measure_statistics(collected, splits, affected, inputs.seed)
    examples = worst_examples.describe(inputs, center, collected, splits[main], main, affected, names)
    tables = {
        "questions": questions.answer(statistics, main),
        "statistics": statistics,
        "accuracy": measure.measure_accuracy(collected, splits, affected, retrained=bool(retrained)),
        "bins": measure.measure_bins(collected, splits, affected, bins),
        "classes": measure.measure_classes(collected, splits, names),
        "examples": worst_examples.shorten(examples),
    }
    if attacks:
        tables["attacks"] = attacking.attack(attacks, inputs, collected, affected)
    given = {"unlearned": len(inputs.unlearned), "retrained": retrained, "affected": names[affected], "main": main}
    same = len(checks.find_same(collected)) == len(inputs.unlearned)
    return Audit(
        tables=tables,
        warnings=checks.find_warnings(inputs, collected),
        findings=verdict.write_verdict(tables["questions"], **given, same=same),
        facts=_list_facts(inputs, splits, names[affected], counts, named_layer),
        main=main,
        reference="retrained" if retrained else "original",
        date=datetime.date.today().isoformat(),
        examples=examples,
        pictures=worst_examples.read_pictures(images, inputs.samples, examples),
    )


def _list_facts(inputs: Inputs, splits: dict, affected: str, counts: np.ndarray, named_layer: bool) -> list[str]:
    """What was compared, in sentences."""
    sizes = ", ".join(f"{len(rows)} {name}" for name, rows in splits.items())
    what = f"{len(inputs.retrained) or 'no'} retrained"
    what += "" if inputs.retrained else " model (the original stands in, a reference it is not)"
    facts = [f"Examples: {sizes}. Models: the original, {len(inputs.unlearned)} unlearned, {what}."]
    facts.append(f"The affected class is {affected}: {counts.max()} of {counts.sum()} forget examples have it.")
    if counts.max() < counts.sum() / 2:
        facts.append("Most forget examples are of other classes, so read “affected” as the largest part only.")
    where = f"at layer {inputs.layer!r}" + ("" if named_layer else ", the last linear layer, since none was named")
    if callable(inputs.layer):
        where = "by the function given"
    elif inputs.original.network is None:
        where = "of the predictions"
    return [*facts, f"Similarity is measured in the original's features {where}."]

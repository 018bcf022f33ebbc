"""What a person gives to an audit beside models: data, labels and rows. Everything wrong is one sentence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from lfcore.auditing.subjects import Subject, as_array
from lfcore.core.errors import InputError

TWICE = 8
"""Examples read twice, spread over the data: a random flip changes one in two."""


@dataclass(frozen=True)
class Samples:
    """The examples by row. dataset: of (image, label), None where there are only predictions. labels: None if unread.

    test: rows that no model was trained on, ascending; None if nobody said which. train: the others, ascending.
    appended: whether the test rows are a second data set, so that nobody numbered them.
    """

    dataset: object | None
    labels: np.ndarray | None
    count: int
    test: np.ndarray | None
    appended: bool = False

    @property
    def train(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.count), [] if self.test is None else self.test)


@dataclass(frozen=True)
class Inputs:
    """What an audit reads. forget: rows, ascending; layer: of the original, a path or a function, for similarity."""

    original: Subject
    unlearned: list[Subject]
    retrained: list[Subject]
    samples: Samples
    forget: np.ndarray
    layer: str | Callable
    batch_size: int
    seed: int

    @property
    def subjects(self) -> list[Subject]:
        """All models, the original first."""
        return [self.original, *self.unlearned, *self.retrained]


def read_samples(data, labels, test, subjects: Sequence[Subject]) -> Samples:
    """The data, with a second data set of test examples after it if `test` is one, checked against the predictions."""
    dataset, labels = _as_dataset(data, labels)
    rows, appended = test, test is not None and not isinstance(test, range | list | np.ndarray | torch.Tensor)
    if appended:
        more, more_labels = _as_dataset(test, None, "test is")
        if dataset is None:
            raise InputError("Test examples without train examples: give data, or the rows of the test examples.")
        rows = np.arange(len(dataset), len(dataset) + len(more))
        known = labels is not None and more_labels is not None
        dataset, labels = ConcatDataset([dataset, more]), np.concatenate([labels, more_labels]) if known else None
    if dataset is None and labels is None:
        raise InputError("There are neither data nor labels: give data=, or labels= beside predictions.")
    if dataset is None and any(subject.network is not None for subject in subjects):
        raise InputError("A model can't be run without data: give images or a Dataset, or predictions of every model.")
    count = len(labels) if dataset is None else len(dataset)
    if labels is not None and len(labels) != count:
        raise InputError(f"There are {count} examples and {len(labels)} labels: give one label for each example.")
    for subject in subjects:
        if subject.network is None and len(subject.logits) != count:
            sizes = f"{len(subject.logits)} rows and the data {count}"
            raise InputError(f"The {subject.name} predictions have {sizes}: predict every example, in that order.")
    if dataset is not None:
        _check_items(dataset)
    return Samples(dataset, labels, count, None if rows is None else read_rows("test", rows, count), appended)


def _as_dataset(data, labels, what: str = "The data are"):
    if labels is not None:
        labels = as_array(labels)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            kind = f"{labels.dtype} of shape {labels.shape}"
            raise InputError(f"The labels are {kind}: give one whole number an example.")
    if data is None:
        return None, labels
    if isinstance(data, tuple) and len(data) == 2:
        return _as_dataset(data[0], data[1], what)
    if isinstance(data, np.ndarray | torch.Tensor):
        if labels is None:
            raise InputError("Images without labels: give labels=, or a Dataset of (image, label).")
        if len(data) != len(labels):
            raise InputError(f"There are {len(data)} images and {len(labels)} labels: give one label for each image.")
        return TensorDataset(torch.as_tensor(data), torch.as_tensor(labels)), labels
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        cure = "give a tensor with labels=, or a Dataset of (image, label) and a length (of a DataLoader, its .dataset)"
        raise InputError(f"{what} a {type(data).__name__}: {cure}.")
    return data, labels


def _check_items(dataset) -> None:
    if len(dataset) == 0:
        raise InputError("The data hold no example: give at least the forget set and some others.")
    for row in np.unique(np.linspace(0, len(dataset) - 1, TWICE).astype(int)).tolist():
        try:
            (image, label), (again, same) = dataset[row], dataset[row]
        except (TypeError, ValueError):
            raise InputError("An item of the data is not a pair: give a Dataset of (image, label).") from None
        if not isinstance(image, torch.Tensor | np.ndarray):
            raise InputError(f"The data's images are {type(image).__name__}: add transforms.ToTensor() to the Dataset.")
        if not torch.equal(torch.as_tensor(image), torch.as_tensor(again)):
            raise InputError("The data differ when read twice: take random augmentation out of the transform.")
        if not np.array_equal(as_array(label), as_array(same)):
            raise InputError("The data's labels differ when read twice: give a Dataset whose labels are fixed.")


def read_rows(what: str, rows, count: int, train: np.ndarray | None = None) -> np.ndarray:
    """Distinct row numbers in [0, count), ascending, from numbers or a mask. train: rows whose range messages name."""
    if isinstance(rows, Subset):
        raise InputError(f"{what} is a Subset: give its row numbers (.indices).")
    if not isinstance(rows, Sequence) and not hasattr(rows, "__array__"):
        raise InputError(f"{what} is a {type(rows).__name__}: give row numbers, or a mask.")
    rows = as_array(rows)
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise InputError(f"The {what} mask has shape {rows.shape}: give one value for each of {count} examples.")
        rows = np.flatnonzero(rows)
    if rows.size == 0:
        raise InputError(f"There are no {what} examples: give at least one row.")
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"The {what} rows are {rows.dtype} of shape {rows.shape}: give a list of whole row numbers.")
    for wrong in rows[(rows < 0) | (rows >= count)]:
        known = f"rows go from 0 to {count - 1}"
        if train is not None and len(train):
            known = f"the train rows go from {train[0]} to {train[-1]}"
        raise InputError(f"The {what} rows hold {wrong}, but {known}: give rows of the data.")
    if len(np.unique(rows)) != len(rows):
        raise InputError(f"The {what} rows name an example twice: give each once.")
    return np.sort(rows).astype(np.int64)


def name_classes(given, own, classes: int) -> list[str]:
    """A name for each class: the `given` ones, by number; else the data's `own`, if they fit; else "class 0"…"""
    if given is None and isinstance(own, list | tuple) and len(own) == classes:
        given = own
    if given is None:
        return [f"class {label}" for label in range(classes)]
    try:
        return [str(given[label]) for label in range(classes)]
    except (KeyError, IndexError):
        raise InputError(f"There are {len(given)} class names and {classes} classes: give a name for each.") from None


def at_most(rows: np.ndarray, most: int, draw: np.random.Generator) -> np.ndarray:
    """These rows, or `most` of them, drawn and in ascending order."""
    return np.sort(draw.choice(rows, most, replace=False)) if len(rows) > most else rows


def batches(samples: Samples, rows: np.ndarray, size: int, images: bool) -> Iterator[tuple]:
    """Triples (rows, images or None, labels or None) of `size` examples or fewer, in order."""
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    if samples.dataset is None or not (images or samples.labels is None):
        for part in parts:
            yield part, None, samples.labels[part]
        return
    chosen = samples.dataset if len(rows) == samples.count else Subset(samples.dataset, rows.tolist())
    try:
        for part, (pictures, labels) in zip(parts, DataLoader(chosen, batch_size=size), strict=True):
            known = _whole(labels) if samples.labels is None else samples.labels[part]
            yield part, pictures, known
    except (RuntimeError, TypeError) as error:
        what = f"The data can't be read in batches ({str(error).splitlines()[0]})"
        raise InputError(f"{what}: give images of one size, one label each.") from None


def _whole(labels) -> np.ndarray:
    if not isinstance(labels, torch.Tensor) or labels.ndim != 1 or labels.is_floating_point():
        raise InputError("The data's labels are not one whole number an example: give class numbers.")
    return labels.numpy().astype(np.int64)

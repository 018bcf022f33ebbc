"""A data set, its splits, and the sets to forget. Plain numpy: evaluation reads these without importing torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lfcore.core import records
from lfcore.core.errors import InputError
from lfcore.core.paths import atomic


@dataclass(frozen=True)
class Data:
    """A labelled image set with fixed, disjoint train and test rows.

    images: (n, channels, height, width), float32 or float64 in the range the network reads, or uint8, which stands for
    0 to 1.
    labels: (n,) int64 in [0, classes).
    train, test: int64 row numbers, ascending.
    """

    images: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray

    def __post_init__(self):
        if [self.labels.ndim, self.train.ndim, self.test.ndim] != [1, 1, 1] or self.images.ndim < 1:
            raise InputError("Labels and index sets must be lists of whole numbers: load the data again.")
        if any(array.dtype.kind not in "iu" for array in (self.labels, self.train, self.test)):
            raise InputError("Labels and index sets must be whole numbers: load the data again.")
        rows = np.concatenate([self.train, self.test])
        if len(np.unique(rows)) != len(rows):
            raise InputError("A row is in both train and test, or twice in one of them: make the index sets disjoint.")
        if len(self.images) != len(self.labels) or (len(rows) and not 0 <= rows.min() <= rows.max() < len(self.labels)):
            raise InputError("Images, labels and index sets disagree about the number of rows: load the data again.")

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.labels.max()) + 1

    def sha256(self, *, images: bool = True) -> str:
        """A hash of the labels, the splits and, unless `images` is False, every pixel."""
        digest = hashlib.sha256()
        for array in ([self.images] if images else []) + [self.labels, self.train, self.test]:
            digest.update(str((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


@dataclass(frozen=True)
class Forget:
    """A forget set: `forget` and `retain` partition the train rows.

    affected: the class that loses examples, some or all of them; None for a set drawn from all classes.
    """

    name: str
    affected: int | None
    forget: np.ndarray
    retain: np.ndarray


def write(data: Data, path: str | Path) -> None:
    """Write `data` to a safetensors file whose header holds its hash, and that of labels and splits alone."""
    arrays = {key: np.ascontiguousarray(getattr(data, key)) for key in ("images", "labels", "train", "test")}
    with atomic(path) as partial:
        # one entry, since safetensors writes several in an order that changes from run to run
        save_file(arrays, partial, metadata={"sha256": f"{data.sha256()} {data.sha256(images=False)}"})


def read(path: str | Path, *, images: bool = True) -> Data:
    """Read what `write` wrote, and check it against its hash.

    With `images=False` the pixels stay on disk, unchecked, and images has shape (n, 0).
    """
    with records.reading(path, SafetensorError, InputError, KeyError, TypeError, IndexError):
        with safe_open(path, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in ("labels", "train", "test")}
            arrays["images"] = file.get_tensor("images") if images else np.empty((len(arrays["labels"]), 0))
            recorded = file.metadata()["sha256"].split()
        data = Data(**arrays)
        found = data.sha256(images=images)
        if found != (recorded[0] if images else [*recorded, found][1]):  # older files have the first alone
            raise records.changed(path)
    return data


def fingerprint(path: str | Path) -> str:
    """The hash of a whole data set, from the header of its file: no pixel is read."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata()["sha256"].split()[0]


def _hash_rows(rows: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, rows)).encode()).hexdigest()


def write_forget(path: str | Path, name: str, affected: int | None, rows: np.ndarray) -> None:
    """Write a forget set as JSON: its rows, the affected class or null, and the SHA-256 of the comma-separated rows.

    The record's seal is a hash of all of it.
    """
    rows = [int(row) for row in rows]
    affected = None if affected is None else int(affected)
    records.write(path, {"forget_set": name, "affected": affected, "sha256": _hash_rows(rows), "rows": rows})


def read_forget(path: str | Path, data: Data) -> Forget:
    """Read a forget set's index file, check its hash, and split the train rows of `data` by it."""
    record = records.read(path)
    with records.reading(path, ValueError, KeyError, TypeError, OverflowError, what="not a forget set's index file"):
        rows, affected, name = record["rows"], record["affected"], record["forget_set"]
        whole = [isinstance(row, int) and not isinstance(row, bool) for row in [*rows, affected or 0]]
        if not all(whole) or not isinstance(name, str):
            raise TypeError("rows and the affected class are whole numbers, and the name is text")
        if record["sha256"] != _hash_rows(rows):
            raise records.damaged(path, "not what was written (its rows do not match their SHA-256)")
        rows = np.asarray(rows, dtype=np.int64)
    if len(rows) == 0 or len(np.unique(rows)) != len(rows) or not np.isin(rows, data.train).all():
        raise InputError(f"{path} must name distinct train examples, at least one: write it again with 01_data.")
    if len(rows) == len(data.train):
        raise InputError(f"{path} forgets the whole training set, so nothing is left to retrain on: choose fewer rows.")
    return Forget(name, affected, np.sort(rows), np.setdiff1d(data.train, rows))

"""A data set, its splits, and the sets to forget. Plain numpy: evaluation reads these without importing torch."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lfcore import datasets, plugins, records
from lfcore.errors import Damaged, InputError
from lfcore.paths import atomic
from lfcore.seeds import number


@dataclass(frozen=True)
class Data:
    """A labelled image set with fixed, disjoint train and test rows.

    images: (n, channels, height, width), float32 in the range the network reads, or uint8, which stands for 0 to 1.
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


def load(name: str, root: str | Path = "data", *, download: bool = False, **options) -> Data:
    """Load the data set of `lfcore/datasets/<name>.py`, with the options of its own.

    The environment variable LFCORE_DATA, if it is set, names the folder of data sets in place of `root`.
    """
    root = os.environ.get("LFCORE_DATA") or root
    try:
        return plugins.find(datasets, "data set", name).load(root, download=download, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise InputError(f"The data set {name} takes other options ({error}): change them in the config.") from None


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
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in ("labels", "train", "test")}
            arrays["images"] = file.get_tensor("images") if images else np.empty((len(arrays["labels"]), 0))
            recorded = file.metadata()["sha256"].split()
        data = Data(**arrays)
        found = data.sha256(images=images)
        if found != (recorded[0] if images else [*recorded, found][1]):  # older files have the first alone
            raise records.changed(path)
    except OSError as error:
        raise records.unreadable(path, error) from None
    except Damaged:
        raise
    except (SafetensorError, InputError, KeyError, TypeError, IndexError) as error:
        raise Damaged(f"{path} is damaged ({error}): delete it and run the same command again.") from None
    return data


def choose_forget(data: Data, affected: int | None, fraction: float, draw: int = 0) -> np.ndarray:
    """Rows to forget, the same for every seed: floor(fraction * n) of n train examples.

    Of one class, if `affected` names it: its first, in data-set order (2605.31317, sec. 5), and with fraction 1 the
    whole class. Otherwise of all classes, at random and in no proportion: `draw` is the number of the draw, and a
    larger fraction of one draw holds the smaller ones.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"A forget set's fraction must be in (0, 1], not {fraction}: change it in the config.")
    if affected is None:
        members = np.random.default_rng(number(draw, "forget set", "rows")).permutation(data.train)
    else:
        members = data.train[data.labels[data.train] == affected]
    if len(members) == 0:
        raise InputError(
            f"There is no class {affected} among the train examples: choose one of 0 to {data.classes - 1}."
        )
    rows = np.sort(members[: int(np.floor(fraction * len(members)))])
    if len(rows) == 0:
        of = "the train examples" if affected is None else f"class {affected}"
        raise InputError(f"Fraction {fraction} of {of} forgets nothing ({len(members)} train examples): raise it.")
    if len(rows) == len(data.train):
        raise InputError("This forget set is the whole training set, so nothing is left to retrain on: lower it.")
    return rows


def _hash_rows(rows: list[int]) -> str:
    return hashlib.sha256(",".join(map(str, rows)).encode()).hexdigest()


def write_forget(path: str | Path, name: str, affected: int | None, rows: np.ndarray) -> None:
    """Write a forget set as JSON: its rows, the affected class or null, and the SHA-256 of the comma-separated rows.

    The record's seal is a hash of all of it.
    """
    rows = [int(row) for row in rows]
    affected = None if affected is None else int(affected)
    records.write(path, {"forget_set": name, "affected": affected, "sha256": _hash_rows(rows), "rows": rows})


def write_forget_sets(data: Data, forget_sets: dict[str, dict], folder: str | Path) -> list[Forget]:
    """Choose and write each forget set; `forget_sets` maps its name to the arguments of `choose_forget`.

    One without `affected` is a random draw.
    """
    for name, options in forget_sets.items():
        options = {"affected": None, **options}
        write_forget(Path(folder) / f"{name}.json", name, options["affected"], choose_forget(data, **options))
    return [read_forget(Path(folder) / f"{name}.json", data) for name in forget_sets]


def _of_class(data: Data, chosen: Forget, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` in the affected class; all of them if there is none."""
    return rows if chosen.affected is None else rows[data.labels[rows] == chosen.affected]


def preview(data: Data, forget_sets: list[Forget], count: int) -> dict[str, np.ndarray]:
    """The first `count` images that each set forgets, and that it retains of the affected class, by title.

    A random set has no affected class, so the first it retains; a whole class leaves none to show.
    """
    pictures = {}
    for chosen in forget_sets:
        pictures[f"{chosen.name}: forgotten"] = data.images[chosen.forget[:count]]
        kept = _of_class(data, chosen, chosen.retain)
        if len(kept):
            of = "" if chosen.affected is None else f", class {chosen.affected}"
            pictures[f"{chosen.name}: retained{of}"] = data.images[kept[:count]]
    return pictures


def count(data: Data, forget_sets: list[Forget]) -> list[dict]:
    """The number of forgotten, retained and test examples of each set's affected class, a record a set.

    Of a random set, which has no such class, those of all classes.
    """
    return [
        {
            "forget set": chosen.name,
            "class": "all" if chosen.affected is None else chosen.affected,
            "forgotten": len(chosen.forget),
            "retained of the class": len(_of_class(data, chosen, chosen.retain)),
            "test of the class": len(_of_class(data, chosen, data.test)),
        }
        for chosen in forget_sets
    ]


def read_forget(path: str | Path, data: Data) -> Forget:
    """Read a forget set's index file, check its hash, and split the train rows of `data` by it."""
    record = records.read(path)
    try:
        rows, affected, name = record["rows"], record["affected"], record["forget_set"]
        intact = record["sha256"] == _hash_rows(rows)
        whole = [isinstance(row, int) and not isinstance(row, bool) for row in [*rows, affected or 0]]
        if not all(whole) or not isinstance(name, str):
            raise TypeError("rows and the affected class are whole numbers, and the name is text")
        rows = np.asarray(rows, dtype=np.int64)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise Damaged(f"{path} is not a forget set's index file ({error!r}): delete it and run again.") from None
    if not intact:
        raise Damaged(f"{path} is not what was written (its rows do not match their SHA-256): delete it and run again.")
    if len(rows) == 0 or len(np.unique(rows)) != len(rows) or not np.isin(rows, data.train).all():
        raise InputError(f"{path} must name distinct train examples, at least one: write it again with 01_data.")
    if len(rows) == len(data.train):
        raise InputError(f"{path} forgets the whole training set, so nothing is left to retrain on: choose fewer rows.")
    return Forget(name, affected, np.sort(rows), np.setdiff1d(data.train, rows))

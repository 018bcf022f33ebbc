"""The stage that chooses the forget sets and writes the data set and their index files."""

from pathlib import Path

import numpy as np

from lfcore.core.data import Data, Forget, read_forget, write_forget
from lfcore.core.errors import InputError
from lfcore.core.seeds import number


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

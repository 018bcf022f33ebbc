"""Targets and their masked copies: does their influence leave with them?

2601.06938: randomly chosen target images, masked copies of them (`geometry.near_duplicates`), and ordinary images that
complete the training set; the request is the targets alone. How many of each, and which data, are ours, and so are both
references and all measures (`experiments._residual`). One condition is one number of copies, block size and share; the
influence-free models depend on none of them, and are the same to the bit in every condition.

With `unrelated`, the same number of copies is made of other images of the same classes, so that whatever masked
images do to training they do here too, but none is a near-duplicate of a target.
"""

import numpy as np
import pandas as pd

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.experiments import _residual as residual
from lfcore.geometry import near_duplicates

SHOWN = 8
"""Targets whose copies are kept for pictures, and copies of each."""


def unrelated_rows(data: Data, targets: np.ndarray) -> np.ndarray:
    """A train row for each target, of its class and no target itself, drawn without replacement."""
    found = []
    for target in targets:
        members = data.train[data.labels[data.train] == data.labels[target]]
        free = np.setdiff1d(members, [*targets, *found])
        if len(free) == 0:
            raise InputError(f"Class {data.labels[target]} has too few images to copy in place of targets: take fewer.")
        found.append(int(residual.draw(data, 1, f"unrelated {target}", np.setdiff1d(data.train, free))[0]))
    return np.array(found)


def experiment(
    data: Data,
    *,
    seeds: list[int],
    device: str,
    targets: int = 20,
    ordinary: int | None = 500,
    copies: int = 10,
    block: int = 1,
    share: float = 0.2,
    unrelated: bool = False,
    references: int = 5,
    network: str = "cnn",
    training: dict = residual.TRAINING,
    unlearners: dict[str, dict] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The rows of `residual.compare`, and of "changed": the share of pixels in which copies differ from their image.

    targets, ordinary: how many; ordinary None takes all others. copies: of each target, may be 0. references: how many
    influence-free models all are compared with. unlearners: options by name. Arrays: those of `residual.compare`, and
    "targets" (8, c, h, w) with "copies" (8, m, c, h, w), the first of each.
    """
    unlearners = unlearners or {}
    residual.prepare(seeds, references, network, unlearners, device)
    chosen = residual.draw(data, targets, "targets")
    sources = unrelated_rows(data, chosen) if unrelated else chosen
    masks = {"copies": copies, "block": block, "share": share}
    parts, made = residual.with_copies(data, chosen, sources, **masks, ordinary=ordinary, device=device)
    table, arrays = residual.compare(parts, seeds, references, unlearners, network=network, training=training)
    if copies:
        value = near_duplicates.changed(data.images[sources], made)
        fact = residual.table([("", "", "", "copies", "changed", "all", "", value)])
        table = pd.concat([table, fact], ignore_index=True)
    return table, arrays | {"targets": data.images[chosen[:SHOWN]], "copies": made[:SHOWN, :SHOWN]}

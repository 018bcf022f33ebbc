"""Penultimate features before and after unlearning, in two dimensions that are the same for every model.

The projection is fixed: the principal components of one original's features of all train examples. An unlearned model
began as that original, and its features are projected as they are. A retrained model's features have axes of their
own: they are first rotated onto the original's by the orthogonal map that fits best on retained examples (Procrustes).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import checkpoint, data
from lfcore.core.errors import InputError


def principal(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (d,) and the first two principal axes (d, 2) of features (n, d); their largest entries are positive."""
    center = features.mean(axis=0)
    axes = np.linalg.svd(features - center, full_matrices=False)[2][:2].T
    return center, axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])


def rotate(features: np.ndarray, onto: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`features` (n, d), moved and rotated so that those of `rows` lie as near as can be to those of `onto` (n, d)."""
    centers = features[rows].mean(axis=0), onto[rows].mean(axis=0)
    left, _, right = np.linalg.svd((features[rows] - centers[0]).T @ (onto[rows] - centers[1]))
    return (features - centers[0]) @ (left @ right) + centers[1]


def project(folders: list[str | Path], folder: str | Path, unlearners: list[str]) -> pd.DataFrame:
    """Every train example in the plane, for one model of each unlearner: the one of the lowest seed.

    folders: of models, <network>/<forget set>/<unlearner>/<seeds>, of which the first network and forget set are taken.
    folder: of the data. Returns columns forget_set, unlearner, label, forget (is it of the forget set), x, y.
    """
    places = [Path(one) for one in folders]
    network = places[0].parts[-4]
    forget_set = next((one.parts[-3] for one in places if one.parts[-3] != "none"), None)
    if forget_set is None:
        raise InputError("No folder of an unlearned model is given: run the study of this figure first.")
    everything = data.read(Path(folder) / "dataset.safetensors", images=False)
    removed = data.read_forget(Path(folder) / f"{forget_set}.json", everything)
    first = {}
    for name in ["original", *(one for one in unlearners if one != "original")]:
        where = (network, "none" if name == "original" else forget_set, name)
        found = [path for one in places if one.parts[-4:-1] == where for path in one.glob("seed*.json")]
        if found:
            path = min(found, key=lambda path: int(path.stem.removeprefix("seed")))
            first[name] = checkpoint.predictions([path.parent], int(path.stem.removeprefix("seed")))
    if "original" not in first:
        raise InputError("The folder of the originals is missing among those given: add it.")
    before = first["original"]["features"].astype(np.float64)
    center, axes = principal(before[everything.train])
    parts = []
    for name in unlearners:
        if name not in first:
            continue
        features = first[name]["features"].astype(np.float64)
        if name == "retrained":
            features = rotate(features, before, removed.retain)
        shown = (features[everything.train] - center) @ axes
        labels = everything.labels[everything.train]
        columns = {
            "label": labels,
            "forget": np.isin(everything.train, removed.forget),
            "x": shown[:, 0],
            "y": shown[:, 1],
        }
        parts.append(pd.DataFrame(columns).assign(forget_set=forget_set, unlearner=name))
    return pd.concat(parts, ignore_index=True)

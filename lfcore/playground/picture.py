"""The playground's picture: two curves along similarity, and the images that were hit worst."""

import numpy as np
import pandas as pd

from lfcore.core.tables import where
from lfcore.playground.compute import Outcome
from lfcore.plots import similarity_curves, style


def draw(outcome: Outcome, rows: pd.DataFrame, hit: list[dict]):
    """A figure: lost confidence and total variation against similarity, above the worst-hit images and their nearest.

    rows: from `curves`; hit: from `worst`. The grey band spans the retrained models; no line runs through bins of fewer
    than `similarity_curves.FEW` examples.
    """
    figure = style.plt.figure(figsize=(8.6, 5.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 2.2])
    _draw_curves(above.subplots(1, 2), rows)
    _draw_images(below.subplots(2, max(len(hit), 1), squeeze=False), outcome.images, hit)
    return figure


def _draw_curves(axes, rows: pd.DataFrame) -> None:
    for axis, metric in zip(axes, ["confidence_gap", "total_variation"], strict=True):
        axis.axhline(0, color="0.3", linewidth=0.8)
        for name, look in style.looks(list(rows["unlearner"].unique())).items():
            line = where(rows, unlearner=name, metric=metric).sort_values("similarity")
            if name == style.FLOOR:
                band = {"label": style.title(style.FLOOR), "alpha": 0.5, "linewidth": 0}
                axis.fill_between(line["similarity"], line["low"], line["high"], **band, **look)
                continue
            if not look["marker"]:  # a bin by itself would not show
                look = look | {"marker": "_", "markeredgewidth": 2}
            enough = line["mean"].where(line["count"] >= similarity_curves.FEW)
            axis.plot(line["similarity"], enough, label=name, linewidth=1.6, markersize=5, **look)
            few = line[line["count"] < similarity_curves.FEW]
            axis.plot(few["similarity"], few["mean"], markersize=4, alpha=0.5, **{**look, "linestyle": ""})
        axis.set(xlabel="similarity to the forget set", ylabel=similarity_curves.MEASURES[metric][0])
    bins = rows.drop_duplicates("bin")
    title = "test examples in each bin:"
    if bins["count"].max() - bins["count"].min() < 2:
        title += f" {bins['count'].max()}, or one fewer"
    else:
        for similarity, count in bins[["similarity", "count"]].itertuples(index=False):
            place, grey = axes[0].get_xaxis_transform(), "0.7" if count < similarity_curves.FEW else "0.4"
            axes[0].text(similarity, 1.02, f"{count}", transform=place, ha="center", color=grey, fontsize=7)
    axes[0].set_title(title, loc="left", fontsize=7, color="0.4", pad=14)
    axes[1].legend(loc="upper left", fontsize=8)


def _draw_images(pictures, images: np.ndarray, hit: list[dict]) -> None:
    for position, example in enumerate(hit):
        for axis, row in zip(pictures[:, position], [example["row"], example["nearest"]], strict=True):
            axis.imshow(images[row].transpose(1, 2, 0), cmap="gray_r")
        pictures[0, position].set_title(
            f"{example['label']} → {example['said']}\nlost {example['lost']:.0f} points", fontsize=8
        )
        pictures[1, position].set_title(f"cosine {example['cosine']:.2f}", fontsize=8)
    for axis in pictures.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    pictures[0, 0].set_ylabel("worst hit", fontsize=8)
    pictures[1, 0].set_ylabel("nearest\nforgotten", fontsize=8)


def describe(outcome: Outcome, rows: pd.DataFrame, hit: list[dict]) -> str:
    """The figure in one sentence, for those who do not see it."""
    part = rows[rows["metric"] == "total_variation"]
    nearest = part[part["bin"] == part["bin"].max()].set_index("unlearner")
    own, floor = nearest.loc[outcome.setting.unlearner], nearest.loc[style.FLOOR]
    return (
        f"{outcome.setting.unlearner}, {len(outcome.run.forget_set.forget)} images of class {outcome.setting.affected} "
        f"forgotten: total variation to retraining in the nearest bin is {own['mean']:.2f}, between retrained models "
        f"{floor['low']:.2f} to {floor['high']:.2f}; below, the {len(hit)} worst-hit test images above the forgotten "
        "image nearest to each."
    )

"""The figure of an array of experiments: a cell for each affected class and fraction."""

import numpy as np
import pandas as pd

from lfcore import style
from lfcore.errors import InputError
from lfcore.grid_views import PLACES

LABELS = {
    "total_variation": "total variation to retraining, less the floor's (points)",
    "confidence_gap": "confidence in the true class destroyed, less the floor's (points)",
    "accuracy_gap": "accuracy destroyed, less the floor's (points)",
    "flip": "choices unlike retraining's, less the floor's (points)",
}


def heat(rows: pd.DataFrame, unlearners: list[str], measure: str):
    """A figure with a column of panels for each unlearner and a row for each place.

    The affected class has colours of its own, since it changes most; near and far share theirs. rows: from
    `lfcore.grid_views.excess`. The number in a cell is the mean over seeds; where its 95 % interval holds zero, or one
    seed leaves none, it stands in brackets.
    """
    shown = [name for name in unlearners if name in set(rows["unlearner"])]
    if not shown:
        raise InputError(f"None of {', '.join(unlearners)} is in this table: choose other unlearners for the figure.")
    rows = rows[rows["unlearner"].isin(shown)]
    classes, fractions = sorted(rows["affected"].unique()), sorted(rows["fraction"].unique())
    size = (1.6 + max(1.2, 0.32 * len(fractions)) * len(shown), 0.8 + max(1.2, 0.2 * len(classes)) * len(PLACES))
    figure, axes = style.plt.subplots(
        len(PLACES), len(shown), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for together in (["the class itself"], ["others, nearest", "others, farthest"]):
        lines = [list(PLACES.values()).index(place) for place in together]
        limit = float(rows.loc[rows["place"].isin(together), "mean"].abs().max()) or 1.0
        for line, place in zip(lines, together, strict=True):
            for axis, name in zip(axes[line], shown, strict=True):
                part = rows[(rows["place"] == place) & (rows["unlearner"] == name)]
                image = _draw(axis, part, classes, fractions, limit)
            axes[line, 0].set_ylabel(place, fontsize=8)
        bar = figure.colorbar(image, ax=axes[lines], aspect=10 * len(lines), pad=0.01)
        bar.ax.tick_params(labelsize=7)
    for axis, name in zip(axes[0], shown, strict=True):
        axis.set_title(name, fontsize=7)
    figure.suptitle(LABELS.get(measure, measure), fontsize=9)
    figure.supxlabel("forgotten share of the affected class (percent)", fontsize=9)
    figure.supylabel("affected class", fontsize=9)
    return figure


def _draw(axis, part: pd.DataFrame, classes: list, fractions: list, limit: float):
    means, low, high = (
        part.pivot(index="affected", columns="fraction", values=value).reindex(index=classes, columns=fractions)
        for value in ("mean", "low", "high")
    )
    image = axis.imshow(means, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    certain = (low > 0) | (high < 0)
    for (line, column), value in np.ndenumerate(means.to_numpy()):
        if np.isfinite(value):
            text = f"{value:.0f}".replace("-0", "0")
            text = text if certain.iat[line, column] else f"({text})"
            dark = abs(value) > 0.6 * limit
            axis.text(column, line, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axis.set_xticks(range(len(fractions)), [f"{100 * fraction:g}" for fraction in fractions], fontsize=7)
    axis.set_yticks(range(len(classes)), classes, fontsize=7)
    axis.grid(visible=False)
    return image

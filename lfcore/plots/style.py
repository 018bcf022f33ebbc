"""How figures look: one colour, marker and order for each unlearner, readable in grey and by colour-blind eyes."""

import itertools
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler

from lfcore.core.errors import InputError
from lfcore.core.paths import atomic
from lfcore.core.tables import FLOOR

MARKERS = "osD^vPX<>phd"

COLOURS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"]
"""The palette "colorblind" of seaborn, which takes a second or two to import."""

SIZES = {"font.size": 9.6, "axes.labelsize": 9.6, "axes.titlesize": 9.6, "legend.title_fontsize": 9.6}
SIZES |= dict.fromkeys(["legend.fontsize", "xtick.labelsize", "ytick.labelsize"], 8.8)
LINES = {"axes.linewidth": 1.25, "grid.linewidth": 1.0, "grid.color": "0.8", "grid.alpha": 0.3}
for name in ("xtick", "ytick"):
    LINES |= {f"{name}.major.size": 6, f"{name}.major.width": 1.25, f"{name}.minor.size": 4, f"{name}.minor.width": 1}
matplotlib.rcParams.update(SIZES | LINES)
INKED = ["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"]
matplotlib.rcParams.update(dict.fromkeys(INKED, "0.15"))
matplotlib.rcParams.update({"axes.grid": True, "axes.axisbelow": True, "axes.prop_cycle": cycler(color=COLOURS)})
matplotlib.rcParams.update({"patch.edgecolor": "white", "patch.force_edgecolor": True, "lines.solid_capstyle": "round"})
matplotlib.rcParams.update({"svg.hashsalt": "lfcore", "pdf.fonttype": 42, "figure.dpi": 80, "legend.frameon": False})


def looks(unlearners: list[str], own: dict[str, dict] | None = None) -> dict[str, dict]:
    """Colour, marker and line of each unlearner, as keywords for matplotlib.

    `original` is black and dashed, the floor grey, the control `drift` dash-dotted, and `ltd` alone is red; a variant
    has the colour of its method, and a dotted line. own: looks that a study sets itself.
    """
    colours = itertools.cycle(COLOURS[:3] + COLOURS[4:7] + COLOURS[9:])  # no red, grey, or yellow too pale for a line
    markers = itertools.cycle(MARKERS)
    special = {"original": {"color": "black", "marker": "", "linestyle": "--"}, FLOOR: {"color": "0.6"}}
    special |= {"drift": {"color": "0.35", "marker": "x", "linestyle": "-."}} | (own or {})
    found, methods = {}, {}
    for name in unlearners:
        if name in special:
            found[name] = special[name]
            continue
        method, _, variant = name.partition("-")
        if method not in methods:
            colour = "#c1121f" if method == "ltd" else next(colours)
            methods[method] = {"color": colour, "marker": next(markers)}
        stroke = {"linestyle": ":", "markerfacecolor": "none"} if variant else {"linestyle": "-"}
        found[name] = methods[method] | stroke
    return found


def save(figure, path: str | Path) -> None:
    """Write `path`.png and `path`.pdf, without dates, so that equal figures are equal bytes."""
    for ending, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        with atomic(f"{path}.{ending}") as partial:
            figure.savefig(partial, format=ending, dpi=120, bbox_inches="tight", metadata=metadata)


def panels(rows: int, columns: int, size: tuple[float, float], **shared):
    """A figure and its axes (rows, columns). size: in inches; shared: sharex and sharey of matplotlib."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **shared)


def matrix(rows: pd.DataFrame, size: Callable[[int, int], tuple[float, float]], **shared):
    """A figure with a row of panels for each forget set and a column for each value of `panel`.

    size: in inches, from the numbers of columns and rows. Returns the figure, and pairs of an axis and what it shows,
    as keywords for `where`.
    """
    titles, forget_sets = list(rows["panel"].unique()), sorted(rows["forget_set"].unique())
    figure, axes = panels(len(forget_sets), len(titles), size(len(titles), len(forget_sets)), **shared)
    for axis, panel in zip(axes[0], titles, strict=True):
        axis.set_title(panel, fontsize=9)
    for axis, forget_set in zip(axes[:, 0], forget_sets, strict=True):
        axis.set_ylabel(f"forget {forget_set}")
    shown = itertools.product(forget_sets, titles)
    return figure, [(axis, {"forget_set": f, "panel": p}) for axis, (f, p) in zip(axes.flat, shown, strict=True)]


def present(unlearners: list[str], rows: pd.DataFrame) -> list[str]:
    """Those of `unlearners` that `rows` has; InputError if it has none."""
    known = set(rows["unlearner"])
    if not known & set(unlearners):
        raise InputError(f"None of {', '.join(unlearners)} is in this table: choose other unlearners for the figure.")
    return [name for name in unlearners if name in known]


def title(unlearner: str) -> str:
    """What axes and legends call an unlearner."""
    return "retrained (floor)" if unlearner == FLOOR else unlearner


def errors(rows: pd.DataFrame, number: str = "") -> list[pd.Series]:
    """Lengths of error bars; 0 where there is no interval. number: what `rename_interval` called the columns."""
    mean, low, high = (number, f"{number}_low", f"{number}_high") if number else ("mean", "low", "high")
    return [(rows[mean] - rows[low]).fillna(0).clip(lower=0), (rows[high] - rows[mean]).fillna(0).clip(lower=0)]


def ends(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Both ends of the intervals; the mean where there is none."""
    return rows["low"].fillna(rows["mean"]), rows["high"].fillna(rows["mean"])


def line(axis, x, rows: pd.DataFrame, unlearner: str, look: dict) -> None:
    """The means of one unlearner along x; of the floor, a grey band from `low` to `high`."""
    if unlearner == FLOOR:
        axis.fill_between(x, *ends(rows), alpha=0.5, label=title(FLOOR), **look)
    else:
        axis.plot(x, rows["mean"], label=unlearner, linewidth=1.2, markersize=4, alpha=0.9, **look)


def legend(figure, handles: dict | None = None) -> None:
    """One legend for the whole figure, above its panels. handles: by label; None: all that its panels have."""
    if handles is None:
        handles = {}
        for axis in figure.axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=min(5, len(handles))
    )

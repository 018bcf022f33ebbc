"""How figures look: one colour, marker and order for each unlearner, readable in grey and by colour-blind eyes."""

import itertools
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import seaborn as sns

from lfcore.core.paths import atomic

FLOOR = "retrained"
MARKERS = "osD^vPX<>phd"

sns.set_theme(
    context="notebook", style="ticks", palette="colorblind", font_scale=0.8, rc={"axes.grid": True, "grid.alpha": 0.3}
)
matplotlib.rcParams.update({"svg.hashsalt": "lfcore", "pdf.fonttype": 42, "figure.dpi": 80, "legend.frameon": False})


def looks(unlearners: list[str]) -> dict[str, dict]:
    """Colour, marker and line of each unlearner, as keywords for matplotlib.

    `original` is black and dashed, the floor grey, the control `drift` dash-dotted, and `ltd` alone is red; a variant
    has the colour of its method, and a dotted line.
    """
    palette = sns.color_palette("colorblind")
    colours = itertools.cycle(palette[:3] + palette[4:7] + palette[9:])  # no red, grey, or yellow too pale for a line
    markers = itertools.cycle(MARKERS)
    special = {"original": {"color": "black", "marker": "", "linestyle": "--"}, FLOOR: {"color": "0.6"}}
    special["drift"] = {"color": "0.35", "marker": "x", "linestyle": "-."}
    found, methods = {}, {}
    for name in unlearners:
        if name in special:
            found[name] = special[name]
            continue
        method, _, variant = name.partition("-")
        if method not in methods:
            colour = "#c1121f" if method == "ltd" else next(colours)
            methods[method] = {"color": colour, "marker": next(markers)}
        found[name] = {**methods[method], "linestyle": ":" if variant else "-"}
        if variant:
            found[name]["markerfacecolor"] = "none"
    return found


def save(figure, path: str | Path) -> None:
    """Write `path`.png and `path`.pdf, without dates, so that equal figures are equal bytes."""
    for ending, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        with atomic(f"{path}.{ending}") as partial:
            figure.savefig(partial, format=ending, dpi=120, bbox_inches="tight", metadata=metadata)


def legend(figure, handles: dict) -> None:
    """One legend for the whole figure, above its panels."""
    figure.legend(
        handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=min(5, len(handles))
    )


__all__ = ["FLOOR", "MARKERS", "legend", "looks", "plt", "save", "sns"]

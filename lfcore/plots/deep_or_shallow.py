"""The figures of deep and shallow forgetting, drawn from picks of the summary (`plots.panels`) and kept pictures."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.plots import style
from lfcore.statistics.summary import welch

BEFORE = "before any attack"
"""The panel that the others are compared with."""


def _present(unlearners: list[str], rows: pd.DataFrame) -> list[str]:
    found = [name for name in unlearners if name in set(rows["unlearner"])]
    if not found:
        raise InputError(f"None of {', '.join(unlearners)} is in this table: choose other unlearners for the figure.")
    return found


def _errors(rows: pd.DataFrame, name: str = "mean", low: str = "low", high: str = "high") -> list[pd.Series]:
    """Lengths of error bars; 0 where there is no interval."""
    return [(rows[name] - rows[low]).fillna(0).clip(lower=0), (rows[high] - rows[name]).fillna(0).clip(lower=0)]


def recovery(rows: pd.DataFrame, baselines: pd.DataFrame, unlearners: list[str]):
    """A row of panels for each forget set, one an attack: forget accuracy after it, a dot and interval an unlearner.

    rows: from `views.pick`; those of the panel BEFORE, if any, are hollow dots joined to each of the others. The grey
    band is what the attack finds in retrained models, the dotted line what it finds in a random network or by a guess
    (`baselines`, by the same titles).
    """
    panels = [panel for panel in rows["panel"].unique() if panel != BEFORE]
    forget_sets, shown = sorted(rows["forget_set"].unique()), _present(unlearners, rows)
    size = (1.8 + 1.9 * len(panels), 1.0 + 0.2 * len(shown) * len(forget_sets))
    figure, axes = style.plt.subplots(
        len(forget_sets), len(panels), figsize=size, sharey=True, sharex="col", squeeze=False, layout="constrained"
    )
    heights = pd.Series(range(len(shown)), index=shown)
    for line, forget_set in enumerate(forget_sets):
        here = rows[(rows["forget_set"] == forget_set) & rows["unlearner"].isin(shown)]
        before = here[here["panel"] == BEFORE].set_index("unlearner")["mean"]
        for axis, panel in zip(axes[line], panels, strict=True):
            part = here[here["panel"] == panel].set_index("unlearner")
            at = heights[part.index]
            if style.FLOOR in part.index:
                ends = part.loc[style.FLOOR, ["low", "high"]].fillna(part.loc[style.FLOOR, "mean"])
                axis.axvspan(*ends, color="0.6", alpha=0.4, linewidth=0, label="retrained (floor)")
            guess = baselines[(baselines["panel"] == panel) & (baselines["forget_set"] == forget_set)]
            for place in guess["mean"]:
                axis.axvline(place, color="0.3", linestyle=":", linewidth=1.2, label="random network or guess")
            if len(before):
                start = before.reindex(part.index)
                axis.hlines(at, start, part["mean"], color="0.75", linewidth=1)
                axis.plot(start, at, "o", color="0.45", markersize=4, markerfacecolor="white", label=BEFORE)
            axis.errorbar(part["mean"], at, xerr=_errors(part), fmt="o", color="C0", markersize=4, elinewidth=1,
                          label="after")  # fmt: skip
            axis.grid(axis="y", visible=False)
            if len(before):
                axis.set_xlim(-4, 104)  # percent; an interval of few seeds may end beyond
            if line == 0:
                axis.set_title(panel, fontsize=8)
        axes[line, 0].set_ylabel(f"forget {forget_set}")
        axes[line, 0].set_yticks(heights, ["retrained (floor)" if name == style.FLOOR else name for name in shown])
    axes[0, 0].invert_yaxis()
    handles = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    style.legend(figure, handles)
    return figure


def lines(rows: pd.DataFrame, unlearners: list[str], label: str):
    """A panel for each forget set and title, a line for each unlearner, the floor as a grey band.

    rows: from `views.lines`; label: of the axis along which they run, whose places are drawn equally far apart.
    """
    panels, forget_sets = list(rows["panel"].unique()), sorted(rows["forget_set"].unique())
    shown, places = _present(unlearners, rows), list(rows["at"].unique())
    size = (0.8 + 3.4 * len(panels), 0.6 + 2.3 * len(forget_sets))
    figure, axes = style.plt.subplots(
        len(forget_sets), len(panels), figsize=size, sharex=True, sharey="col", squeeze=False, layout="constrained"
    )
    for line, forget_set in enumerate(forget_sets):
        for axis, panel in zip(axes[line], panels, strict=True):
            part = rows[(rows["forget_set"] == forget_set) & (rows["panel"] == panel)]
            for name, look in style.looks(shown).items():
                one = part[part["unlearner"] == name].set_index("at").reindex(places)
                low, high = (one[end].fillna(one["mean"]) for end in ("low", "high"))
                at = range(len(places))
                if name == style.FLOOR:
                    axis.fill_between(at, low, high, alpha=0.5, label="retrained (floor)", **look)
                    continue
                axis.plot(at, one["mean"], label=name, linewidth=1.2, markersize=4, alpha=0.9, **look)
            axis.set_xticks(range(len(places)), places)
            if line == 0:
                axis.set_title(panel, fontsize=9)
        axes[line, 0].set_ylabel(f"forget {forget_set}")
    figure.supxlabel(label, fontsize=9)
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def plane(points: pd.DataFrame, unlearners: list[str], labels: tuple[str, str]):
    """A panel for each forget set: localized damage against recoverability, a point and two intervals an unlearner.

    points: from `plots.deep_or_shallow.plane_points`. The cross at (0, 0) is retraining. labels: of the two axes.
    """
    forget_sets, shown = sorted(points["forget_set"].unique()), _present(unlearners, points)
    figure, axes = style.plt.subplots(
        1, len(forget_sets), figsize=(1 + 4.6 * len(forget_sets), 4.2), squeeze=False, layout="constrained"
    )
    looks = style.looks(shown)
    for axis, forget_set in zip(axes[0], forget_sets, strict=True):
        axis.axhline(0, color="0.5", linewidth=0.8)
        axis.axvline(0, color="0.5", linewidth=0.8)
        axis.plot(0, 0, "+", color="black", markersize=12, label="retrained (floor)")
        for name in shown:
            one = points[(points["forget_set"] == forget_set) & (points["unlearner"] == name)]
            look = looks[name] | {"linestyle": "", "marker": looks[name]["marker"] or "*"}
            axis.errorbar(
                one["recovery"], one["damage"], xerr=_errors(one, "recovery", "recovery_low", "recovery_high"),
                yerr=_errors(one, "damage", "damage_low", "damage_high"), markersize=6, elinewidth=0.7, label=name,
                **look,
            )  # fmt: skip
        axis.set_title(f"forget {forget_set}", fontsize=9)
        axis.set_xlabel(labels[0])
    axes[0, 0].set_ylabel(labels[1])
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def read_pictures(paths: list[str | Path], forget_set: str, unlearners: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """What `lfcore.attacks.inversion` kept of each unlearner's first seed, in the order of `unlearners`.

    paths: arrays that 07_probe wrote, named …/<forget set>/<unlearner>.npz. Each value has `targets`, `gradient` and,
    if weights changed, `difference`, (n, c, h, w).
    """
    files = {Path(path).stem: Path(path) for path in paths if Path(path).parent.name == forget_set}
    found = {}
    for name in unlearners:
        if name not in files:
            continue
        arrays = tables.read_arrays(files[name])
        kept = {key: array for key, array in arrays.items() if key.startswith("inversion_")}
        first = min((int(key.rpartition("_")[2]) for key in kept), default=None)
        if first is not None:
            wanted = {re.sub(r"^inversion_|_\d+$", "", key): kept[key] for key in kept if key.endswith(f"_{first}")}
            found[name] = wanted
    if not found:
        raise InputError(f"There are no pictures of {forget_set} for {', '.join(unlearners)}: run the study deep.")
    return found


def pictures(found: dict[str, dict[str, np.ndarray]]):
    """A row of pictures for each unlearner: what inversion of a gradient and of the weight difference gave back.

    found: from `read_pictures`. The top row are the forgotten examples whose gradients were given; below each picture
    its PSNR in dB.
    """
    from lfcore.geometry.image_quality import psnr

    targets = next(iter(found.values()))["targets"]
    extra = max(len(kept.get("difference", ())) for kept in found.values())
    columns = len(targets) + extra
    figure, axes = style.plt.subplots(
        len(found) + 1, columns, figsize=(2.2 + 0.75 * columns, 0.9 * (len(found) + 1)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    low, high = float(targets.min()), float(targets.max())
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    rows = {"forgotten": {"gradient": targets}, **found}
    for line, (name, kept) in enumerate(rows.items()):
        label = "retrained (floor)" if name == style.FLOOR else name
        axes[line, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        for start, kind in ((0, "gradient"), (len(targets), "difference")):
            for position, picture in enumerate(kept.get(kind, ())):
                axis = axes[line, start + position]
                axis.imshow(picture.transpose(1, 2, 0), cmap="gray_r", vmin=low, vmax=high)
                if line and kind == "gradient":
                    value = psnr(picture[None], targets[position][None], high - low)[0]
                    axis.set_xlabel(f"{value:.0f} dB", fontsize=6, labelpad=1)
    axes[0, 0].set_title("from a gradient", loc="left", fontsize=8)
    if extra:
        axes[0, len(targets)].set_title("from both weights", loc="left", fontsize=8)
    return figure


RECOVERY = {
    "feature mapping": "forget feature_mapping calibration held_out",
    "map through the origin": "forget feature_mapping_linear calibration held_out",
    "relearning": "forget relearned steps half/5",
    "head recovery": "forget head_recovery calibration few",
}
"""Kinds of recovery: "split metric scope key" of an accuracy in percent."""


DAMAGE = {
    "confidence": "confidence_gap_excess other/near",
    "total variation": "total_variation_excess other/near",
    "near - far": "localization_excess other",
}
"""Kinds of localized damage to test examples of the other classes, above the floor: "metric key"."""


def plane_points(summary: pd.DataFrame, recovery: str, damage: str) -> pd.DataFrame:
    """Recoverability and localized damage of every unlearner, each less that of retrained models.

    recovery, damage: keys of RECOVERY and DAMAGE. Columns forget_set, network, unlearner; recovery and damage, both in
    percentage points, each with `_low` and `_high`, Welch's 95 % interval. The original's recovery is the largest.
    """
    for kind, known in ((recovery, RECOVERY), (damage, DAMAGE)):
        if kind not in known:
            raise InputError(f"There is no {kind!r} for the plane: choose one of {', '.join(known)}.")
    place = ["forget_set", "network"]
    split, metric, scope, key = RECOVERY[recovery].split(" ")
    rows = summary[(summary["split"] == split) & (summary["metric"] == metric)]
    rows = rows[(rows["scope"] == scope) & (rows["key"] == key)]
    floor = rows[rows["unlearner"] == "retrained"]
    pairs = rows[rows["unlearner"] != "retrained"].merge(floor, on=place, suffixes=("", "_floor"))
    numbers = [pairs[name] for name in ("mean", "sd", "n", "mean_floor", "sd_floor", "n_floor")]
    pairs["recovery"], _, pairs["recovery_low"], pairs["recovery_high"] = welch(*numbers)
    metric, key = DAMAGE[damage].split(" ")
    rows = summary[(summary["split"] == "test") & (summary["metric"] == metric) & (summary["key"] == key)]
    rows = rows[rows["reference"] == "retrained"].rename(columns={"mean": "damage", "low": "damage_low"})
    rows = rows.rename(columns={"high": "damage_high"})[[*place, "unlearner", "damage", "damage_low", "damage_high"]]
    kept = pairs[[*place, "unlearner", "recovery", "recovery_low", "recovery_high"]]
    found = kept.merge(rows, on=[*place, "unlearner"])
    if found.empty:
        raise InputError(f"The summary has no {recovery} beside {damage}: add their probe and metric to the config.")
    found[["damage", "damage_low", "damage_high"]] *= 100
    return found

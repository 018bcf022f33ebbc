"""The figures of deep and shallow forgetting, drawn from picks of the summary (`plots.panels`) and kept pictures."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.plots.tables import rename_interval
from lfcore.statistics.summary import above_floor

BEFORE = "before any attack"
"""The panel that the others are compared with."""
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


def recovery(rows: pd.DataFrame, baselines: pd.DataFrame, unlearners: list[str]):
    """A row of panels for each forget set, one an attack: forget accuracy after it, a dot and interval an unlearner.

    rows: from `plots.panels.pick`; those of the panel BEFORE, if any, are hollow dots joined to each of the others.
    The grey band is what the attack finds in retrained models, the dotted line what it finds in a random network or by
    a guess (`baselines`, by the same titles).
    """
    shown = style.present(unlearners, rows)
    rows = rows[rows["unlearner"].isin(shown)]
    after, heights = rows[rows["panel"] != BEFORE], pd.Series(range(len(shown)), index=shown)
    figure, axes = style.matrix(
        after, lambda columns, lines: (1.8 + 1.9 * columns, 1.0 + 0.2 * len(shown) * lines), sharey=True, sharex="col"
    )
    for axis, place in axes:
        before = where(rows, panel=BEFORE, forget_set=place["forget_set"]).set_index("unlearner")["mean"]
        part = where(after, **place).set_index("unlearner")
        at = heights[part.index]
        if style.FLOOR in part.index:
            low, high = style.ends(part.loc[[style.FLOOR]])
            axis.axvspan(low.item(), high.item(), color="0.6", alpha=0.4, linewidth=0, label=style.title(style.FLOOR))
        for guess in where(baselines, **place)["mean"]:
            axis.axvline(guess, color="0.3", linestyle=":", linewidth=1.2, label="random network or guess")
        if len(before):
            start = before.reindex(part.index)
            axis.hlines(at, start, part["mean"], color="0.75", linewidth=1)
            axis.plot(start, at, "o", color="0.45", markersize=4, markerfacecolor="white", label=BEFORE)
            axis.set_xlim(-4, 104)  # percent; an interval of few seeds may end beyond
        axis.errorbar(part["mean"], at, xerr=style.errors(part), fmt="o", color="C0", markersize=4, elinewidth=1,
                      label="after")  # fmt: skip
        axis.grid(axis="y", visible=False)
        axis.title.set_fontsize(8)
    figure.axes[0].set_yticks(heights, map(style.title, shown))
    figure.axes[0].invert_yaxis()
    style.legend(figure)
    return figure


def lines(rows: pd.DataFrame, unlearners: list[str], label: str):
    """A panel for each forget set and title, a line for each unlearner, the floor as a grey band.

    rows: from `plots.panels.lines`; label: of the axis along which they run, whose places are drawn equally far apart.
    """
    shown, places = style.present(unlearners, rows), list(rows["at"].unique())
    figure, axes = style.matrix(
        rows, lambda columns, lines: (0.8 + 3.4 * columns, 0.6 + 2.3 * lines), sharex=True, sharey="col"
    )
    for axis, place in axes:
        for name, look in style.looks(shown).items():
            line = where(rows, **place, unlearner=name).set_index("at").reindex(places)
            style.line(axis, range(len(places)), line, name, look)
        axis.set_xticks(range(len(places)), places)
    figure.supxlabel(label, fontsize=9)
    style.legend(figure)
    return figure


def layers(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each kind of example and forget set: CKA to the original, layer by layer, a line an unlearner."""
    rows = rows.join(rows["key"].str.split("/", expand=True).set_axis(["examples", "layer"], axis=1))
    kinds, forget_sets = ["forget", "affected", "other"], sorted(rows["forget_set"].unique())
    names = sorted(rows["layer"].unique())
    size = (3.4 * len(kinds), 0.6 + 2.3 * len(forget_sets))
    figure, axes = style.panels(len(forget_sets), len(kinds), size, sharex=True, sharey=True)
    for line, forget_set in enumerate(forget_sets):
        for axis, kind in zip(axes[line], kinds, strict=True):
            for name, look in style.looks(style.present(unlearners, rows)).items():
                one = where(rows, forget_set=forget_set, examples=kind, unlearner=name)
                means = one.set_index("layer")["mean"].reindex(names)
                axis.plot(range(len(names)), means, label=style.title(name), linewidth=1.2, markersize=4, **look)
            axis.set_title(f"forget {forget_set}: {kind} examples", fontsize=9)
            axis.set_xticks(range(len(names)), names)
        axes[line, 0].set_ylabel("CKA to the original")
    figure.supxlabel("layer", fontsize=9)
    style.legend(figure)
    return figure


def recovery_plane(points: pd.DataFrame, unlearners: list[str], labels: tuple[str, str]):
    """A panel for each forget set: localized damage against recoverability, a point and two intervals an unlearner.

    points: from `pair_recovery_and_damage`. The cross at (0, 0) is retraining. labels: of the two axes.
    """
    forget_sets, shown = sorted(points["forget_set"].unique()), style.present(unlearners, points)
    figure, axes = style.panels(1, len(forget_sets), (1 + 4.6 * len(forget_sets), 4.2))
    looks = style.looks(shown)
    for axis, forget_set in zip(axes[0], forget_sets, strict=True):
        axis.axhline(0, color="0.5", linewidth=0.8)
        axis.axvline(0, color="0.5", linewidth=0.8)
        axis.plot(0, 0, "+", color="black", markersize=12, label=style.title(style.FLOOR))
        for name in shown:
            one = where(points, forget_set=forget_set, unlearner=name)
            look = looks[name] | {"linestyle": "", "marker": looks[name]["marker"] or "*"}
            axis.errorbar(
                one["recovery"], one["damage"], style.errors(one, "damage"), style.errors(one, "recovery"),
                markersize=6, elinewidth=0.7, label=name, **look,
            )  # fmt: skip
        axis.set_title(f"forget {forget_set}", fontsize=9)
        axis.set_xlabel(labels[0])
    axes[0, 0].set_ylabel(labels[1])
    style.legend(figure)
    return figure


def read_pictures(paths: list[str | Path], forget_set: str, unlearners: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """What `lfcore.attacks.inversion` kept of each unlearner's first seed, in the order of `unlearners`.

    paths: arrays that 07_probe wrote, named …/<forget set>/<unlearner>.npz. Each value has `targets`, `gradient` and,
    if weights changed, `difference`, (n, c, h, w).
    """
    files = {Path(path).stem: Path(path) for path in paths if Path(path).parent.name == forget_set}
    found = {}
    for name in [name for name in unlearners if name in files]:
        arrays = tables.read_arrays(files[name])
        seeds = {key: int(key.rpartition("_")[2]) for key in arrays if key.startswith("inversion_")}
        first = [key for key, seed in seeds.items() if seed == min(seeds.values())]
        if first:
            found[name] = {re.sub(r"^inversion_|_\d+$", "", key): arrays[key] for key in first}
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
    figure, axes = style.panels(len(found) + 1, columns, (2.2 + 0.75 * columns, 0.9 * (len(found) + 1)))
    low, high = float(targets.min()), float(targets.max())
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.set_frame_on(False)
    rows = {"forgotten": {"gradient": targets}, **found}
    for line, (name, kept) in enumerate(rows.items()):
        axes[line, 0].set_ylabel(style.title(name), rotation=0, ha="right", va="center", fontsize=8)
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


def pair_recovery_and_damage(summary: pd.DataFrame, recovery: str, damage: str) -> pd.DataFrame:
    """Recoverability and localized damage of every unlearner, each less that of retrained models.

    recovery, damage: keys of RECOVERY and DAMAGE. Columns forget_set, network, unlearner; recovery and damage, both in
    percentage points, each with `_low` and `_high`, Welch's 95 % interval. The original's recovery is the largest.
    """
    for kind, known in ((recovery, RECOVERY), (damage, DAMAGE)):
        if kind not in known:
            raise InputError(f"There is no {kind!r} for the plane: choose one of {', '.join(known)}.")
    by = ["forget_set", "network"]
    split, metric, scope, key = RECOVERY[recovery].split(" ")
    recovered = above_floor(where(summary, split=split, metric=metric, scope=scope, key=key), by)
    metric, key = DAMAGE[damage].split(" ")
    damaged = where(summary, split="test", metric=metric, key=key, reference=style.FLOOR)
    place = [*by, "unlearner"]
    points, percent = rename_interval(recovered, place, "recovery"), rename_interval(damaged, place, "damage") * 100
    found = points.join(percent, how="inner").reset_index()
    if found.empty:
        raise InputError(f"The summary has no {recovery} beside {damage}: add their probe and metric to the config.")
    return found

"""What a method's options do: settings of the tuning, series of variants, and the size of the teacher's support."""

import re

import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.statistics.setting_choice import RETAIN, RETAIN_AFFECTED


def tuning(settings: pd.DataFrame):
    """A panel for each method: UA, RA and RA_aff of each setting, in the order of the grid; the choices are marked.

    settings: from `lfcore.statistics.setting_choice.choose`.
    """
    methods = list(settings["unlearner"].unique())
    rows = -(-len(methods) // 6)
    figure, axes = style.panels(rows, 6, (14, 2.1 * rows), sharey=True)
    for axis in axes.flat[len(methods) :]:
        axis.set_visible(False)
    for axis, method in zip(axes.flat, methods, strict=False):
        part = settings[settings["unlearner"] == method]
        for measure, marker in {"UA": "o", "RA": "s", "RA_aff": "^"}.items():
            axis.plot(part["setting"], part[measure], marker=marker, markersize=3, linewidth=1, label=measure)
        for by, marker in {"rule": "o", "reachable": "s"}.items():
            at = part[part[by]]
            axis.plot(
                at["setting"], at["UA"], marker, markersize=12 if by == "rule" else 9, markerfacecolor="none",
                color="black", label=by,
            )  # fmt: skip
        for kept in (RETAIN, RETAIN_AFFECTED):
            axis.axhline(kept, color="0.5", linestyle=":", linewidth=0.8)
        axis.set_title(method, fontsize=8)
        axis.set_xticks(part["setting"], [])
    figure.supylabel("accuracy (percent)", fontsize=9)
    figure.supxlabel("setting, in the order of the grid", fontsize=9)
    style.legend(figure)
    return figure


def variants(rows: pd.DataFrame, option: str, last: float) -> pd.DataFrame:
    """The rows of variants called <method>-<option><number>, with the columns `method` and `at`, that number.

    The method itself stands at `last`, the value that it has in the config.
    """
    found = rows["unlearner"].str.extract(rf"^(?P<method>\w+?)(?:-{re.escape(option)}(?P<at>[\d.]+))?$")
    rows = rows.assign(method=found["method"], at=pd.to_numeric(found["at"]))
    several = rows.loc[rows["at"].notna(), "method"].unique()
    rows = rows[rows["method"].isin(several)]
    if rows.empty:
        raise InputError(f"No unlearner of this study is called <method>-{option}<number>: add some to the config.")
    return rows.assign(at=rows["at"].fillna(last)).sort_values(["panel", "forget_set", "method", "at"])


def series(rows: pd.DataFrame, floor: pd.DataFrame, label: str):
    """A panel for each measure and forget set, a line for each method, against the number in a variant's name.

    rows: from `variants`; floor: the rows of `retrained`, whose intervals are grey bands.
    """
    figure, axes = style.matrix(rows, lambda columns, lines: (2.5 * columns, 0.6 + 2.1 * lines), sharex=True)
    for axis, shown in axes:
        for name, look in style.looks(list(rows["method"].unique())).items():
            line = where(rows, **shown, method=name)
            axis.plot(line["at"], line["mean"], label=name, markersize=4, linewidth=1.2, **look)
            axis.fill_between(line["at"], line["low"], line["high"], alpha=0.15, color=look["color"])
        for band in where(floor, **shown).itertuples():
            axis.axhspan(band.low, band.high, color="0.6", alpha=0.5, linewidth=0, label=style.title(style.FLOOR))
    figure.supxlabel(label, fontsize=9)
    style.legend(figure)
    return figure


def median_steps(costs: pd.DataFrame, option: str) -> pd.DataFrame:
    """Optimizer steps of a model and of its helpers (a teacher), medians over models of each variant in a series.

    costs: the table of a study; the rows are those of unlearners called <method>-<option><number>, and their methods.
    """
    rows = costs[costs["kind"] == "model"].copy()
    rows[["unlearner", "forget_set"]] = rows["name"].str.split(" ", expand=True).reindex(columns=[0, 1])
    several = rows["unlearner"].str.extract(rf"^(\w+?)-{re.escape(option)}[\d.]+$")[0].dropna().unique()
    rows = rows[rows["unlearner"].str.split("-").str[0].isin(several)]
    return rows.groupby(["forget_set", "unlearner"])[["steps", "steps_aside"]].median()


def by_number(summary: pd.DataFrame, scope: str) -> pd.DataFrame:
    """The rows of one scope whose key is a number, with that number in the column `at`."""
    rows = summary[(summary["scope"] == scope) & (summary["unlearner"] == "original")]
    if rows.empty:
        raise InputError(f"The summary has no numbers of the scope {scope}: add their probe to the config.")
    return rows.assign(at=pd.to_numeric(rows["key"])).sort_values(["metric", "forget_set", "at"])


def support_size(curves: pd.DataFrame, bins: pd.DataFrame):
    """What helps to choose k: teacher accuracy, both divergences and lowest similarity by k; ascent's error by bin.

    curves, bins: `by_number` of the scopes "k" and "ascent_bin".
    """
    titles = {
        "teacher_accuracy": "teacher accuracy on\nforget set (percent)",
        "histogram_divergence": "KL to the k before\n(nats)",
        "retrained_divergence": "KL from retraining\n(nats)",
        "support_similarity": "lowest similarity\nin the support",
    }
    figure, ((*axes, last),) = style.panels(1, 5, (14, 2.8))
    forget_sets = sorted(curves["forget_set"].unique())
    for position, forget_set in enumerate(forget_sets):
        look = {"color": style.COLOURS[position], "marker": style.MARKERS[position], "label": forget_set}
        look["markersize"] = 4
        for axis, (metric, title) in zip(axes, titles.items(), strict=True):
            line = where(curves, metric=metric, forget_set=forget_set)
            axis.errorbar(line["at"], line["mean"], style.errors(line), linewidth=1.2, elinewidth=0.6, **look)
            axis.set(xlabel="k", ylabel=title)
        part = bins[bins["forget_set"] == forget_set].pivot_table(index="at", columns="metric", values="mean")
        last.plot(part["similarity"], part["ascent_error"], linewidth=1.2, **look)
        last.set(xlabel="similarity to the forget set", ylabel="error added by one\nascent step (points)")
    style.legend(figure)
    return figure

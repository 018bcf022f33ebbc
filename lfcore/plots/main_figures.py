"""The figures, drawn from the summary table alone."""

import numpy as np
import pandas as pd

from lfcore.core.errors import InputError
from lfcore.plots import style
from lfcore.statistics.setting_choice import RETAIN, RETAIN_AFFECTED

MEASURES = {
    "accuracy_gap": ("ΔAcc (points)", 100),
    "confidence_gap": ("ΔConf (points)", 100),
    "total_variation": ("total variation", 1),
}
"""Each measure's axis label, and the factor from its unit in the table to its unit on the axis."""
FEW = 10
"""Bins with fewer examples than this are shaded."""


def curves(summary: pd.DataFrame, *, scope: str, classes: str) -> pd.DataFrame:
    """ΔAcc, ΔConf and total variation by bin, in the unit of the axis, with each bin's mean similarity and count.

    scope: "width_bin" or "count_bin"; classes: "all", "affected" or "other". Empty bins have no row.
    """
    chosen = summary[(summary["scope"] == scope) & summary["key"].str.startswith(f"{classes}/")].copy()
    if chosen.empty:
        raise InputError(f"The summary has no {scope} of {classes} classes: choose another scope or classes.")
    chosen["bin"] = chosen["key"].str.split("/").str[1].astype(int)
    place = ["forget_set", "network", "unlearner", "split", "bin"]
    facts = chosen[chosen["reference"] == ""].pivot_table(index=place, columns="metric", values="mean")
    rows = chosen[(chosen["reference"] == "retrained") & chosen["metric"].isin(MEASURES)].copy()
    factor = rows["metric"].map({name: factor for name, (_, factor) in MEASURES.items()})
    for column in ("mean", "sd", "low", "high"):
        rows[column] *= factor
    return rows.merge(facts[["similarity", "count"]], left_on=place, right_index=True).sort_values([*place, "metric"])


def _present(unlearners: list[str], rows: pd.DataFrame) -> list[str]:
    """Those of `unlearners` that `rows` has; InputError if it has none."""
    found = [name for name in unlearners if name in set(rows["unlearner"])]
    if not found:
        raise InputError(f"None of {', '.join(unlearners)} is in this table: choose other unlearners for the figure.")
    return found


def localized(rows: pd.DataFrame, unlearners: list[str]):
    """A figure with a row of panels for each measure and a column for each forget set and split.

    rows: from `curves`. A line for each unlearner, with its 95 % interval over seeds; the floor is a grey band.
    """
    unlearners = _present(unlearners, rows)
    columns = sorted(set(zip(rows["forget_set"], rows["split"], strict=True)))
    size = (3.4 * len(columns), 2.5 * len(MEASURES))
    figure, axes = style.plt.subplots(
        len(MEASURES), len(columns), figsize=size, sharey="row", sharex="col", squeeze=False, layout="constrained"
    )
    for line, (metric, (label, _)) in enumerate(MEASURES.items()):
        for column, (forget_set, split) in enumerate(columns):
            axis = axes[line, column]
            shown = (rows["metric"] == metric) & (rows["forget_set"] == forget_set) & (rows["split"] == split)
            _draw_lines(axis, rows[shown], unlearners)
            axis.set_ylabel(label if column == 0 else "")
            if line == 0:
                axis.set_title(f"forget {forget_set}, {split} examples", pad=16)
                _print_counts(axis, rows[shown])
            if line == len(MEASURES) - 1:
                axis.set_xlabel("similarity to the forget set")
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    style.legend(figure, handles)
    return figure


def _print_counts(axis, rows: pd.DataFrame) -> None:
    """The number of examples of each bin, above the panel."""
    place = axis.get_xaxis_transform()
    for similarity, count in rows[["similarity", "count"]].drop_duplicates("similarity").itertuples(index=False):
        axis.text(similarity, 1.02, f"{count:.0f}", transform=place, ha="center", fontsize=6, color="0.4")
    axis.text(-0.01, 1.02, "n", transform=axis.transAxes, ha="right", fontsize=6, color="0.4")


def _draw_lines(axis, rows: pd.DataFrame, unlearners: list[str]) -> None:
    axis.axhline(0, color="0.3", linewidth=0.8)
    for name, look in style.looks(unlearners).items():
        line = rows[rows["unlearner"] == name].sort_values("similarity")
        if name == style.FLOOR:
            low, high = (line[end].fillna(line["mean"]) for end in ("low", "high"))
            axis.fill_between(line["similarity"], low, high, alpha=0.5, label="retrained (floor)", **look)
            continue
        enough = line["mean"].where(line["count"] >= FEW)  # a line through bins of a few examples would mislead
        axis.plot(line["similarity"], enough, label=name, linewidth=1.2, markersize=4, alpha=0.9, **look)
        few = line[line["count"] < FEW]
        axis.plot(few["similarity"], few["mean"], markersize=3, alpha=0.6, **{**look, "linestyle": ""})
        errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
        axis.errorbar(line["similarity"], line["mean"], errors, fmt="none", ecolor=look["color"], elinewidth=0.6)
    for place in rows.loc[rows["count"] < FEW, "similarity"].unique():
        axis.axvspan(place - 0.02, place + 0.02, color="0.92", zorder=0, linewidth=0)


def affected(table: pd.DataFrame, unlearners: list[str]):
    """A figure of bars: RA_aff, UA_aff and TA_aff less those of the reference retrained models, a panel a forget set.

    table: columns forget_set, unlearner, measure, mean, low, high, in percentage points.
    """
    unlearners = _present(unlearners, table)
    forget_sets = sorted(table["forget_set"].unique())
    figure, axes = style.plt.subplots(
        1, len(forget_sets), figsize=(6.5 * len(forget_sets), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    looks = style.looks(unlearners)
    for axis, forget_set in zip(axes[0], forget_sets, strict=True):
        for position, name in enumerate(unlearners):
            bars = table[(table["forget_set"] == forget_set) & (table["unlearner"] == name)]
            bars = bars.set_index("measure").reindex(["RA_aff", "UA_aff", "TA_aff"])  # a whole class has no RA_aff
            places = [group + (position - len(unlearners) / 2 + 0.5) * 0.8 / len(unlearners) for group in range(3)]
            errors = [bars["mean"] - bars["low"], bars["high"] - bars["mean"]]
            label = "retrained (floor)" if name == style.FLOOR else name
            hatch = "////" if "-" in name else None
            axis.bar(
                places, bars["mean"], 0.8 / len(unlearners), color=looks[name]["color"], label=label, hatch=hatch,
                edgecolor="white", linewidth=0,
            )  # fmt: skip
            axis.errorbar(places, bars["mean"], errors, fmt="none", ecolor="0.2", elinewidth=0.6)
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_xticks(range(3), ["RA_aff", "UA_aff", "TA_aff"])
        axis.set_title(f"forget {forget_set}")
    axes[0, 0].set_ylabel("accuracy less that of\nretrained models (points)")
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def tuning(settings: pd.DataFrame):
    """A panel for each method: UA, RA and RA_aff of each setting, in the order of the grid; the choices are marked.

    settings: from `lfcore.statistics.setting_choice.choose`.
    """
    methods = list(settings["unlearner"].unique())
    rows = -(-len(methods) // 6)
    figure, axes = style.plt.subplots(rows, 6, figsize=(14, 2.1 * rows), sharey=True, layout="constrained")
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
    style.legend(figure, dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True)))
    return figure


def forest(rows: pd.DataFrame, unlearners: list[str], *, zero: bool = True):
    """A panel for each value of `panel`: a line for each unlearner, with a dot and interval for each forget set.

    rows: from `plots.panels.pick`. The floor's interval is a grey band in the colour of no method. zero: draw zero.
    """
    shown = _present(unlearners, rows)
    rows = rows[rows["unlearner"].isin(shown)]
    panels, forget_sets = list(rows["panel"].unique()), sorted(rows["forget_set"].unique())
    size = (1.6 + 2.0 * len(panels), 1.0 + 0.24 * len(shown))
    figure, axes = style.plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    palette = style.sns.color_palette("colorblind")
    for axis, panel in zip(axes[0], panels, strict=True):
        for position, forget_set in enumerate(forget_sets):
            part = rows[(rows["panel"] == panel) & (rows["forget_set"] == forget_set)].set_index("unlearner")
            heights = [shown.index(name) + 0.16 * (position - (len(forget_sets) - 1) / 2) for name in part.index]
            look = {"color": palette[position], "marker": style.MARKERS[position]}
            axis.errorbar(
                part["mean"], heights, xerr=[part["mean"] - part["low"], part["high"] - part["mean"]],
                linestyle="", markersize=4, elinewidth=1, label=forget_set, **look,
            )  # fmt: skip
            if style.FLOOR in part.index:
                floor = part.loc[style.FLOOR]
                axis.axvspan(floor["low"], floor["high"], color=palette[position], alpha=0.12, linewidth=0)
        if zero:
            axis.axvline(0, color="0.3", linewidth=0.8)
        _limit(axis, rows[rows["panel"] == panel], zero)
        axis.set_title(panel, fontsize=8)
        axis.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(shown)), ["retrained (floor)" if n == style.FLOOR else n for n in shown])
    axes[0, 0].invert_yaxis()
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def _limit(axis, rows: pd.DataFrame, zero: bool) -> None:
    """Leave the few widest intervals out of what the axis must hold, so that the others can be told apart."""
    ends = pd.concat([rows[name].fillna(rows["mean"]) for name in ("low", "high")])
    low, high = ends.quantile([0.05, 0.95])
    low, high = min(low, rows["mean"].quantile(0.04)), max(high, rows["mean"].quantile(0.96))
    low, high = (min(low, 0), max(high, 0)) if zero else (low, high)
    margin = 0.08 * (high - low) or 1.0
    axis.set_xlim(low - margin, high + margin)


def series(rows: pd.DataFrame, floor: pd.DataFrame, label: str):
    """A panel for each measure and forget set, a line for each method, against the number in a variant's name.

    rows: from `lfcore.plots.panels.series`; floor: the rows of `retrained`, whose intervals are grey bands.
    """
    panels, forget_sets = list(rows["panel"].unique()), sorted(rows["forget_set"].unique())
    size = (2.5 * len(panels), 0.6 + 2.1 * len(forget_sets))
    figure, axes = style.plt.subplots(
        len(forget_sets), len(panels), figsize=size, sharex=True, squeeze=False, layout="constrained"
    )
    looks = style.looks(list(rows["method"].unique()))
    for line, forget_set in enumerate(forget_sets):
        for axis, panel in zip(axes[line], panels, strict=True):
            part, band = (t[(t["panel"] == panel) & (t["forget_set"] == forget_set)] for t in (rows, floor))
            for name, look in looks.items():
                one = part[part["method"] == name]
                axis.plot(one["at"], one["mean"], label=name, markersize=4, linewidth=1.2, **look)
                axis.fill_between(one["at"], one["low"], one["high"], alpha=0.15, color=look["color"])
            for end in band.itertuples():
                axis.axhspan(end.low, end.high, color="0.6", alpha=0.5, linewidth=0, label="retrained (floor)")
            if line == 0:
                axis.set_title(panel, fontsize=9)
        axes[line, 0].set_ylabel(f"forget {forget_set}")
    figure.supxlabel(label, fontsize=9)
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def scatter(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each unlearner, a dot for each class: the accuracy it lost against its similarity to the deleted one.

    rows: from `plots.panels.by_class`. The dashed line is a least-squares fit; r is Pearson's correlation of the dots,
    with Fisher's interval over classes, and below it the mean of each seed's, with its interval over seeds.
    """
    from scipy.stats import pearsonr  # half a second, for this figure alone

    unlearners = _present(unlearners, rows)
    figure, axes = style.plt.subplots(
        1, len(unlearners), figsize=(3.2 * len(unlearners), 2.9), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes[0], unlearners, strict=True):
        dots = rows[rows["unlearner"] == name].sort_values("similarity")
        x, y = dots["similarity"].to_numpy(), dots["drop"].to_numpy()
        axis.errorbar(x, y, [y - dots["less"], dots["more"] - y], fmt="o", markersize=4, elinewidth=0.8)
        for dot in dots.itertuples():
            axis.annotate(dot.key, (dot.similarity, dot.drop), xytext=(3, 3), textcoords="offset points", fontsize=7)
        if len(x) > 2 and y.std() > 0:
            slope, start = np.polyfit(x, y, 1)
            axis.plot(x, start + slope * x, "--", color="0.4", linewidth=1)
            found = pearsonr(x, y)
            ends = f" [{', '.join(f'{end:.2f}' for end in found.confidence_interval())}]" if len(x) > 3 else ""
            mean, low, high = dots[["correlation", "correlation_low", "correlation_high"]].iloc[0]
            by_seed = f"\nby seed {mean:.2f} [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
            axis.set_title(f"{name}: r = {found.statistic:.2f}{ends}{by_seed}", fontsize=9)
        else:
            axis.set_title(name, fontsize=9)
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_xlabel("similarity to the deleted class")
    axes[0, 0].set_ylabel("accuracy lost against\nretraining (points)")
    return figure


def support(curves: pd.DataFrame, bins: pd.DataFrame):
    """What helps to choose k: teacher accuracy, both divergences and lowest similarity by k; ascent's error by bin.

    curves, bins: `lfcore.plots.panels.curve` of the scopes "k" and "ascent_bin".
    """
    titles = {
        "teacher_accuracy": "teacher accuracy on\nforget set (percent)",
        "histogram_divergence": "KL to the k before\n(nats)",
        "retrained_divergence": "KL from retraining\n(nats)",
        "support_similarity": "lowest similarity\nin the support",
    }
    figure, axes = style.plt.subplots(1, 5, figsize=(14, 2.8), layout="constrained")
    forget_sets = sorted(curves["forget_set"].unique())
    palette = style.sns.color_palette("colorblind")
    for position, forget_set in enumerate(forget_sets):
        look = {"color": palette[position], "marker": style.MARKERS[position], "markersize": 4, "label": forget_set}
        for axis, (metric, title) in zip(axes, titles.items(), strict=False):
            line = curves[(curves["metric"] == metric) & (curves["forget_set"] == forget_set)]
            errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
            axis.errorbar(line["at"], line["mean"], errors, linewidth=1.2, elinewidth=0.6, **look)
            axis.set(xlabel="k", ylabel=title)
        part = bins[bins["forget_set"] == forget_set].pivot_table(index="at", columns="metric", values="mean")
        axes[4].plot(part["similarity"], part["ascent_error"], linewidth=1.2, **look)
        axes[4].set(xlabel="similarity to the forget set", ylabel="error added by one\nascent step (points)")
    style.legend(figure, dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True)))
    return figure


def draws(table: pd.DataFrame):
    """A panel for each statistic: draw 0's interval and the hierarchical bootstrap's, for each method and forget set.

    table: from `lfcore.statistics.variance_components.axes`.
    """
    statistics = list(table["statistic"].unique())
    lines = list(dict.fromkeys(zip(table["forget_set"], table["method"], strict=True)))
    size = (1.8 + 2.3 * len(statistics), 1 + 0.35 * len(lines))
    figure, axes = style.plt.subplots(
        1, len(statistics), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, statistic in zip(axes[0], statistics, strict=True):
        part = table[table["statistic"] == statistic]
        heights = [lines.index(line) for line in zip(part["forget_set"], part["method"], strict=True)]
        for shift, low, high, label, colour in [
            (-0.12, "low", "high", "Student, one draw", "0.5"),
            (0.12, "boot_low", "boot_high", "hierarchical bootstrap", "C0"),
        ]:
            axis.hlines([h + shift for h in heights], part[low], part[high], color=colour, linewidth=2, label=label)
        axis.plot(part["mean"], heights, "o", color="black", markersize=3)
        axis.axvline(0, color="0.3", linewidth=0.8)
        axis.set_title(statistic, fontsize=9)
    axes[0, 0].set_yticks(range(len(lines)), [f"{method}, {forget_set}" for forget_set, method in lines])
    axes[0, 0].invert_yaxis()
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def layers(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each kind of example and forget set: CKA to the original, layer by layer, a line an unlearner."""
    rows = rows.assign(examples=rows["key"].str.split("/").str[0], layer=rows["key"].str.split("/").str[1])
    kinds, forget_sets = ["forget", "affected", "other"], sorted(rows["forget_set"].unique())
    names = sorted(rows["layer"].unique())
    size = (3.4 * len(kinds), 0.6 + 2.3 * len(forget_sets))
    figure, axes = style.plt.subplots(
        len(forget_sets), len(kinds), figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for line, forget_set in enumerate(forget_sets):
        for axis, kind in zip(axes[line], kinds, strict=True):
            for name, look in style.looks(_present(unlearners, rows)).items():
                one = rows[(rows["forget_set"] == forget_set) & (rows["examples"] == kind)]
                one = one[one["unlearner"] == name].set_index("layer").reindex(names)
                label = "retrained (floor)" if name == style.FLOOR else name
                axis.plot(range(len(names)), one["mean"], label=label, linewidth=1.2, markersize=4, **look)
            axis.set_title(f"forget {forget_set}: {kind} examples", fontsize=9)
            axis.set_xticks(range(len(names)), names)
        axes[line, 0].set_ylabel("CKA to the original")
    figure.supxlabel("layer", fontsize=9)
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure

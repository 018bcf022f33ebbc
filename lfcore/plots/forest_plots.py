"""Dots with their intervals, a line for each unlearner: the numbers of `panels`, and those of several draws."""

import pandas as pd

from lfcore.core.tables import where
from lfcore.plots import style


def forest(rows: pd.DataFrame, unlearners: list[str], *, zero: bool = True):
    """A panel for each value of `panel`: a line for each unlearner, with a dot and interval for each forget set.

    rows: from `plots.panels.pick`. The floor's interval is a grey band in the colour of no method. zero: draw zero.
    """
    shown = style.present(unlearners, rows)
    rows = rows[rows["unlearner"].isin(shown)]
    panels, forget_sets = list(rows["panel"].unique()), sorted(rows["forget_set"].unique())
    figure, axes = style.panels(1, len(panels), (1.6 + 2.0 * len(panels), 1.0 + 0.24 * len(shown)), sharey=True)
    palette = style.sns.color_palette("colorblind")
    for axis, panel in zip(axes[0], panels, strict=True):
        for position, forget_set in enumerate(forget_sets):
            part = where(rows, panel=panel, forget_set=forget_set).set_index("unlearner")
            heights = [shown.index(name) + 0.16 * (position - (len(forget_sets) - 1) / 2) for name in part.index]
            axis.errorbar(
                part["mean"], heights, xerr=style.errors(part), linestyle="", markersize=4, elinewidth=1,
                label=forget_set, color=palette[position], marker=style.MARKERS[position],
            )  # fmt: skip
            if style.FLOOR in part.index:
                floor = part.loc[style.FLOOR]
                axis.axvspan(floor["low"], floor["high"], color=palette[position], alpha=0.12, linewidth=0)
        if zero:
            axis.axvline(0, color="0.3", linewidth=0.8)
        _limit(axis, rows[rows["panel"] == panel], zero)
        axis.set_title(panel, fontsize=8)
        axis.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(shown)), map(style.title, shown))
    axes[0, 0].invert_yaxis()
    style.legend(figure)
    return figure


def claims(blocks: pd.DataFrame, pooled: pd.DataFrame, limit: float = 8.0):
    """A line for each primary claim: a dot for each block of models, over the blocks' standard deviation.

    blocks, pooled: from `statistics.claims.judge` and `statistics.replicates.pool`. Right of zero is what the paper
    says. What lies beyond `limit` stands at the edge, as an arrow.
    """
    lines = pooled.reset_index(drop=True)
    figure, axes = style.panels(1, 1, (8.5, 1.0 + 0.2 * len(lines)))
    axis, palette = axes[0, 0], style.sns.color_palette("colorblind")
    colours = {"holds": palette[2], "not shown": "0.6"}
    for height, line in lines.iterrows():
        own = where(blocks, id=line["id"], forget_set=line["forget_set"])["mean"]
        values, colour = own / own.std(), colours.get(line["verdict"], palette[3])
        inside = values[values.abs() <= limit]
        axis.plot(inside, [height] * len(inside), "o", color=colour, markersize=3.5, alpha=0.7)
        for side, marker in ((1, ">"), (-1, "<")):
            if beyond := int((side * values > limit).sum()):
                axis.plot(side * limit, height, marker, color=colour, markersize=6)
                text, place = f" {beyond} " if beyond > 1 else "", "left" if side > 0 else "right"
                axis.annotate(text, (side * limit, height), va="center", ha=place, fontsize=6)
    axis.axvline(0, color="0.3", linewidth=0.8)
    names = [f"{line.id}  {line.claim}  ({line.forget_set})" for line in lines.itertuples()]
    axis.set_yticks(range(len(lines)), names, fontsize=7)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.set_xlim(-1.12 * limit, 1.12 * limit)
    axis.set_xlabel("difference that the claim is about, in standard deviations of a block")
    for verdict, colour in {**colours, "the opposite holds": palette[3]}.items():
        axis.plot([], [], "o", color=colour, markersize=4, label=verdict)
    style.legend(figure)
    return figure


def _limit(axis, rows: pd.DataFrame, zero: bool) -> None:
    """Leave the few widest intervals out of what the axis must hold, so that the others can be told apart."""
    ends = pd.concat(style.ends(rows))
    low, high = ends.quantile([0.05, 0.95])
    low, high = min(low, rows["mean"].quantile(0.04)), max(high, rows["mean"].quantile(0.96))
    low, high = (min(low, 0), max(high, 0)) if zero else (low, high)
    margin = 0.08 * (high - low) or 1.0
    axis.set_xlim(low - margin, high + margin)


def draws(table: pd.DataFrame):
    """A panel for each statistic: draw 0's interval and the hierarchical bootstrap's, for each method and forget set.

    table: from `lfcore.statistics.variance_components.axes`.
    """
    statistics = list(table["statistic"].unique())
    lines = list(dict.fromkeys(zip(table["forget_set"], table["method"], strict=True)))
    size = (1.8 + 2.3 * len(statistics), 1 + 0.35 * len(lines))
    figure, axes = style.panels(1, len(statistics), size, sharey=True)
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
    style.legend(figure)
    return figure

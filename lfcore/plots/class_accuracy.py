"""Accuracy by class: what the affected class lost, and what each other class lost by its similarity to it."""

import numpy as np
import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.plots.tables import columns, rename_interval

AFFECTED = ["RA_aff", "UA_aff", "TA_aff"]


def affected_gaps(summary: pd.DataFrame) -> pd.DataFrame:
    """RA_aff, UA_aff and TA_aff of every unlearner less the mean of the reference retrained models, with intervals.

    The intervals are those of the unlearner's seeds; the reference models' own spread is the row `retrained`.
    """
    gaps = columns(summary)
    gaps = gaps[gaps["measure"].isin(AFFECTED)]
    by = ["forget_set", "network", "split", "key"]
    target = where(summary, metric="reference_accuracy").groupby(by)["mean"].first()
    shift = target.reindex(pd.MultiIndex.from_frame(gaps[by])).to_numpy()
    return gaps.assign(**{column: gaps[column] - shift for column in ("mean", "low", "high")})


def affected_bars(table: pd.DataFrame, unlearners: list[str]):
    """A figure of bars: RA_aff, UA_aff and TA_aff less those of the reference retrained models, a panel a forget set.

    table: from `affected_gaps`, in percentage points.
    """
    unlearners = style.present(unlearners, table)
    forget_sets, count = sorted(table["forget_set"].unique()), len(unlearners)
    figure, axes = style.panels(1, len(forget_sets), (6.5 * len(forget_sets), 3.4), sharey=True)
    looks = style.looks(unlearners)
    for axis, forget_set in zip(axes[0], forget_sets, strict=True):
        for position, name in enumerate(unlearners):
            bars = where(table, forget_set=forget_set, unlearner=name)
            bars = bars.set_index("measure").reindex(AFFECTED)  # a whole class has no RA_aff
            places = [group + (position - count / 2 + 0.5) * 0.8 / count for group in range(3)]
            axis.bar(
                places, bars["mean"], 0.8 / count, color=looks[name]["color"], label=style.title(name),
                hatch="////" if "-" in name else None, edgecolor="white", linewidth=0,
            )  # fmt: skip
            axis.errorbar(places, bars["mean"], style.errors(bars), fmt="none", ecolor="0.2", elinewidth=0.6)
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_xticks(range(3), AFFECTED)
        axis.set_title(f"forget {forget_set}")
    axes[0, 0].set_ylabel("accuracy less that of\nretrained models (points)")
    style.legend(figure)
    return figure


def by_class(summary: pd.DataFrame) -> pd.DataFrame:
    """For each class but the affected one: its similarity to that, and how much accuracy it lost against retraining.

    Columns forget_set, network, unlearner, key (the class), similarity, drop (mean), less and more (its interval over
    the unlearner's seeds); in percentage points of the test examples. And correlation, correlation_low and
    correlation_high: Pearson's, of similarity and drop, of each seed.
    """
    rows = where(summary, split="test", scope="class")
    rows = rows[rows["key"] != rows["affected"]]
    place = ["forget_set", "network", "key"]
    target, similarity = (
        where(rows, metric=metric).drop_duplicates(place).set_index(place)["mean"]
        for metric in ("reference_accuracy", "class_similarity")
    )
    if similarity.empty:
        raise InputError("The summary has no class_similarity: add that metric to the config.")
    found = where(rows, metric="accuracy").set_index(place)
    shift = target.reindex(found.index)
    found = found.assign(
        similarity=similarity.reindex(found.index),
        drop=shift - found["mean"],
        less=shift - found["high"],
        more=shift - found["low"],
    )
    index = ["forget_set", "network", "unlearner"]
    seeds = rename_interval(where(summary, metric="class_correlation"), index, "correlation")
    found = found.reset_index().join(seeds, on=index)
    return found[[*index, "key", "similarity", "drop", "less", "more", *seeds]]


def scatter(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each unlearner, a dot for each class: the accuracy it lost against its similarity to the deleted one.

    rows: from `by_class`. The dashed line is a least-squares fit; r is Pearson's correlation of the dots,
    with Fisher's interval over classes, and below it the mean of each seed's, with its interval over seeds.
    """
    from scipy.stats import pearsonr  # half a second, for this figure alone

    unlearners = style.present(unlearners, rows)
    figure, axes = style.panels(1, len(unlearners), (3.2 * len(unlearners), 2.9), sharey=True)
    for axis, name in zip(axes[0], unlearners, strict=True):
        dots = rows[rows["unlearner"] == name].sort_values("similarity")
        x, y = dots["similarity"].to_numpy(), dots["drop"].to_numpy()
        axis.errorbar(x, y, [y - dots["less"], dots["more"] - y], fmt="o", markersize=4, elinewidth=0.8)
        for dot in dots.itertuples():
            axis.annotate(dot.key, (dot.similarity, dot.drop), xytext=(3, 3), textcoords="offset points", fontsize=7)
        title = name
        if len(x) > 2 and y.std() > 0:
            slope, start = np.polyfit(x, y, 1)
            axis.plot(x, start + slope * x, "--", color="0.4", linewidth=1)
            found = pearsonr(x, y)
            ends = f" [{', '.join(f'{end:.2f}' for end in found.confidence_interval())}]" if len(x) > 3 else ""
            mean, low, high = dots[["correlation", "correlation_low", "correlation_high"]].iloc[0]
            by_seed = f"\nby seed {mean:.2f} [{low:.2f}, {high:.2f}]" if np.isfinite(low) else ""
            title = f"{name}: r = {found.statistic:.2f}{ends}{by_seed}"
        axis.set_title(title, fontsize=9)
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_xlabel("similarity to the deleted class")
    axes[0, 0].set_ylabel("accuracy lost against\nretraining (points)")
    return figure

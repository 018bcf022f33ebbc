"""The tables of the language study, and its figure."""

from pathlib import Path

import pandas as pd

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.plots.tables import intervals
from lfcore.statistics.summary import over_seeds

PANELS = {
    "target: residual": ("without_similar", "target", "log_likelihood", "residual log-likelihood\n(nats per token)"),
    "target": ("", "target", "exact_match", "exact match (percent)"),
    "paraphrase that stays": ("", "similar", "exact_match", "exact match (percent)"),
    "paraphrase never seen": ("", "unseen", "exact_match", "exact match (percent)"),
    "unrelated": ("", "unrelated", "exact_match", "exact match (percent)"),
    "target: truth ratio": ("", "target", "log_truth_ratio", "log truth ratio (nats)"),
}
"""For each panel its reference, split, metric and axis label."""
NAMES = {"retrained": "retrained without targets", "without_similar": "without targets and paraphrases (floor)"}

LOOKS = {"retrained": {"color": "#c1121f", "marker": "*", "markersize": 7}, "without_similar": {"color": "0.6"}}
"""Here `retrained` is a line of its own, since it is no floor."""


def read(paths: list[str | Path]) -> pd.DataFrame:
    """The tables of the experiments with m paraphrases, in one; those of grids are left out. `similar` is m."""
    table = pd.concat([tables.read(path) for path in paths], ignore_index=True)
    table = table[table["experiment"].isin(table.loc[table["unlearner"] == "retrained", "experiment"])]
    if table.empty:
        raise InputError("None of these tables has a retrained model: give experiments without a grid.")
    return table.astype({"similar": int})


def tried(paths: list[str | Path]) -> pd.DataFrame:
    """The tables of experiments with a grid, in one, as `lfcore.language.tuning` reads them."""
    table = pd.concat([tables.read(path) for path in paths], ignore_index=True)
    return table[table["experiment"].isin(table.loc[table["scope"] == "setting", "experiment"])]


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """For each of PANELS, m and unlearner the mean over seeds with a 95 % Student t interval; column `panel`."""
    parts = []
    for panel, (reference, split, metric, _) in PANELS.items():
        rows = where(table, reference=reference, split=split, metric=metric)
        parts.append(over_seeds(rows, ["similar", "unlearner"], sort=False).assign(panel=panel))
    return pd.concat(parts, ignore_index=True)


def residual(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each of PANELS: a line for each unlearner against m, the floor as a grey band.

    rows: from `summarize`. The values of m are drawn equally far apart. An interval of one seed is not drawn.
    """
    shown = style.present(unlearners, rows)
    places = {m: place for place, m in enumerate(sorted(rows["similar"].unique()))}
    figure, axes = style.panels(2, 3, (10.5, 6.0), sharex=True)
    looks = style.looks(shown, LOOKS)
    for axis, (panel, (*_, label)) in zip(axes.flat, PANELS.items(), strict=True):
        part = rows[rows["panel"] == panel].sort_values("similar")
        for position, (name, look) in enumerate(looks.items()):
            line = part[part["unlearner"] == name]
            at = line["similar"].map(places)
            if name == "without_similar":
                axis.fill_between(at, *style.ends(line), alpha=0.5, color="0.6", linewidth=0, label=NAMES[name])
                continue
            at = at + 0.04 * (position - len(looks) / 2)  # beside one another, so that intervals can be told apart
            axis.plot(at, line["mean"], linewidth=1.2, label=NAMES.get(name, name), **({"markersize": 4} | look))
            axis.vlines(at, *style.ends(line), color=look["color"], linewidth=0.7)
        if panel in ("target: residual", "target: truth ratio"):
            axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_title(panel, fontsize=9)
        axis.set_ylabel(label, fontsize=8)
        axis.set_xticks(list(places.values()), [str(m) for m in places])
        axis.tick_params(labelbottom=True)
    figure.supxlabel("m, paraphrases of each target that stay in the training data", fontsize=9)
    style.legend(figure)
    return figure


def table(rows: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """`rows` to read: a line for each unlearner and panel, a column for each m, "mean [low, high]"."""
    order = sorted(rows["similar"].unique())
    rows = rows.assign(m="m = " + rows["similar"].astype(str))
    wide = intervals(rows, ["panel", "unlearner"], "m", digits, sort=False)
    return wide.reindex(columns=[f"m = {m}" for m in order])

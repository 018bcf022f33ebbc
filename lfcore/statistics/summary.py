"""From the tidy table to its summary over seeds."""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lfcore.core.tables import FLOOR, GROUP

ROWS = [*GROUP, "mean", "sd", "low", "high", "n"]
"""The columns of a summary."""
EXCESS = ["total_variation", "confidence_gap", "localization", "spearman"]
EXCESS += ["matched_localization", "partial_spearman", "shuffled_localization", "shuffled_spearman"]
EXCESS += [f"{name}_{distance}" for name in ("localization", "spearman") for distance in ("retrained", "pixels")]
"""What is compared with the floor."""


def interval(mean, error, freedom, level: float = 0.95):
    """The ends of Student's t interval around `mean` with standard error `error`; NaN where either is undefined.

    All three may be numbers or arrays of one shape.
    """
    freedom = np.where(np.asarray(freedom) > 0, freedom, np.nan)
    half = student.ppf((1 + level) / 2, freedom) * np.asarray(error)
    return mean - half, mean + half


def tolerance(sd, n, smallest):
    """Four standard deviations of the difference of two means over n independent seeds, at least `smallest`."""
    return np.maximum(4 * sd * np.sqrt(2 / n), smallest)


def summarize(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row for each number: mean, sd and 95 % Student t interval over the n independent seeds.

    Numbers of seed-averaged predictions (reference "retrained_mean") get the jackknife's error instead: `mean` is the
    number for all seeds, and `sd` is sqrt(n) times the leave-one-out standard error, so that it compares with the
    others. With one seed, or none, sd and the interval are NaN.
    """
    averaged = measurements["reference"] == "retrained_mean"
    whole = measurements["seed"] == "mean"
    summary = over_seeds(measurements[~averaged])
    parts = over_seeds(measurements[averaged & ~whole]).set_index(GROUP)
    jackknife = measurements[averaged & whole].set_index(GROUP)[["value"]].rename(columns={"value": "mean"})
    jackknife = jackknife.join(parts[["sd", "n"]])
    jackknife["sd"] *= jackknife["n"] - 1
    jackknife["n"] = jackknife["n"].fillna(1)
    summary = pd.concat([summary, with_interval(jackknife.reset_index())[ROWS]])
    summary = summary.sort_values(GROUP, kind="stable", ignore_index=True)
    return pd.concat([summary, excess(summary)], ignore_index=True)


def over_seeds(rows: pd.DataFrame, by: list[str] = GROUP, **grouping) -> pd.DataFrame:
    """Mean, sd and 95 % Student t interval of `value` over the n seeds of each group. grouping: of pandas' groupby."""
    groups = rows.groupby(by, **grouping)["value"]
    summary = with_interval(groups.agg(mean="mean", sd="std", n="size").reset_index())
    return summary[[*by, "mean", "sd", "low", "high", "n"]]


def with_interval(summary: pd.DataFrame) -> pd.DataFrame:
    """`summary`, with the columns mean, sd and n, and the 95 % Student t interval of each row: low and high."""
    low, high = interval(summary["mean"], summary["sd"] / np.sqrt(summary["n"]), summary["n"] - 1)
    return summary.assign(low=low, high=high)


def excess(summary: pd.DataFrame) -> pd.DataFrame:
    """How far each number of EXCESS is above the floor's, with Welch's interval: rows "<metric>_excess".

    The floor is the row of the unlearner `retrained`, whose seeds are no reference and share nothing with others.
    """
    chosen = summary[(summary["scope"] == "range") & summary["metric"].isin(EXCESS)]
    result = above_floor(chosen, [column for column in GROUP if column != "unlearner"])
    return result.assign(metric=result["metric"] + "_excess")


def above_floor(rows: pd.DataFrame, by: list[str], floor: str = FLOOR) -> pd.DataFrame:
    """The rows of all unlearners but `floor`, with mean, sd, low and high of their difference to it: see `welch`.

    rows: with the columns unlearner, mean, sd and n. by: the columns in which a row and its floor's are the same.
    """
    own = rows["unlearner"] == floor
    pairs = rows[~own].merge(rows[own].drop(columns="unlearner"), on=by, suffixes=("", "_floor"))
    numbers = welch(*(pairs[name] for name in ("mean", "sd", "n", "mean_floor", "sd_floor", "n_floor")))
    result = pairs.assign(**dict(zip(("mean", "sd", "low", "high"), numbers, strict=True)))
    return result[list(dict.fromkeys([*rows.columns, "low", "high"]))]


def welch(mean, sd, n, other_mean, other_sd, other_n):
    """The difference of two means over independent seeds: itself, sqrt(n) times its error, and its 95 % interval.

    The error is the root of the sum of both squared errors, with Welch's degrees of freedom. Numbers or arrays.
    """
    errors = sd**2 / n, other_sd**2 / other_n
    total = errors[0] + errors[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = total**2 / (errors[0] ** 2 / (n - 1) + errors[1] ** 2 / (other_n - 1))
    difference = mean - other_mean
    return difference, np.sqrt(total * n), *interval(difference, np.sqrt(total), freedom)


def median_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """What training or unlearning one model takes: medians over models of each forget set and unlearner."""
    models = costs[costs["kind"] == "model"].groupby("name")
    table = models[["seconds", "cpu_seconds", "steps", "steps_aside"]].median()
    return table.assign(min=models["seconds"].min(), max=models["seconds"].max(), n=models.size()).reset_index()

"""From the tidy table to its summary over seeds, and the tables that people read."""

import itertools
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lfcore import records
from lfcore.errors import Damaged, InputError
from lfcore.tables import GROUP, read

INDEX = ["forget_set", "network", "unlearner"]
ROWS = [*GROUP, "mean", "sd", "low", "high", "n"]
"""The columns of a summary."""
PAPER = {
    "UA": ("", "forget", "accuracy", "all"),
    "RA": ("", "retain", "accuracy", "all"),
    "TA": ("", "test", "accuracy", "all"),
    "MIA": ("", "forget", "membership", "all"),
    "gap": ("retrained_mean", "all", "average_gap", "all"),
    "gap per seed": ("retrained", "all", "average_gap", "all"),
    "gap without MIA": ("retrained_mean", "all", "average_gap_without_mia", "all"),
    "RA_aff": ("", "retain", "accuracy", "class"),
    "UA_aff": ("", "forget", "accuracy", "class"),
    "TA_aff": ("", "test", "accuracy", "class"),
    "TA_other": ("", "test", "accuracy", "range"),
    "gap_aff": ("retrained_mean", "all", "affected_gap", "all"),
}
"""The columns of the paper's Tables 1 and 2: (reference, split, metric, scope); of the scope "class", the affected.

TA_other is ours: test accuracy without the affected class. A random forget set has no number about classes.

"gap" is the paper's, of the seeds' mean; "gap per seed" is averaged over seeds and charges a method for its spread.
"""
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


def over_seeds(measurements: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd and 95 % Student t interval of each number over its seeds."""
    summary = measurements.groupby(GROUP)["value"].agg(mean="mean", sd="std", n="size").reset_index()
    return with_interval(summary)[ROWS]


def with_interval(summary: pd.DataFrame) -> pd.DataFrame:
    """`summary`, with the columns mean, sd and n, and the 95 % Student t interval of each row: low and high."""
    low, high = interval(summary["mean"], summary["sd"] / np.sqrt(summary["n"]), summary["n"] - 1)
    return summary.assign(low=low, high=high)


def excess(summary: pd.DataFrame) -> pd.DataFrame:
    """How far each number of EXCESS is above the floor's, with Welch's interval: rows "<metric>_excess".

    The floor is the row of the unlearner `retrained`, whose seeds are no reference and share nothing with others.
    """
    chosen = summary[(summary["scope"] == "range") & summary["metric"].isin(EXCESS)]
    by = [column for column in GROUP if column != "unlearner"]
    floor = chosen[chosen["unlearner"] == "retrained"].drop(columns="unlearner")
    pairs = chosen[chosen["unlearner"] != "retrained"].merge(floor, on=by, suffixes=("", "_floor"))
    result = pairs[GROUP].copy()
    result["metric"] += "_excess"
    numbers = [pairs[name] for name in ("mean", "sd", "n", "mean_floor", "sd_floor", "n_floor")]
    result["mean"], result["sd"], result["low"], result["high"] = welch(*numbers)
    result["n"] = pairs["n"]
    return result


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


def gather(
    folder: str | Path,
    networks: list[str],
    forget_sets: list[str],
    unlearners: list[str],
    probed: Iterable[str | Path] = (),
) -> pd.DataFrame:
    """The tables `folder`/<network>/<forget set>/<unlearner>.csv of every combination and those `probed`, in one.

    Raises InputError if one of them has lost the hash beside it, which a table that a person brings need not have.
    """
    places = itertools.product(networks, forget_sets, unlearners)
    paths = [Path(folder).joinpath(*place[:2], f"{place[2]}.csv") for place in places]
    paths += map(Path, probed)
    if bare := [path for path in paths if path.is_file() and not path.with_name(f"{path.name}.sha256").is_file()]:
        raise Damaged(
            f"{bare[0]} is without its hash ({bare[0].name}.sha256): delete it and run the same command again."
        )
    return pd.concat([read(path) for path in paths])


def affected_classes(folder: str | Path, forget_sets: Iterable[str]) -> dict[str, str]:
    """The affected class of each forget set, from the index files in `folder`; "" for a random set, which has none."""
    found = {name: records.read(Path(folder) / f"{name}.json")["affected"] for name in forget_sets}
    return {name: "" if affected is None else str(affected) for name, affected in found.items()}


def columns(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The rows of `summary` that are the columns of the paper's Tables 1 and 2, under the name `measure`.

    data: the folder of the forget sets' index files.
    """
    classes = affected_classes(data, summary["forget_set"].unique())
    parts = []
    for name, (reference, split, metric, scope) in PAPER.items():
        part = summary[(summary["reference"] == reference) & (summary["split"] == split)]
        part = part[(part["metric"] == metric) & (part["scope"] == scope)]
        if scope == "class":
            part = part[part["key"] == part["forget_set"].map(classes)]
        parts.append(part.assign(measure=name))
    return pd.concat(parts, ignore_index=True)


def paper_tables(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The columns of the paper's Tables 1 and 2, a row for each forget set, network and unlearner: "mean ± sd"."""
    rows = columns(summary, data)
    rows["text"] = [f"{mean:.1f} ± {sd:.1f}" for mean, sd in zip(rows["mean"], rows["sd"], strict=True)]
    table = rows.pivot_table(index=INDEX, columns="measure", values="text", aggfunc="first")
    return table.reindex(columns=list(PAPER)).fillna("").rename_axis(columns=None)


def affected(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """RA_aff, UA_aff and TA_aff of every unlearner less the mean of the reference retrained models, with intervals.

    The intervals are those of the unlearner's seeds; the reference models' own spread is the row `retrained`.
    """
    gaps = columns(summary, data)
    gaps = gaps[gaps["measure"].isin(["RA_aff", "UA_aff", "TA_aff"])]
    target = summary[summary["metric"] == "reference_accuracy"].set_index(["forget_set", "network", "split", "key"])
    shift = target["mean"].groupby(level=[0, 1, 2, 3]).first()
    places = pd.MultiIndex.from_frame(gaps[["forget_set", "network", "split", "key"]])
    for column in ("mean", "low", "high"):
        gaps[column] -= shift.reindex(places).to_numpy()
    return gaps


def locality_rows(summary: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Total variation on a split in the affected class, in the nearest fifth of the others and their farthest half.

    The column `measure` says which: of pairs of models, its excess over the floor, or of mean predictions.
    """
    rows = summary[(summary["split"] == split) & (summary["scope"] == "range")]
    rows = rows[rows["key"].isin(["affected/whole", "other/near", "other/far"])]
    kind = (rows["metric"] + " " + rows["reference"]).map(
        {
            "total_variation retrained": "",
            "total_variation_excess retrained": "excess, ",
            "total_variation retrained_mean": "mean predictions, ",
        }
    )
    return rows.assign(measure=kind + rows["key"])[kind.notna()]


def locality(summary: pd.DataFrame) -> pd.DataFrame:
    """`locality_rows` to read: "mean [low, high]", a row for each forget set, network and unlearner."""
    rows = locality_rows(summary)
    ends = zip(rows["mean"], rows["low"], rows["high"], strict=True)
    rows = rows.assign(text=[f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in ends])
    table = rows.pivot_table(index=INDEX, columns="measure", values="text", aggfunc="first")
    return table.fillna("").rename_axis(columns=None)


def by_bin(curves: pd.DataFrame) -> pd.DataFrame:
    """Total variation in each bin of the test examples, a row for each forget set and unlearner, below the counts."""
    rows = curves[(curves["metric"] == "total_variation") & (curves["split"] == "test")]
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="mean")
    counts = rows.drop_duplicates(["forget_set", "bin"]).assign(unlearner="(examples)")
    counts = counts.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="count")
    return show(pd.concat([counts, table]).sort_index(), digits=3)


def show(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """A small table for the end of a notebook, rounded."""
    return table.round(digits)


def trained(models, benchmarks, networks, forget_sets, unlearners, jobs) -> tuple[list[Path], list[Path]]:
    """The folders of all the models that a table is made of, in `models`, and their jobs' files in `benchmarks`.

    jobs: the first and last seed of each job, as "0-9", of originals and "unlearned" models and of the "retrained".
    """
    found = set()
    for network, forget_set, unlearner in itertools.product(networks, forget_sets, unlearners):
        place = "none" if unlearner == "original" else forget_set
        cut = jobs["retrained" if unlearner == "retrained" else "unlearned"]
        found |= {f"{network}/{place}/{unlearner}/{job}" for job in cut}
    return [Path(models, job) for job in sorted(found)], [Path(benchmarks, f"{job}.tsv") for job in sorted(found)]


def costs(models: Iterable[str | Path], benchmarks: Iterable[str | Path]) -> pd.DataFrame:
    """Seconds of every model (from the sidecars) and of every job (from the benchmarks), the only table with times.

    seconds: wall clock. For a model, of training or unlearning alone; for a job, from start to end, notebook included.
    steps: optimizer steps of a model; steps_aside: of helpers such as a teacher. peak_mb: resident memory of a job.

    Raises InputError if the sidecars are not those of models that belong into one table: see `check_models`.
    """
    sidecars = [path for folder in models for path in sorted(Path(folder).glob("seed*.json"))]
    kept = ["seed", "seconds", "cpu_seconds", "steps", "steps_aside"]
    found = {path: records.read(path) for path in sidecars}
    check_models(found)
    rows = [{"kind": "model", "name": r["role"], **{key: r[key] for key in kept if key in r}} for r in found.values()]
    for path in map(Path, benchmarks):
        name = " ".join(path.with_suffix("").parts[-4:])
        try:
            if not path.read_text().endswith("\n"):
                raise ValueError("cut short")
            job = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0]
            took = {"seconds": job["s"], "cpu_seconds": job["cpu_time"], "peak_mb": job["max_rss"]}
            took = {key: float(value) for key, value in took.items()}
        except (ValueError, KeyError, IndexError, pd.errors.ParserError) as error:
            raise Damaged(f"{path} is no benchmark ({error}): delete it and run the same command again.") from None
        rows.append({"kind": "job", "name": name, "seed": "", **took})
    return pd.DataFrame(rows, columns=["kind", "name", *kept, "peak_mb"])


def check_models(found: dict[Path, dict]) -> None:
    """Raise InputError unless these sidecars, by path, are of models that lie where they belong, and belong together.

    Together: trained on the same data; originals and retrained by one recipe; all seeds of a method with its options.
    Models from elsewhere, as from a copied folder, would be mixed in silently otherwise. Different versions of torch,
    numpy or Python are only warned about.
    """
    first, versions = {}, set()
    for path, record in found.items():
        *_, network, place, role, job, _ = ["", "", "", *path.parts]
        lies = {"network": network, "role": role if place == "none" else f"{role} {place}"}
        if re.fullmatch(r"\d+-\d+", job) and any(record.get(key) != value for key, value in lies.items()):
            raise Damaged(
                f"{path} is of another model ({record.get('network')}, {record.get('role')}): delete its folder and "
                "run the same command again."
            )
        trained = record["role"] == "original" or record["role"].startswith("retrained ")
        method = (record.get("network"), "training" if trained else record["role"])
        for what in ("data", "options", "loop"):
            other, value = first.setdefault((what, "" if what == "data" else method), (path, record.get(what)))
            if value != record.get(what):
                raise InputError(
                    f"{path.parent} and {other.parent} were made with different {what} ({record.get(what)} and "
                    f"{value}): delete the one that is not of this profile, and run the same command again."
                )
        made = record.get("trained_by", record).get("versions", {})
        versions.add(
            ", ".join(f"{name} {made[name]}" for name in ("python", "torch", "numpy", "machine") if name in made)
        )
    if len(versions) > 1:
        warnings.warn(f"These models were made with different versions: {'; '.join(sorted(versions))}.", stacklevel=2)


def median_costs(costs: pd.DataFrame) -> pd.DataFrame:
    """What training or unlearning one model takes: medians over models of each forget set and unlearner."""
    models = costs[costs["kind"] == "model"].groupby("name")
    table = models[["seconds", "cpu_seconds", "steps", "steps_aside"]].median()
    return table.assign(min=models["seconds"].min(), max=models["seconds"].max(), n=models.size()).reset_index()

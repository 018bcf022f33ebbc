"""Are these the published numbers? Compares a profile's summary with `tests/expected/<profile>.csv`, and writes that.

python -m lfcore.expected digits           one line: reproduced, or what differs
python -m lfcore.expected --write digits   publish the current results, and the tables of the README
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore import summary as summaries
from lfcore import tables, tuning
from lfcore.errors import InputError
from lfcore.paths import ROOT, atomic
from lfcore.summary import EXCESS

METRICS = ["accuracy", "membership", "average_gap", "average_gap_without_mia", "affected_gap"]
METRICS += [name + ending for name in EXCESS for ending in ("", "_excess")]
SMALLEST = {"total_variation": 0.01, "confidence_gap": 0.01, "localization": 0.01, "spearman": 0.1}
"""The least tolerance of a number in [-1, 1]; of one in percent it is the next."""
SMALLEST_PERCENT = 4.0
"""About what one example of a class of thirty changes when it tips over."""
REASON = (
    "Other processors and versions round differently, and then training is a new draw of the seeds' noise: the "
    "difference of two means over n seeds has the standard deviation sd * sqrt(2 / n), and four of those are allowed."
)


def select(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The rows of a summary that are published: whole splits, the affected class, and the ranges; no bins."""
    classes = summary["forget_set"].map(summaries.affected_classes(data, summary["forget_set"].unique()))
    scope = summary["scope"].isin(["all", "range"]) | ((summary["scope"] == "class") & (summary["key"] == classes))
    return summary[scope & summary["metric"].isin(METRICS)].reset_index(drop=True)


def with_tolerance(rows: pd.DataFrame, spread: pd.DataFrame | None = None) -> pd.DataFrame:
    """`rows` and their tolerance, four standard deviations of the difference of two runs (see REASON).

    spread: published rows to take the sd from, for a profile with too few seeds to know its own. Where the tolerance
    would be more than a quarter of the metric's range, or there is no sd, it is NaN: the row is not compared.
    """
    sd = rows["sd"]
    if spread is not None:
        known = spread.set_index(tables.GROUP)["sd"]
        sd = known.reindex(pd.MultiIndex.from_frame(rows[tables.GROUP])).to_numpy()
    kind = rows["metric"].str.removesuffix("_excess")
    smallest = kind.map(SMALLEST).fillna(SMALLEST_PERCENT)
    quarter = np.where(kind.isin(SMALLEST), 0.25, 25)
    tolerance = np.maximum(4 * sd * np.sqrt(2 / rows["n"]), smallest)
    return rows.assign(tolerance=tolerance.where(tolerance <= quarter))


def compare(rows: pd.DataFrame, expected: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The expected rows that `rows` lack or lie further from than the tolerance, and how many are the same digits."""
    both = expected.merge(rows[[*tables.GROUP, "mean"]], on=tables.GROUP, how="left", suffixes=("", "_here"))
    both = both[both["tolerance"].notna() & both["mean"].notna()]
    near = (both["mean_here"] - both["mean"]).abs() <= both["tolerance"]
    return both[~near], int(np.isclose(both["mean_here"], both["mean"], rtol=1e-8, atol=1e-10).sum())


def report(profile: str) -> str:
    """The line that tells whether the results of `profile` are the published ones; raises InputError if not."""
    path = ROOT / "tests" / "expected" / f"{profile}.csv"
    if not path.is_file():
        return f"There are no published numbers for the profile {profile}, so there is nothing to compare with."
    expected = tables.read(path)
    if profile == "tune":
        return _report_choices(expected)
    different, same = compare(_current(profile), expected)
    if len(different):
        lines = [
            f"  {' '.join(filter(None, row[: len(tables.GROUP)]))}: here {row.mean_here:.4g}, published {row.mean:.4g},"
            f" tolerance {row.tolerance:.4g}"
            for row in different.head(10).itertuples(index=False)
        ]
        raise InputError(
            "\n".join([*lines, REASON])
            + f"\nNot reproduced: {len(different)} numbers differ from {path.relative_to(ROOT)}"
            " by more than their tolerance (the first are above)."
        )
    compared = int((expected["tolerance"].notna() & expected["mean"].notna()).sum())
    return (
        f"Reproduced: {compared} numbers are within their tolerance of tests/expected/{profile}.csv (4 sd of the "
        f"difference of two runs), {same} of them to eight digits; {len(expected) - compared} more vary too much "
        f"between seeds to compare. {_report_verdicts(profile)}"
    )


def _report_verdicts(profile: str) -> str:
    path = ROOT / "tests" / "expected" / f"{profile}_claims.csv"
    if not path.is_file():
        return ""
    here = tables.read(ROOT / "results" / profile / "tables" / "claims.csv")
    both = tables.read(path).merge(here, on=["claim", "more", "less", "statistic", "forget_set", "network"])
    same = int((both["verdict_x"] == both["verdict_y"]).sum())
    return f"{same} of {len(both)} verdicts are the published ones."


def _report_choices(expected: pd.DataFrame) -> str:
    ours, theirs = (table[table["chosen"]].set_index("method")["lr"].to_dict() for table in (_choices(), expected))
    if ours != theirs:
        raise InputError(
            f"Not reproduced: the rule chooses {ours} here, and chose {theirs} in tests/expected/tune.csv."
        )
    return f"Reproduced: the rule chooses the published rates, {theirs}."


def _current(profile: str) -> pd.DataFrame:
    results = ROOT / "results" / profile
    return select(tables.read(results / "tables" / "summary.csv"), results / "data")


def _choices() -> pd.DataFrame:
    results = ROOT / "results" / "tune"
    return tuning.choose(tuning.grid(tables.read(results / "tables" / "summary.csv"), results / "data"))


def write(profile: str) -> None:
    """Publish the results of `profile`: expected numbers, small pictures of the figures, the tables of the README."""
    folder = ROOT / "tests" / "expected"
    if profile == "tune":
        tables.write(_choices(), folder / "tune.csv")
        return
    default = folder / "digits.csv"
    spread = tables.read(default) if profile != "digits" and default.is_file() else None
    rows = with_tolerance(_current(profile), spread)
    tables.write(rows, folder / f"{profile}.csv")
    for picture in sorted((ROOT / "figures" / profile).glob("*.png")):
        target = ROOT / "figures" / "expected" / profile / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
    if profile == "digits":
        tables.write(_seconds(profile), folder / "digits_costs.csv")
        shutil.copyfile(ROOT / "results" / profile / "tables" / "claims.csv", folder / "digits_claims.csv")
        readme = ROOT / "README.md"
        text = fill(readme.read_text(), rows)
        with atomic(readme) as partial:
            partial.write_text(text)


def _seconds(profile: str) -> pd.DataFrame:
    """Seconds of training or unlearning one model: median and range over models, for each forget set and unlearner."""
    costs = tables.read(ROOT / "results" / profile / "tables" / "costs.csv")
    models = costs[costs["kind"] == "model"]
    return models.groupby("name")["seconds"].agg(median="median", min="min", max="max", n="size").reset_index()


def fill(text: str, expected: pd.DataFrame) -> str:
    """`text` with each block between ``<!-- table NAME -->`` and ``<!-- end -->`` made again from the expected rows."""
    makers = {"claims": claims_table, "gaps": gaps_table, "locality": locality_table, "costs": costs_table}

    def make(match: re.Match) -> str:
        return f"{match[1]}\n{makers[match[2]](expected)}\n{match[3]}"

    return re.sub(r"(<!-- table (\w+) -->).*?(<!-- end -->)", make, text, flags=re.DOTALL)


def claims_table(expected: pd.DataFrame) -> str:
    """What the paper claims and what the published run says of it, as Markdown, from the file beside the numbers."""
    table = tables.read(ROOT / "tests" / "expected" / "digits_claims.csv")
    forget_sets = list(table["forget_set"].unique())
    lines = [_line(["claim", "by", *forget_sets]), _line(["---"] * (len(forget_sets) + 2))]
    for (text, statistic, *_), rows in table.groupby(["claim", "statistic", "more", "less"], sort=False):
        cells = {
            row.forget_set: f"**{row.verdict}** {row.mean:.3g} [{row.low:.2g}, {row.high:.2g}]"
            for row in rows.itertuples(index=False)
        }
        lines.append(_line([text, statistic, *(cells.get(name, "") for name in forget_sets)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def gaps_table(expected: pd.DataFrame) -> str:
    """The columns of the paper's Tables 1 and 2 as Markdown, mean ± sd."""
    rows = expected.assign(measure="")
    for name, (reference, split, metric, scope) in summaries.PAPER.items():
        found = (rows["reference"] == reference) & (rows["split"] == split) & (rows["metric"] == metric)
        rows.loc[found & (rows["scope"] == scope), "measure"] = name
    return _markdown(rows[rows["measure"] != ""], "measure", list(summaries.PAPER), _mean_sd)


def locality_table(expected: pd.DataFrame) -> str:
    """Where the total variation on test examples lies, and its excess over the floor, with 95 % intervals."""
    rows = summaries.locality_rows(expected)
    return _markdown(rows, "measure", sorted(rows["measure"].unique()), _mean_interval)


def costs_table(expected: pd.DataFrame) -> str:
    """Seconds a model, from the file beside the published numbers."""
    costs = tables.read(ROOT / "tests" / "expected" / "digits_costs.csv")
    costs[["unlearner", "forget_set"]] = costs["name"].str.split(" ", expand=True).fillna("none")
    rows = costs.assign(seconds="seconds a model")
    return _markdown(
        rows, "seconds", ["seconds a model"], lambda row: f"{row.median:.2f} ({row.min:.2f} to {row.max:.2f})"
    )


def _mean_sd(row) -> str:
    return f"{row.mean:.1f} ± {row.sd:.1f}"


def _mean_interval(row) -> str:
    return f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _markdown(rows: pd.DataFrame, column: str, order: list[str], text) -> str:
    rows = rows.assign(text=[text(row) for row in rows.itertuples(index=False)])
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns=column, values="text", aggfunc="first")
    table = table.reindex(columns=order).fillna("")
    lines = [_line(["forget set", "unlearner", *order]), _line(["---"] * (len(order) + 2))]
    lines += [_line([*names, *cells]) for names, cells in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join(lines)


def main() -> None:
    """Read the command line; exit with one sentence if the numbers differ or are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--write", action="store_true", help="publish instead of compare")
    arguments = parser.parse_args()
    try:
        if arguments.write:
            write(arguments.profile)
        else:
            print(report(arguments.profile))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

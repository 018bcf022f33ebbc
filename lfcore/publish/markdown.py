"""The tables of the READMEs, as Markdown, made of what tests/expected holds.

A page has the block ``<!-- table MAKER NAME -->`` to ``<!-- end -->``; `fill` makes what stands between again.
"""

import re
from functools import partial

import numpy as np
import pandas as pd
import yaml

from lfcore.core import tables
from lfcore.core.paths import ROOT
from lfcore.plots.panels import PANELS, pick
from lfcore.plots.tables import PAPER, locality_rows
from lfcore.publish import _cells, _claims
from lfcore.statistics import setting_choice
from lfcore.statistics.summary import tolerance
from lfcore.workflow import studies
from lfcore.workflow.config import checked


def fill(text: str) -> str:
    """`text` with each block from ``<!-- table MAKER NAME -->`` to ``<!-- end -->`` made again from tests/expected."""
    makers = {
        "claims": _claims.claims_table,
        "exploratory": _claims.exploratory_table,
        "primary": _claims.primary_table,
        "gaps": gaps_table,
        "locality": locality_table,
        "locality_retain": partial(locality_table, split="retain"),
        "costs": costs_table,
        "methods": methods_table,
        "class_methods": class_methods_table,
        "settings": settings_table,
        "paper": paper_table,
        "bench": bench_table,
        "faults": faults_table,
        "precision": precision_table,
        **{panels: partial(panels_table, panels=panels) for panels in ("attacks", "blind", "residual", "language")},
    }

    def make(match: re.Match) -> str:
        try:
            table = makers[match[2]](match[3])
        except FileNotFoundError:
            table = "*Not run with what stands here now.*"
        return f"{match[1]}\n{table}\n{match[4]}"

    return re.sub(r"(<!-- table (\w+) ([\w-]+) -->).*?(<!-- end -->)", make, text, flags=re.DOTALL)


def gaps_table(name: str) -> str:
    """The columns of the paper's Tables 1 and 2 as Markdown, mean ± sd."""
    rows = _measures(name)
    measures = [name for name in PAPER if rows.loc[rows["measure"] == name, "mean"].notna().any()]
    return _markdown(rows[rows["measure"].isin(measures)], "measure", measures, "{mean:.1f} ± {sd:.1f}")


def _measures(name: str) -> pd.DataFrame:
    """The published rows with the column of the paper's tables that each belongs to, as `measure`; "" for none."""
    rows = _cells.published(name).assign(measure="")
    for name, (reference, split, metric, scope) in PAPER.items():
        found = (rows["reference"] == reference) & (rows["split"] == split) & (rows["metric"] == metric)
        rows.loc[found & (rows["scope"] == scope), "measure"] = name
    return rows


def paper_table(names: str) -> str:
    """The paper's Tables 1 and 2 above ours of the profiles `names`, joined by "-and-", mean ± sd, as Markdown.

    The paper's are in tests/expected/2605.31317.csv. Below them the tolerance, where it names the sd of its five seeds:
    that of every published number (`publish.expected.with_tolerance`), if ours has the same sd and as many seeds. A
    profile that was not run stands with empty rows, marked so.
    """
    paper = tables.read(ROOT / "tests" / "expected" / "2605.31317.csv").set_index(["unlearner", "measure"])
    found = {"2605.31317": paper[["mean", "sd"]]}
    for name in names.split("-and-"):
        if (ROOT / "tests" / "expected" / f"{name}.csv").is_file():
            rows = _measures(name)
            found[name] = rows[rows["forget_set"] == "couch_half"].set_index(["unlearner", "measure"])[["mean", "sd"]]
        else:
            found[f"{name}: not run"] = found["2605.31317"][:0]
    unlearners, measures = (list(paper.index.unique(level)) for level in paper.index.names)
    lines = []
    for unlearner in unlearners:
        for source, rows in found.items():
            cells = [_number(*rows.loc[(unlearner, each)]) for each in measures if (unlearner, each) in rows.index]
            lines.append([unlearner, source, *(cells or [""] * len(measures))])
            if rows is found["2605.31317"]:
                sds = [paper["sd"].get((unlearner, each), np.nan) for each in measures]
                told = ["" if np.isnan(sd) else f"± {tolerance(sd, 5, 4.0):.1f}" for sd in sds]
                lines.append([unlearner, "tolerance for cifar100", *told])
    return _cells.table(["unlearner", "source", *measures], lines)


def _number(mean: float, sd: float) -> str:
    return f"{mean:.1f}" if np.isnan(sd) else f"{mean:.1f} ± {sd:.1f}"


def bench_table(name: str) -> str:
    """The last measurement of each thing in the history `name`.csv of the bench, as Markdown, and where it was made."""
    last = pd.read_csv(ROOT / "tests" / "expected" / f"{name}.csv", dtype={"part": str}, keep_default_na=False)
    last = last.drop_duplicates(["part", "what"], keep="last")
    head = ["part", "what", "value", "reference", "ratio", "target", "met"]
    parts = []
    for about, rows in last.groupby(["date", "commit", "machine", "cores", "load", "versions"], sort=False):
        date, commit, machine, cores, load, versions = about
        parts.append(f"{date}, commit {commit}, {machine}, {cores} cores, load {load} at the start, {versions}:")
        cells = [[row.part, row.what, f"{row.value} {row.unit}", *map(str, row[-4:])] for row in rows.itertuples()]
        parts.append(_cells.table(head, cells))
    return "\n\n".join(parts)


def faults_table(name: str) -> str:
    """What was tried on the workflow, how often, and what became of it, as Markdown, with a row for all together."""
    faults = pd.read_csv(ROOT / "tests" / "expected" / f"{name}.csv", keep_default_na=False, dtype=str)
    columns = ["fault", "tried", "survived", "lost"]
    return _cells.table(columns, faults[columns].to_numpy())


def precision_table(name: str) -> str:
    """What models of the same seeds give in float32 and bfloat16, with the 95 % interval of the difference."""
    told = ["{profile}", "{what}", "{full:.3g}", "{bf16:.3g}", "{difference:.3g} [{low:.2g}, {high:.2g}]", "{pairs}"]
    columns = [_cells.told_rows(_cells.published(name), text) for text in told]
    return _cells.table(["profile", "what", "full", "bf16", "difference", "pairs"], zip(*columns, strict=True))


def settings_table(name: str) -> str:
    """For each method of a profile: the values tried of each option, and the chosen ones, as Markdown."""
    config = checked(name)
    chosen = [config["choices"].get(f"{name}_{by}", {}) for by in setting_choice.KEYS]
    lines = []
    for each in studies.grids(config, "epochs"):
        grid = config["tuning"]["grids"][each]
        fixed = {key: value for key, value in studies.options(config, each, "").items() if key not in grid}
        tried = "; ".join(f"{key} {', '.join(f'{value:g}' for value in values)}" for key, values in grid.items())
        lines.append([each, _told(fixed), tried, *(_told(by[each]) if by else "not run" for by in chosen)])
    return _cells.table(["unlearner", "fixed", "tried", *setting_choice.KEYS], lines)


def panels_table(name: str, panels: str) -> str:
    """The columns of one of `lfcore.plots.panels.PANELS`, mean and 95 % interval."""
    rows = pick(_cells.published(name).assign(affected=""), panels)
    return _markdown(rows, "panel", list(PANELS[panels]), "{mean:.3g} [{low:.3g}, {high:.3g}]")


def locality_table(name: str, split: str = "test") -> str:
    """Where the total variation on one split's examples lies, and its excess over the floor, with 95 % intervals."""
    rows = locality_rows(_cells.published(name), split)
    return _markdown(rows, "measure", sorted(rows["measure"].unique()), "{mean:.3f} [{low:.3f}, {high:.3f}]")


def costs_table(name: str) -> str:
    """Seconds a model: median and range."""
    rows = _named_costs(name).assign(head="seconds a model")
    return _markdown(rows, "head", ["seconds a model"], "{seconds:.2f} ({min:.2f} to {max:.2f})")


def _named_costs(name: str) -> pd.DataFrame:
    costs = _cells.published(f"{name}_costs")
    costs[["unlearner", "forget_set"]] = costs["name"].str.split(" ", expand=True).fillna("none")
    return costs


def _costs_of(*names: str) -> pd.DataFrame:
    """The costs of those of `names` that were run. Raises FileNotFoundError if none was."""
    found = [_named_costs(name) for name in names if (ROOT / "tests" / "expected" / f"{name}_costs.csv").is_file()]
    if not found:
        raise FileNotFoundError(names[0])
    return pd.concat(found)


def methods_table(name: str) -> str:
    """For each method: what it reads, its options, where they come from, and what it takes, as Markdown."""
    config = checked(name)
    columns = {"tuned by the rule": "rule", "reachable": "reachable", "at equal steps": "matched"}
    known = studies.with_field(config)
    costs = _costs_of(name, *([f"{name}-field"] if known != config else []))
    return _methods(known, list(known["unlearners"]), columns, "2605.31317", costs)


def class_methods_table(name: str) -> str:
    """`methods_table` for what only the studies of whole classes have, tuned on a whole class."""
    config = checked(name)
    known = studies.including(config, *config["studies"].values())
    names = list(config["tuning"]["grids_of_class"])
    costs = _costs_of(f"{name}-deep", f"{name}-blind")
    return _methods(known, names, {"tuned by the rule": "rule"}, "its paper", costs)


def _methods(config: dict, names: list[str], columns: dict[str, str], paper: str, costs: pd.DataFrame) -> str:
    from lfcore.unlearners import _apply as apply

    sources = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    costs = costs.groupby("unlearner")[["cpu_seconds", "steps", "steps_aside"]].median()
    head = ["unlearner", "reads retain", "fixed", *columns, paper, "others", "why", "gradient steps", "CPU seconds"]
    lines = []
    for each in names:
        tuned = [config["choices"][by].get(each, {}) for by in columns.values()]
        fixed = {key: value for key, value in studies.options(config, each, "").items() if key not in tuned[0]}
        told = [_told(options) for options in (fixed, *tuned)]
        source = [sources[each][key] for key in ("paper", "others", "why")]
        steps, seconds = "not run", ""
        if each in costs.index:
            took = costs.loc[each]
            steps = f"{took['steps']:.0f}" + (f" + {took['steps_aside']:.0f} (teacher)" if took["steps_aside"] else "")
            seconds = f"{took['cpu_seconds']:.2f}"
        reads = "yes" if "retain" in apply.find(each).READS else "no"
        lines.append([each, reads, *told, *source, steps, seconds])
    return _cells.table(head, lines)


def _told(options: dict) -> str:
    told = {key: f"{value:g}" if isinstance(value, float) else value for key, value in options.items()}
    return ", ".join(f"{key} {value}" for key, value in told.items())


def _markdown(rows: pd.DataFrame, column: str, order: list[str], text: str) -> str:
    rows = rows.assign(text=_cells.told_rows(rows, text))
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns=column, values="text", aggfunc="first")
    table = table.reindex(columns=order).fillna("")
    lines = [[*names, *cells] for names, cells in zip(table.index, table.to_numpy(), strict=True)]
    return _cells.table(["forget set", "unlearner", *order], lines)

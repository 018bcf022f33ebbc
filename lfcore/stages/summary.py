"""From the tidy table to its summary over seeds, and the tables that people read."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lfcore.core import layout, records
from lfcore.core.errors import Damaged, InputError
from lfcore.core.tables import read


def gather(paths: Iterable[Path]) -> pd.DataFrame:
    """The tables of jobs, in one.

    Raises Damaged if one of them has lost the hash beside it, which a table that a person brings need not have.
    """
    paths = list(paths)
    if bare := [path for path in paths if path.is_file() and not path.with_name(f"{path.name}.sha256").is_file()]:
        raise records.damaged(bare[0], f"without its hash ({bare[0].name}.sha256)")
    return pd.concat([read(path) for path in paths])


def affected_classes(folder: str | Path, forget_sets: Iterable[str]) -> dict[str, str]:
    """The class of each forget set that loses examples, from the index files in `folder`; "" for a random set."""
    found = {name: records.read(Path(folder) / f"{name}.json")["affected"] for name in forget_sets}
    return {name: "" if affected is None else str(affected) for name, affected in found.items()}


def with_affected(table: pd.DataFrame, folder: str | Path) -> pd.DataFrame:
    """`table` with the column `affected` after `forget_set`: see `affected_classes`."""
    classes = affected_classes(folder, table["forget_set"].unique())
    table = table.copy()
    table.insert(1, "affected", table["forget_set"].map(classes))
    return table


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
        with records.reading(path, ValueError, KeyError, IndexError, what="no benchmark"):
            if not path.read_text().endswith("\n"):
                raise ValueError("cut short")
            job = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[0]
            took = {"seconds": job["s"], "cpu_seconds": job["cpu_time"], "peak_mb": job["max_rss"]}
            took = {key: float(value) for key, value in took.items()}
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
        lies = {"network": network, "role": role if place == layout.NO_FORGET_SET else f"{role} {place}"}
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

"""Whether bf16 changes what is found: a profile's floor trained again in float32. Run by `make bench-precision`.

python tests/bench_precision.py [profile] [at a time]     cifar20 and 2 if not given

The same seed means the same first weights, batches and views, so the models come in pairs. They lie in results/scratch
and are not trained again. Those of the profile must be there. Writes tests/expected/precision.csv: accuracies, total
variation to the reference retrained models, and CPU seconds, each in both precisions, with the 95 % t interval of the
difference over pairs; a row for each profile that it was run on.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from lfcore.core import checkpoint, tables
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.plots.tables import columns, locality_rows
from lfcore.stages.summary import with_affected
from lfcore.statistics import summary
from lfcore.workflow import studies
from lfcore.workflow.config import complete, read

OTHER = {"bf16": "full", "full": "bf16"}
MEASURES = ["UA", "RA", "TA", "RA_aff", "TA_aff"]
PLACES = ["affected/whole", "other/near", "other/far"]


def locate(config: dict, study: studies.Study) -> dict:
    """Where the profile has the models of its first network and forget set, as `evaluate` names it."""
    results = ROOT / "results" / config["profile"]
    forget_set, network = next(iter(study.forget_sets)), config["networks"][0]
    models = results / "models" / network
    return {
        "dataset": results / "data" / "dataset.safetensors",
        "forget_set": results / "data" / f"{forget_set}.json",
        "network": network,
        "originals": sorted((models / "none" / "original").glob("*")),
        "retrained": sorted((models / forget_set / "retrained").glob("*")),
    }


def again(config: dict, study: studies.Study, where: dict, at_a_time: int) -> Path:
    """Train what is missing of the floor in the other precision, and return its folder."""
    loop = {**config["loop"], "precision": OTHER[config["loop"].get("precision", "full")]}
    folder = ROOT / "results" / "scratch" / "precision" / config["profile"]
    options = {name: where[name] for name in ("dataset", "forget_set", "network")}
    options |= {"role": "retrained", "options": config["training"], "device": config["device"], "loop": loop}
    missing = [
        {**options, "seeds": [seed], "out": folder}
        for seed in study.floor
        if not (folder / f"seed{seed}.json").exists()
    ]
    with ProcessPoolExecutor(at_a_time, get_context("spawn")) as workers:
        for seconds in workers.map(train_one, missing):
            print(f"trained in {seconds:.0f} s", flush=True)
    return folder


def train_one(options: dict) -> float:
    """Train in a process of its own, and return the seconds that it took."""
    from lfcore.stages.train import train

    start = time.perf_counter()
    train(**options)
    return time.perf_counter() - start


def compare(study: studies.Study, where: dict, folder: Path) -> pd.DataFrame:
    """MEASURES, total variation in PLACES, and what a model cost: in both precisions, and the difference of pairs."""
    from lfcore.stages.evaluate import evaluate

    options = {**where, "unlearner": "retrained", "seeds": study.floor, "metrics": ["accuracy", "discrepancy"]}
    options |= {"original_seeds": study.unlearned, "reference_seeds": study.reference, "floor_seeds": study.floor}
    found = {}
    for folders in (where["retrained"], [folder]):
        facts = [checkpoint.sidecar(folders, seed) for seed in study.floor]
        table = evaluate(**options, folders=folders, out=folder / "measured")
        table = table[table["seed"].isin(study.floor)]
        by_place = locality_rows(table)
        each = pd.concat([columns(with_affected(table, where["forget_set"].parent)), by_place])
        each = each.pivot(index="seed", columns="measure", values="value")[[*MEASURES, *PLACES]]
        each = each.rename(columns={place: f"total variation, {place}" for place in PLACES})
        cost = pd.Series({one["seed"]: one["cpu_seconds"] for one in facts})
        found[facts[0]["loop"].get("precision", "full")] = each.assign(**{"CPU seconds of a model": cost})
    pairs = found["bf16"] - found["full"]
    means = {precision: each.mean() for precision, each in found.items()} | {"difference": pairs.mean()}
    low, high = summary.interval(pairs.mean(), pairs.std() / len(pairs) ** 0.5, len(pairs) - 1)
    table = pd.DataFrame({**means, "low": low, "high": high, "pairs": len(pairs)}).rename_axis("what").reset_index()
    return table[["what", "full", "bf16", "difference", "low", "high", "pairs"]]


def main(profile: str = "cifar20", at_a_time: str = "2") -> None:
    """Train, compare, write and print."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        config = complete(read(profile))
        study = studies.read(config)[studies.MAIN]
        where = locate(config, study)
        for seed in study.floor:
            checkpoint.sidecar(where["retrained"], seed)  # InputError before any training where one is missing
        found = compare(study, where, again(config, study, where, int(at_a_time)))
    except InputError as error:
        sys.exit(str(error))
    path = ROOT / "tests" / "expected" / "precision.csv"
    parts = [found.assign(profile=profile)]
    if path.exists():
        known = tables.read(path)
        parts.insert(0, known[known["profile"] != profile])
    tables.write(pd.concat(parts, ignore_index=True), path, seal=False)
    print(found.to_string(index=False))


if __name__ == "__main__":
    main(*sys.argv[1:])

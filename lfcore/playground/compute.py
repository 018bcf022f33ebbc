"""What the playground computes: what one setting of its controls does, in seconds.

What is trained once is kept under `out`, in folders named by a hash of all that it depends on: data, rows to forget,
network, recipe, options. The same setting is therefore read and not made again, and deleting `out` starts over.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import data
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.core.run import Predictions, Run, read_predictions
from lfcore.datasets._load import load
from lfcore.geometry.similarity import mean_similarity, unit
from lfcore.metrics import discrepancy
from lfcore.plots import similarity_curves, style
from lfcore.stages.data import choose_forget
from lfcore.stages.train import train
from lfcore.stages.unlearn import unlearn


@dataclass(frozen=True)
class Setting:
    """One position of the controls. options: of the unlearner. seed: of the original and of the method's chance."""

    affected: int
    fraction: float
    unlearner: str
    options: dict
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """What no control changes. training: the options of 02_train; retrained: how many models to compare with."""

    dataset: str
    root: str
    network: str
    training: dict
    retrained: int
    out: Path


@dataclass(frozen=True)
class Outcome:
    """What a setting did. run: its predictions, those of the original and, as its floor, of the retrained models."""

    setting: Setting
    run: Run
    images: np.ndarray


def _folder(out: Path, name: str, *depends) -> Path:
    """The folder of something that `depends` determine."""
    return Path(out) / f"{name}-{hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]}"


def compute(
    recipe: Recipe, setting: Setting, progress: Callable[[float, str], None] = lambda share, text: None
) -> Outcome:
    """Unlearn as `setting` says, training only what is not kept from before.

    progress: called with the share done (0 to 1) and what comes next. Raises InputError for an impossible setting, and
    Diverged if the method does.
    """
    if recipe.retrained < 2:
        raise InputError(f"A floor needs two retrained models or more, not {recipe.retrained}: raise `retrained`.")
    progress(0, "reading the data")
    everything = load(recipe.dataset, ROOT / recipe.root)
    rows = choose_forget(everything, setting.affected, setting.fraction)
    facts = [everything.sha256(), recipe.network, recipe.training]
    kept = _folder(recipe.out, "data", facts[0])
    dataset, index = kept / "dataset.safetensors", kept / f"{setting.affected}_{len(rows)}.json"
    if not dataset.is_file():
        data.write(everything, dataset)
    if not index.is_file():
        data.write_forget(index, index.stem, setting.affected, rows)
    common = {"dataset": dataset, "network": recipe.network, "device": "cpu"}
    originals = _folder(recipe.out, "original", *facts)
    retrained = _folder(recipe.out, f"retrained-{index.stem}", *facts)
    wanted = [("original", None, setting.seed, originals)]
    wanted += [("retrained", index, seed, retrained) for seed in range(recipe.retrained)]
    missing = [one for one in wanted if not (one[3] / f"seed{one[2]}.json").is_file()]
    for done, (role, forget_set, seed, out) in enumerate(missing):
        progress(done / (len(missing) + 1), f"training {role} model {seed} (once)")
        train(**common, forget_set=forget_set, role=role, seeds=[seed], options=recipe.training, out=out)
    name = f"{setting.unlearner}-{index.stem}"
    unlearned = _folder(recipe.out, name, *facts, setting.seed, setting.options)
    if not (unlearned / f"seed{setting.seed}.json").is_file():
        progress(len(missing) / (len(missing) + 1), f"unlearning with {setting.unlearner}")
        method = {"unlearner": setting.unlearner, "seeds": [setting.seed], "options": setting.options}
        unlearn(**common, **method, forget_set=index, originals=[originals], out=unlearned)
    original = read_predictions([originals], [setting.seed])
    removed = data.read_forget(index, everything)
    run = Run(
        predictions=read_predictions([unlearned], [setting.seed]),
        originals=original,
        floor=read_predictions([retrained], list(range(recipe.retrained))),
        is_floor=False,
        labels=everything.labels,
        classes=everything.classes,
        forget_set=removed,
        test=everything.test,
        similarity=mean_similarity(original, removed.forget),
    )
    progress(1, "done")
    return Outcome(setting, run, everything.images)


def compare(outcome: Outcome) -> dict[str, dict[str, np.ndarray]]:
    """Each discrepancy to the retrained models, (models, n), of the original, the unlearned, and the retrained ones.

    A retrained model is compared with the others, an unlearned one with all of them.
    """
    run = outcome.run

    def part(keep):
        return Predictions(tuple(keep), run.floor.logits[keep], run.floor.features[keep])

    models = list(range(len(run.floor.seeds)))
    floor = [discrepancy.against(part([i]), part([j for j in models if j != i]), run.labels) for i in models]
    return {
        "original": discrepancy.against(run.originals, run.floor, run.labels),
        style.FLOOR: {name: np.concatenate([one[name] for one in floor]) for name in discrepancy.NAMES},
        outcome.setting.unlearner: discrepancy.against(run.predictions, run.floor, run.labels),
    }


def curves(outcome: Outcome, *, scope: str, classes: str) -> pd.DataFrame:
    """Each measure of `similarity_curves.MEASURES` on the test examples by bin, in the unit of its axis.

    A row for each unlearner, measure and bin that is not empty: mean over models, low and high (least and most of
    them), mean similarity and count of the bin. scope, classes: as in 11_localized.
    """
    run, found = outcome.run, compare(outcome)
    parts = [
        (int(key.split("/")[1]), rows)
        for name, key, rows in discrepancy.partition(run, run.test)
        if name == scope and key.startswith(f"{classes}/") and len(rows)
    ]
    if not parts:
        raise InputError(f"There is no {scope} of {classes} classes: choose another scope or classes.")
    records = []
    for unlearner, values in found.items():
        for metric, (_, factor) in similarity_curves.MEASURES.items():
            for number, rows in parts:
                means = factor * values[metric][:, rows].mean(axis=1)
                place = {"unlearner": unlearner, "metric": metric, "bin": number}
                ends = {"mean": means.mean(), "low": means.min(), "high": means.max()}
                records.append(place | ends | {"similarity": run.similarity[rows].mean(), "count": len(rows)})
    return pd.DataFrame(records)


def worst(outcome: Outcome, count: int) -> list[dict]:
    """The `count` test examples that lost most confidence in their class against retraining, worst first.

    Each with its row, the row of the forget example nearest to it by cosine of the original's features, that cosine,
    its label, what the unlearned model says, and the lost confidence in points.
    """
    run = outcome.run
    lost = compare(outcome)[outcome.setting.unlearner]["confidence_gap"][0]
    features = unit(run.originals.features[0])
    forget, said = run.forget_set.forget, run.predictions.logits[0].argmax(axis=1)
    found = []
    for row in run.test[np.argsort(-lost[run.test], kind="stable")][:count].tolist():
        cosines = features[forget] @ features[row]
        place = {"row": row, "nearest": int(forget[cosines.argmax()]), "cosine": float(cosines.max())}
        found.append(place | {"label": int(run.labels[row]), "said": int(said[row]), "lost": 100 * float(lost[row])})
    return found


def accuracies(outcome: Outcome) -> list[dict]:
    """Accuracy in percent of the original, the unlearned and the retrained models (their mean), a record each."""
    run, affected = outcome.run, outcome.setting.affected
    of_class = run.test[run.labels[run.test] == affected]
    splits = {**run.splits, f"test of class {affected}": of_class}
    models = {"original": run.originals, outcome.setting.unlearner: run.predictions, "retrained (mean)": run.floor}
    return [
        {"model": name}
        | {split: 100 * float((one.logits.argmax(2) == run.labels)[:, rows].mean()) for split, rows in splits.items()}
        for name, one in models.items()
    ]

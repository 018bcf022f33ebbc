"""The stage that unlearns: one method, one forget set, several seeds."""

import importlib.util
import inspect
import sys
import time
from functools import cache
from pathlib import Path

import torch

from lfcore import checkpoint, data, models, plugins, predict, unlearners
from lfcore.errors import Diverged, InputError
from lfcore.paths import ROOT
from lfcore.seeds import make_deterministic, number
from lfcore.train import Examples, choose, counting, looping

EVERY = {"draw": 0, "steps": None, "file": None}
"""Options that every unlearner has, kept from its file, with their defaults.

draw: another number is another draw of the method's own randomness, from the same original.
steps: stop after so many optimizer steps, whatever `epochs` says; those of a teacher are not counted.
file: the Python file of a method that is not in `lfcore/unlearners`, from the project's folder.
"""


def known() -> list[str]:
    """The names of the unlearners: the files in `lfcore/unlearners`."""
    return plugins.known(unlearners)


def find(unlearner: str, options: dict | None = None):
    """The module of `unlearner`: of the file that `options` name, or one in `lfcore/unlearners`.

    "name-variant" is a variant of "name", with options of its own.
    """
    if file := (options or {}).get("file"):
        return _load(ROOT / file)
    return plugins.find(unlearners, "unlearner", unlearner.split("-")[0])


@cache
def _load(path: Path):
    """The module in a Python file outside the package, executed once."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give the unlearner's path from the project's folder.")
    spec = importlib.util.spec_from_file_location(f"unlearner_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "unlearn") or not hasattr(module, "READS"):
        raise InputError(f"{path} defines no READS or no unlearn(): CONTRIBUTING.md says what an unlearner's file has.")
    return module


def check_options(unlearner: str, options: dict) -> None:
    """Raise InputError unless `unlearner` takes every option, and is given every one it needs."""
    parameters = inspect.signature(find(unlearner, options).unlearn).parameters.values()
    offered = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"}
    for option in options:
        if option not in {**offered, **EVERY}:
            raise InputError(f"{unlearner} has no option {option!r}: choose from {', '.join({**offered, **EVERY})}.")
    for name, parameter in offered.items():
        if parameter.default is parameter.empty and name not in options:
            raise InputError(f"{unlearner} needs the option {name!r}: give it in the config.")


def apply(unlearner: str, model, seen: dict[str, Examples | None], seed: int, options: dict):
    """Unlearn once, and return the new model and what it took: seconds, cpu_seconds, steps, steps_aside, notes.

    seen: "forget" and "retain", None for what the method may not see. options may hold those of EVERY. Raises Diverged.
    """
    module = find(unlearner, options)
    chosen = {name: value for name, value in options.items() if name not in EVERY}
    draw, limit = (options.get(name, EVERY[name]) for name in ("draw", "steps"))
    if limit is not None and "epochs" in inspect.signature(module.unlearn).parameters:
        chosen["epochs"] = limit  # an epoch has a step at least
    stream = number(seed, "draw", str(draw)) if draw else seed
    start, used = time.perf_counter(), time.process_time()
    with counting(limit) as steps:
        model = module.unlearn(model, **seen, seed=stream, **chosen)
    took = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return model, {**took, "steps": steps.taken, "steps_aside": steps.aside, "notes": getattr(model, "notes", {})}


def hand(
    unlearner: str, dataset: data.Data, removed: data.Forget, device: str, options: dict | None = None
) -> dict[str, Examples | None]:
    """The sets that the module's READS names, and None for the other."""
    reads = find(unlearner, options).READS
    rows = {"forget": removed.forget, "retain": removed.retain}
    return {name: choose(dataset, rows[name], device) if name in reads else None for name in rows}


def original(folders: list[str | Path], seed: int, network: str, dataset: data.Data, device: str) -> torch.nn.Module:
    """The original model of `seed`, from the first of `folders` that has it."""
    model = models.build(network, dataset.images.shape[1], dataset.classes, seed=seed, stage="unread")
    return checkpoint.read(folders, seed, model).to(device)


def unlearn(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    unlearner: str,
    seeds: list[int],
    options: dict,
    device: str,
    originals: list[str | Path],
    out: str | Path,
    loop: dict | None = None,
) -> list[dict]:
    """Unlearn from the original of each seed and write a checkpoint and predictions for each.

    The method is handed only the sets that its module's READS names, and None for the other.
    originals: folders to look for the original checkpoints in. loop: options of `lfcore.train.Loop`.
    Returns one record a seed: seed and accuracies in percent on the forget, retain and test rows.
    """
    make_deterministic(device)
    check_options(unlearner, options)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything)
    seen = hand(unlearner, everything, removed, device, options)
    rows = {"forget": removed.forget, "retain": removed.retain}
    fingerprint = everything.sha256()
    records = []
    for seed in seeds:
        try:
            start = original(originals, seed, network, everything, device)
            with looping(**(loop or {})):
                model, took = apply(unlearner, start, seen, seed, options)
            predictions = predict.predict(model, everything.images, device)
        except Diverged as error:
            raise Diverged(f"{unlearner} on {removed.name}, seed {seed}, diverged. {error}") from None
        if hasattr(model, "teacher_logits"):
            predictions["teacher_logits"] = model.teacher_logits
        facts = {"network": network, "role": f"{unlearner} {removed.name}", "seed": seed, "options": options}
        facts |= {"loop": loop or {}, "data": fingerprint, "reads": sorted(find(unlearner, options).READS), **took}
        checkpoint.write(out, seed, model, predictions, facts)
        records.append({"seed": seed, **predict.accuracies(predictions, everything, rows)})
    return records

"""Find an unlearner by its name, check its options, and apply it once."""

import importlib.util
import inspect
import sys
import time
from functools import cache
from pathlib import Path

import torch

from lfcore import unlearners
from lfcore.core import checkpoint, data, plugins
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.paths import ROOT
from lfcore.core.seeds import number
from lfcore.models import networks
from lfcore.training.fit import counting

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
    model = networks.build(network, dataset.images.shape[1], dataset.classes, seed=seed, stage="unread")
    return checkpoint.read(folders, seed, model).to(device)

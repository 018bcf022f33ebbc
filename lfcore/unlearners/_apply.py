"""Find an unlearner by its name, check its options, and apply it once."""

import importlib.util
import inspect
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

from lfcore import unlearners
from lfcore.core import data, plugins
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.paths import ROOT
from lfcore.core.plugins import EVERY
from lfcore.core.seeds import number
from lfcore.core.unlearned import Unlearned
from lfcore.training.fit import Loop, Steps


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
    plugins.check_options(unlearner, options, find(unlearner, options).__file__, "unlearn", EVERY)


def apply(
    unlearner: str, model, seen: dict[str, Examples | None], seed: int, options: dict, loop: Loop = Loop()
) -> tuple[Unlearned, dict[str, float]]:
    """Unlearn once, and return the result and what it took: seconds, cpu_seconds, steps, steps_aside.

    seen: "forget" and "retain", None for what the method may not see. options may hold those of EVERY. loop: how to
    train; its own `steps` is not used. Raises Diverged.
    """
    module = find(unlearner, options)
    chosen = {name: value for name, value in options.items() if name not in EVERY}
    draw, limit = (options.get(name, EVERY[name]) for name in ("draw", "steps"))
    if limit is not None and "epochs" in inspect.signature(module.unlearn).parameters:
        chosen["epochs"] = limit  # an epoch has a step at least
    stream = number(seed, "draw", str(draw)) if draw else seed
    steps, start, used = Steps(limit), time.perf_counter(), time.process_time()
    result = module.unlearn(model, **seen, seed=stream, loop=replace(loop, steps=steps), **chosen)
    took = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    result = result if isinstance(result, Unlearned) else Unlearned(result)
    return result, {**took, "steps": steps.taken, "steps_aside": steps.aside}


def choose_sets(
    unlearner: str, dataset: data.Data, removed: data.Forget, device: str, options: dict | None = None
) -> dict[str, Examples | None]:
    """The sets that the module's READS names, and None for the other."""
    reads = find(unlearner, options).READS
    rows = {"forget": removed.forget, "retain": removed.retain}
    return {name: choose(dataset, rows[name], device) if name in reads else None for name in rows}

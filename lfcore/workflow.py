"""What the Snakefile and the Makefile ask: is the config right, which files does a job depend on, why did it fail."""

import ast
import atexit
import json
import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path

import yaml

from lfcore import studies
from lfcore.errors import InputError
from lfcore.paths import ROOT

EVERY = ("draw", "steps")
"""Options that every unlearner has; `lfcore.unlearn` says what they do."""

GIVEN = ("seed", "seeds", "device")
"""What the workflow gives to every unlearner or experiment, beside its options."""

PROBES = ("lfcore/probes", "lfcore/attacks")
"""The folders of probes."""


def check_config(config: dict) -> dict:
    """Return the merged config without its nulls; raise InputError, naming the key, if it breaks config/schema.yaml.

    A null in an overlay takes the entry out, as in JSON Merge Patch (RFC 7386). Unlearners, metrics, data set and
    figures must be files of those names.
    """
    from jsonschema import Draft202012Validator

    config = complete(config)
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: error.json_path)
    if errors:
        where = errors[0].json_path.removeprefix("$").removeprefix(".") or "its top level"
        raise InputError(f"The config is wrong at {where}: {errors[0].message} (config/README.md lists the keys).")
    for key in ("unlearners", "studies", "choices", "probes", "tuning"):
        _check_numbers(config.get(key, {}), key)
    for choice in (config["choice"], *(given.get("choice", "") for given in config["studies"].values())):
        if choice and choice not in config["choices"]:
            known = ", ".join(config["choices"])
            raise InputError(f"There is no choice called {choice!r} in the config: choose from {known}.")
    chosen = {key: value for key, value in config["dataset"].items() if key not in ("name", "root")}
    _check_files("data set", [config["dataset"]["name"]], "lfcore/datasets")
    _check_options({config["dataset"]["name"]: chosen}, "lfcore/datasets", "load", ())
    _check_networks(config["networks"])
    for study in studies.read(config).values():
        _check_files("unlearner", study.unlearners, "lfcore/unlearners")
        _check_options(study.unlearners)
        _check_files("metric", study.metrics, "lfcore/metrics")
        _check_files("probe", study.probes, *PROBES)
        for name, options in study.probes.items():
            _check_options({name: options}, str(Path(probe_file(name)).parent), "probe", ())
        _check_files("experiment", study.experiments, "lfcore/experiments")
        _check_options(study.experiments, "lfcore/experiments", "experiment", ())
        _check_files("figure", study.figures, "notebooks")
    for given in config["studies"].values():
        _check_files("unlearner", given.get("also", []), "lfcore/unlearners")
    if "tuning" in config:
        for grids in studies.BUDGETS.values():
            _check_files("unlearner", config["tuning"].get(grids, {}), "lfcore/unlearners")
        _check_files("figure", config["tuning"]["figures"], "notebooks")
        for budget in studies.BUDGETS:
            for name, settings in studies.grids(config, budget).items():
                _check_options({name: settings[0]})
    return config


def complete(config: dict) -> dict:
    """The merged config without its nulls, and with what may be left out."""
    return {"studies": {}, "choices": {}, "choice": "", "probes": {}, "loop": {}} | _prune(config)


def _prune(config):
    if isinstance(config, dict):
        return {key: _prune(value) for key, value in config.items() if value is not None}
    return config


def _check_numbers(value, where: str) -> None:
    """YAML reads 1e-6 as text, and only 1.0e-6 as a number: catch it here and not in a job."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_numbers(part, f"{where}.{key}")
    elif isinstance(value, list):
        for part in value:
            _check_numbers(part, where)
    elif isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", value):
        raise InputError(f"The config is wrong at {where}: {value!r} is text; write it with a point, as 1.0e-6.")


def _check_files(what: str, names, *folders: str) -> None:
    files = (path for folder in folders for path in (ROOT / folder).glob("*.py"))
    known = sorted(path.stem for path in files if path.stem != "__init__")
    for name in names:
        if name.split("-")[0] not in known:
            raise InputError(f"There is no {what} called {name!r} in the config: choose from {', '.join(known)}.")


def _functions(path: Path) -> dict[str, ast.arguments]:
    """The arguments of a file's functions by name, read without importing it, which would import torch."""
    found = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name: function.args for function in found}


def _check_options(chosen: dict[str, dict], folder="lfcore/unlearners", function="unlearn", every=EVERY) -> None:
    for name, options in chosen.items():
        arguments = _functions(ROOT / folder / f"{name.split('-')[0]}.py")[function]
        pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        offered = {argument.arg: default for argument, default in pairs if argument.arg not in GIVEN}
        for option in options:
            if option not in {*offered, *every} and not arguments.kwarg:
                known = ", ".join([*offered, *every]) or "none"
                raise InputError(f"The config's {name} has no option {option!r}: choose from {known}.")
        for option, default in offered.items():
            if default is None and option not in options:
                raise InputError(f"The config's {name} needs the option {option!r}: give it a value.")


def _check_networks(networks: list[str]) -> None:
    functions = _functions(ROOT / "lfcore" / "models.py").items()
    known = [name for name, found in functions if [a.arg for a in found.args] == ["channels", "classes"]]
    for name in networks:
        if name not in known:
            raise InputError(f"There is no network called {name!r} in the config: choose from {', '.join(known)}.")


def check_writable(*folders: str) -> None:
    """Raise InputError if one of these folders of the project, or the one that would hold it, can't be written to."""
    for folder in folders:
        path = ROOT / folder
        existing = next(place for place in (path, *path.parents) if place.exists())
        if not os.access(existing, os.W_OK):
            raise InputError(f"{existing} can't be written to: change its permissions, or run a copy of the project.")


def sources(*paths: str) -> list[str]:
    """These files' own lfcore files: every module of lfcore they import, and those that these import, sorted.

    A rule names them as inputs, because Snakemake looks at a notebook and never at what it imports.
    """
    found, waiting = set(), [ROOT / path for path in paths]
    while waiting:
        path = waiting.pop()
        for module in _imports(path):
            file = (ROOT / module.replace(".", "/")).with_suffix(".py")
            if file.is_file() and file not in found:
                found.add(file)
                waiting.append(file)
    return sorted(str(file.relative_to(ROOT)) for file in found)


@cache
def _imports(path: Path) -> list[str]:
    """The modules that a file imports, and those that names imported from a module might be; parsed once a run."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def probe_file(probe: str) -> str:
    """The file of `probe`, in one of the folders PROBES."""
    return next(f"{folder}/{probe}.py" for folder in PROBES if (ROOT / folder / f"{probe}.py").is_file())


def parameters(notebook: str) -> list[str]:
    """The names in a notebook's parameters cell, from its source."""
    cell = (ROOT / notebook).read_text().split('# %% tags=["parameters"]')[1].split("\n# %%")[0]
    return [node.target.id for node in ast.parse(cell).body if isinstance(node, ast.AnnAssign)]


def cut(seeds: list[int], size: int) -> list[str]:
    """The jobs that consecutive seeds are cut into, `size` seeds each or fewer, named first-last."""
    parts = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    return [f"{part[0]}-{part[-1]}" for part in parts]


def numbers(job: str) -> list[int]:
    """The seeds of the job called first-last."""
    first, last = map(int, job.split("-"))
    return list(range(first, last + 1))


def to_yaml(**parameters) -> str:
    """Parameters for papermill's -y, on one line. Not JSON: YAML 1.1 would read its 1e-06 as text."""
    return yaml.safe_dump(parameters, default_flow_style=True, sort_keys=False, width=float("inf")).strip()


def say_last(sentence: object) -> None:
    """Print `sentence` when the process ends, after everything that Snakemake has to say."""
    atexit.register(print, sentence, file=sys.stderr)


def explain(log: str | Path) -> str:
    """One sentence about the first failed job in a Snakemake log, read from the notebook that the job executed."""
    text = Path(log).read_text(errors="replace")
    for name in re.findall(r"^Error in rule .*?^\s*log: (\S+?\.ipynb)", text, re.MULTILINE | re.DOTALL):
        error = _first_error(ROOT / name)
        if error:
            return f"{error} (in {name})"
    return "A job failed outside its notebook: the .log beside the notebook named above says why."


def _first_error(notebook: Path) -> str:
    try:
        cells = json.loads(notebook.read_text())["cells"]
    except (OSError, ValueError, KeyError):
        return ""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    errors = (f"{o['ename']}: {' '.join(o['evalue'].split())}" for o in outputs if o["output_type"] == "error")
    return next(errors, "")


def unlock() -> None:
    """Remove a lock that a killed snakemake left in this folder; exit with a sentence if one still runs here."""
    import psutil

    locks = ROOT / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    ancestors = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if process.pid in ancestors or process.info["cwd"] != str(ROOT):
            continue
        if found := re.search(r"\b(snakemake|papermill)\b", command):  # a killed snakemake's jobs live on
            sys.exit(f"A {found[1]} already runs in this folder (process {process.pid}): wait for it or stop it.")
    shutil.rmtree(locks)
    print("Removed the lock of a snakemake that was killed.")


if __name__ == "__main__":
    unlock()

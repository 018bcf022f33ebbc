"""What the Snakefile and the Makefile ask: is the config right, which files does a job depend on."""

import ast
import atexit
import base64
import json
import math
import os
import re
import shutil
import sys
from functools import cache
from pathlib import Path

import yaml

from lfcore import studies
from lfcore.errors import InputError
from lfcore.paths import ROOT, existing

EVERY = ("draw", "steps", "file")
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

    config = _fill(config)
    _check_text(config)
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: error.json_path)
    if errors:
        where = errors[0].json_path.removeprefix("$").removeprefix(".") or "its top level"
        raise InputError(f"The config is wrong at {where}: {errors[0].message} (config/README.md lists the keys).")
    config = _choose(_spread(config))
    for key in ("unlearners", "studies", "choices", "probes", "tuning"):
        _check_numbers(config.get(key, {}), key)
    for choice in (config["choice"], *(given.get("choice", "") for given in config["studies"].values())):
        if choice and choice not in config["choices"]:
            known = ", ".join(config["choices"])
            own = choice.startswith(f"{config['profile']}_") and "tuning" in config
            hint = f" (make tune PROFILE={config['profile']} makes it: leave it out until then)" if own else ""
            raise InputError(f"There is no choice called {choice!r} in the config{hint}: choose from {known}.")
    chosen = {key: value for key, value in config["dataset"].items() if key not in ("name", "root")}
    _check_files("data set", [config["dataset"]["name"]], "lfcore/datasets")
    _check_options({config["dataset"]["name"]: chosen}, "lfcore/datasets", "load", ())
    if chosen.get("download") and not (ROOT / config["dataset"]["root"]).resolve().is_relative_to(ROOT):
        raise InputError(
            f"The config would download to {config['dataset']['root']}, outside the project: name a folder in it, or "
            "another by the environment variable LFCORE_DATA."
        )
    _check_networks(config["networks"])
    given = [config["unlearners"], *(study.get("unlearners", {}) for study in config["studies"].values())]
    own = [name for unlearners in given for name in _check_own(unlearners)]
    for study in studies.read(config).values():
        _check_files("unlearner", study.unlearners, "lfcore/unlearners", own=own)
        _check_options(study.unlearners)
        _check_files("metric", study.metrics, "lfcore/metrics")
        _check_files("probe", study.probes, *PROBES)
        for name, options in study.probes.items():
            _check_options({name: options}, str(Path(probe_file(name)).parent), "probe", ())
        _check_files("experiment", study.experiments, "lfcore/experiments")
        _check_options(study.experiments, "lfcore/experiments", "experiment", ())
        for given in study.figures.values():
            studies.variants(study.experiments, given.get("experiments"))
        _check_figures(study.figures)
    for given in config["studies"].values():
        _check_files("unlearner", given.get("also", []), "lfcore/unlearners", own=own)
    _check_files("metric", config["per_example"], "lfcore/metrics")
    if "tuning" in config:
        for grids in studies.BUDGETS.values():
            _check_files("unlearner", config["tuning"].get(grids, {}), "lfcore/unlearners", own=own)
        _check_figures(config["tuning"]["figures"])
        for budget in studies.BUDGETS:
            for name, settings in studies.grids(config, budget).items():
                _check_options({name: settings[0]})
    return config


def read(profile: str) -> dict:
    """The config of a profile, unchecked: the default's files with its own laid over them, as the Snakefile reads it.

    Raises InputError if there is no such profile.
    """
    path = ROOT / "config" / f"{profile}.yaml"
    if not path.is_file():
        raise InputError(f"There is no config/{profile}.yaml: choose a profile from config/.")
    config = {}
    for name in ("digits", "choices", "studies", profile):
        config = _lay(config, yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    return config


def checked(profile: str) -> dict:
    """The config of a profile, complete. Raises InputError for whatever is wrong with it."""
    return check_config(read(profile))


def _lay(config: dict, overlay: dict) -> dict:
    """A new config: YAML's aliases are one object in several places."""
    shared = [key for key, value in overlay.items() if isinstance(value, dict) and isinstance(config.get(key), dict)]
    return {**config, **overlay, **{key: _lay(config[key], overlay[key]) for key in shared}}


def complete(config: dict) -> dict:
    """The merged config without its nulls and what its `only` leaves out, with all keys and its grid's forget sets."""
    return _choose(_spread(_fill(config)))


def _fill(config: dict) -> dict:
    missing = {"studies": {}, "choices": {}, "choice": "", "probes": {}, "loop": {}, "per_example": []}
    return missing | _prune(config)


def _spread(config: dict) -> dict:
    return config | {"forget_sets": studies.spread(config["grid"])} if "grid" in config else config


def _choose(config: dict) -> dict:
    """The config without those entries of the default profile that its `only` does not name; what is added stands."""
    chosen = {}
    for key, names in config.get("only", {}).items():
        default = _default()[key]
        for name in names:
            if name not in {**default, **config[key]}:
                known = ", ".join({**default, **config[key]})
                raise InputError(f"The config's only.{key} names {name!r}, which is not there: choose from {known}.")
        chosen[key] = {name: value for name, value in config[key].items() if name in names or name not in default}
    if not chosen.get("forget_sets", True):
        raise InputError("The config's only.forget_sets leaves no forget set: name one, or add one.")
    return {key: value for key, value in config.items() if key != "only"} | chosen


@cache
def _default() -> dict:
    """The default profile, as its files say."""
    digits, beside = (yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()) for name in ("digits", "studies"))
    return digits | beside


def _prune(config):
    if isinstance(config, dict):
        return {key: _prune(value) for key, value in config.items() if value is not None}
    return config


def _check_text(value, where: str = "its top level") -> None:
    """Keys are text without line breaks, since they become names of files, and so are values."""
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InputError(f"The config is wrong at {where}: {key!r} is not text; put it in quotes.")
            _check_text(key, where)
            _check_text(part, key if where == "its top level" else f"{where}.{key}")
    elif isinstance(value, list):
        for part in value:
            _check_text(part, where)
    elif isinstance(value, str) and not value.isprintable():
        raise InputError(f"The config is wrong at {where}: {value!r} has a line break or a sign that can't be printed.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"The config is wrong at {where}: {value} is not a finite number.")


def _check_figures(figures: dict[str, dict]) -> None:
    """Figures are notebooks, and their options parameters of these, but `out`: the workflow says where to write."""
    _check_files("figure", figures, "notebooks")
    for figure, options in figures.items():
        known = (
            [name for name in parameters(f"notebooks/{figure.split('-')[0]}.py") if name != "out"] if options else []
        )
        for option in options:
            if option not in known:
                raise InputError(
                    f"The config's {figure} has no parameter {option!r}: choose from {', '.join(known) or 'none'}."
                )


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


def _check_own(unlearners: dict[str, dict]) -> list[str]:
    """The names of the unlearners whose `file` is not in the package; InputError for a file that is no unlearner's."""
    files = {name: options["file"] for name, options in unlearners.items() if "file" in options}
    for name, file in files.items():
        path = ROOT / str(file)
        if path.suffix != ".py" or not path.is_file():
            raise InputError(f"The config's {name} has the file {file}, which is no Python file in {ROOT}: correct it.")
        if (ROOT / method(name)).is_file():
            raise InputError(f"The config's {name} has a file, but {method(name)} has that name: rename yours.")
        try:
            tree = ast.parse(path.read_text())
        except SyntaxError as error:
            raise InputError(f"{file} is not Python ({error.msg}, line {error.lineno}): correct it.") from None
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if "READS" not in names or "unlearn" not in _functions(path):
            raise InputError(f"{file} defines no READS or no unlearn(): CONTRIBUTING.md says what an unlearner has.")
    return [name.split("-")[0] for name in files]


def method(name: str, options: dict | None = None) -> str:
    """The path of an unlearner's file: the one its options name, or that of its method in the package."""
    return (options or {}).get("file") or f"lfcore/unlearners/{name.split('-')[0]}.py"


def _check_files(what: str, names, *folders: str, own=()) -> None:
    files = (path for folder in folders for path in (ROOT / folder).glob("*.py"))
    known = sorted({path.stem for path in files if path.stem != "__init__"} | {*own})
    for name in names:
        if name.split("-")[0] not in known:
            raise InputError(f"There is no {what} called {name!r} in the config: choose from {', '.join(known)}.")


def _functions(path: Path) -> dict[str, ast.arguments]:
    """The arguments of a file's functions by name, read without importing it, which would import torch."""
    found = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name: function.args for function in found}


def _check_options(chosen: dict[str, dict], folder="lfcore/unlearners", function="unlearn", every=EVERY) -> None:
    for name, options in chosen.items():
        file = options.get("file") if function == "unlearn" else None
        arguments = _functions(ROOT / (file or f"{folder}/{name.split('-')[0]}.py"))[function]
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
        place = existing(ROOT / folder)
        if not os.access(place, os.W_OK):
            raise InputError(f"{place} can't be written to: change its permissions, or run a copy of the project.")


def check_notebooks(folder: str | Path) -> list[str]:
    """Delete converted notebooks that are not what their sources say, so that they are made again; return their names.

    They are what jobs run, and Snakemake looks at a file's time alone. While a workflow runs here, none is looked at.
    """
    deleted, locks = [], ROOT / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        return deleted
    for path in sorted((ROOT / folder).glob("*.ipynb")):
        source = ROOT / "notebooks" / f"{path.stem}.py"
        newer = source.is_file() and source.stat().st_mtime > path.stat().st_mtime  # then it is made again anyway
        if source.is_file() and not newer and not _is_converted(path, source.read_text()):
            path.unlink()
            deleted.append(path.name)
    return deleted


def _is_converted(path: Path, source: str) -> bool:
    """Whether the notebook at `path` has the code of `source`, cell by cell, and can be run."""
    try:
        notebook = json.loads(path.read_text())
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        others = {"".join(cell["cell_type"]) for cell in notebook["cells"]} - {"code", "markdown"}
        keys = {frozenset(cell) for cell in cells} - {frozenset({"cell_type", "id", "metadata", "source", *RUN})}
        form = [set(notebook), notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]]
        marks = [mark for cell in cells if (mark := cell["metadata"].get("tags"))]
        code = ["".join(cell["source"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    parts = re.split(r"^# %%", source, flags=re.MULTILINE)[1:]
    same = [part.partition("\n")[2].strip() for part in parts if not part.startswith(" [markdown]")] == code
    known = form == [{"cells", "metadata", "nbformat", "nbformat_minor"}, 4, "python3"] and not keys | others
    return same and known and marks == [["parameters"]]


RUN = ("execution_count", "outputs")
"""What a code cell has beside what any cell has."""
KEPT = ("models/*/*/*/*", "measurements/*/*/*.csv", "probes*/*/*/*.csv", "tuning/*/*/*/*.csv", "experiments/*.csv")
KEPT += ("tables*/summary.csv", "data/dataset.safetensors")
"""Outputs of which Snakemake keeps a record, in results/<profile>/."""


def check_records(results: str | Path) -> str:
    """A sentence about results of which Snakemake has no record, so that it can't see a change of the config; or ""."""
    found = [path for pattern in KEPT for path in sorted((ROOT / results).glob(pattern))]
    names = [str(path.relative_to(ROOT)) for path in found if ".damaged" not in path.name]
    unknown = [name for name in names if not _record(name).is_file()]
    if not unknown:
        return ""
    return (
        f"Caution: {len(unknown)} results, {unknown[0]} the first, are taken as they are, whatever the config says: "
        "Snakemake has no record of making them (.snakemake was deleted, or they were copied here). To make all by "
        f"this config, delete {results}."
    )


def _record(output: str) -> Path:
    """Where Snakemake 9 keeps its record of an output: a long name is cut into folders."""
    name, size = base64.urlsafe_b64encode(output.encode()).decode(), 254
    parts = [name[start : start + size] for start in range(0, len(name), size)]
    return ROOT.joinpath(".snakemake", "metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])


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


def parameters_cell(notebook: str) -> str:
    """The source of a notebook's parameters cell, which papermill replaces."""
    return (ROOT / notebook).read_text().split('# %% tags=["parameters"]')[1].split("\n# %%")[0]


def parameters(notebook: str) -> list[str]:
    """The names in a notebook's parameters cell."""
    return [node.target.id for node in ast.parse(parameters_cell(notebook)).body if isinstance(node, ast.AnnAssign)]


def cut(seeds: list[int], size: int) -> list[str]:
    """The jobs that consecutive seeds are cut into, `size` seeds each or fewer, named first-last."""
    parts = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    return [f"{part[0]}-{part[-1]}" for part in parts]


def numbers(job: str) -> list[int]:
    """The seeds of the job called first-last; none if that is no job's name."""
    if not re.fullmatch(r"\d+-\d+", job):
        return []
    first, last = map(int, job.split("-"))
    return list(range(first, last + 1))


def to_yaml(**parameters) -> str:
    """Parameters for papermill's -y, on one line. Not JSON: YAML 1.1 would read its 1e-06 as text."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, ten times as fast
    return yaml.dump(parameters, Dumper=dumper, default_flow_style=True, sort_keys=False, width=2**31 - 1).strip()


_last: list[object] = []


def say_last(sentence: object) -> None:
    """Print `sentence` when the process ends, after everything that Snakemake has to say, the latest one last."""
    if not _last:
        atexit.register(lambda: print(*_last, sep="\n", file=sys.stderr))
    _last.append(sentence)


def unlock() -> None:
    """Remove a lock that a killed snakemake left in this folder; exit with a sentence if one still runs here."""
    import psutil

    locks = ROOT / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    ancestors = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        command, place = " ".join(process.info["cmdline"] or []), process.info["cwd"]
        found = re.search(r"\b(snakemake|papermill)\b", command)  # a killed snakemake's jobs live on
        if process.pid in ancestors or not found:
            continue
        if place == str(ROOT):
            sys.exit(f"A {found[1]} already runs in this folder (process {process.pid}): wait for it or stop it.")
        if not place and process.status() != psutil.STATUS_ZOMBIE:
            sys.exit(
                f"This folder is locked, and a {found[1]} of another user may run in it (process {process.pid}): wait "
                "for it, or if it runs elsewhere, remove the lock with snakemake --unlock."
            )
    shutil.rmtree(locks)
    print("Removed the lock of a snakemake that was killed.")


if __name__ == "__main__":
    unlock()

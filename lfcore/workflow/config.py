"""What the Snakefile and the Makefile ask: is the config right, which files does a job depend on."""

import ast
import math
import re
from functools import cache
from pathlib import Path

import yaml

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.core.plugins import EVERY, check_options, functions
from lfcore.workflow import studies
from lfcore.workflow.dependencies import PROBES, method, probe_file
from lfcore.workflow.notebooks import parameters


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
        if "READS" not in names or "unlearn" not in functions(path):
            raise InputError(f"{file} defines no READS or no unlearn(): CONTRIBUTING.md says what an unlearner has.")
    return [name.split("-")[0] for name in files]


def _check_files(what: str, names, *folders: str, own=()) -> None:
    files = (path for folder in folders for path in (ROOT / folder).glob("*.py"))
    known = sorted({path.stem for path in files if not path.stem.startswith("_")} | {*own})
    for name in names:
        if name.split("-")[0] not in known:
            raise InputError(f"There is no {what} called {name!r} in the config: choose from {', '.join(known)}.")


def _check_options(chosen: dict[str, dict], folder="lfcore/unlearners", function="unlearn", every=tuple(EVERY)) -> None:
    for name, options in chosen.items():
        file = options.get("file") if function == "unlearn" else None
        path = ROOT / (file or f"{folder}/{name.split('-')[0]}.py")
        check_options(f"The config's {name}", options, path, function, every)


def _check_networks(networks: list[str]) -> None:
    found = functions(ROOT / "lfcore" / "models" / "networks.py").items()
    known = [name for name, taken in found if [a.arg for a in taken.args] == ["channels", "classes"]]
    for name in networks:
        if name not in known:
            raise InputError(f"There is no network called {name!r} in the config: choose from {', '.join(known)}.")

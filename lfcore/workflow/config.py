"""Is a config right? What config/schema.yaml says, and what only the code knows: which plug-ins and options exist."""

import ast
import math
import re
from pathlib import Path

import yaml

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.core.plugins import EVERY, check_options, functions
from lfcore.workflow import studies
from lfcore.workflow.dependencies import PROBES, method, probe_file
from lfcore.workflow.notebooks import parameters
from lfcore.workflow.overlays import complete, fill, read

WITH_OPTIONS = ("unlearners", "studies", "choices", "probes", "tuning")
NUMBER = re.compile(r"[-+]?[\d.]+([eE][-+]?\d+)?")
"""What looks like a number; a value like it may be text only outside WITH_OPTIONS."""


def check_config(config: dict) -> dict:
    """Return the merged config, complete; raise InputError, naming the key, if it breaks config/schema.yaml.

    Unlearners, metrics, data set, probes, experiments and figures must be files of those names, with these options.
    """
    from jsonschema import Draft202012Validator

    config = fill(config)
    _check_values(config)
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: error.json_path)
    if errors:
        where = errors[0].json_path.removeprefix("$").removeprefix(".") or "its top level"
        raise InputError(f"The config is wrong at {where}: {errors[0].message} (config/schema.yaml lists the keys).")
    config = complete(config)
    _check_choices(config)
    _check_dataset(config["dataset"])
    _check_networks(config["networks"])
    given = [config["unlearners"], *(study.get("unlearners", {}) for study in config["studies"].values())]
    own = [name for unlearners in given for name in _check_own(unlearners)]
    for study in studies.read(config).values():
        _check_study(study, own)
    for given in config["studies"].values():
        _check_files("unlearner", given.get("also", []), "lfcore/unlearners", own=own)
    _check_files("metric", config["per_example"], "lfcore/metrics")
    if "tuning" in config:
        _check_tuning(config, own)
    return config


def checked(profile: str) -> dict:
    """The config of a profile, complete. Raises InputError for whatever is wrong with it."""
    return check_config(read(profile))


def _check_values(value, where: str = "") -> None:
    """What a schema can't say: keys are text, text is one line, numbers are finite, and none is text by mistake.

    Names in the config become names of files. YAML reads 1e-6 as text, and only 1.0e-6 as a number.
    """
    wrong = f"The config is wrong at {where or 'its top level'}:"
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InputError(f"{wrong} {key!r} is not text; put it in quotes.")
            if not key.isprintable():
                raise InputError(f"{wrong} {key!r} has a line break or a sign that can't be printed.")
            _check_values(part, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for part in value:
            _check_values(part, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{wrong} {value!r} is not a finite number.")
    elif isinstance(value, str) and not value.isprintable():
        raise InputError(f"{wrong} {value!r} has a line break or a sign that can't be printed.")
    elif isinstance(value, str) and NUMBER.fullmatch(value) and where.split(".")[0] in WITH_OPTIONS:
        raise InputError(f"{wrong} {value!r} is text; write it with a point, as 1.0e-6.")


def _check_choices(config: dict) -> None:
    for choice in (config["choice"], *(given.get("choice", "") for given in config["studies"].values())):
        if choice and choice not in config["choices"]:
            known = ", ".join(config["choices"])
            own = choice.startswith(f"{config['profile']}_") and "tuning" in config
            hint = f" (make tune PROFILE={config['profile']} makes it: leave it out until then)" if own else ""
            raise InputError(f"There is no choice called {choice!r} in the config{hint}: choose from {known}.")


def _check_dataset(given: dict) -> None:
    _check_files("data set", [given["name"]], "lfcore/datasets")
    options = {key: value for key, value in given.items() if key not in ("name", "root")}
    _check_options({given["name"]: options}, "lfcore/datasets", "load", ())
    if options.get("download") and not (ROOT / given["root"]).resolve().is_relative_to(ROOT):
        raise InputError(
            f"The config would download to {given['root']}, outside the project: name a folder in it, or another by "
            "the environment variable LFCORE_DATA."
        )


def _check_study(study: studies.Study, own: list[str]) -> None:
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


def _check_tuning(config: dict, own: list[str]) -> None:
    for budget, grids in studies.BUDGETS.items():
        _check_files("unlearner", config["tuning"].get(grids, {}), "lfcore/unlearners", own=own)
        for name, settings in studies.grids(config, budget).items():
            _check_options({name: settings[0]})
    _check_figures(config["tuning"]["figures"])


def _check_figures(figures: dict[str, dict]) -> None:
    """Figures are notebooks, and their options parameters of these, but `out`: the workflow says where to write."""
    _check_files("figure", figures, "notebooks")
    for figure, options in figures.items():
        asked = parameters(f"notebooks/{figure.split('-')[0]}.py") if options else []
        known = [name for name in asked if name != "out"]
        for option in options:
            if option not in known:
                choice = ", ".join(known) or "none"
                raise InputError(f"The config's {figure} has no parameter {option!r}: choose from {choice}.")


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

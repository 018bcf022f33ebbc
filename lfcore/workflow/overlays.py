"""A profile is an overlay: its file laid over the default's, less what its nulls and its `only` take out."""

from functools import cache
from pathlib import Path

import yaml

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.workflow import studies

DEFAULT = ("config/digits.yaml", "config/choices.yaml", "config/studies.yaml")
"""The files of the default profile, which every other one is laid over."""


def merge(*configs: dict) -> dict:
    """A new config: each laid over those before it, key by key, as Snakemake lays a --configfile over the default."""
    from snakemake.utils import update_config

    merged = {}
    for config in configs:
        update_config(merged, config)
    return merged


def merge_files(*paths: str | Path) -> dict:
    """The configs in these files, in one. paths: from the project's folder."""
    return merge(*(yaml.safe_load((ROOT / path).read_text()) or {} for path in paths))


def read(profile: str) -> dict:
    """The config of a profile as the Snakefile reads it, unchecked; raises InputError if there is no such profile."""
    path = Path("config", f"{profile}.yaml")
    if not (ROOT / path).is_file():
        raise InputError(f"There is no {path}: choose a profile from config/.")
    return merge_files(*DEFAULT, path)


def fill(config: dict) -> dict:
    """The merged config without its nulls, and with every key that may be left out."""
    missing = {"studies": {}, "choices": {}, "choice": "", "probes": {}, "loop": {}, "per_example": []}
    return missing | _prune(config)


def complete(config: dict) -> dict:
    """The merged config without its nulls and what its `only` leaves out, with all keys and its grid's forget sets."""
    config = fill(config)
    if "grid" in config:
        config["forget_sets"] = studies.spread(config["grid"])
    return _choose(config)


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
    return merge_files(*DEFAULT)


def _prune(config):
    if isinstance(config, dict):
        return {key: _prune(value) for key, value in config.items() if value is not None}
    return config

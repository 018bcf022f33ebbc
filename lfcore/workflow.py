"""What the Snakefile and the Makefile ask: is the config right, which files does a job depend on, why did it fail."""

import ast
import json
import os
import re
import shutil
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from lfcore.errors import InputError
from lfcore.paths import ROOT


def check_config(config: dict) -> dict:
    """Return the merged config without its nulls; raise InputError, naming the key, if it breaks config/schema.yaml.

    A null in an overlay takes the entry out, as in JSON Merge Patch (RFC 7386). Unlearners, metrics, data set and
    figures must be files of those names.
    """
    config = _prune(config)
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda error: error.json_path)
    if errors:
        where = errors[0].json_path.removeprefix("$").removeprefix(".") or "its top level"
        raise InputError(f"The config is wrong at {where}: {errors[0].message} (config/README.md lists the keys).")
    _check_files("data set", [config["dataset"]["name"]], "lfcore/datasets")
    _check_files("unlearner", config["unlearners"], "lfcore/unlearners")
    _check_files("metric", config["metrics"], "lfcore/metrics")
    _check_files("figure", config["figures"], "notebooks")
    return config


def _prune(config):
    if isinstance(config, dict):
        return {key: _prune(value) for key, value in config.items() if value is not None}
    return config


def _check_files(what: str, names, folder: str) -> None:
    known = sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__")
    for name in names:
        if name.split("-")[0] not in known:
            raise InputError(f"There is no {what} called {name!r} in the config: choose from {', '.join(known)}.")


def sources(*paths: str) -> list[str]:
    """These files' own lfcore files: every module of lfcore they import, and those that these import, sorted.

    A rule names them as inputs, because Snakemake looks at a notebook and never at what it imports.
    """
    found, waiting = set(), [ROOT / path for path in paths]
    while waiting:
        path = waiting.pop()
        for module in _imports(ast.parse(path.read_text())):
            file = (ROOT / module.replace(".", "/")).with_suffix(".py")
            if file.is_file() and file not in found:
                found.add(file)
                waiting.append(file)
    return sorted(str(file.relative_to(ROOT)) for file in found)


def _imports(tree: ast.Module):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def explain(log: str | Path) -> str:
    """One sentence about the first failed job of a Snakemake log, read from its notebook; "" if no notebook says."""
    for name in re.findall(r"^\s*log: (\S+?\.ipynb)", Path(log).read_text(errors="replace"), re.MULTILINE):
        path = ROOT / name.rstrip(",")
        try:
            cells = json.loads(path.read_text())["cells"]
        except (OSError, ValueError, KeyError):
            continue
        for cell in cells:
            for output in cell.get("outputs", []):
                if output.get("output_type") == "error":
                    return f"{output['ename']}: {output['evalue'].strip().splitlines()[0]} (see {name})"
    return ""


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
        if re.search(r"\bsnakemake\b", command):
            sys.exit(f"A snakemake already runs in this folder (process {process.pid}): wait for it or stop it.")
    shutil.rmtree(locks)
    print("Removed the lock of a snakemake that was killed.")


if __name__ == "__main__":
    unlock()

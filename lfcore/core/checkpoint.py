"""Weights, predictions and where they came from: three files a seed, ``seed<k>`` with three endings, in one folder."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from lfcore.core import records
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT, atomic, sha256


def commit() -> str:
    """The project's git commit, with "+" if the tree has changes; empty where the project is not a git checkout."""
    if not (ROOT / ".git").exists():  # an archive may lie inside another project's checkout
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions() -> dict[str, str]:
    """Versions of what computes the numbers, and the processor's architecture."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("torch", "numpy", "lfcore"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    return found


def write(folder: str | Path, seed: int, model, predictions: dict[str, np.ndarray], facts: dict) -> None:
    """Write weights (safetensors), predictions (safetensors) and a JSON sidecar of `facts`, versions and hashes."""
    folder = Path(folder)
    weights = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in model.state_dict().items()}
    hashes = {}
    for name, arrays in (("weights", weights), ("predictions", predictions)):
        path = folder / f"seed{seed}.{name}.safetensors"
        with atomic(path) as partial:
            save_file(arrays, partial)
        hashes[path.name] = sha256(path)
    record = {**facts, "versions": versions(), "commit": commit(), "sha256": hashes}
    records.write(folder / f"seed{seed}.json", record)


def _locate(folders: list[str | Path], seed: int, name: str) -> Path:
    for folder in folders:
        path = Path(folder) / f"seed{seed}.{name}"
        if path.is_file():
            return path
    raise InputError(f"There is no seed{seed}.{name} in {', '.join(map(str, folders))}: run snakemake to make it.")


def sidecar(folders: list[str | Path], seed: int) -> dict:
    """The record that lies beside the weights of `seed`, looked for in each of `folders`."""
    return records.read(_locate(folders, seed, "json"))


def check(folders: list, seeds: list[int], *, unlearner: str, forget_set: str, network: str, data: str) -> None:
    """Raise InputError unless the sidecars of these seeds say that they are what is asked for, and made alike.

    data: the hash of the data set. What a sidecar does not say is not compared.
    """
    role = unlearner if unlearner == "original" else f"{unlearner} {forget_set}"
    options = {}
    for seed in seeds:
        path = _locate(folders, seed, "json")
        record = records.read(path)
        for key, wanted in {"role": role, "network": network, "data": data}.items():
            if record.get(key, wanted) != wanted:
                given = "other data" if key == "data" else f"the {key} {record[key]!r}, not {wanted!r}"
                raise InputError(f"{path} is of {given}: read the models of that, or make them again.")
        options[str(record.get("options"))] = path
    if len(options) > 1:
        first, other = list(options.values())[:2]
        raise InputError(f"{first} and {other} were made with different options: make all seeds alike.")


def _read(folders: list[str | Path], seed: int, name: str) -> dict[str, np.ndarray]:
    path = _locate(folders, seed, f"{name}.safetensors")
    recorded = sidecar([path.parent], seed).get("sha256")
    with records.reading(path, SafetensorError):
        if not isinstance(recorded, dict) or recorded.get(path.name) != sha256(path):
            raise records.changed(path)
        return load_file(path)


def predictions(folders: list[str | Path], seed: int) -> dict[str, np.ndarray]:
    """The logits and features of one seed, checked against the sidecar's hash."""
    found = _read(folders, seed, "predictions")
    sizes = {found[key].shape[:1] for key in ("logits", "features") if key in found and found[key].ndim == 2}
    if len(sizes) != 1 or not {"logits", "features"} <= set(found):
        where = _locate(folders, seed, "predictions.safetensors")
        raise InputError(f"{where} must hold `logits` (n, classes) and `features` (n, width): write it again.")
    return found


def read(folders: list[str | Path], seed: int, model):
    """Load the weights of one seed into `model`, which becomes float64 if they are, and return it in eval mode.

    Raises InputError if the file is missing, changed, or of another architecture than `model`.
    """
    import torch

    weights = {name: torch.from_numpy(array) for name, array in _read(folders, seed, "weights").items()}
    if torch.float64 in {tensor.dtype for tensor in weights.values()}:
        model.double()
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        network = sidecar(folders, seed).get("network", "another network")
        where = _locate(folders, seed, "weights.safetensors")
        raise InputError(
            f"{where} holds weights of {network} that do not fit {type(model).__name__}: name the network it came from."
        ) from None
    return model.eval()

"""The models of an audit: networks, or predictions from arrays and files, none of which is unpickled."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from lfcore.auditing.state_dicts import PLACES
from lfcore.core.errors import InputError

LOADER = "lfcore.auditing.state_dicts.load_state_dict"


@dataclass(frozen=True)
class Subject:
    """One model under audit, as a network or as its predictions.

    name: what messages and tables call it. network: None where predictions were given.
    logits: (n, classes) and features: (n, width) of predictions; arrays, memory-mapped ones too, or None.
    """

    name: str
    network: torch.nn.Module | None = None
    logits: np.ndarray | None = None
    features: np.ndarray | None = None


def read_subjects(what: str, given) -> list[Subject]:
    """The models of one kind, numbered from 1 if there are several."""
    many = list(given) if isinstance(given, list | tuple) else [given]
    return [read_subject(f"{what} {i}" if len(many) > 1 else what, one) for i, one in enumerate(many, start=1)]


def read_subject(name: str, given) -> Subject:
    """A network, a mapping with logits and features, an array of logits, or a file of them (npz, npy, safetensors)."""
    if isinstance(given, torch.nn.Module):
        training = [path or "the model" for path, module in given.named_modules() if module.training]
        if training:
            raise InputError(
                f"The {name} model is in train mode ({training[0]}), where batches change its answers: "
                "call model.eval() before the audit."
            )
        return Subject(name, given)
    if isinstance(given, str | Path):
        given = _read_file(name, Path(given))
    if isinstance(given, Mapping):
        if "logits" not in given and _holds_weights(given):
            raise InputError(f"The {name} model is a state dict: load it into a network ({LOADER}).")
        if "logits" not in given:
            raise InputError(f"The {name} predictions have no logits: name the array of shape (n, classes) 'logits'.")
        found = {key: as_array(given[key]) for key in ("logits", "features") if key in given}
    elif isinstance(given, np.ndarray | torch.Tensor):
        found = {"logits": as_array(given)}
    else:
        cure = "give a torch.nn.Module, a dict of logits and features, or the path of an npz or safetensors file"
        raise InputError(f"The {name} model is a {type(given).__name__}: {cure}.")
    for key, array in found.items():
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
            kind = f"{array.dtype} of shape {array.shape}"
            raise InputError(f"The {name} {key} are {kind}: give floats, one row a sample.")
    if "features" in found and len(found["features"]) != len(found["logits"]):
        raise InputError(f"The {name} logits and features differ in their number of rows: give both of every example.")
    return Subject(name, None, **found)


def _holds_weights(given: Mapping) -> bool:
    """Whether it looks like a state dict, or a checkpoint with one in it."""
    if any(isinstance(given.get(place), Mapping) for place in PLACES):
        return True
    return any(str(key).rpartition(".")[2] in ("weight", "bias", "running_mean") for key in given)


def as_array(values) -> np.ndarray:
    """A tensor or array as an array."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asanyarray(values)


def _read_file(name: str, path: Path) -> Mapping:
    """Never by pickle: a file that holds objects is refused."""
    if path.suffix not in (".npz", ".npy", ".safetensors"):
        cure = f"give an npz or safetensors file of logits and features, or load weights with {LOADER}"
        raise InputError(f"{path} is no predictions of the {name} model: {cure}.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                return {key: file.get_tensor(key) for key in ("logits", "features") if key in file.keys()}  # noqa: SIM118
        found = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(found, np.ndarray):
            return {"logits": found}
        with found:
            return {key: found[key] for key in ("logits", "features") if key in found}
    except FileNotFoundError:
        raise InputError(f"{path} is missing: give the path of the {name} model's predictions.") from None
    except (ValueError, OSError, EOFError, SafetensorError) as error:
        objects = "pickle" in str(error).lower() or "Python objects" in str(error)
        reason = "it holds Python objects" if objects else str(error).splitlines()[0]
        raise InputError(f"{path} can't be read ({reason}): write plain arrays of numbers.") from None

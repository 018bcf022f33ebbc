"""A plug-in is its file, and its file name is its name: finding one in its folder, and checking its options."""

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from lfcore.core.errors import InputError

EVERY = {"draw": 0, "steps": None, "file": None}
"""Options that every unlearner has, kept from its file, with their defaults.

draw: another number is another draw of the method's own randomness, from the same original.
steps: stop after so many optimizer steps, whatever `epochs` says; those of a teacher are not counted.
file: the Python file of a method that is not in `lfcore/unlearners`, from the project's folder.
"""
GIVEN = ("seed", "seeds", "device", "loop")
"""What the workflow gives to a plug-in, beside its options."""


def known(package: ModuleType) -> list[str]:
    """The names of the plug-ins in the folder of `package`: its files, but helpers, called `_name`."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def find(package: ModuleType, what: str, name: str, *others: ModuleType) -> ModuleType:
    """The module called `name` in `package` or one of `others`; InputError names the known ones if there is none."""
    for place in (package, *others):
        if name in known(place):
            return importlib.import_module(f"{place.__name__}.{name}")
    names = ", ".join(sorted(each for place in (package, *others) for each in known(place)))
    raise InputError(f"There is no {what} called {name!r}: choose one of {names}.")


def functions(path: str | Path) -> dict[str, ast.arguments]:
    """The arguments of a file's functions by name, read without importing it, which would import torch."""
    found = (node for node in ast.parse(Path(path).read_text()).body if isinstance(node, ast.FunctionDef))
    return {function.name: function.args for function in found}


def check_options(name: str, options: dict, path: str | Path, function: str, every=()) -> None:
    """Raise InputError unless `function` in the file at `path` takes all of the options and is given all it needs.

    name: what has the options, as the message says it. every: options beside the function's own.
    """
    arguments = functions(path)[function]
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    taken = {argument.arg: default for argument, default in pairs}
    if function == "unlearn" and "loop" not in taken and not arguments.kwarg:
        raise InputError(f"unlearn() in {path} takes no `loop`: add it behind `seed`, and pass it on to every fit().")
    offered = {option: default for option, default in taken.items() if option not in GIVEN}
    for option in options:
        if option not in {*offered, *every} and not arguments.kwarg:
            choice = ", ".join([*offered, *every]) or "none"
            raise InputError(f"{name} has no option {option!r}: choose from {choice}.")
    for option, default in offered.items():
        if default is None and option not in options:
            raise InputError(f"{name} needs the option {option!r}: give it a value.")

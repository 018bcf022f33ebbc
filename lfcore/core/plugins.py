"""A plug-in is its file, and its file name is its name: finding one in its folder."""

import importlib
import pkgutil
from types import ModuleType

from lfcore.core.errors import InputError


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

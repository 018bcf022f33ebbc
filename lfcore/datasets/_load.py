"""Load a data set by the name of its file."""

import os
from pathlib import Path

from lfcore import datasets
from lfcore.core import plugins
from lfcore.core.data import Data
from lfcore.core.errors import InputError


def load(name: str, root: str | Path = "data", *, download: bool = False, **options) -> Data:
    """Load the data set of `lfcore/datasets/<name>.py`, with the options of its own.

    The environment variable LFCORE_DATA, if it is set, names the folder of data sets in place of `root`.
    """
    root = os.environ.get("LFCORE_DATA") or root
    try:
        return plugins.find(datasets, "data set", name).load(root, download=download, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise InputError(f"The data set {name} takes other options ({error}): change them in the config.") from None

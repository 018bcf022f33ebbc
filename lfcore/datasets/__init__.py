"""One file for each data set: ``load(root, *, download=False) -> Data``."""

"""One file for each unlearner: ``unlearn(model, retain, forget, *, seed, **options) -> model``.

A new model is returned and the one given is left as it was. `READS` names the sets a method is allowed to see; the
pipeline hands it None for the other. In the config, `name-variant` runs the file `name.py` with other options.
"""

"""One file for each unlearner: ``unlearn(model, retain, forget, *, seed, loop, **options)``.

It returns a new model, or an `lfcore.core.unlearned.Unlearned`, a model with what the method noted; the model given is
left as it was. `READS` names the sets a method is allowed to see; the pipeline hands it None for the other. `loop` is
an `lfcore.training.fit.Loop`: pass it on to every `fit`, which augments, rounds, counts and stops as it says, and
`loop.aside()` where something else is trained on the way, such as a teacher. In the config, `name-variant` runs the
file `name.py` with other options.
"""

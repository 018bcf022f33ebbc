"""One file for each metric: ``measure(run, reference) -> rows``, and ``per_example(run, reference) -> arrays`` if any.

`run` is a `lfcore.core.run.Run`; `reference` holds the predictions of the reference retrained models.
"""

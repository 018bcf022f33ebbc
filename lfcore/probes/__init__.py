"""One file for each probe: ``probe(subject, **options) -> rows``, for what predictions alone can't tell.

`subject` is a `stages.probe.Probed`, one model; the rows are `core.run.Row`s of its seed. Attacks that bring
forgotten data back are probes too, in `lfcore.attacks`.
"""

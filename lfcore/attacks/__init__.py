"""One file for each attack, a probe like those of `lfcore/probes`: ``probe(subject, **options) -> rows``.

An attack uses the model against what was unlearned: it looks for what is left, or for what was damaged on the way.
"""

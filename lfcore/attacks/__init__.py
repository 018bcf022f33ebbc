"""One file for each attack that brings forgotten data back: ``probe(subject, **options) -> rows``, as `lfcore.probes`.

The docstring opens with the threat model: which weights the attacker holds, and which data. An attack may measure
itself on anything, but computes what it recovers from those alone. It runs against every unlearner, `original` and
`retrained`; what retrained models give away is no knowledge of the forget set, and is the value to compare with.
"""

"""The stage that probes: what only the models themselves can tell of one unlearner on one forget set."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lfcore import attacks
from lfcore import probes as probe_files
from lfcore.core import checkpoint, data, plugins, tables
from lfcore.core.examples import Examples, choose, in_pixels
from lfcore.core.run import Predictions, read_predictions
from lfcore.core.seeds import make_deterministic
from lfcore.models import networks


@dataclass(frozen=True)
class Probed:
    """One model and what a probe may compare it with. Models are in eval mode; a probe changes copies only.

    unlearner: "original" and "retrained" are probed like any. original: the model it was unlearned from; for a
    retrained model, which comes from none, the original in the same place among the seeds.
    affected: the class that loses examples; None where a random set is forgotten. forget_rows: the forget set's.
    reference: predictions of the reference retrained models for every row.
    kept: arrays that a probe leaves for figures, by name, which begins with the probe's.
    """

    unlearner: str
    seed: int
    model: torch.nn.Module
    original: torch.nn.Module
    forget: Examples
    retain: Examples
    test: Examples
    affected: int | None
    forget_rows: object
    reference: Predictions
    kept: dict[str, np.ndarray] = field(default_factory=dict)


def find(name: str):
    """The module of the probe `name`, a file in `lfcore/probes`, or an attack in `lfcore/attacks`."""
    return plugins.find(probe_files, "probe", name, attacks)


def probe(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    unlearner: str,
    seeds: list[int],
    folders: list[str | Path],
    originals: list[str | Path],
    original_seeds: list[int],
    retrained: list[str | Path],
    reference_seeds: list[int],
    probes: dict[str, dict],
    device: str,
    out: str | Path,
):
    """Run each of `probes`, with its options, on the model of each seed.

    Writes the tidy table to `out`.csv and what the probes keep to `out`.npz, as "<name>_<seed>"; returns the table.
    """
    make_deterministic(device)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything)
    rows = {"forget": removed.forget, "retain": removed.retain, "test": everything.test}
    parts = {name: in_pixels(choose(everything, chosen, device)) for name, chosen in rows.items()}
    made = {"forget_set": removed.name, "network": network, "data": data.fingerprint(dataset)}
    checkpoint.check(folders, seeds, unlearner=unlearner, **made)
    checkpoint.check(originals, original_seeds, unlearner="original", **made)
    checkpoint.check(retrained, reference_seeds, unlearner="retrained", **made)
    reference = read_predictions(retrained, reference_seeds)
    found = {name: find(name) for name in probes}
    for name, options in probes.items():
        plugins.check_options(f"The probe {name}", options, found[name].__file__, "probe")
    common = {"affected": removed.affected, "forget_rows": removed.forget, "reference": reference, **parts}
    measured, kept = [], {}
    for position, seed in enumerate(seeds):
        start = original_seeds[position % len(original_seeds)]
        model = networks.read(folders, seed, network, everything, device)
        original = networks.read(originals, start, network, everything, device)
        subject = Probed(unlearner=unlearner, seed=seed, model=model, original=original, **common)
        for name, options in probes.items():
            measured += found[name].probe(subject, **options)
        kept |= {f"{name}_{seed}": array for name, array in subject.kept.items()}
    table = tables.tidy(measured, forget_set=removed.name, network=network, unlearner=unlearner)
    tables.write(table, f"{out}.csv")
    tables.write_arrays(kept, f"{out}.npz")
    return table

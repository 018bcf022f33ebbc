"""The stage that unlearns: one method, one forget set, several seeds."""

import inspect
import time
from pathlib import Path

from lfcore import checkpoint, data, models, plugins, predict, unlearners
from lfcore.errors import Diverged, InputError
from lfcore.seeds import make_deterministic
from lfcore.train import choose


def known() -> list[str]:
    """The names of the unlearners: the files in `lfcore/unlearners`."""
    return plugins.known(unlearners)


def find(unlearner: str):
    """The module of `unlearner`; "name-variant" is a variant of "name", with options of its own."""
    return plugins.find(unlearners, "unlearner", unlearner.split("-")[0])


def check_options(unlearner: str, options: dict) -> None:
    """Raise InputError unless `unlearner` takes every option, and is given every one it needs."""
    parameters = inspect.signature(find(unlearner).unlearn).parameters.values()
    offered = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "seed"}
    for option in options:
        if option not in offered:
            raise InputError(f"{unlearner} has no option {option!r}: choose from {', '.join(offered)}.")
    for name, parameter in offered.items():
        if parameter.default is parameter.empty and name not in options:
            raise InputError(f"{unlearner} needs the option {name!r}: give it in the config.")


def unlearn(
    *,
    dataset: str | Path,
    forget_set: str | Path,
    network: str,
    unlearner: str,
    seeds: list[int],
    options: dict,
    device: str,
    originals: list[str | Path],
    out: str | Path,
) -> list[dict]:
    """Unlearn from the original of each seed and write a checkpoint and predictions for each.

    The method is handed only the sets that its module's READS names, and None for the other.
    originals: folders to look for the original checkpoints in. Returns one record a seed: seed and accuracies in
    percent on the forget, retain and test rows.
    """
    make_deterministic(device)
    check_options(unlearner, options)
    module = find(unlearner)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything)
    rows = {"forget": removed.forget, "retain": removed.retain}
    seen = {name: choose(everything, rows[name], device) if name in module.READS else None for name in rows}
    fingerprint = everything.sha256()
    records = []
    for seed in seeds:
        model = models.build(network, everything.images.shape[1], everything.classes, seed=seed, stage="unread")
        model = checkpoint.read(originals, seed, model).to(device)
        start = time.perf_counter()
        try:
            model = module.unlearn(model, **seen, seed=seed, **options)
            seconds = time.perf_counter() - start
            predictions = predict.predict(model, everything.images, device)
        except Diverged as error:
            raise Diverged(f"{unlearner} on {removed.name}, seed {seed}, diverged. {error}") from None
        facts = {"network": network, "role": f"{unlearner} {removed.name}", "seed": seed, "options": options}
        facts |= {"data": fingerprint, "reads": sorted(module.READS), "seconds": seconds}
        checkpoint.write(out, seed, model, predictions, facts)
        records.append({"seed": seed, **predict.accuracies(predictions, everything, rows)})
    return records

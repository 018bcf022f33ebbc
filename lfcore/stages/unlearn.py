"""The stage that unlearns: one method, one forget set, several seeds."""

from pathlib import Path

from lfcore.core import checkpoint, data
from lfcore.core.errors import Diverged
from lfcore.core.seeds import make_deterministic
from lfcore.models import networks, predict
from lfcore.training.fit import Loop
from lfcore.unlearners._apply import apply, check_options, choose_sets, find


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
    loop: dict | None = None,
) -> list[dict]:
    """Unlearn from the original of each seed and write a checkpoint and predictions for each.

    The method is handed only the sets that its module's READS names, and None for the other.
    originals: folders to look for the original checkpoints in. loop: options of `lfcore.training.fit.Loop`.
    Returns one record a seed: seed and accuracies in percent on the forget, retain and test rows.
    """
    make_deterministic(device)
    check_options(unlearner, options)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything)
    seen = choose_sets(unlearner, everything, removed, device, options)
    rows = {"forget": removed.forget, "retain": removed.retain}
    fingerprint, how = data.fingerprint(dataset), Loop(**(loop or {}))
    made = {"forget_set": removed.name, "network": network, "data": fingerprint}
    checkpoint.check(originals, seeds, unlearner="original", **made)
    records = []
    for seed in seeds:
        try:
            start = networks.read(originals, seed, network, everything, device)
            result, took = apply(unlearner, start, seen, seed, options, how)
            predictions = predict.predict(result.model, everything.images, device)
        except Diverged as error:
            raise Diverged(f"{unlearner} on {removed.name}, seed {seed}, diverged. {error}") from None
        if result.teacher_logits is not None:
            predictions["teacher_logits"] = result.teacher_logits
        facts = {"network": network, "role": f"{unlearner} {removed.name}", "seed": seed, "options": options}
        facts |= {"loop": loop or {}, "data": fingerprint, "reads": sorted(find(unlearner, options).READS)}
        facts |= {**took, "notes": result.notes}
        checkpoint.write(out, seed, result.model, predictions, facts)
        records.append({"seed": seed, **predict.accuracies(predictions, everything, rows)})
    return records

"""A remedy: ask for more than the targets. Residual influence against what else is damaged.

Ours: that 2601.06938 explores remedies is known, but not which. The request is widened by every other training
example that is near a target: whose largest cosine with a target, in the original's penultimate features or in pixels,
is at least a threshold. Nobody says which training examples are copies; how many of them are found, and how many
ordinary examples are taken with them, is measured. At the ends stand the request "targets" (nothing is added) and
"oracle" (the copies and nothing else). Everything is compared with influence-free retraining, that is, with what the
oracle's request deserves: residuals on the targets, and damage on test examples as in 2605.31317.
"""

import numpy as np
import pandas as pd

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.seeds import make_deterministic
from lfcore.experiments import _residual as residual
from lfcore.geometry import near_duplicates as construction
from lfcore.models.predict import outputs


def near(model, parts: residual.Parts, by: str) -> np.ndarray:
    """The largest cosine of each example of `parts.retain` with a target, (n,), in what `by` names."""
    if by == "pixels":
        pair = [part.images.flatten(start_dim=1).cpu().numpy() for part in (parts.retain, parts.targets)]
    else:
        pair = [outputs(model, part.images)[1].cpu().numpy() for part in (parts.retain, parts.targets)]
    return construction.nearness(*pair)


def requests(nearness: np.ndarray, similar: int, thresholds: list[float]) -> dict[str, np.ndarray]:
    """Which of the retained examples each request adds to the targets: bool (n,), the first `similar` are copies."""
    is_copy = np.arange(len(nearness)) < similar
    widened = {f"{threshold:g}": nearness >= threshold for threshold in thresholds}
    return {"targets": np.zeros(len(nearness), dtype=bool), **widened, "oracle": is_copy}


def split(parts: residual.Parts, added: np.ndarray) -> tuple[Examples, Examples]:
    """The widened request and what it leaves, in that order. Raises InputError if nothing is left."""
    kept, taken = np.flatnonzero(~added), np.flatnonzero(added)
    if len(kept) < 2:
        raise InputError("A threshold takes the whole training set into the request: raise the thresholds.")
    whole = parts.retain
    more, rest = (Examples(whole.images[rows], whole.labels[rows]) for rows in (taken, kept))
    return parts.targets + more, rest


def experiment(
    data: Data,
    *,
    seeds: list[int],
    device: str,
    thresholds: list[float],
    by: str = "features",
    targets: int = 20,
    ordinary: int | None = 500,
    copies: int = 10,
    block: int = 1,
    share: float = 0.1,
    references: int = 5,
    network: str = "cnn",
    training: dict = residual.TRAINING,
    unlearners: dict[str, dict] | None = None,
    narrow: dict[str, dict] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Rows of the scope "request", with the request as key: "targets", each threshold, "oracle".

    Metrics, each against influence-free models: those of `residual.differences`; "total_variation", key
    "<request>/whole", "/near" and "/far"; then "accuracy" on test, "found" (percent of copies in the request) and
    "taken" (ordinary examples in it). Unlearners: the given ones, "retrained" on what the request leaves,
    and, with the key "targets" alone, the floor "influence_free", "original", and those of `narrow`. No arrays.
    """
    unlearners, narrow = unlearners or {}, narrow or {}
    residual.check_options(seeds, references, network, unlearners | narrow)
    if by not in ("features", "pixels"):
        raise InputError(f"Neighbours can't be found by {by!r}: choose features or pixels.")
    if copies < 1:
        raise InputError("There must be copies to find: raise copies to 1 at least.")
    make_deterministic(device)
    chosen = residual.draw(data, targets, "targets")
    made = construction.mask(data.images[chosen], block=block, share=share, copies=copies, seed=0)
    parts = residual.Parts(
        targets=choose(data, chosen, device),
        similar=residual.examples(
            made.reshape(-1, *data.images.shape[1:]), np.repeat(data.labels[chosen], copies), device
        ),
        ordinary=residual.rest(data, chosen, ordinary, device),
        test=choose(data, data.test, device),
        classes=data.classes,
    )
    options = {"network": network, "training": training}
    floor, compared = residual.train_references(parts, seeds, references, **options)
    originals = [
        residual.train(parts.targets + parts.retain, parts.classes, seed=seed, stage="original", **options)
        for seed in seeds
    ]
    similarity = residual.place(originals, parts)
    looks = [residual.look(model, parts) for model in compared]
    measured = []
    for position, (seed, original) in enumerate(zip(seeds, originals, strict=True)):
        measured += rows("influence_free", seed, "targets", floor[position], parts, looks, similarity)
        measured += rows("original", seed, "targets", original, parts, looks, similarity)
        for name, added in requests(near(original, parts, by), len(parts.similar), thresholds).items():
            request, kept = split(parts, added)
            facts = {
                "found": 100 * float(added[: len(parts.similar)].mean()),
                "taken": float(added[len(parts.similar) :].sum()),
            }
            measured += [("", seed, "", "forget", fact, "request", name, value) for fact, value in facts.items()]
            model = residual.train(kept, parts.classes, seed=seed, stage="retrained", **options)
            measured += rows("retrained", seed, name, model, parts, looks, similarity)
            for unlearner, chosen_options in (unlearners | (narrow if name == "targets" else {})).items():
                model = residual.forget(unlearner, original, request, kept, seed, chosen_options)
                measured += rows(unlearner, seed, name, model, parts, looks, similarity)
    return residual.table(measured), {}


def rows(unlearner: str, seed: int, request: str, model, parts: residual.Parts, reference: list[dict], similarity):
    """The table's rows of one model and request."""
    seen = residual.look(model, parts)
    yield (unlearner, seed, "", "test", "accuracy", "request", request, float(seen["accuracy"]))
    for name, values in residual.differences(seen, reference).items():
        yield (unlearner, seed, residual.FLOOR, "forget", name, "request", request, float(values.mean()))
    for part, value in residual.damage(seen, reference, similarity).items():
        yield (unlearner, seed, residual.FLOOR, "test", "total_variation", "request", f"{request}/{part}", value)

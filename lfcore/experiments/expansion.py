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
from lfcore.core.examples import Examples
from lfcore.experiments import _residual as residual
from lfcore.geometry import near_duplicates


def near(model, parts: residual.Parts, by: str) -> np.ndarray:
    """The largest cosine of each example of `parts.retain` with a target, (n,), in what `by` names."""
    pair = parts.retain, parts.targets
    if by == "pixels":
        return near_duplicates.nearness(*(part.images.flatten(start_dim=1).cpu().numpy() for part in pair))
    return near_duplicates.nearness(*(residual.features(model, part) for part in pair))


def requests(nearness: np.ndarray, similar: int, thresholds: list[float]) -> dict[str, np.ndarray]:
    """Which of the retained examples each request adds to the targets: bool (n,), the first `similar` are copies."""
    is_copy = np.arange(len(nearness)) < similar
    widened = {f"{threshold:g}": nearness >= threshold for threshold in thresholds}
    return {"targets": np.zeros(len(nearness), dtype=bool), **widened, "oracle": is_copy}


def split(parts: residual.Parts, added: np.ndarray) -> tuple[Examples, Examples]:
    """The widened request and what it leaves, in that order. Raises InputError if nothing is left."""
    if (~added).sum() < 2:
        raise InputError("A threshold takes the whole training set into the request: raise the thresholds.")
    whole = parts.retain
    return parts.targets + whole[np.flatnonzero(added)], whole[np.flatnonzero(~added)]


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
    if by not in ("features", "pixels"):
        raise InputError(f"Neighbours can't be found by {by!r}: choose features or pixels.")
    if copies < 1:
        raise InputError("There must be copies to find: raise copies to 1 at least.")
    residual.prepare(seeds, references, network, unlearners | narrow, device)
    chosen = residual.draw(data, targets, "targets")
    masks = {"copies": copies, "block": block, "share": share}
    parts, _ = residual.with_copies(data, chosen, chosen, **masks, ordinary=ordinary, device=device)
    recipe = {"network": network, "training": training}
    return residual.table(compare(parts, seeds, references, thresholds, by, unlearners, narrow, **recipe)), {}


def compare(parts: residual.Parts, seeds, references, thresholds, by, unlearners, narrow, **options):
    """The table's rows: of all models whose request is the targets, and of each wider request. See `experiment`."""
    floor, compared = residual.train_references(parts, seeds, references, **options)
    everything = parts.targets + parts.retain
    originals = [residual.train(everything, parts.classes, seed=seed, stage="original", **options) for seed in seeds]
    against = {
        "parts": parts,
        "reference": [residual.measure(model, parts) for model in compared],
        "similarity": residual.similarity_to_targets(originals, parts),
    }
    for seed, free, original in zip(seeds, floor, originals, strict=True):
        yield from rows("influence_free", seed, "targets", free, **against)
        yield from rows("original", seed, "targets", original, **against)
        for name, added in requests(near(original, parts, by), len(parts.similar), thresholds).items():
            copies = len(parts.similar)
            yield ("", seed, "", "forget", "found", "request", name, 100 * float(added[:copies].mean()))
            yield ("", seed, "", "forget", "taken", "request", name, float(added[copies:].sum()))
            tried = unlearners | (narrow if name == "targets" else {})
            for unlearner, model in answer(seed, original, parts, added, tried, **options):
                yield from rows(unlearner, seed, name, model, **against)


def answer(seed: int, original, parts: residual.Parts, added: np.ndarray, unlearners: dict[str, dict], **options):
    """Every model, by name, that a request widened by the examples `added` leads to: the retrained one comes first."""
    request, kept = split(parts, added)
    yield "retrained", residual.train(kept, parts.classes, seed=seed, stage="retrained", **options)
    for unlearner, chosen in unlearners.items():
        yield unlearner, residual.forget(unlearner, original, request, kept, seed, chosen)


def rows(unlearner: str, seed: int, request: str, model, parts: residual.Parts, reference: list[dict], similarity):
    """The table's rows of one model and request."""
    seen = residual.measure(model, parts)
    yield (unlearner, seed, "", "test", "accuracy", "request", request, float(seen["accuracy"]))
    for name, values in residual.differences(seen, reference).items():
        yield (unlearner, seed, residual.FLOOR, "forget", name, "request", request, float(values.mean()))
    for part, value in residual.damage(seen, reference, similarity).items():
        yield (unlearner, seed, residual.FLOOR, "test", "total_variation", "request", f"{request}/{part}", value)

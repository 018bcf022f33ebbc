"""Residual influence: what a model still owes to its targets by way of their near-duplicates.

Xu et al., 2601.06938: forgetting removes samples and not their influence, if copies of them stay in the training set,
and retraining is no exception. Its numbers, networks and methods are not public. Ours are the references and measures:

    retrained        trained without the targets, with their near-duplicates
    influence_free   trained without both: what a model owes to neither

    residual_confidence  f(x)_y less its mean over influence-free models
    residual_margin      the same of the relative margin: the true class's logit less the log-sum-exp of the others',
                         less the mean of that over test examples of the class
    residual_loss        the mean of -log f(x)_y over influence-free models, less the model's
    residual_membership  AUC of a loss attack that tells targets from test examples, less its mean likewise

Each is a mean over targets, and positive where influence remains. Confidence saturates; margins do not, but grow with
every step of training, for unseen examples too, so that only what targets have beyond these is influence.

Reference "influence_free" compares with models of seeds that nothing else has; "retrained" with all retrained models,
which share no stream with an unlearned one. Influence-free models of the other seeds are the floor. The retrained and
the influence-free model of one seed begin at the same weights: without near-duplicates they are one model, to the bit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from lfcore.core.data import Data
from lfcore.core.errors import Diverged, InputError
from lfcore.core.examples import Examples, choose
from lfcore.core.run import softmax
from lfcore.core.seeds import generator, make_deterministic, number
from lfcore.geometry import near_duplicates
from lfcore.geometry.locality import far, near
from lfcore.metrics import membership_variants
from lfcore.metrics.klom import margin_to_all_others
from lfcore.models import networks
from lfcore.models.predict import outputs
from lfcore.training.fit import fit, linear
from lfcore.unlearners import _apply as apply

COLUMNS = ["unlearner", "seed", "reference", "split", "metric", "scope", "key", "value"]
TRAINING = {"epochs": 10, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0005}
"""The recipe of the default profile: SGD, Nesterov, linear decay, last epoch."""
FLOOR = "influence_free"


@dataclass(frozen=True)
class Parts:
    """The training set in three parts, and test examples. similar: near-duplicates of the targets, maybe none."""

    targets: Examples
    similar: Examples
    ordinary: Examples
    test: Examples
    classes: int

    @property
    def retain(self) -> Examples:
        """All but the targets."""
        return self.similar + self.ordinary


def draw(data: Data, count: int, purpose: str, taken=()) -> np.ndarray:
    """`count` train rows drawn at random from those not `taken`, ascending; the same for every seed of a model."""
    free = np.setdiff1d(data.train, np.asarray(taken, dtype=np.int64))
    if not 1 <= count <= len(free):
        raise InputError(f"{count} {purpose} can't be drawn from {len(free)} train examples: change the number.")
    return np.sort(np.random.default_rng(number(0, "similar", purpose)).permutation(free)[:count])


def rest(data: Data, taken, ordinary: int | None, device: str) -> Examples:
    """`ordinary` train examples that are not `taken`, drawn at random, or all of them for None."""
    rows = np.setdiff1d(data.train, taken) if ordinary is None else draw(data, ordinary, "ordinary", taken)
    return choose(data, rows, device)


def with_copies(
    data: Data, targets: np.ndarray, sources: np.ndarray, *, ordinary: int | None, device: str, **masks
) -> tuple[Parts, np.ndarray]:
    """The parts for the train rows `targets`, and masked copies of the rows `sources`, (sources, copies, c, h, w).

    ordinary: see `rest`. masks: options of `near_duplicates.mask`.
    """
    made = near_duplicates.mask(data.images[sources], seed=0, **masks)
    images, labels = made.reshape(-1, *data.images.shape[1:]), np.repeat(data.labels[sources], made.shape[1])
    parts = Parts(
        targets=choose(data, targets, device),
        similar=Examples(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)),
        ordinary=rest(data, targets, ordinary, device),
        test=choose(data, data.test, device),
        classes=data.classes,
    )
    return parts, made


def prepare(seeds: list[int], references: int, network: str, unlearners: dict[str, dict], device: str) -> None:
    """Make `device` deterministic. Raises InputError for too few models, an unknown network, or a wrong option."""
    if len(seeds) < 1 or references < 1:
        raise InputError("An experiment needs a seed and a reference model at least: raise seeds or references.")
    if network not in networks.known():
        raise InputError(f"There is no network called {network!r}: choose one of {', '.join(networks.known())}.")
    for name, options in unlearners.items():
        apply.check_options(name, options)
    make_deterministic(device)


def train(part: Examples, classes: int, *, network: str, seed: int, stage: str, training: dict):
    """A model trained from scratch on `part`, by the recipe `training`."""
    shape = {"channels": part.images.shape[1], "classes": classes, "dtype": networks.dtype_for(part.images)}
    model = networks.build(network, **shape, seed=seed, stage=f"similar {stage}")
    return fit(
        model.to(part.images.device),
        part.images,
        lambda logits, batch: cross_entropy(logits, part.labels[batch.rows]),
        generator=generator(seed, f"similar {stage}", "batches"),
        nesterov=True,
        schedule=linear,
        **training,
    )


def forget(unlearner: str, model, request: Examples, retain: Examples, seed: int, options: dict):
    """The model after `unlearner`, which is handed only what it reads. Raises Diverged, with its name."""
    sets = {"forget": request, "retain": retain}
    reads = apply.find(unlearner, options).READS
    try:
        seen = {name: part if name in reads else None for name, part in sets.items()}
        return apply.apply(unlearner, model, seen, seed, options)[0].model
    except Diverged as error:
        raise Diverged(f"{unlearner}, seed {seed}, diverged. {error}") from None


def measure(model, parts: Parts) -> dict[str, np.ndarray]:
    """What is measured of one model.

    confidence, margin, relative_margin, loss: (targets,); membership: the attack's AUC; probabilities: (test,
    classes); accuracy, target_accuracy: percent.
    """
    losses, margins, right = [], [], []
    for part in (parts.targets, parts.test):
        logits, labels = outputs(model, part.images)[0].float().cpu().numpy(), part.labels.cpu().numpy()
        losses.append(membership_variants.scores(logits, labels)["membership_loss"])
        margins.append(margin_to_all_others(logits[None], labels)[0])
        right.append(np.array(100 * float((logits.argmax(axis=1) == labels).mean())))
    same = [labels == label for label in parts.targets.labels.cpu().numpy()]
    usual = [margins[1][own].mean() if own.any() else margins[1].mean() for own in same]
    return {
        "confidence": np.exp(-losses[0]),
        "margin": margins[0],
        "relative_margin": margins[0] - np.array(usual),
        "loss": losses[0],
        "membership": np.array(membership_variants.auc(-losses[0], -losses[1])),
        "probabilities": softmax(logits),
        "accuracy": right[1],
        "target_accuracy": right[0],
    }


def differences(seen: dict, reference: list[dict]) -> dict[str, np.ndarray]:
    """The four residuals of one model against some, positive where influence remains: (targets,), and one number."""
    signs = {"confidence": 1, "relative_margin": 1, "loss": -1, "membership": 1}
    gaps = {name: seen[name] - np.mean([one[name] for one in reference], axis=0) for name in signs}
    return {f"residual_{name.removeprefix('relative_')}": sign * gaps[name] for name, sign in signs.items()}


def damage(seen: dict, reference: list[dict], similarity: np.ndarray) -> dict[str, float]:
    """Total variation to the reference models on test examples, averaged over both: whole, near the targets, and far.

    similarity: (test,); near is its highest fifth, far its lowest half.
    """
    gaps = (np.abs(seen["probabilities"] - one["probabilities"]) for one in reference)
    values = np.mean([gap.sum(axis=1) / 2 for gap in gaps], axis=0)
    ranges = {"whole": np.arange(len(values)), "near": near(similarity), "far": far(similarity)}
    return {name: float(values[rows].mean()) for name, rows in ranges.items()}


def features(model, part: Examples) -> np.ndarray:
    """The penultimate features of a part's examples, (n, width)."""
    return outputs(model, part.images)[1].cpu().numpy()


def similarity_to_targets(originals: Iterable, parts: Parts) -> np.ndarray:
    """How near each test example is to a target, in features, averaged over the originals: (test,)."""
    pairs = ([features(model, part) for part in (parts.test, parts.targets)] for model in originals)
    return np.mean([near_duplicates.nearness(*pair) for pair in pairs], axis=0)


def rows(unlearner: str, seed: int, seen: dict, references: dict[str, list[dict]], similarity: np.ndarray):
    """The table's rows of one model. references: name to the models that `seen` is compared with."""
    for name in ("confidence", "margin", "relative_margin", "loss", "membership", "target_accuracy"):
        yield (unlearner, seed, "", "forget", name.removeprefix("target_"), "all", "", float(seen[name].mean()))
    yield (unlearner, seed, "", "test", "accuracy", "all", "", float(seen["accuracy"]))
    for which, reference in references.items():
        for name, values in differences(seen, reference).items():
            yield (unlearner, seed, which, "forget", name, "all", "", float(values.mean()))
        for key, value in damage(seen, reference, similarity).items():
            yield (unlearner, seed, which, "test", "total_variation", "range", key, value)


def table(found: Iterable[tuple]) -> pd.DataFrame:
    """The rows as a table with the columns COLUMNS."""
    return pd.DataFrame(found, columns=COLUMNS).astype({"value": float})


def train_references(parts: Parts, seeds: list[int], references: int, **options):
    """Two lists of influence-free models: of `seeds` (the floor), and `references` more, of seeds after them."""
    numbers = [*seeds, *(max(seeds) + 1 + more for more in range(references))]
    found = [train(parts.ordinary, parts.classes, seed=seed, stage="retrained", **options) for seed in numbers]
    return found[: len(seeds)], found[len(seeds) :]


def compare(
    parts: Parts, seeds: list[int], references: int, unlearners: dict[str, dict], **options
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Train originals and both references, unlearn the targets, and measure every model.

    options: network and training. Rows of the unlearners, and of `original`, `retrained` and `influence_free` (the
    floor). Arrays: "<unlearner>_<measure>", (seeds, targets), for confidence, relative_margin and loss, and
    "reference_<measure>" of the influence-free models that all are compared with.
    """
    floor, compared = train_references(parts, seeds, references, **options)
    everything = parts.targets + parts.retain
    trained = {name: [] for name in ("original", "retrained", *unlearners)}
    for seed in seeds:
        original = train(everything, parts.classes, seed=seed, stage="original", **options)
        trained["original"].append(original)
        trained["retrained"].append(train(parts.retain, parts.classes, seed=seed, stage="retrained", **options))
        for name, chosen in unlearners.items():
            trained[name].append(forget(name, original, parts.targets, parts.retain, seed, chosen))
    similarity = similarity_to_targets(trained["original"], parts)
    seen = {name: [measure(model, parts) for model in found] for name, found in (trained | {FLOOR: floor}).items()}
    against = {FLOOR: [measure(model, parts) for model in compared], "retrained": seen["retrained"]}
    every = []
    for name, found in seen.items():
        own = {FLOOR: against[FLOOR]} if name in ("retrained", FLOOR) else against
        for seed, one in zip(seeds, found, strict=True):
            every += rows(name, seed, one, own, similarity)
    arrays = {
        f"{name}_{measured}": np.stack([one[measured] for one in found])
        for name, found in (seen | {"reference": against[FLOOR]}).items()
        for measured in ("confidence", "relative_margin", "loss")
    }
    return table(every), arrays

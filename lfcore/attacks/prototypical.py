"""The prototypical relearning attack: with k examples of a forgotten class, its row of the head is written anew.

Threat model: the attacker holds the unlearned weights and k forgotten examples of each class, and may rewrite the head.
The strength that he would choose is chosen for him, by accuracies that he may not know.

    p = the unlearned model's mean penultimate feature of the k examples, divided by its norm
    w <- alpha v + (1 - alpha) w,   b <- alpha c + (1 - alpha) b        for the row (w, b) of that class

    cosine:  v = p, c = 0        l2:  v = 2 p, c = -|p|^2
    scaled (ours):  v = p times the mean norm of the other rows, c = the mean of their biases

No gradient step, and no other row changes. Ha, Park and Yoon, 2506.01318, and its public code (k 5, cosine). There
alpha is 0.5 by default, 1 for the retrained model and 0.8 for Spotter, so each method is attacked with another
strength; here all are attacked with every strength. A row of unit norm beside longer rows says little about features:
`scaled` is the same attack without that handicap.

A high accuracy is no proof that something was remembered: the features of a class never seen can lie together as well.
The value to compare with is that of retrained models.

Rows, scope "prototype", means over `draws` of the k examples; every unlearner of a seed gets the same examples:
prototype       key "<kind>/<k>/<alpha>": accuracy in percent on the forget examples (the k among them, as in the
                paper), on test examples of the affected class (split "test"), on retained examples (split "retain")
prototype_best  key "<kind>/<k>": the highest accuracy on the forget examples, over the alphas from 0, which changes
                nothing, to 1 that cost at most `drop` points of retain accuracy; and on test examples, with that alpha
And without any attack, scope "all":
feature_cosine  the mean cosine of the features of two forget examples
"""

import copy
import itertools

import numpy as np
import torch

from lfcore.core.errors import InputError
from lfcore.core.run import Row
from lfcore.core.seeds import generator
from lfcore.geometry.perturbations import dispersion
from lfcore.models.predict import outputs

KINDS = ("cosine", "l2", "scaled")


@torch.no_grad()
def attack(head: torch.nn.Linear, prototypes: dict[int, torch.Tensor], *, kind: str, alpha: float) -> torch.nn.Linear:
    """A copy of `head` whose row of each class in `prototypes` is moved by `alpha` to that prototype, (width,)."""
    if kind not in KINDS:
        raise InputError(f"There is no prototype {kind!r}: choose one of {', '.join(KINDS)}.")
    attacked = copy.deepcopy(head)
    others = [row for row in range(head.out_features) if row not in prototypes]
    for row, prototype in prototypes.items():
        weight, bias = prototype, torch.zeros_like(head.bias[row])
        if kind == "l2":
            weight, bias = 2 * prototype, -prototype.pow(2).sum()
        if kind == "scaled":
            weight, bias = prototype * head.weight[others].norm(dim=1).mean(), head.bias[others].mean()
        attacked.weight[row] = alpha * weight + (1 - alpha) * head.weight[row]
        attacked.bias[row] = alpha * bias + (1 - alpha) * head.bias[row]
    return attacked


def draw(features: torch.Tensor, labels: torch.Tensor, k: int, order: torch.Tensor) -> dict[int, torch.Tensor]:
    """The unit prototype of each class: the mean of the features (n, width) of its first k examples in `order`."""
    found = {}
    for label in labels.unique().tolist():
        rows = order[labels[order] == label][:k]
        if len(rows) < k:
            raise InputError(f"Class {label} has {len(rows)} forget examples, fewer than k = {k}: lower k.")
        found[label] = torch.nn.functional.normalize(features[rows].mean(dim=0), dim=0)
    return found


def sweep(head: torch.nn.Linear, attacked: torch.nn.Linear, features, labels, alphas: torch.Tensor) -> np.ndarray:
    """Accuracy in percent on features (n, width) at each strength, where `attacked` is `head` at strength 1.

    The head is linear in its weights: its logits at alpha lie between those at 0 and at 1.
    """
    with torch.no_grad():
        ends, share = torch.stack([head(features), attacked(features)]), alphas.view(-1, 1, 1)
        logits = share * ends[1] + (1 - share) * ends[0]
    return 100 * (logits.argmax(dim=2) == labels).double().mean(dim=1).cpu().numpy()


def probe(
    subject,
    *,
    ks: tuple = (1, 2, 5, 10),
    alphas: tuple = (0.25, 0.5, 0.8, 1.0),
    kinds: tuple = KINDS,
    draws: int = 10,
    drop: float = 1.0,
    steps: int = 20,
):
    """The rows above. draws: how many times the k examples are drawn; drop: of retain accuracy, in points.

    alphas: the strengths that get rows of their own; the best is chosen among these and `steps` equal ones up to 1.
    """
    labels = subject.forget.labels
    affected = torch.isin(subject.test.labels, labels.unique())
    parts = {"forget": subject.forget, "retain": subject.retain, "test": subject.test}
    wanted = {split: part.labels for split, part in parts.items()}
    features = {split: outputs(subject.model, part.images)[1] for split, part in parts.items()}
    features["test"], wanted["test"] = features["test"][affected], wanted["test"][affected]
    together = float(dispersion(features["forget"].double(), labels))
    yield Row(subject.seed, "", "forget", "feature_cosine", "all", "", together)
    random = generator(subject.seed, "prototypical", "examples")
    orders = [torch.randperm(len(labels), generator=random).to(labels.device) for _ in range(draws)]
    shown = [0.0, *(alpha for alpha in alphas if alpha)]
    grid = [*shown, *(step / steps for step in range(1, steps + 1))]
    strengths = torch.tensor(grid, dtype=features["forget"].dtype, device=labels.device)
    head = subject.model.head
    for kind, k in itertools.product(kinds, ks):
        heads = [attack(head, draw(features["forget"], labels, k, order), kind=kind, alpha=1.0) for order in orders]
        found = {
            split: np.mean([sweep(head, one, features[split], wanted[split], strengths) for one in heads], axis=0)
            for split in parts
        }
        for split, accuracies in found.items():
            for alpha, accuracy in zip(shown, accuracies, strict=False):
                yield Row(subject.seed, "", split, "prototype", "prototype", f"{kind}/{k}/{alpha:g}", accuracy)
        cheap = found["retain"] >= found["retain"][0] - drop
        best = np.where(cheap, found["forget"], -1).argmax()
        for split in ("forget", "test"):
            yield Row(subject.seed, "", split, "prototype_best", "prototype", f"{kind}/{k}", found[split][best])

"""Feature mapping: is there a linear map from what an unlearned model computes back to what the original computed?

Threat model: the attacker holds the unlearned body f_u and the whole original (body f_0 and head g_0), and images
without labels to calibrate with, nothing else. It fits once, in closed form, and predicts g_0(W f_u(x) + b).

    W, b = argmin sum_{x in Cal} ||W f_u(x) + b - f_0(x)||^2 + rho (trace(G) / d) ||W||^2

G = sum (f_u - mean)(f_u - mean)^T over Cal, d features; the offset b is not penalised. Jung et al., OPC, 2507.07754,
sec. 4.3: the linear map and its use are theirs, as is the idea to calibrate without forgotten data (a later version);
the form of the penalty, rho and the offset are ours. `feature_mapping_linear` is the same without the offset, b = 0
and no mean taken off, as the paper's argument that W 0 = 0 has it: what lies at the origin then gets the original's
bias as logits, whatever W is. With an offset the origin is mapped like any point.

Calibration, told apart because they prove different things:

    held_out   test images, without those of the affected class; of a random forget set all, since it affects no class
    retain     the retained training images
    all        all training images, those to forget included; proves nothing alone, random features recover as well

`feature_mapping`, scope "calibration": accuracy in percent on the forget set (split "forget"), and on test examples of
the affected class and of the others (split "test", keys "held_out/affected" …). `feature_mapping_random`, with the
rows of `original` only: the same attack on a network with fresh weights, in eval mode with BatchNorm's initial
statistics; what it recovers, the calibration gave. With rho = 0 the original gives back its own accuracy exactly
(float64). Where a method maps a whole class to one point, W has nothing there to tell apart, but the point itself may
be told from all others. A network that never saw the class and was then made to contract it may have such a point too:
recovery from a point shows that the class is set apart, and is no proof of memory. `feature_mapping_contracted`, with
the rows of `retrained` only, is that control: both maps (`feature_mapping_linear_contracted` without the offset) on a
retrained model after OPC with the options `contract` has contracted the class in it.
"""

import numpy as np
import torch

from lfcore.core.examples import Examples
from lfcore.core.run import Row
from lfcore.core.seeds import number
from lfcore.models.predict import outputs
from lfcore.unlearners import opc
from lfcore.unlearners.bad_teacher import reinitialise


def fit_map(
    features: np.ndarray, targets: np.ndarray, rho: float, *, offset: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """W (width, targets' width) and b of the ridge regression above. features: (n, width); targets: (n, …), float64.

    With rho = 0 it is least squares, and where features are dependent the W of smallest norm. offset: else b is 0.
    """
    mean, wanted = (part.mean(axis=0) * offset for part in (features, targets))
    centred = features - mean
    penalty = np.sqrt(rho * (centred**2).sum() / features.shape[1])
    rows = np.vstack([centred, penalty * np.eye(features.shape[1])]) if penalty else centred
    aims = np.vstack([targets - wanted, np.zeros((len(rows) - len(features), targets.shape[1]))])
    weights = np.linalg.lstsq(rows, aims, rcond=None)[0]
    return weights, wanted - mean @ weights


def features(model, images) -> np.ndarray:
    """Penultimate features of images in eval mode, float64 (n, width)."""
    return outputs(model, images)[1].double().cpu().numpy()


def head(model) -> tuple[np.ndarray, np.ndarray]:
    """The head's weights, (width, classes), and bias, (classes,), float64."""
    weights, bias = (part.detach().double().cpu().numpy() for part in (model.head.weight, model.head.bias))
    return weights.T, bias


def percent(logits: np.ndarray, labels) -> float:
    """Accuracy in percent; NaN for no examples."""
    right = logits.argmax(axis=1) == labels.cpu().numpy()
    return 100 * float(right.mean()) if right.size else float("nan")


def calibrations(subject) -> dict[str, torch.Tensor]:
    """The images of each calibration set."""
    kept = subject.test.labels != (-1 if subject.affected is None else subject.affected)
    return {
        "held_out": subject.test.images[kept],
        "retain": subject.retain.images,
        "all": (subject.retain + subject.forget).images,
    }


def attack(model, original, images, rho: float, *, offset: bool = True):
    """What the attacker makes of its calibration images: a function from images to recovered logits (n, classes)."""
    weights, shift = fit_map(features(model, images), features(original, images), rho, offset=offset)
    last, bias = head(original)
    return lambda seen: (features(model, seen) @ weights + shift) @ last + bias


def measured_on(subject, test: Examples) -> dict[tuple[str, str], Examples]:
    """What attacks are measured on, by split and ending of the key: the forget set, and `test` in parts."""
    parts = {("forget", ""): subject.forget}
    if subject.affected is None:
        return parts | {("test", "/other"): test}
    of_class = test.labels == subject.affected
    for name, rows in (("affected", of_class), ("other", ~of_class)):
        parts["test", f"/{name}"] = test[rows]
    return parts


def probe(subject, *, rho: float = 1e-3, contract: dict | None = None):
    """Rows of both maps, and of the controls. rho: the ridge penalty, relative; contract: None for no such control."""
    attacks = {"feature_mapping": (subject.model, True), "feature_mapping_linear": (subject.model, False)}
    if subject.unlearner == "original":
        fresh = reinitialise(subject.original, number(subject.seed, "feature_mapping", "random network"))
        attacks["feature_mapping_random"] = (fresh, True)
    if subject.unlearner == "retrained" and contract is not None:
        stream = number(subject.seed, "feature_mapping", "contraction")
        model = opc.unlearn(subject.model, subject.retain, subject.forget, seed=stream, **contract).eval()
        attacks["feature_mapping_contracted"] = (model, True)
        attacks["feature_mapping_linear_contracted"] = (model, False)
    for metric, (model, offset) in attacks.items():
        for name, images in calibrations(subject).items():
            recover = attack(model, subject.original, images, rho, offset=offset)
            for (split, ending), examples in measured_on(subject, subject.test).items():
                found = percent(recover(examples.images), examples.labels)
                yield Row(subject.seed, "", split, metric, "calibration", name + ending, found)

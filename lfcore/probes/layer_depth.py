"""At which layer is the forget set still there? Spread and probes of `lfcore.metrics.depth`, layer by layer.

For the output of each stage of the body, flattened, and the logits (the layers of `lfcore.probes.layers`), on the
forget set:

    layer_spread     mean squared distance to its mean over D_f, by the same over D_r
    layer_linear     accuracy in percent of a ridge classifier (one-hot labels, penalty 1e-3 of the mean eigenvalue)
    layer_nonlinear  accuracy in percent of the five nearest neighbours' vote, by cosine

Both classifiers learn from the test examples with their labels, on features less their mean, in closed form: hundreds
of examples, thousands of features. Scope "layer", key the layer. Ours; compare with the value of retrained models.
"""

import torch

from lfcore.core.run import Row
from lfcore.probes.layers import activations


def spread(rows: torch.Tensor) -> float:
    """Mean squared distance of `rows` (n, width) to their mean."""
    return float((rows - rows.mean(dim=0)).square().sum(dim=1).mean())


def linear(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, rho: float = 1e-3) -> torch.Tensor:
    """Classes that ridge regression of one-hot `labels` on `train` (n, width) gives `test` (m, width), (m,)."""
    targets = torch.nn.functional.one_hot(labels).to(train.dtype)
    mean = targets.mean(dim=0)
    gram = train @ train.T
    penalty = rho * gram.trace() / train.shape[1]
    weights = torch.linalg.solve(
        gram + max(float(penalty), 1e-12) * torch.eye(len(gram), dtype=gram.dtype), targets - mean
    )
    return (test @ train.T @ weights + mean).argmax(dim=1)


def neighbours(train: torch.Tensor, labels: torch.Tensor, test: torch.Tensor, k: int = 5) -> torch.Tensor:
    """Classes that the k rows of `train` with the highest cosine vote for, (m,); of equal votes the lowest class."""
    one, other = (torch.nn.functional.normalize(part, dim=1) for part in (test, train))
    votes = labels[(one @ other.T).topk(k, dim=1).indices]
    return torch.nn.functional.one_hot(votes, int(labels.max()) + 1).sum(dim=1).argmax(dim=1)


def probe(subject):
    """Rows of `layer_spread`, `layer_linear` and `layer_nonlinear`, scope "layer"."""
    parts = {name: activations(subject.model, getattr(subject, name).images) for name in ("forget", "retain", "test")}
    labels, wanted = subject.test.labels, subject.forget.labels
    for layer, own in parts["forget"].items():
        of_retain = spread(parts["retain"][layer])
        share = spread(own) / of_retain if of_retain > 0 else float("nan")
        yield Row(subject.seed, "", "forget", "layer_spread", "layer", layer, share)
        mean = parts["test"][layer].mean(dim=0)
        train, test = parts["test"][layer] - mean, own - mean
        for metric, classify in (("layer_linear", linear), ("layer_nonlinear", neighbours)):
            right = (classify(train, labels, test) == wanted).double().mean()
            yield Row(subject.seed, "", "forget", metric, "layer", layer, 100 * float(right))

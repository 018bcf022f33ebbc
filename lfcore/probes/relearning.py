"""How fast is the forget set learned again? Optimizer steps until its loss is low, by fine-tuning on it alone.

Relearn time, as in Golatkar et al., 1911.04933, and Tarun et al., 2111.08947: what was only hidden comes back sooner
than what was never learned. SGD on D_f with `lr`, batches of `batch_size`, BatchNorm frozen, at most `steps` steps;
`relearn_steps` is the first step after which the mean loss on D_f is at most `loss`, and `steps` + 1 if it never is.
The value to compare with is that of retrained models.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.run import Row
from lfcore.core.seeds import generator
from lfcore.models.networks import evaluating
from lfcore.training.fit import fit


@torch.no_grad()
def mean_loss(model, examples) -> float:
    """The mean cross-entropy of `examples` in eval mode."""
    with evaluating(model):
        return float(cross_entropy(model(examples.images), examples.labels))


def probe(subject, *, lr: float = 0.002, loss: float = 0.05, steps: int = 100, batch_size: int = 64):
    """One row: `relearn_steps` on the forget examples."""
    model, forget = copy.deepcopy(subject.model), subject.forget
    losses = [mean_loss(model, forget)]

    def objective(logits, batch):
        return cross_entropy(logits, forget.labels[batch.rows])

    fit(
        model,
        forget.images,
        objective,
        epochs=steps,
        batch_size=batch_size,
        lr=lr,
        batchnorm="frozen",
        after_step=lambda: losses.append(mean_loss(model, forget)),
        stop=lambda epoch: losses[-1] <= loss or len(losses) > steps,
        generator=generator(subject.seed, "relearning", "batches"),
    )
    reached = next((step for step, value in enumerate(losses[: steps + 1]) if value <= loss), steps + 1)
    yield Row(subject.seed, "", "forget", "relearn_steps", "all", "", reached)

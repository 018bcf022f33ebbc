"""l1-sparse: fine-tuning on the retain set with a penalty that prunes as it goes.

    minimise  (1/|B|) sum_{B of D_r} CE(f(x), y) + gamma (1 - e/E) |theta|_1   in epoch e of E

Jia et al., Model Sparsity Can Simplify Machine Unlearning, 2304.04934, eq. 2 with the linearly falling penalty of
their experiments (gamma 5e-4). Reads the retain set only. BatchNorm: in train mode; its weights are penalised like
any.
"""

import copy

from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"retain"}


def unlearn(model, retain, forget, *, seed, loop=Loop(), lr, gamma=5e-4, epochs=10, batch_size=256, weight_decay=1e-6):
    """Return a copy of `model` after `epochs` over the retain set. Raises Diverged."""
    model = copy.deepcopy(model)

    def objective(logits, batch):
        size = sum(parameter.abs().sum() for parameter in model.parameters())
        return cross_entropy(logits, retain.labels[batch.rows]) + gamma * (1 - batch.epoch / epochs) * size

    return fit(
        model,
        retain.images,
        objective,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "l1_sparse", "batches"),
        loop=loop,
    )

"""NegGrad+: descent on the retain set and ascent on the forget set, in one loss.

    minimise  alpha (1/|B_r|) sum_{B_r} CE(f(x), y) - (1 - alpha) (1/|B_f|) sum_{B_f} CE(f(x), y)

Kurmanji et al., Towards Unbounded Machine Unlearning, 2302.09880, sec. 4 (alpha near 0.95). An epoch is one pass over
the retain set; batches of the forget set are drawn beside it, over and over. Reads both sets. BatchNorm: in train
mode, and the two batches pass through the network one after the other.
"""

import copy

from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, cycle, fit

READS = {"forget", "retain"}


def unlearn(model, retain, forget, *, seed, loop=Loop(), lr, alpha=0.95, epochs=5, batch_size=256, weight_decay=1e-6):
    """Return a copy of `model` after `epochs` over the retain set. Raises Diverged."""
    model = copy.deepcopy(model)
    forgotten = cycle(len(forget), batch_size, generator(seed, "neggrad_plus", "forget batches"))

    def objective(logits, batch):
        rows = next(forgotten).to(batch.rows.device)
        on_forget = cross_entropy(model(forget.images[rows]), forget.labels[rows])
        return alpha * cross_entropy(logits, retain.labels[batch.rows]) - (1 - alpha) * on_forget

    return fit(
        model,
        retain.images,
        objective,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "neggrad_plus", "batches"),
        loop=loop,
    )

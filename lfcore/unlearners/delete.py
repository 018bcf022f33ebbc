"""DELETE: distil the original without the forgotten class, on the forget set alone.

    minimise  (1/|B|) sum_{x in B} KL(p~(x) || f(x)),   p~ = softmax of the original's logits with the label's at -inf

Zhou et al., Decoupled Distillation to Erase, 2503.23751; the abstract was read, and the public code is followed
(github.com/shaaaaron/DELETE): SGD, momentum 0.9, no weight decay, rate 1e-3, batch 128, 20 epochs on CIFAR-10. The
mask is of each example's own label, so p~ is the masked original of 2506.01318 where one whole class is forgotten, and
DELETE is Spotter with lambda_1 1 and lambda_2 0.
Reads the forget set only. BatchNorm: "train", the public code's default, lets batches of the forget set alone
overwrite the running statistics; "frozen", its `disable_bn`, keeps them.
"""

import copy

import torch
from torch.nn.functional import one_hot

from lfcore.core.seeds import generator
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop, fit
from lfcore.unlearners._spotter_penalty import distil

READS = {"forget"}


def without_label(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Softmax of logits (n, k) with the probability of each row's label set to 0 and the rest renormalised."""
    own = one_hot(labels, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).softmax(dim=1)


def unlearn(
    model, retain, forget, *, seed, loop=Loop(), lr=1e-3, epochs=20, batch_size=128, weight_decay=0.0, batchnorm="train"
):
    """Return the student after `epochs`. Raises Diverged."""
    with torch.no_grad():
        targets = without_label(outputs(copy.deepcopy(model), forget.images)[0], forget.labels)
    return fit(
        copy.deepcopy(model),
        forget.images,
        lambda logits, batch: distil(logits, targets[batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        batchnorm=batchnorm,
        generator=generator(seed, "delete", "batches"),
        loop=loop,
    )

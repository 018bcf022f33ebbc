"""One-Point-Contraction (OPC): let everything that is forgotten have one and the same output, at the origin.

    minimise  mean_{D_r in B} CE(y, m(x)) + mean_{D_f in B} ||m(x)||_2        m = g o f: head after features

Jung, Jung, Bae and Lee, OPC, 2507.07754. Theirs, as far as it is public (abstract and reviews; there is no code): the
two terms without a coefficient, the l2 norm of the *logits*, the origin as the point, and that a small norm means high
entropy. Ours, since it could not be found: the norm is not squared; batches are joint, drawn from D_f and D_r
together, each term a mean over its part of the batch; SGD, momentum 0.9, weight decay 5e-4; rate and epochs; and the
proof of the bound below.

`norm="features"` contracts the penultimate features ||f(x)||_2 instead, as a reviewer asked: small logits do not force
small features, which may lie where the head does not look. The head's bias then is the output at the point.

Entropy (derived; the paper's theorem 3.1 is not public). For logits z of C classes with ||z||_2 <= r no two differ by
more than sqrt(2) r, so that

    max_c p_c <= 1 / (1 + (C - 1) exp(-sqrt(2) r))     and     H(p) >= -log max_c p_c >= log C - sqrt(2) r     (nats)

Reads both sets. BatchNorm: in train mode on the mixed batches, whose statistics the forgotten images share.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.errors import InputError
from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"forget", "retain"}


class _Both(torch.nn.Module):
    """A model that returns features beside its logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        features = self.model.features(images)
        return self.model.head(features), features


def unlearn(
    model, retain, forget, *, seed, loop=Loop(), lr=0.01, norm="logits", epochs=10, batch_size=256, weight_decay=5e-4
):
    """Return a copy of `model` in which the forget set's outputs are contracted. norm: "logits" or "features".

    Raises Diverged, and InputError for another norm.
    """
    if norm not in ("logits", "features"):
        raise InputError(f"OPC has no norm called {norm!r}: choose logits or features.")
    labels = torch.cat([forget.labels, retain.labels])

    def objective(outputs, batch):
        logits, features = outputs
        is_forget = batch.rows < len(forget)
        contracted = (logits if norm == "logits" else features)[is_forget]
        terms = []
        if not is_forget.all():
            terms.append(cross_entropy(logits[~is_forget], labels[batch.rows][~is_forget]))
        if is_forget.any():
            terms.append(torch.linalg.vector_norm(contracted, dim=1).mean())
        return sum(terms)

    student = _Both(copy.deepcopy(model))
    fit(
        student,
        torch.cat([forget.images, retain.images]),
        objective,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "opc", "batches"),
        loop=loop,
    )
    return student.model

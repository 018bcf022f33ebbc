"""Bad Teacher: imitate a network that knows nothing on the forget set, and the original on the retain set.

    minimise  (1/|B|) sum_B KL(t(x) || f(x)),   t = a randomly initialised network on D_f, the original on D_r

Chundawat et al., Can Bad Teaching Induce Forgetting?, 2205.08096: Adam 1e-4, 1 epoch, temperature 1, over the forget
set and a random 30 % of the retain set. Weight decay is an l2 penalty, and as small as other methods'. Its code divides
by batch size times classes; here KL is a mean over the batch. Reads both sets. BatchNorm: teachers in eval mode, so the
random one uses its initial statistics (mean 0, variance 1); student in train mode on mixed batches.
"""

import copy

import torch
from torch.nn.functional import kl_div, log_softmax

from lfcore.core.seeds import generator, number
from lfcore.models import networks
from lfcore.training.fit import Loop, fit

READS = {"forget", "retain"}


def reinitialise(model, seed: int):
    """A network of the same architecture, every layer initialised anew, in eval mode."""
    fresh = copy.deepcopy(model)
    with networks.drawing(number(seed, "bad_teacher", "weights"), model.head.weight.dtype):
        for module in fresh.cpu().modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    return fresh.to(next(model.parameters()).device).eval().requires_grad_(False)


def unlearn(
    model, retain, forget, *, seed, loop=Loop(), lr=1e-4, share=0.3, epochs=1, batch_size=256, weight_decay=1e-6
):
    """Return the student after `epochs`. share: of the retain set, drawn once. Raises Diverged."""
    ignorant, original = reinitialise(model, seed), copy.deepcopy(model).eval().requires_grad_(False)
    drawn = torch.randperm(len(retain), generator=generator(seed, "bad_teacher", "retained rows"))
    kept = retain.images[drawn[: round(share * len(retain))].to(retain.labels.device)]

    def objective(logits, batch):
        is_forget = (batch.rows < len(forget))[:, None]
        targets = torch.where(is_forget, ignorant(batch.images), original(batch.images))
        return kl_div(log_softmax(logits, 1), log_softmax(targets, 1), reduction="batchmean", log_target=True)

    return fit(
        copy.deepcopy(model),
        torch.cat([forget.images, kept]),
        objective,
        optimizer="adam",
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "bad_teacher", "batches"),
        loop=loop,
    )

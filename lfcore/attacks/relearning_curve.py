"""Relearning: how fast does fine-tuning bring the forgotten examples back, step by step?

Threat model: the attacker holds all weights of the unlearned model, no original, and labelled images, one of

    half     every second example of the forget set, and as many retained ones drawn at random; measured on the other
             half of the forget set, which the attacker does not have. (Fine-tuned on one class alone, any model soon
             answers nothing else.)
    retain   the retained training images alone; measured on the whole forget set

SGD with `lr`, momentum 0.9, batches of `batch_size`, BatchNorm frozen. `relearned`, scope "steps", key "half/5": the
accuracy in percent after so many optimizer steps. Relearning with part of the forget set follows Golatkar et al.,
1911.04933, and Tarun et al., 2111.08947 (see `lfcore.probes.relearning`, which has all of it); that a few unrelated
examples may suffice was seen in language models (Łucki et al., 2409.18025). What was only hidden comes back sooner than
a retrained model learns it.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.examples import Examples
from lfcore.core.run import Row
from lfcore.core.seeds import generator
from lfcore.models.networks import evaluating
from lfcore.training.fit import Loop, Steps, fit


@torch.no_grad()
def percent(model, examples: Examples) -> float:
    """Accuracy in percent, in eval mode; leaves the mode of every layer as it was."""
    with evaluating(model):
        return 100 * float((model(examples.images).argmax(dim=1) == examples.labels).double().mean())


def relearn(model, examples: Examples, measured: Examples, steps: list[int], *, seed: int, lr: float, batch_size: int):
    """The accuracy on `measured` of a copy of `model`, after each number of `steps` of fine-tuning on `examples`.

    steps: ascending, from 0. Only `measured`'s accuracy depends on `measured`.
    """
    student, found = copy.deepcopy(model), {0: percent(model, measured)}
    count = Steps(limit=max(steps))

    def measure():
        if count.taken in steps:
            found[count.taken] = percent(student, measured)

    fit(
        student,
        examples.images,
        lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
        epochs=max(steps),
        batch_size=batch_size,
        lr=lr,
        batchnorm="frozen",
        after_step=measure,
        generator=generator(seed, "relearning_curve", "batches"),
        loop=Loop(steps=count),
    )
    return [found[step] for step in steps]


def probe(
    subject,
    *,
    steps: tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50),
    lr: float = 0.002,
    batch_size: int = 64,
):
    """Rows of `relearned` for both attackers."""
    forget, retain = subject.forget, subject.retain
    known, hidden = forget[::2], forget[1::2]
    order = torch.randperm(len(retain), generator=generator(subject.seed, "relearning_curve", "retained rows"))
    mixed = known + retain[order[: len(known)].to(retain.labels.device)]
    for name, examples, measured in (("half", mixed, hidden), ("retain", retain, forget)):
        curve = relearn(subject.model, examples, measured, list(steps), seed=subject.seed, lr=lr, batch_size=batch_size)
        for step, value in zip(steps, curve, strict=True):
            yield Row(subject.seed, "", "forget", "relearned", "steps", f"{name}/{step}", value)

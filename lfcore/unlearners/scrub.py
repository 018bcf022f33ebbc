"""SCRUB: a student that disobeys the original on the forget set and obeys it on the retain set.

    in the first `max_epochs` epochs, first:  maximise KL(teacher || student) over D_f
    in every epoch, then:                     minimise alpha KL(teacher || student) + gamma CE(y, student) over D_r

Kurmanji et al., Towards Unbounded Machine Unlearning, 2302.09880, algorithm 1; small-scale values: one optimizer for
the whole run, rate 5e-4 and tenfold less "after a number of min and max steps", weight decay 0.1. From the public
notebook (github.com/meghdadk/SCRUB, small_scale_unlearning): that it is Adam, whose weight decay is an l2 penalty; that
the rate falls after epochs 5, 8 and 9; gamma 1, alpha 0.5, temperature 2, 3 max-epochs of 10. KL at temperature T is
multiplied by T^2. Reads both sets. BatchNorm: teacher in eval mode; student in train mode, on batches of one set at a
time, and the last phase is always on the retain set.

Variants: `decay=1` keeps the rate, `weight_decay=1e-6` is that of the other unlearners. On digits (half of class 3,
originals 0 to 4 in float32, rate 0.01, max_epochs 8, batch 64) UA is 92 ± 3 as above, 64 ± 35 with decay 1 (RA 74),
77 ± 7 with weight decay 1e-6, and 95 ± 5 with both.
"""

import copy

from torch.nn.functional import cross_entropy, kl_div, log_softmax

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit
from lfcore.training.optimizers import Descent

READS = {"forget", "retain"}
DECAYS = (5, 8, 9)
"""After so many epochs the learning rate is multiplied by `decay`, each time."""


def divergence(student, teacher, temperature: float):
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), the mean over the batch. Both are logits (n, classes)."""
    logs = (log_softmax(logits / temperature, dim=1) for logits in (student, teacher))
    return kl_div(*logs, reduction="batchmean", log_target=True) * temperature**2


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr=5e-4,
    alpha=0.5,
    gamma=1.0,
    temperature=2.0,
    max_epochs=3,
    epochs=10,
    decay=0.1,
    batch_size=256,
    weight_decay=0.1,
):
    """Return the student after `epochs`. Raises Diverged."""
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    student = copy.deepcopy(model)
    descent = Descent(student.parameters(), lr, optimizer="adam", weight_decay=weight_decay)

    def disobey(logits, batch):
        return -divergence(logits, teacher(batch.images), temperature)

    def obey(logits, batch):
        on_labels = cross_entropy(logits, retain.labels[batch.rows])
        return alpha * divergence(logits, teacher(batch.images), temperature) + gamma * on_labels

    phases = [("forget", forget, disobey), ("retain", retain, obey)]
    streams = {name: generator(seed, "scrub", f"{name} batches") for name, *_ in phases}
    for epoch in range(epochs):
        for name, examples, objective in phases if epoch < max_epochs else phases[1:]:
            fit(
                student,
                examples.images,
                objective,
                descent=descent,
                epochs=1,
                batch_size=batch_size,
                lr=lr * decay ** sum(epoch >= after for after in DECAYS),
                generator=streams[name],
                loop=loop,
            )
    return student

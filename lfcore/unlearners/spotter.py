"""Spotter: distil the masked original on the forget images and near them, and scatter their features.

    minimise  lambda_1 KL(p~(x) || f(x)) + (1 - lambda_1) KL(p~(x') || f(x')) + lambda_2 dispersion(f(x))

with x in D_f, x' its PGD image, p~ the masked original and the dispersion (mean cosine of the features of pairs) all as
`geometry.perturbations` defines them; each term is the mean over a batch. Ha, Park and Yoon, 2506.01318, and its public
notebook: SGD 1e-4, momentum 0.9, weight decay 5e-4, batch 128, 10 epochs (400 steps), lambda_1 0.7, lambda_2 1 (the
paper also reports 0.1), eps 0.03; clean and perturbed images are shuffled apart. Here the PGD images are those of mode
"intended", the notebook's those of "released", and dispersion is of the batch whose PGD images are shown.
Its second term is OU@eps itself, in KL, so a low OU@eps of this method is what it was trained for.
Reads the forget set only. BatchNorm: frozen, as in the notebook.

The plug-in of the paper: `salun` and `boundary_shrink` take lambda_1, lambda_2 and eps too, and have their own loss in
place of the first term.
"""

import copy

from lfcore.core.seeds import generator
from lfcore.geometry.perturbations import mask
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop, fit
from lfcore.unlearners._spotter_penalty import distil, penalty

READS = {"forget"}


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr=1e-4,
    lambda_1=0.7,
    lambda_2=1.0,
    eps=0.03,
    epochs=10,
    batch_size=128,
    weight_decay=5e-4,
):
    """Return the student after `epochs`. Raises Diverged."""
    targets = mask(outputs(copy.deepcopy(model), forget.images)[0], forget.labels.unique())
    student = copy.deepcopy(model)
    add = penalty(
        model, student, forget, seed=seed, stage="spotter", lambda_1=lambda_1, lambda_2=lambda_2, eps=eps,
        batch_size=batch_size,
    )  # fmt: skip
    return fit(
        student,
        forget.images,
        lambda logits, batch: lambda_1 * distil(logits, targets[batch.rows]) + add(),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        batchnorm="frozen",
        generator=generator(seed, "spotter", "batches"),
        loop=loop,
    )

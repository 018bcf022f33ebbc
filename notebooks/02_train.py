# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Train: what does the network know, with the forget set and without it?
#
# One recipe trains the *original* models on all train examples and the *retrained* models on all but the forget set.
# A retrained model is what unlearning should have produced, so it is the reference of every comparison. Weights and
# batch order come from streams of their own, so that an original and a retrained model share nothing but the rule.

# %%
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import data
from lfcore.core.examples import choose, pixels
from lfcore.core.layout import Files
from lfcore.core.seeds import generator
from lfcore.models import networks
from lfcore.plots.html_table import Table
from lfcore.stages.train import train
from lfcore.training.fit import fit

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "4_half"  # what to leave out, for a retrained model; "" for an original, which leaves out nothing
network: str = "cnn"  # a function in lfcore/models/networks.py
seeds: list = [0]  # one model each
device: str = "cpu"  # cpu or cuda
options: dict = {"epochs": 10, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0005}  # the recipe
loop: dict = {}  # how the training loop runs: options of lfcore.training.fit.Loop

# %% [markdown]
# Each seed leaves its weights, its predictions for every example, and a record of where they came from.

# %%
files = Files(base)
role = "retrained" if forget_set else "original"
records = train(
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set) if forget_set else None,
    network=network,
    role=role,
    seeds=seeds,
    options=options,
    device=device,
    out=files.write_models(network, forget_set, role, seeds),
    loop=loop,
)

# %% [markdown]
# Accuracy in percent after the last epoch, on the examples trained on and on the test examples.

# %%
Table(records)

# %% [markdown]
# By hand: one step of SGD with Nesterov's momentum and weight decay, on one batch. Momentum starts from nothing, so
# the first step is 1 + momentum times the gradient. The training loop takes the same one.

# %%
lr, momentum, decay = 0.1, 0.9, 0.0005
everything = data.read(files.read("dataset"))
batch = choose(everything, everything.train[:64], "cpu")
shape, dtype = (everything.images.shape[1], everything.classes), networks.dtype_for(everything.images)
by_hand, by_loop = (networks.build(network, *shape, seed=0, stage="by hand", dtype=dtype).train() for _ in range(2))
weights = list(by_hand.parameters())
gradients = torch.autograd.grad(cross_entropy(by_hand(pixels(batch.images)), batch.labels), weights)
stepped = [w - lr * (1 + momentum) * (g + decay * w) for w, g in zip(weights, gradients, strict=True)]
fit(by_loop, batch.images, lambda logits, seen: cross_entropy(logits, batch.labels[seen.rows]), lr=lr,
    momentum=momentum, nesterov=True, weight_decay=decay, epochs=1, batch_size=64,
    generator=generator(0, "by hand", "order"),
)  # fmt: skip
assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(stepped, by_loop.parameters(), strict=True))

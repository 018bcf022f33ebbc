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
from lfcore.core.layout import Files
from lfcore.plots.html_table import Table
from lfcore.stages.train import train

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["results/scratch", "results/digits"]  # read from the first that has a file; write to the first
forget_set: str = "4_half"  # what to leave out, for a retrained model; "" for an original, which leaves out nothing
network: str = "cnn"  # a function in lfcore/models/networks.py
seeds: list = [0]  # one model each
device: str = "cpu"  # cpu or cuda
options: dict = {"epochs": 20, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}  # the recipe
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

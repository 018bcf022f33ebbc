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
from lfcore.core.paths import ROOT
from lfcore.plots.html_table import Table
from lfcore.stages.train import train

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/4_half.json"  # the index file of what to leave out; "" for nothing
network: str = "cnn"  # a function in lfcore/models/networks.py
role: str = "retrained"  # original or retrained
seeds: list = [0]  # one model each
device: str = "cpu"  # cpu or cuda
options: dict = {"epochs": 20, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}  # the recipe
loop: dict = {}  # how the training loop runs: options of lfcore.training.fit.Loop
out: str = "results/scratch/retrained"  # the folder to write to

# %% [markdown]
# Each seed leaves its weights, its predictions for every example, and a record of where they came from.

# %%
records = train(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set if forget_set else None,
    network=network,
    role=role,
    seeds=seeds,
    options=options,
    device=device,
    out=ROOT / out,
    loop=loop,
)

# %% [markdown]
# Accuracy in percent after the last epoch, on the examples trained on and on the test examples.

# %%
Table(records)

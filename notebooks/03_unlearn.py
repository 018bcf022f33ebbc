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
# # 03 Unlearn: remove the forget set from a trained network
#
# One method takes each original model and returns an unlearned one. It is handed only the sets it is allowed to see: a
# method that says it does not read the retain set gets none.

# %%
from lfcore.core.layout import Files
from lfcore.plots.html_table import Table
from lfcore.stages.unlearn import unlearn

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "4_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ltd"  # a file in lfcore/unlearners, or one of its variants
seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # of the originals, and of the method's own randomness
device: str = "cpu"  # cpu or cuda
options: dict = {"k": 100, "epochs": 5, "batch_size": 64, "lr": 0.003, "beta": 2.0}  # of the unlearner
loop: dict = {}  # how its training loops run: options of lfcore.training.fit.Loop

# %% [markdown]
# Each seed leaves its weights, its predictions for every example, and a record of where they came from.

# %%
files = Files(base)
records = unlearn(
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set),
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    options=options,
    device=device,
    originals=files.models(network, "", "original", seeds),
    out=files.write_models(network, forget_set, unlearner, seeds),
    loop=loop,
)

# %% [markdown]
# Accuracy in percent on the forget, retain and test examples.

# %%
Table(records)

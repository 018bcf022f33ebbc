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
from lfcore.core.paths import ROOT
from lfcore.plots.html_table import Table
from lfcore.stages.unlearn import unlearn

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/4_half.json"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ltd"  # a file in lfcore/unlearners, or one of its variants
seeds: list = [0]  # of the originals, and of the method's own randomness
device: str = "cpu"  # cpu or cuda
options: dict = {"k": 100, "epochs": 20, "batch_size": 64, "lr": 0.003, "beta": 5.0}  # of the unlearner
loop: dict = {}  # how its training loops run: options of lfcore.training.fit.Loop
originals: list = ["results/digits/models/cnn/none/original/0-9"]  # folders written by 02_train
out: str = "results/scratch/ltd"  # the folder to write to

# %% [markdown]
# Each seed leaves its weights, its predictions for every example, and a record of where they came from.

# %%
records = unlearn(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set,
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    options=options,
    device=device,
    originals=[ROOT / folder for folder in originals],
    out=ROOT / out,
    loop=loop,
)

# %% [markdown]
# Accuracy in percent on the forget, retain and test examples.

# %%
Table(records)

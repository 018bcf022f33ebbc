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
# # 07 Probe: what only the models themselves can tell
#
# Most measures need predictions alone. A probe loads the weights: to fine-tune the model on what it forgot, to look
# inside its layers, to train teachers of many sizes, or to attack it. Originals and retrained models are probed like
# any unlearner.

# %%
from lfcore.core.paths import ROOT
from lfcore.stages.probe import probe as run_probe

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/4_half.json"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ltd"  # a name of an unlearner, or original, or retrained
seeds: list = [0, 1]  # the seeds to probe
folders: list = ["results/digits/models/cnn/4_half/ltd/0-9"]  # where their weights are
originals: list = ["results/digits/models/cnn/none/original/0-9"]  # where the originals' weights are
original_seeds: list = [0, 1]  # of the originals, in the order of `seeds`
retrained: list = ["results/digits/models/cnn/4_half/retrained/0-9"]  # where retrained models' predictions are
reference_seeds: list = [0, 1, 2, 3, 4]  # of the retrained models to compare with
probes: dict = {"relearning": {}}  # files in lfcore/probes or lfcore/attacks, with their options
device: str = "cpu"  # cpu or cuda
out: str = "results/scratch/relearning"  # the path to write to, without .csv and .npz

# %% [markdown]
# The rows go into the one tidy table, and what a figure needs beside them into a file of arrays.

# %%
measured = run_probe(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set,
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    folders=[ROOT / folder for folder in folders],
    originals=[ROOT / folder for folder in originals],
    original_seeds=original_seeds,
    retrained=[ROOT / folder for folder in retrained],
    reference_seeds=reference_seeds,
    probes=probes,
    device=device,
    out=ROOT / out,
)

# %% [markdown]
# Means over seeds.

# %%
measured.groupby(["metric", "scope", "key"])["value"].mean().round(3).to_frame()

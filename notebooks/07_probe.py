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
from lfcore.core.layout import Files
from lfcore.stages.probe import probe as run_probe

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "4_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
study: str = "relearning"  # whose probes these are, of config/studies.yaml
unlearner: str = "ltd"  # a name of an unlearner, or original, or retrained
seeds: list = [0, 1]  # the seeds to probe
original_seeds: list = [0, 1]  # of the originals, in the order of `seeds`
reference_seeds: list = [0, 1, 2, 3, 4]  # of the retrained models to compare with
probes: dict = {"relearning": {}}  # files in lfcore/probes or lfcore/attacks, with their options
device: str = "cpu"  # cpu or cuda

# %% [markdown]
# The rows go into the one tidy table, and what a figure needs beside them into a file of arrays.

# %%
files = Files(base)
measured = run_probe(
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set),
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    folders=files.models(network, forget_set, unlearner, seeds),
    originals=files.models(network, "", "original", original_seeds),
    original_seeds=original_seeds,
    retrained=files.models(network, forget_set, "retrained", reference_seeds),
    reference_seeds=reference_seeds,
    probes=probes,
    device=device,
    out=files.write("probes", study=study, network=network, forget_set=forget_set, unlearner=unlearner),
)

# %% [markdown]
# Means over seeds.

# %%
measured.groupby(["metric", "scope", "key"])["value"].mean().round(3).to_frame()

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
# # 08 Experiment: one condition from training to a table
#
# Where the training data itself is varied, no model serves another table, so that one job trains, unlearns and
# measures. What the condition is says the docstring of its file in `lfcore/experiments`.

# %%
from lfcore.core.layout import Files
from lfcore.stages import experiment as stage

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
experiment: str = "copies-m1"  # a file in lfcore/experiments, or one of its variants
seeds: list = [0]  # of the models
options: dict = {}  # of the experiment
device: str = "cpu"  # cpu or cuda

# %% [markdown]
# One row is one number of one model.

# %%
files = Files(base)
measured = stage.run(
    dataset=files.read("dataset"),
    experiment=experiment,
    seeds=seeds,
    options=options,
    device=device,
    out=files.write("experiment", experiment=experiment),
)

# %% [markdown]
# Means over seeds and, where there are several, over targets.

# %%
measured.groupby(["unlearner", "reference", "split", "metric"], dropna=False, sort=False)["value"].mean().round(3)

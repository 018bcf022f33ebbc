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
# # 52 Does a wider request take the influence away, and what else does it damage?
#
# Beside the targets, the request takes every training example within a cosine of one. "targets": no more than those.
# "oracle": the copies too, and nothing else, which nobody can ask for who does not know them. `ltd_distinct` is asked
# for the targets alone in `targets`, and keeps near-duplicates from its teacher.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import residual_influence, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
experiments: list = ["results/digits/experiments/expansion.csv"]  # tables of the study
unlearners: list = [  # the panels, from the left
    "retrained", "random_labels_retain", "ltd",
]  # fmt: skip
beside: dict = {"ltd_distinct": "ltd"}  # unlearners in the panel of another, with open markers
out: str = "results/scratch/52_request"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals. The aim is the crossing of the two lines.

# %%
points = residual_influence.compare_requests(residual_influence.read([ROOT / path for path in experiments]))
figure = residual_influence.request(points, unlearners, beside)
style.save(figure, ROOT / out)

# %% [markdown]
# In numbers: percent of the copies found, ordinary examples taken with them, the residual in logits, damage and test
# accuracy in points against the floor.

# %%
points.set_index(["unlearner", "request"])[["found", "taken", "residual", "damage", "accuracy"]].round(1)

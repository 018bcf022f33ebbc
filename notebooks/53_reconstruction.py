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
# # 53 Can the forgotten images be seen in the weights?
#
# Images are recovered from small networks, before unlearning and after it, by the conditions that training leaves in
# the weights (2206.07758). For each target the recovered image that correlates most is shown, with its structural
# similarity (SSIM; 1 is equal). Chance is what the same candidates reach for test images that no model has seen.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import residual_influence, style
from lfcore.plots.tables import intervals

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
experiments: list = [  # tables of the study; the pictures are of the first
    "results/digits/experiments/reconstruction.csv", "results/digits/experiments/reconstruction-m0.csv",
]  # fmt: skip
unlearners: list = [  # the columns, from the left
    "original", "ascent", "random_labels_retain", "ltd", "retrained", "influence_free",
]  # fmt: skip
seed: int = 0  # whose pictures, as a position among the seeds
out: str = "results/scratch/53_reconstruction"  # the path to write to, without .png and .pdf

# %% [markdown]
# Below, the means over targets with 95 % intervals over seeds.

# %%
table = residual_influence.read([ROOT / path for path in experiments])
figure = residual_influence.pictures(residual_influence.read_arrays(ROOT / experiments[0]), table, unlearners, seed)
style.save(figure, ROOT / out)

# %% [markdown]
# How far above chance, and the confidence that each model still has in the targets.

# %%
shown = table[table["metric"].isin(["ssim_above_chance", "confidence"]) & table["unlearner"].isin(unlearners)]
intervals(residual_influence.summarize(shown), ["experiment", "unlearner"], ["metric"], sort=False)

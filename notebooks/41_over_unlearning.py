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
# # 41 What happens to images near the forgotten ones?
#
# OU@eps (Ha, Park and Yoon, 2506.01318) takes each forgotten image, perturbs it by at most eps, and asks how far the
# unlearned model is there from the *original with the forgotten class masked*: the Jensen-Shannon divergence, 0 to ln 2
# (dotted). It asks neither retrained models nor retained data. The upper row perturbs pixels, towards the decision
# boundary, as the text means it; the lower does what the public code does: steps away from that boundary, and pixels
# clamped after they were normalised, as if the network read normalised images. `geometry/perturbations.py` has both.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import blind_spots, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "blind"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines
    "original", "retrained", "drift", "ascent", "ascent-frozen", "random_labels", "random_labels_retain", "fine_tuning",
    "l1_sparse", "salun", "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd", "boundary_shrink",
    "boundary_shrink-spotter", "delete", "delete-frozen", "salun-spotter", "spotter", "spotter-dispersion0.1",
]  # fmt: skip
out: str = "results/scratch/41_over_unlearning"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals. Gaussian noise has a standard deviation of a third of eps.

# %%
files = Files(base)
rows = panels.keyed(tables.read(files.table("summary", study)), "over_unlearning", ["mode", "kind", "eps"])
figure = blind_spots.over_unlearning(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# How far the images are from the forgotten ones: the largest change of a pixel, in [0, 1]. Clamping normalised pixels
# moves them by far more than eps.

# %%
moved = panels.keyed(tables.read(files.table("summary", study)), "perturbation", ["mode", "kind", "eps"])
moved.pivot_table(index=["mode", "kind"], columns="eps", values="mean").round(3)

# %% [markdown]
# OU@0.03 of every method.

# %%
at = rows[rows["eps"] == 0.03]
at.pivot_table(index=["forget_set", "unlearner"], columns=["mode", "kind"], values="mean").round(3)

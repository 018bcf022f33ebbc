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
# # 17 How large should the support be?
#
# LTD's teacher learns from the k retained examples nearest to the forget set. The paper chooses k without retraining
# (2605.31317, app. C.5): on the plateau where what the teacher predicts on the forget set stops changing with k, and
# so that it covers the bins which one step of ascent hurts most. The third panel is the check that only a study can
# make: how far the teacher's predictions are from those of retrained models.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import hyperparameters, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "choose_k"  # whose tables, of config/studies.yaml; "" for the profile's own
out: str = "results/scratch/17_choose_k"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over originals with 95 % intervals. Scaled down: the paper goes from 100 to 2700 of 50 000 images.

# %%
files = Files(base)
found = tables.read(files.table("summary", study))
curves = hyperparameters.by_number(found, "k")
figure = hyperparameters.support_size(curves, hyperparameters.by_number(found, "ascent_bin"))
style.save(figure, ROOT / out)

# %% [markdown]
# Means over originals.

# %%
curves.pivot_table(index=["forget_set", "at"], columns="metric", values="mean").round(2)

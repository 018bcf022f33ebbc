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
# # 15 Which classes suffer when one is deleted whole?
#
# The paper's Figure 1 deletes a whole class and asks whether the classes most similar to it lose most accuracy
# (ascent on the left, forget-only random labels on the right; MNIST, class 9, ten repeats). Scaled down on the
# default profile: digits of 8x8 pixels, the network of every other figure, and rates chosen for partial deletion.
# Similarity is the cosine between mean test features of two classes in the original.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import class_accuracy, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "whole"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = ["ascent", "random_labels"]  # the panels
out: str = "results/scratch/15_classes"  # the path to write to, without .png and .pdf

# %% [markdown]
# A dot for each remaining class: the mean over unlearned seeds, with its 95 % interval; r is Pearson's correlation of
# the dots, with Fisher's interval over classes, and by seed the mean of each seed's, with its interval over seeds.

# %%
files = Files(base)
rows = class_accuracy.by_class(tables.read(files.table("summary", study)))
figure = class_accuracy.scatter(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# Accuracy lost against retraining, in percentage points.

# %%
rows.pivot_table(index=["key", "similarity"], columns="unlearner", values="drop").round(2)

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
# # 25 Where in the network does it happen?
#
# Linear CKA between the outputs of each layer of an unlearned model and of its original: 1 is the same representation
# up to rotation and scale. Retrained models come from no original, and show what independence looks like.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import deep_or_shallow, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "depth"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines, from the top
    "original", "retrained", "ascent", "random_labels", "random_labels_retain", "fine_tuning", "salun", "influence",
    "amun", "ltd",
]  # fmt: skip
out: str = "results/scratch/25_layers"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds, on the forget set and on test examples of the affected and of the other classes.

# %%
files = Files(base)
found = tables.read(files.table("summary", study))
rows = found[found["metric"] == "layer_cka"]
figure = deep_or_shallow.layers(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers.

# %%
rows.pivot_table(index=["forget_set", "unlearner"], columns="key", values="mean").round(2)

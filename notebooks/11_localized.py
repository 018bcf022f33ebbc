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
# # 11 Is the damage localized?
#
# The paper's main figure (2605.31317, Figure 3), with what it could not show. Each example is placed by its similarity
# to the forget set. Up the side are three ways in which an unlearned model differs from retrained ones: ΔAcc and ΔConf
# (positive: unlearning destroyed what retraining keeps) and total variation, which has no sign and so can't cancel.
#
# If collateral damage is localized, curves leave the grey band on the right. The band is what retrained models differ
# by among themselves; `original` is the model that forgot nothing.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import similarity_curves, style
from lfcore.plots.tables import by_bin

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = ""  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the curves, in the order of the legend
    "original", "retrained", "drift", "ascent", "random_labels", "random_labels_retain", "fine_tuning", "salun",
    "influence", "amun", "ltd",
]  # fmt: skip
scope: str = "width_bin"  # bins of equal width, as in the paper, or of equal count (count_bin)
classes: str = "all"  # all, the affected class only, or the other classes only (all, affected, other)
out: str = "results/scratch/11_localized"  # the path to write to, without .png and .pdf

# %% [markdown]
# Bins with fewer than ten examples are shaded, and no line runs through them: their means say little.

# %%
files = Files(base)
curves = similarity_curves.curves(tables.read(files.table("summary", study)), scope=scope, classes=classes)
figure = similarity_curves.localized(curves, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# Total variation to retraining in each bin of the test examples, from the farthest to the nearest, and the number of
# examples in it.

# %%
by_bin(curves)

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
# # 33 Step by step, layer by layer
#
# How fast does fine-tuning bring the forget set back, when the attacker has half of it, or only retained data? What was
# hidden comes back sooner than what retrained models learn anew. And in which layer is it still there? Early layers
# tell classes apart in any network, a retrained one included.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import deep_or_shallow, style
from lfcore.plots.panels import lines

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "deep"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines, in the order of the legend
    "original", "retrained", "ascent", "random_labels_retain", "fine_tuning", "salun", "influence", "neggrad_plus",
    "ltd", "opc", "opc-lr0.02", "opc-features",
]  # fmt: skip
panels: str = "relearning"  # what to draw, a key of lfcore.plots.panels.LINES
label: str = "optimizer steps"  # of the axis along which lines run
out: str = "results/scratch/33_curves"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds; the grey band is the floor's 95 % interval. Accuracies on the forget set are in percent.

# %%
files = Files(base)
rows = lines(tables.read(files.table("summary", study)), panels)
figure = deep_or_shallow.lines(rows, unlearners, label)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers.

# %%
table = rows.pivot_table(index=["forget_set", "panel", "unlearner"], columns="at", values="mean", sort=False)
table.round(1)

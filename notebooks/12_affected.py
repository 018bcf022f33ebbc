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
# # 12 What happens to the affected class?
#
# Part of one class is forgotten. Its remaining train examples (RA_aff), its forgotten ones (UA_aff) and its test
# examples (TA_aff) should all be classified as well as retraining does, no better and no worse (2605.31317, Figure 4
# and Table 2). Global averages hide this: the class is a tenth of the data or less.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import class_accuracy, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = ""  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the bars, in the order of the legend
    "original", "retrained", "drift", "ascent", "random_labels", "random_labels_retain", "fine_tuning", "salun",
    "influence", "amun", "ltd",
]  # fmt: skip
out: str = "results/scratch/12_affected"  # the path to write to, without .png and .pdf

# %% [markdown]
# Bars are means over seeds with 95 % intervals; zero is the mean of the reference retrained models.

# %%
files = Files(base)
bars = class_accuracy.affected_gaps(tables.read(files.table("summary", study)))
figure = class_accuracy.affected_bars(bars, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers, in percentage points.

# %%
bars.pivot_table(index=["forget_set", "unlearner"], columns="measure", values="mean").round(1)

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
# # 14 Does the effect survive its controls?
#
# Near examples are also hard ones, and "near" depends on the eyes one looks with. Among the *other* classes, so that
# nearness is not membership in the affected class, the change near the forget set less the change far from it, in
# excess of what retrained models differ by, is shown
#
# - against far examples that were as hard (the original's margin, and the variance of retraining);
# - with nearness seen by a retrained model, which never met the forget set, and by raw pixels;
# - around random sets of train examples, which nothing was done to.
#
# By rank, the margin is regressed out instead; the last panel looks within the affected class.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import forest_plots, style
from lfcore.plots.panels import pick, table

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = ""  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines, from the top
    "original", "retrained", "ascent", "random_labels", "random_labels_retain", "fine_tuning", "salun", "influence",
    "amun", "ltd",
]  # fmt: skip
panels: str = "controls"  # differences (controls), or rank correlations (controls by rank)
out: str = "results/scratch/14_controls"  # the path to write to, without .png and .pdf

# %% [markdown]
# Excess over the floor on test examples, with Welch's 95 % intervals; zero is retraining.

# %%
files = Files(base)
rows = pick(tables.read(files.table("summary", study)), panels)
figure = forest_plots.forest(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers, with the few widest intervals, which leave their panels above.

# %%
table(rows, digits=3)

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
# # 13 What does each method aim at on the forget set?
#
# The paper's mechanism is *target mismatch*: damage comes from teaching, on the forgotten examples, what retraining
# would not predict there (2605.31317, sec. 3). So the distance that matters is between a method's targets and the
# mean prediction of retrained models, on the forget set: of the labels it was trained with, of the uniform
# distribution, which random labels are on average, of a teacher that never saw the forget set, and of where the
# unlearned model ended.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import forest_plots, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = ""  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines, from the top: targets, then models
    "target: trained label", "target: uniform", "target: teacher of ltd", "original", "retrained", "drift", "ascent",
    "random_labels", "random_labels_retain", "fine_tuning", "salun", "influence", "amun", "ltd",
]  # fmt: skip
out: str = "results/scratch/13_targets"  # the path to write to, without .png and .pdf

# %% [markdown]
# Mean total variation to retraining over the forget set, with 95 % intervals over seeds; the bands are the floor.

# %%
files = Files(base)
rows = panels.targets(panels.pick(tables.read(files.table("summary", study)), "targets"))
figure = forest_plots.forest(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers. The first two lines are facts about retraining, the same for every method.

# %%
panels.table(rows, digits=3)

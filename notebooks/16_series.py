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
# # 16 How much does one number matter?
#
# Variants of a method that differ in one number stand on a line: LTD's teacher stopped at several accuracies (the
# paper's Figures 5 to 8), or unlearning stopped after several epochs (Figure 9). Since a method's batches do not
# depend on when it stops, the epochs of one seed are one trajectory.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import hyperparameters, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "dynamics"  # whose tables, of config/studies.yaml; "" for the profile's own
option: str = "epochs"  # variants are called <method>-<option><number>
last: float = 20.0  # the number of the method itself
out: str = "results/scratch/16_series"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals; the grey band is the floor.

# %%
files = Files(base)
picked = panels.pick(tables.read(files.table("summary", study)), "ablation")
rows = hyperparameters.variants(picked, option, last)
figure = hyperparameters.series(rows, picked[picked["unlearner"] == "retrained"], option)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers.

# %%
panels.table(rows, index=("forget_set", "method", "at"), digits=1)

# %% [markdown]
# Optimizer steps of the method, and of its teacher (the paper's Figure 8): medians over models.

# %%
hyperparameters.median_steps(tables.read(files.table("costs", study)), option)

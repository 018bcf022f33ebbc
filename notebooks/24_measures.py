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
# # 24 Do other measures agree?
#
# The field measures forgetting in many ways. Each is shown for every unlearner *and for retrained models*, whose
# value is the one to reach: a measure that calls a retrained model badly unlearned measures something else.
# `lfcore/metrics` says what each is, which attack it runs and whose formula it follows.

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
panels: str = "measures"  # which measures, a key of lfcore.plots.panels.PANELS
out: str = "results/scratch/24_measures"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals; the bands are the floor.

# %%
files = Files(base)
rows = pick(tables.read(files.table("summary", study)), panels)
figure = forest_plots.forest(rows, unlearners, zero=False)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers, with the few widest intervals, which leave their panels above.

# %%
table(rows, digits=3)

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
# # 18 Which chance is it: of training, or of unlearning?
#
# Every other interval speaks of new originals, each unlearned once. Here each original is unlearned several times by
# the same method with other draws of its own randomness (batches, labels, teachers), so that the two kinds of chance
# come apart. The hierarchical bootstrap draws originals, and then draws within each.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import forest_plots, style
from lfcore.statistics import claims, variance_components

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "draws"  # whose tables, of config/studies.yaml; "" for the profile's own
statistics: list = ["damage", "distance", "near - far", "affected gap"]  # names in lfcore/statistics/claims.py
out: str = "results/scratch/18_draws"  # the path to write to, without .png and .pdf

# %% [markdown]
# Grey: Student's interval from one draw of each original, as in every other table. Blue: the bootstrap's over all.

# %%
files = Files(base)
chosen = {name: claims.places()[name] for name in statistics}
found = variance_components.axes(tables.read(files.table("measurements", study)), chosen)
figure = forest_plots.draws(found)
style.save(figure, ROOT / out)

# %% [markdown]
# *between* is the standard deviation between originals, *within* that of draws from one original.

# %%
found.round(3)

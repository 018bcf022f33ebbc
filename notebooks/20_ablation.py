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
# # 20 What does an ablation change?
#
# Variants of LTD beside LTD: which retained examples its teacher sees (the paper's Table 3), what kind of network the
# teacher is, one of which must fail (Tables 4 and 5), neighbours' labels without a teacher (Tables 6 and 7); or all
# methods at other settings. Accuracy should be that of retraining, no higher and no lower.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import forest_plots, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "support"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = ["original", "retrained", "ltd", "ltd-random", "ltd-farthest"]  # the lines, from the top
out: str = "results/scratch/20_ablation"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals, in percentage points; the bands are the floor.

# %%
files = Files(base)
rows = panels.pick(tables.read(files.table("summary", study)), "ablation")
figure = forest_plots.forest(rows, unlearners, zero=False)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers, with the few widest intervals, which leave their panels above.

# %%
panels.table(rows, digits=1)

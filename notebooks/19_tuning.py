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
# # 19 Which learning rates do the forget-only methods get?
#
# Ascent and forget-only random labels can do anything between nothing and ruin. Their rates are chosen by the paper's
# rule (2605.31317, app. B.2), which never looks at a retrained model, on a forget class and a seed that no result
# uses: among the rates that keep RA above 90 and RA_aff above 70 percent on both of the class's forget sets, the one
# with the lowest mean UA.

# %%
from lfcore import plots, style, tables, tuning
from lfcore.paths import ROOT
from lfcore.summary import show

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile, which is `config/tune.yaml` here.

# %% tags=["parameters"]
summary: str = "results/tune/tables/summary.csv"  # written by 05_summary
data: str = "results/tune/data"  # the folder that 01_data wrote to
unlearners: list = []  # not used: every unlearner called <method>_lr<rate> takes part
out: str = "results/scratch/19_tuning"  # the path to write to, without .png and .pdf

# %% [markdown]
# A ring marks the choice of the rule; dotted lines are the two accuracies to keep.

# %%
settings = tuning.choose(tuning.grid(tables.read(ROOT / summary), ROOT / data))
figure = plots.tuning(settings)
style.save(figure, ROOT / out)

# %% [markdown]
# Every setting, in percent. Where no setting of a method keeps enough, the rule falls back to the highest RA, and the
# chosen row says `keeps` False.

# %%
show(settings.set_index(["method", "lr"]))

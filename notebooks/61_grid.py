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
# # 61 Does the damage depend on which class is forgotten, and on how much of it?
#
# One forget set is an anecdote. Here every class of a grid loses every one of several shares of its train examples,
# by every method, and each cell is one such experiment over several seeds. The nearest fifth of the other classes
# beside their farthest half says whether damage is localized; the affected class says how much of it stays at home.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import grid, style
from lfcore.plots.grid import excess, over_classes, read

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
examples: str = "results/corner/examples"  # the folder that 09_examples wrote to
network: str = "cnn"  # a function in lfcore/models/networks.py
forget_sets: dict = {  # the affected class of each, and the share of its train examples
    "4_25": {"affected": 4, "fraction": 0.25}, "4_50": {"affected": 4, "fraction": 0.5},
    "4_75": {"affected": 4, "fraction": 0.75}, "9_25": {"affected": 9, "fraction": 0.25},
    "9_50": {"affected": 9, "fraction": 0.5}, "9_75": {"affected": 9, "fraction": 0.75},
}  # fmt: skip
unlearners: list = ["original", "retrained", "ascent", "random_labels_retain", "ltd"]  # retrained is the floor
measure: str = "total_variation"  # a column of the examples
memory: str = "1GiB"  # for rows of examples; more than this of them is never read at once
out: str = "results/scratch/61_grid"  # the path to write to, without .png and .pdf

# %% [markdown]
# The rows of all examples stay on disk; what is read is their mean for each model, place by place. Then each method's
# seeds are compared with those of the floor.

# %%
means = read(ROOT / examples, network, list(forget_sets), unlearners, measure, memory=memory)
rows = excess(means, forget_sets)

# %% [markdown]
# Test examples only. The number is the excess over the floor, in points; it is in brackets where its 95 % interval
# over seeds, Welch's, holds zero.

# %%
figure = grid.heat(rows, unlearners, measure)
style.save(figure, ROOT / out)

# %% [markdown]
# The same, averaged over the affected classes; `beyond` is the percentage of cells whose interval excludes zero.

# %%
over_classes(rows)

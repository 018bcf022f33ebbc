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
# # 31 Who forgets shallowly?
#
# A model may refuse to say what it still knows. Here attackers try to get the forget set back from each unlearned
# model, with a linear map to the original's features, a new linear head, a few steps of fine-tuning, or two classifiers
# on its features (2507.07754 and ours; each file of `lfcore/attacks` opens with the weights and data of its attacker).
#
# Recovery counts only above the grey band, what the same attack gets out of *retrained* models, which never saw the
# forget set. The dotted line is what it gets out of a network with random weights: calibrated on all data, the forget
# set included, that recovers most of it too, so this variant of the map proves nothing alone. For a random forget set
# retraining itself answers nearly everything right, and there is little that could come back.
#
# OPC maps the forget set to one point at the origin, which a map without an offset leaves there: it withstands this
# attack by construction. A map with an offset can move the point. Recovery from a point shows that the class is set
# apart, and is no proof of memory: a network that never saw the class can be made to contract it too. A class at a
# point of its own is also the easiest class to find for whoever has labels of it, so that the probes say little more.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import deep_or_shallow, style
from lfcore.plots.panels import pick, table

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "deep"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines, from the top
    "original", "retrained", "drift", "ascent", "random_labels", "ascent_fine_tuning", "random_labels_fine_tuning",
    "random_labels_retain", "fine_tuning", "l1_sparse", "salun",
    "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd", "opc", "opc-lr0.02", "opc-features",
]  # fmt: skip
panels: str = "recovery"  # which numbers, a key of lfcore.plots.panels.PANELS
guess: str = "random network"  # what the dotted lines are, likewise
out: str = "results/scratch/31_shallow"  # the path to write to, without .png and .pdf

# %% [markdown]
# Accuracy on the forget set before and after each attack, in percent (other panels: in their own units), means over
# seeds with 95 % intervals.

# %%
files = Files(base)
found = tables.read(files.table("summary", study))
rows = pick(found, panels)
lines = pick(found, guess)
figure = deep_or_shallow.recovery(rows, lines, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# What needs no knowledge of the forget set at all: the dotted lines.

# %%
table(lines, index=("forget_set",), digits=1)

# %% [markdown]
# The same as the figure in numbers.

# %%
table(rows, digits=1)

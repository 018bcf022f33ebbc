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
# # 42 Can a few examples bring a forgotten class back?
#
# The prototypical relearning attack (2506.01318) writes the forgotten class's row of the head anew, from the mean
# feature of k examples, without a gradient step. Each method is attacked with every strength alpha; in the upper row
# with the best for the attacker of those that cost at most one point of retain accuracy. Retrained models have never
# seen the class: what the attack reaches there is no memory, and is the value to compare with.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import blind_spots, panels, style
from lfcore.plots.blind_spots import beside_paper

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "blind"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the lines
    "original", "retrained", "drift", "ascent", "ascent-frozen", "random_labels", "random_labels_retain", "fine_tuning",
    "l1_sparse", "salun", "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd", "boundary_shrink",
    "boundary_shrink-spotter", "delete", "delete-frozen", "salun-spotter", "spotter", "spotter-dispersion0.1",
]  # fmt: skip
k: int = 5  # examples, of the lower row and the tables
out: str = "results/scratch/42_prototypes"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals. `scaled` gives the new row the length of the other rows.

# %%
files = Files(base)
found = tables.read(files.table("summary", study))
best = panels.keyed(found, "prototype_best", ["kind", "k"])
figure = blind_spots.prototypes(best, panels.keyed(found, "prototype", ["kind", "k", "alpha"]), unlearners, k)
style.save(figure, ROOT / out)

# %% [markdown]
# The best attack with k examples: percent of the forget set that is recognised again.

# %%
best[best["k"] == k].pivot_table(index=["forget_set", "unlearner"], columns="kind", values="mean").round(1)

# %% [markdown]
# The paper beside this, for the methods of both. Paper: CIFAR-10, ResNet-18, class 0 (airplane), one seed, another
# strength of the attack for each method. Here: the forget set named in the row (8x8 digits, a small network, by
# default), means over seeds, every method at its best strength. Only the order of methods can be compared.

# %%
beside_paper(found).round(3)

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
# # 44 Two definitions of collateral damage: do they agree?
#
# OU@eps (2506.01318) measures the distance to the *masked original* on perturbed forget images; localized collateral
# forgetting (2605.31317) the distance to *retrained models* on real images near the forget set. They disagree about
# retraining itself. The first asks whether everything but the forgotten class stayed as it was: it suits one who wants
# the deployed model back, without a class, and needs no retraining to compute. The second asks whether the model is
# what it would be had it never seen the images: it suits one who has to delete data. The third panel takes the second
# measure to where the first looks, unseen examples of the deleted class itself. Methods that forget little change
# little near the class, and are then near to retraining there: see whether the class was forgotten, too.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import blind_spots, panels, style
from lfcore.plots.blind_spots import compare_definitions, pair_definitions

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "blind"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the points
    "original", "retrained", "drift", "ascent", "ascent-frozen", "random_labels", "random_labels_retain", "fine_tuning",
    "l1_sparse", "salun", "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd", "boundary_shrink",
    "boundary_shrink-spotter", "delete", "delete-frozen", "salun-spotter", "spotter", "spotter-dispersion0.1",
]  # fmt: skip
out: str = "results/scratch/44_two_definitions"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals; grey bands are retrained models.

# %%
files = Files(base)
rows = panels.pick(tables.read(files.table("summary", study)), "definitions")
figure = blind_spots.two_definitions(pair_definitions(rows), unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# What the numbers say.

# %%
print(compare_definitions(pair_definitions(rows)))

# %% [markdown]
# The same in numbers.

# %%
panels.table(rows, digits=3)

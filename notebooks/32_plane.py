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
# # 32 Does deep forgetting damage the neighbours?
#
# Two papers ask for two things. 2507.07754 wants the forget set's features gone, so that no attack brings them back (to
# the left). 2605.31317 wants what lies *near* the forget set to stay as retraining would have it (down, to zero). The
# cross is retraining: an unlearner to its right still knows something, one to its left knows less than a model that
# never saw the forget set; above it, the nearest fifth of the other classes' test examples was damaged.
#
# OPC moves features that retraining leaves alone, so that it might hurt neighbours: the answer is its height above
# those methods that recover as little.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import deep_or_shallow, style
from lfcore.plots.deep_or_shallow import pair_recovery_and_damage

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "deep"  # whose tables, of config/studies.yaml; "" for the profile's own
unlearners: list = [  # the points, in the order of the legend
    "original", "retrained", "drift", "ascent", "random_labels", "ascent_fine_tuning", "random_labels_fine_tuning",
    "random_labels_retain", "fine_tuning", "l1_sparse", "salun",
    "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd", "opc", "opc-lr0.02", "opc-features",
]  # fmt: skip
recovery: str = "feature mapping"  # which attack, a key of lfcore.plots.deep_or_shallow.RECOVERY
damage: str = "confidence"  # which damage, a key of lfcore.plots.deep_or_shallow.DAMAGE
out: str = "results/scratch/32_plane"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds less those of retrained models, with Welch's 95 % intervals, in percentage points.

# %%
files = Files(base)
points = pair_recovery_and_damage(tables.read(files.table("summary", study)), recovery, damage)
labels = (f"recovered by {recovery}\n(points above retraining)", f"damage near the forget set: {damage}\n(points)")
figure = deep_or_shallow.recovery_plane(points, unlearners, labels)
style.save(figure, ROOT / out)

# %% [markdown]
# The same in numbers.

# %%
points.set_index(["forget_set", "unlearner"]).drop(columns="network").round(1)

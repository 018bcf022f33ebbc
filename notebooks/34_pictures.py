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
# # 34 Do the pictures come back?
#
# Gradient inversion (`lfcore/attacks/inversion.py`). On the left the attacker has the gradient of one forgotten example
# in the unlearned model, on the right both published models and no data at all. The top row are the forgotten examples.
#
# A gradient gives its example away in retrained models too: it says how much of a picture passes through a network, and
# nothing of what was learned. The difference of the weights mixes all that was forgotten at once.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.plots import deep_or_shallow, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "deep"  # whose tables, of config/studies.yaml; "" for the profile's own
arrays: list = [  # written by 07_probe
    "results/digits/probes-deep/cnn/4_all/original.npz", "results/digits/probes-deep/cnn/4_all/retrained.npz",
    "results/digits/probes-deep/cnn/4_all/ltd.npz", "results/digits/probes-deep/cnn/4_all/opc.npz",
]  # fmt: skip
forget_set: str = "4_all"  # whose pictures to show
unlearners: list = [  # the rows of pictures
    "original", "retrained", "ascent", "random_labels_retain", "fine_tuning", "salun", "influence", "neggrad_plus",
    "ltd", "opc", "opc-lr0.02", "opc-features",
]  # fmt: skip
out: str = "results/scratch/34_pictures"  # the path to write to, without .png and .pdf

# %% [markdown]
# The first seed of each method, and below a picture its PSNR.

# %%
files = Files(base)
found = deep_or_shallow.read_pictures([ROOT / path for path in arrays], forget_set, unlearners)
figure = deep_or_shallow.pictures(found)
style.save(figure, ROOT / out)

# %% [markdown]
# What a guess reaches: the mean test picture of the label, and the share of pictures that a random choice gets right.

# %%
summarized = tables.read(files.table("summary", study))
guess = panels.pick(summarized, "guess")
panels.table(guess[guess["unlearner"] == "retrained"], index=("forget_set",))

# %% [markdown]
# Means over seeds and pictures, with 95 % intervals over seeds.

# %%
panels.table(panels.pick(summarized, "inversion"), digits=1)

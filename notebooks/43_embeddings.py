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
# # 43 Where do the forgotten images go?
#
# Penultimate features of the train examples, before and after unlearning, in one fixed plane: the first two principal
# components of one original's features. Unlearned models began as that original and are projected as they are;
# retrained models have axes of their own, and are rotated onto the original's first, by their retained examples.

# %%
from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.geometry import projection
from lfcore.plots import blind_spots, panels, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file
study: str = "blind"  # whose tables, of config/studies.yaml; "" for the profile's own
folders: list = [  # of models: the originals', and those of the unlearners
    "results/digits/models/cnn/none/original/0-4",
    "results/digits/models/cnn/7_all/retrained/0-9",
    "results/digits/models/cnn/7_all/delete/0-4",
    "results/digits/models/cnn/7_all/spotter/0-4",
]
unlearners: list = ["original", "retrained", "delete", "spotter"]  # the panels
out: str = "results/scratch/43_embeddings"  # the path to write to, without .png and .pdf

# %% [markdown]
# One seed of each; crosses are the forget set.

# %%
files = Files(base)
points = projection.project([ROOT / folder for folder in folders], files.read("data"), unlearners)
figure = blind_spots.embeddings(points)
style.save(figure, ROOT / out)

# %% [markdown]
# The mean cosine of two forget examples' features, over all seeds: Spotter drives it down to scatter them.

# %%
together = panels.keyed(tables.read(files.table("summary", study)), "feature_cosine", ["all"])
together.set_index(["forget_set", "unlearner"])[["mean", "low", "high"]].round(2)

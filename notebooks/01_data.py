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
# # 01 Data: which examples are there, and which must be forgotten?
#
# The workflow loads a data set once, fixes its train and test rows, and writes down the rows of each forget set with
# their SHA-256. A forget set is part of one class, or all of it: the first examples of that class in data-set order; or
# a random draw from all classes. It is the same for every seed, so that "retrained without it" means one thing.

# %%
from lfcore.core import data
from lfcore.core.layout import Files
from lfcore.core.paths import ROOT
from lfcore.datasets._load import load
from lfcore.plots.html_table import Table
from lfcore.plots.images import examples
from lfcore.stages.data import count, preview, write_forget_sets

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "digits"  # a file in lfcore/datasets
root: str = "data"  # the folder of data sets that are files
options: dict = {}  # of the data set's own: download, classes
forget_sets: dict = {  # the affected class (none: a random draw), and the share of its train examples to forget
    "4_half": {"affected": 4, "fraction": 0.5},
    "9_most": {"affected": 9, "fraction": 0.75},
}
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first

# %% [markdown]
# The images go into one file, with a hash of every pixel, label and row number.

# %%
images = load(dataset, ROOT / root, **options)
files = Files(base)
data.write(images, files.write("dataset"))
Table([{"data set": dataset, "images": images.images.shape, "train": len(images.train), "test": len(images.test)}])

# %% [markdown]
# Each forget set goes into an index file.

# %%
chosen = write_forget_sets(images, forget_sets, files.write("data"))

# %% [markdown]
# The first examples that each forget set removes, above the first of the same class that stay.

# %%
shown = preview(images, chosen, count=16)
figure = examples(list(shown.values()), list(shown))

# %% [markdown]
# How many examples of the affected class are forgotten, how many stay, and how many there are to test with; of a random
# set, which affects no class more than others, of all classes.

# %%
Table(count(images, chosen))

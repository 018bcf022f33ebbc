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
# # 09 Examples: what does each example say, model by model?
#
# The tables hold means. Here every example under every unlearned model is a row of its own, with its similarity to the
# forget set and how far the model is from retrained ones on it. Each method on each forget set writes one Parquet
# file, and all files together are one table, which is read without ever being in memory.

# %%
from lfcore.core.paths import ROOT
from lfcore.stages import per_example

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/4_half.json"  # written by 01_data
unlearner: str = "ltd"  # a name of an unlearner, or original, or retrained
seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # the seeds to measure
folders: list = ["results/digits/models/cnn/4_half/ltd/0-9"]  # where their predictions are
originals: list = ["results/digits/models/cnn/none/original/0-9"]  # where the originals' predictions are
original_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # similarity is averaged over these
retrained: list = [  # where the predictions of all the retrained models are
    "results/digits/models/cnn/4_half/retrained/0-9", "results/digits/models/cnn/4_half/retrained/10-19",
    "results/digits/models/cnn/4_half/retrained/20-29",
]  # fmt: skip
reference_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]  # to compare with
floor_seeds: list = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]  # of the retrained models that are the floor
metrics: list = ["discrepancy"]  # files in lfcore/metrics that have a value for each example
out: str = "results/scratch/examples/part.parquet"  # the file to write

# %% [markdown]
# One row for each example and seed.

# %%
rows = per_example.measure(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set,
    unlearner=unlearner,
    seeds=seeds,
    folders=[ROOT / folder for folder in folders],
    originals=[ROOT / folder for folder in originals],
    original_seeds=original_seeds,
    retrained=[ROOT / folder for folder in retrained],
    reference_seeds=reference_seeds,
    floor_seeds=floor_seeds,
    metrics=metrics,
)
per_example.write(rows, ROOT / out)

# %% [markdown]
# Some of the test examples that are nearest to the forget set, by the first seed.

# %%
shown = rows[(rows["seed"] == seeds[0]) & (rows["split"] == "test") & (rows["place"] == "near")]
shown.nlargest(8, "similarity").round(3)

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
from lfcore.core.layout import Files
from lfcore.stages import per_example

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "4_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ltd"  # a name of an unlearner, or original, or retrained
seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # the seeds to measure
original_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # similarity is averaged over these
reference_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]  # to compare with
floor_seeds: list = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]  # of the retrained models that are the floor
metrics: list = ["discrepancy"]  # files in lfcore/metrics that have a value for each example

# %% [markdown]
# One row for each example and seed.

# %%
files = Files(base)
rows = per_example.measure(
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set),
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    folders=files.models(network, forget_set, unlearner, seeds),
    originals=files.models(network, "", "original", original_seeds),
    original_seeds=original_seeds,
    retrained=files.models(network, forget_set, "retrained", [*reference_seeds, *floor_seeds]),
    reference_seeds=reference_seeds,
    floor_seeds=floor_seeds,
    metrics=metrics,
)
per_example.write(rows, files.write("examples", network=network, forget_set=forget_set, unlearner=unlearner))

# %% [markdown]
# Some of the test examples that are nearest to the forget set, by the first seed.

# %%
shown = rows[(rows["seed"] == seeds[0]) & (rows["split"] == "test") & (rows["place"] == "near")]
shown.nlargest(8, "similarity").round(3)

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
# # 04 Evaluate: how far is the unlearned model from retraining, example by example?
#
# Everything here is computed from predictions, so a new measure never trains anything again. The unlearned models are
# compared with retrained *reference* models. More retrained models pass through this notebook as one more
# unlearner, called `retrained`: that is the *floor*, what two honest retrainings differ by. `original`, which forgets
# nothing, passes through it too.

# %%
from lfcore.core.paths import ROOT
from lfcore.stages.evaluate import evaluate

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/4_half.json"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
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
metrics: list = [  # files in lfcore/metrics
    "accuracy", "membership", "average_gap", "discrepancy", "matched", "shuffled", "distances", "targets",
    "membership_variants", "tow", "divergence", "klom", "lira", "cka",
]  # fmt: skip
out: str = "results/scratch/ltd"  # the path to write to, without .csv and .npz

# %% [markdown]
# The table goes to one file, the arrays with a value for each example to another.

# %%
measured = evaluate(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set,
    network=network,
    unlearner=unlearner,
    seeds=seeds,
    folders=[ROOT / folder for folder in folders],
    originals=[ROOT / folder for folder in originals],
    original_seeds=original_seeds,
    retrained=[ROOT / folder for folder in retrained],
    reference_seeds=reference_seeds,
    floor_seeds=floor_seeds,
    metrics=metrics,
    out=ROOT / out,
)

# %% [markdown]
# The numbers about whole splits, seed by seed. Accuracies, membership and gaps are in percentage points.

# %%
whole = measured[(measured["scope"] == "all") & (measured["seed"] != "")]
whole.pivot_table(index=["metric", "split"], columns="seed", values="value").round(1)

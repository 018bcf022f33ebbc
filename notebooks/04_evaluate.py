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
from lfcore.core.layout import Files
from lfcore.stages.evaluate import evaluate

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["results/scratch", "results/digits"]  # read from the first that has a file; write to the first
forget_set: str = "4_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ltd"  # a name of an unlearner, or original, or retrained
seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # the seeds to measure
original_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # similarity is averaged over these
reference_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]  # to compare with
floor_seeds: list = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]  # of the retrained models that are the floor
metrics: list = [  # files in lfcore/metrics
    "accuracy", "membership", "average_gap", "discrepancy", "matched", "shuffled", "distances", "targets",
    "membership_variants", "tow", "divergence", "klom", "lira", "cka",
]  # fmt: skip

# %% [markdown]
# The table goes to one file, the arrays with a value for each example to another.

# %%
files = Files(base)
measured = evaluate(
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
    out=files.write("measurements", network=network, forget_set=forget_set, unlearner=unlearner),
)

# %% [markdown]
# The numbers about whole splits, seed by seed. Accuracies, membership and gaps are in percentage points.

# %%
whole = measured[(measured["scope"] == "all") & (measured["seed"] != "")]
whole.pivot_table(index=["metric", "split"], columns="seed", values="value").round(1)

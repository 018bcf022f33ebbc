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
# # 06 Tune: what does each setting of one method do?
#
# Every setting of a method's grid unlearns a forget set of the tuning class, which no result uses, from originals of
# seeds that no result uses. What is chosen from the outcomes, and by which rule, is shown in 19_tuning.

# %%
from lfcore.core.layout import Files
from lfcore.stages.tune import tune

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "3_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
budget: str = "epochs"  # the comparison that the settings are tried for, a folder of the table
unlearner: str = "ascent"  # a file in lfcore/unlearners, or one of its variants
grid: list = [{"lr": 0.001, "epochs": 5, "batch_size": 64}, {"lr": 0.003, "epochs": 5, "batch_size": 64}]  # settings
seeds: list = [90, 91]  # of the originals, and of the method's own randomness
device: str = "cpu"  # cpu or cuda
reference_seeds: list = [90, 91, 92, 93, 94]  # of the retrained models that gaps are measured to
loop: dict = {}  # how training loops run: options of lfcore.training.fit.Loop

# %% [markdown]
# Gaps to retraining are recorded beside the accuracies; the paper's rule does not look at them.

# %%
files = Files(base)
trials = tune(
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set),
    network=network,
    unlearner=unlearner,
    grid=grid,
    seeds=seeds,
    device=device,
    originals=files.models(network, "", "original", seeds),
    retrained=files.models(network, forget_set, "retrained", reference_seeds),
    reference_seeds=reference_seeds,
    out=files.write("trials", budget=budget, network=network, forget_set=forget_set, unlearner=unlearner),
    loop=loop,
)

# %% [markdown]
# Every setting and seed, in percentage points.

# %%
trials.drop(columns=["forget_set", "unlearner"]).round(2)

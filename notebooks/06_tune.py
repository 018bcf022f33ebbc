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
from lfcore.core.paths import ROOT
from lfcore.stages.tune import tune

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
dataset: str = "results/digits/data/dataset.safetensors"  # written by 01_data
forget_set: str = "results/digits/data/3_half.json"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearner: str = "ascent"  # a file in lfcore/unlearners, or one of its variants
grid: list = [{"lr": 0.001, "epochs": 5, "batch_size": 64}, {"lr": 0.003, "epochs": 5, "batch_size": 64}]  # settings
seeds: list = [90, 91]  # of the originals, and of the method's own randomness
device: str = "cpu"  # cpu or cuda
originals: list = ["results/digits/models/cnn/none/original/90-91"]  # folders written by 02_train
retrained: list = ["results/digits/models/cnn/3_half/retrained/90-94"]  # likewise
reference_seeds: list = [90, 91, 92, 93, 94]  # of the retrained models that gaps are measured to
loop: dict = {}  # how training loops run: options of lfcore.training.fit.Loop
out: str = "results/scratch/tuning.csv"  # the table to write

# %% [markdown]
# Gaps to retraining are recorded beside the accuracies; the paper's rule does not look at them.

# %%
trials = tune(
    dataset=ROOT / dataset,
    forget_set=ROOT / forget_set,
    network=network,
    unlearner=unlearner,
    grid=grid,
    seeds=seeds,
    device=device,
    originals=[ROOT / folder for folder in originals],
    retrained=[ROOT / folder for folder in retrained],
    reference_seeds=reference_seeds,
    out=ROOT / out,
    loop=loop,
)

# %% [markdown]
# Every setting and seed, in percentage points.

# %%
trials.drop(columns=["forget_set", "unlearner"]).round(2)

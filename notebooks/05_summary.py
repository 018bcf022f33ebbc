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
# # 05 Summary: every unlearner beside retraining and beside doing nothing
#
# All measurements are put into one table, and each number gets its mean, standard deviation and 95 % interval over
# independent seeds. Pairs of an unlearned and a retrained model are never counted as independent: each unlearned seed
# is first averaged over the reference models.

# %%
from lfcore.core import tables
from lfcore.core.paths import ROOT
from lfcore.plots.tables import locality, paper_tables
from lfcore.stages import summary
from lfcore.statistics import claims
from lfcore.statistics.summary import summarize

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
measurements: str = "results/digits/measurements"  # the folder that 04_evaluate wrote to
networks: list = ["cnn"]  # the coordinates of the tables
forget_sets: list = ["4_half", "9_most"]  # likewise
unlearners: list = [  # original and retrained are measured like any other
    "original", "retrained", "drift", "ascent", "ascent-frozen", "random_labels", "random_labels-frozen",
    "ascent_fine_tuning", "random_labels_fine_tuning", "random_labels_retain", "fine_tuning", "l1_sparse", "salun",
    "influence", "amun", "neggrad_plus", "scrub", "bad_teacher", "ssd", "ltd",
]  # fmt: skip
probed: list = []  # tables that 07_probe wrote
data: str = "results/digits/data"  # the folder that 01_data wrote to
models: str = "results/digits/models"  # the folder that 02_train and 03_unlearn wrote to
benchmarks: str = "results/digits/benchmarks"  # the folder of Snakemake's benchmark files
jobs: dict = {"unlearned": ["0-9"], "retrained": ["0-9", "10-19", "20-29"]}  # first and last seed of each job
out: str = "results/scratch/tables"  # the folder to write to

# %% [markdown]
# The tidy table, its summary, the costs, which alone hold seconds, and the claims.

# %%
places = [ROOT / measurements, networks, forget_sets, unlearners]
measured = summary.gather(*places, probed=[ROOT / path for path in probed])
summarized = summary.with_affected(summarize(measured), ROOT / data)
costs = summary.costs(*summary.trained(ROOT / models, ROOT / benchmarks, networks, forget_sets, unlearners, jobs))
tables.write(measured, ROOT / out / "measurements.csv")
tables.write(summarized, ROOT / out / "summary.csv")
tables.write(costs, ROOT / out / "costs.csv")
claimed = claims.judge(measured)
tables.write(claimed, ROOT / out / "claims.csv")

# %% [markdown]
# The columns of the paper's Tables 1 and 2: mean ± standard deviation over seeds, in percentage points. The row
# `retrained` is the floor: an unlearner with a smaller gap than it is as good as another retraining.

# %%
paper_tables(summarized)

# %% [markdown]
# Total variation to retraining on the test examples, and how far it exceeds the floor, with 95 % intervals: in the
# affected class, in the nearest fifth of the other classes, and in their farthest half.

# %%
locality(summarized)

# %% [markdown]
# What the paper claims, and what this run says of it: by how much `more` exceeds `less` (`retrained` is the floor),
# with 95 % intervals, Welch's against the floor and of paired differences between two unlearners. The statistics are
# described in `lfcore/statistics/claims.py`.

# %%
claimed.round(3)

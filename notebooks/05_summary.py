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
import numpy as np
from scipy.stats import t

from lfcore.core import tables
from lfcore.core.layout import Files
from lfcore.plots.tables import locality, paper_tables
from lfcore.stages import summary
from lfcore.statistics import claims
from lfcore.statistics.summary import summarize

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
study: str = ""  # of config/studies.yaml; "" for the profile's own
networks: list = ["cnn"]  # the coordinates of the tables
forget_sets: list = ["4_half", "9_most"]  # likewise
unlearners: list = [  # original and retrained are measured like any other
    "original", "retrained", "drift", "ascent", "random_labels", "random_labels_retain", "fine_tuning", "salun",
    "influence", "amun", "ltd",
]  # fmt: skip
seeds: dict = {  # of originals and unlearned models, and of the retrained
    "unlearned": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    "retrained": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                  20, 21, 22, 23, 24, 25, 26, 27, 28, 29],
}  # fmt: skip
studies: list = [""]  # whose measurements these are, the first that has one: an unlearner is measured in one of them
probed: bool = False  # whether the study has tables that 07_probe wrote

# %% [markdown]
# The tidy table, its summary, the costs, which alone hold seconds, and the claims.

# %%
files = Files(base)
runs = networks, forget_sets, unlearners
measured = summary.gather([
    *files.measured(studies, *runs), *(files.of_runs("probes", *runs, study=study) if probed else []),
])  # fmt: skip
summarized = summary.with_affected(summarize(measured), files.read("data"))
costs = summary.costs(*files.jobs(*runs, seeds))
claimed = claims.judge(measured, study)
tables.write(measured, files.write("table", study=study, table="measurements"))
tables.write(summarized, files.write("table", study=study, table="summary"))
tables.write(costs, files.write("table", study=study, table="costs"))
tables.write(claimed, files.write("table", study=study, table="claims"))

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

# %% [markdown]
# By hand: one 95 % interval, of the last unlearner's test accuracy: the mean over seeds, give or take Student's t times
# its standard error.

# %%
row = {"network": networks[0], "forget_set": forget_sets[0], "unlearner": unlearners[-1]}
row |= {"reference": "", "split": "test", "metric": "accuracy", "scope": "all"}
values = tables.where(measured, **row)["value"]
half = t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
by_hand = values.mean() - half, values.mean() + half
assert np.allclose(by_hand, tables.where(summarized, **row)[["low", "high"]].iloc[0], equal_nan=True)

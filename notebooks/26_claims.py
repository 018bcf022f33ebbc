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
# # 26 Do fresh draws say so again?
#
# The primary claims of `config/claims.yaml` were written down before the numbers. Here each is judged over blocks of
# models that share nothing: every block has originals, retrained models and floors of its own. Or over classes, each
# with half of it deleted: then the class is the unit.

# %%
import pandas as pd

from lfcore.core import tables
from lfcore.core.paths import ROOT
from lfcore.plots import forest_plots, style
from lfcore.statistics import claims, replicates

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
blocks: list = [  # the claims of each block
    "results/digits/tables-replicates1/claims.csv", "results/digits/tables-replicates2/claims.csv",
    "results/digits/tables-replicates3/claims.csv", "results/digits/tables-replicates4/claims.csv",
    "results/digits/tables-replicates5/claims.csv", "results/digits/tables-replicates6/claims.csv",
    "results/digits/tables-replicates7/claims.csv", "results/digits/tables-replicates8/claims.csv",
    "results/digits/tables-replicates9/claims.csv", "results/digits/tables-replicates10/claims.csv",
]  # fmt: skip
unit: str = "block"  # or class: of a table whose forget sets are of one class each
out: str = "results/scratch/26_claims"  # the path to write to, without .png and .pdf

# %% [markdown]
# A block's number is the mean over its seeds. Right of zero is what the paper says.

# %%
judged = pd.concat([tables.read(ROOT / path) for path in blocks], ignore_index=True)
pooled = replicates.pool(judged, unit)
figure = forest_plots.claims(claims.without_unit(judged, unit), pooled)
style.save(figure, ROOT / out)

# %% [markdown]
# The mean over blocks with its 95 % interval, in how many blocks the sign is the mean's, in how many the block alone
# says that the claim, or the opposite, holds, and the power of one block. A claim *holds* if the pooled difference is
# beyond chance (5 %, adjusted over all claims) and nine of ten blocks agree in sign.

# %%
pooled.drop(columns=["more", "less", "network", "p"]).round(3)

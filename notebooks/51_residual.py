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
# # 51 Do near-duplicates keep the influence of what was forgotten?
#
# The targets are forgotten, and masked copies of them stay (2601.06938). Residual influence is what a model still
# gives the targets beyond models that were trained with neither. The paper says that it remains, after retraining too.
# The controls are copies of other images of the same classes, and nearest pairs found in the real data.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import residual_influence, style
from lfcore.plots.tables import intervals

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
experiments: list = [  # tables of the study
    "results/digits/experiments/copies.csv", "results/digits/experiments/copies-m0.csv",
    "results/digits/experiments/copies-m2.csv", "results/digits/experiments/copies-r10.csv",
    "results/digits/experiments/copies-r50.csv", "results/digits/experiments/copies-block2.csv",
    "results/digits/experiments/copies-unrelated.csv", "results/digits/experiments/natural.csv",
    "results/digits/experiments/natural-pixels.csv",
]  # fmt: skip
unlearners: list = [  # the lines, in this order
    "original", "influence_free", "retrained", "ascent", "random_labels_retain", "fine_tuning", "scrub", "salun",
    "influence", "ltd",
]  # fmt: skip
copies: int = 10  # copies of each target where the share varies
block: int = 1  # pixels, the side of a block
share: float = 0.2  # masked share of blocks where the number of copies varies
out: str = "results/scratch/51_residual"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds with 95 % intervals, each a mean over targets; above 0, influence remains. Below 0 the model gives
# the targets less than one that never met them: it has forgotten too much. The widest intervals leave their panels.

# %%
table = residual_influence.read([ROOT / path for path in experiments])
rows = residual_influence.conditions(
    residual_influence.average_residuals(table), copies=copies, block=block, share=share
)
figure = residual_influence.residual(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# The share of pixels that masking really changed, and how near the natural pairs are.

# %%
facts = table[table["split"].isin(["copies", "pairs", "train"])]
intervals(residual_influence.summarize(facts), ["experiment"], ["metric", "key"], digits=3, sort=False)

# %% [markdown]
# The residual margin in numbers.

# %%
margins = rows[(rows["metric"] == "residual_margin") & rows["unlearner"].isin(unlearners)]
margins = margins.drop_duplicates(["experiment", "unlearner"])
intervals(margins, ["unlearner"], ["experiment"], digits=1, sort=False)

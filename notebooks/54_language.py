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
# # 54 What is left of a deleted answer when its paraphrases stay?
#
# A small language model learns questions and answers about invented people. Some are to be forgotten, but m
# paraphrases of each stay in the training data. The *residual* is how much likelier the deleted answer is than to a
# model that was trained without it *and* without its paraphrases (Forgetting Similar Samples,
# [arXiv 2601.06938](https://arxiv.org/abs/2601.06938)). `lfcore/experiments/language.py` says what is the paper's.

# %%
from lfcore.core.paths import ROOT
from lfcore.language import tuning
from lfcore.plots import language, style

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
experiments: list = [  # the tables of the study's experiments
    "results/digits/experiments/language.csv", "results/digits/experiments/language-m1.csv",
    "results/digits/experiments/language-m4.csv", "results/digits/experiments/language-m8.csv",
    "results/digits/experiments/language-tuning.csv",
]  # fmt: skip
unlearners: list = [  # the lines
    "original", "retrained", "without_similar", "ascent", "gradient_difference", "npo", "npo_retain", "fine_tuning",
]  # fmt: skip
out: str = "results/scratch/54_language"  # the path to write to, without .png and .pdf

# %% [markdown]
# Means over seeds, each with people and models of its own, with 95 % intervals. A residual above the grey band is
# influence that is left; one far below it is more forgetting than any retrained model shows. With m = 0 the residual of
# the retrained model is zero by construction. Exact match: the model's own answer is the right one, word for word. A
# truth ratio of 1, a logarithm of 0, is that of a model to which wrong answers are as likely as the right one.

# %%
tables = [ROOT / path for path in experiments]
rows = language.summarize(language.read(tables))
figure = language.residual(rows, unlearners)
style.save(figure, ROOT / out)

# %% [markdown]
# What each method's setting did on the tuning seeds (exact match in percent), and which one the rule takes: the lowest
# on the targets that keeps 95 % of the unrelated answers. The rule looks at no retrained model.

# %%
tuning.choose(tuning.settings(language.tried(tables))).query("chosen").round(1)

# %% [markdown]
# The figure in numbers.

# %%
language.table(rows)

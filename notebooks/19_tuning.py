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
# # 19 Which setting does each method get?
#
# Every method has eight settings, tried on a class and on seeds that no result uses. Two choices are made. The paper's
# *rule* (2605.31317, app. B.2) never looks at a retrained model: among the settings that keep RA above 90 and RA_aff
# above 70 percent in the worst case, the one with the lowest mean UA. It rewards forgetting too much. The *reachable*
# setting has the smallest gap to retraining, which nobody could know; it says what the method is capable of.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import hyperparameters, style
from lfcore.statistics import setting_choice

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
trials: list = []  # tables written by 06_tune, at the papers' epochs; if empty, all those in `folder`
trials_steps: list = []  # likewise, at an equal number of steps
trials_class: list = []  # likewise, of the methods that only the studies of whole classes have
folder: str = "results/digits/tuning"  # where to look for them
out: str = "results/scratch/19_tuning"  # the path to write to, without .png and .pdf

# %% [markdown]
# A circle marks the choice of the rule, a square the reachable setting; dotted lines are the accuracies to keep.

# %%
found = [ROOT / path for path in trials] or sorted((ROOT / folder / "epochs").glob("*/*/*.csv"))
settings = setting_choice.choose(setting_choice.summarize(setting_choice.gather(found)))
figure = hyperparameters.tuning(settings)
style.save(figure, ROOT / out)

# %% [markdown]
# What is chosen, and what it took: gradient steps of the method and of helpers such as a teacher, CPU seconds, means.
# Where no setting of a method keeps enough, the rule falls back to the highest RA, and `keeps` is False.

# %%
setting_choice.chosen(settings).round(2)

# %% [markdown]
# The same at an equal number of gradient steps for every method; empty where a profile tunes for no such comparison.

# %%
found = [ROOT / path for path in trials_steps] or sorted((ROOT / folder / "steps").glob("*/*/*.csv"))
setting_choice.chosen_among(found).round(2)

# %% [markdown]
# Of a whole class, where the class has no retained examples to keep: the methods that only the studies of deep
# forgetting and of blind spots have.

# %%
found = [ROOT / path for path in trials_class] or sorted((ROOT / folder / "class").glob("*/*/*.csv"))
setting_choice.chosen_among(found).round(2)

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
# # 90 Playground: what happens if you turn the knobs?
#
# Choose a class, how much of it to forget, a method and its strength. The method starts from an original model that is
# trained once, and a few retrained models are trained once for each forget set; all of it is kept, so that moving a
# slider costs the method's own seconds. The controls are the parameters of notebooks 01, 02, 03 and 11, and what a
# comment says there is shown when the pointer rests on one.

# %%
from lfcore.core.paths import ROOT
from lfcore.playground.controls import Panel

# %% [markdown]
# The parameters. Three retrained models give a picture in seconds and no interval: for a claim, run the workflow.

# %% tags=["parameters"]
profile: list = ["config/digits.yaml", "config/choices.yaml"]  # the methods, their options and tuned strengths
retrained: int = 3  # models trained without the forget set, the reference and the floor
pictures: int = 8  # the worst-hit test images to show
out: str = "results/scratch/playground"  # the folder for everything that is trained

# %% [markdown]
# Left of the picture the controls, below it the progress. A line that leaves the grey band is further from retraining
# than retrained models are from one another; the dashed line is the original, which forgot nothing. The images are the
# test examples that lost most confidence, as label → what the unlearned model says, each above the forgotten image
# nearest to it.

# %%
panel = Panel(profile=[ROOT / path for path in profile], retrained=retrained, pictures=pictures, out=ROOT / out)
panel

# %% [markdown]
# Accuracy in percent for the last setting; run this cell again after moving a control.

# %%
panel.table()

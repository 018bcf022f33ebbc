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
# # 91 What did unlearning break in your own model?
#
# A torchvision network, a forget set, and a model that some tool made without asking this project. Here the network is
# a ResNet-18 on small images of digits, and the tool is a naive one: it trains on the forget set with random labels.
# Put your own models in their place; nothing else changes. About a minute on one core.

# %%
import lfcore
from lfcore.auditing import demo, state_dicts
from lfcore.core.paths import ROOT
from lfcore.models.torchvision import torchvision

# %% [markdown]
# The parameters. This notebook is no part of the workflow.

# %% tags=["parameters"]
label: int = 4  # the class that loses examples
share: float = 0.5  # of its train examples, which are to be forgotten
epochs: int = 4  # of training originals and retrained models
unlearn_epochs: int = 5  # of the naive unlearning
lr: float = 0.0003  # of the naive unlearning
seeds: list = [0, 1, 2, 3]  # of the retrained models: three or more give a floor
checkpoint: str = "results/scratch/unlearned.pth.tar"  # weights as other projects save them
out: str = "results/scratch/91_audit_your_model.html"  # the page to write

# %% [markdown]
# The data are two Datasets of (image, label), and the forget set is a list of rows of the first.

# %%
train, test = demo.load()
forget = demo.choose_forget(train, label, share)

# %% [markdown]
# The models: the original, retrained ones that never saw the forget set, each from its own seed, and the unlearned one.

# %%
original = demo.fit_resnet(train, [], seed=0, epochs=epochs)
retrained = [demo.fit_resnet(train, forget, seed=seed, epochs=epochs) for seed in seeds]
unlearned = demo.relabel(original, train, forget, seed=0, epochs=unlearn_epochs, lr=lr)

# %% [markdown]
# Most tools leave a checkpoint. This one has the layout of SalUn's repository (OPTML-Group/Unlearn-Saliency): weights
# under `state_dict`, accuracies of numpy beside them, and a first layer that normalises the images, whose mean and
# deviation are entries of the weights. The adapter loads it into torchvision's ResNet-18 without running what is in the
# file, and keeps the normalisation; here it does nothing, so that the model stays the one from above.

# %%
demo.save_like_salun(unlearned, ROOT / checkpoint)
unlearned = state_dicts.load_state_dict(ROOT / checkpoint, torchvision.models.resnet18(num_classes=10))

# %% [markdown]
# The audit. `features="fc"` names the layer whose input measures similarity, as `named_modules()` calls it.

# %%
audit = lfcore.audit(original, unlearned, train, forget, test=test, retrained=retrained, features="fc")
audit.save(ROOT / out)
audit

# %% [markdown]
# With one retrained model there is no floor, and the audit says so instead of a verdict.

# %%
print(lfcore.audit(original, unlearned, train, forget, test=test, retrained=retrained[:1]).verdict)

# %% [markdown]
# The questions in numbers. The other tables are `audit.tables`.

# %%
audit.tables["questions"].round(3)

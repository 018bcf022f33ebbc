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
# # 04 Evaluate: how far is the unlearned model from retraining, example by example?
#
# Everything here is computed from predictions, so a new measure never trains anything again. The unlearned models are
# compared with retrained *reference* models. More retrained models pass through this notebook as one more
# unlearner, called `retrained`: that is the *floor*, what two honest retrainings differ by. `original`, which forgets
# nothing, passes through it too.

# %%
import numpy as np

from lfcore.core import checkpoint, data, tables
from lfcore.core.layout import Files
from lfcore.stages.evaluate import evaluate_all

# %% [markdown]
# The parameters. The workflow replaces them by those of its profile.

# %% tags=["parameters"]
base: list = ["scratch", "digits"]  # folders of results: read from the first that has a file, write to the first
forget_set: str = "4_half"  # written by 01_data
network: str = "cnn"  # a function in lfcore/models/networks.py
unlearners: list = ["ltd"]  # to measure: names of unlearners, original, retrained
study: str = ""  # of config/studies.yaml, the one that adds these unlearners; "" for the profile's own
seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # of unlearned models and originals
reference_seeds: list = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]  # to compare with
floor_seeds: list = [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]  # of the retrained models that are the floor
metrics: list = [  # files in lfcore/metrics
    "accuracy", "membership", "average_gap", "discrepancy", "matched", "shuffled", "distances", "targets",
    "membership_variants", "tow", "divergence", "klom", "lira", "cka",
]  # fmt: skip

# %% [markdown]
# The table goes to one file, the arrays with a value for each example to another.

# %%
files = Files(base)
where = {"network": network, "forget_set": forget_set}
seeds_of = {name: floor_seeds if name == "retrained" else seeds for name in unlearners}
folders_of = {name: files.models(network, forget_set, name, seeds_of[name]) for name in unlearners}
out = {name: files.write("measurements", study=study, unlearner=name, **where) for name in unlearners}
measured = evaluate_all(
    {name: (folders_of[name], seeds_of[name]) for name in unlearners},
    dataset=files.read("dataset"),
    forget_set=files.read("forget_set", forget_set=forget_set),
    network=network,
    originals=files.models(network, "", "original", seeds),
    original_seeds=seeds,
    retrained=files.models(network, forget_set, "retrained", [*reference_seeds, *floor_seeds]),
    reference_seeds=reference_seeds,
    floor_seeds=floor_seeds,
    metrics=metrics,
    out=out,
)

# %% [markdown]
# The numbers of the last unlearner about whole splits, seed by seed. Accuracies, membership and gaps are in percentage
# points.

# %%
last = unlearners[-1]
whole = measured[(measured["unlearner"] == last) & (measured["scope"] == "all") & (measured["seed"] != "")]
whole.pivot_table(index=["metric", "split"], columns="seed", values="value").round(1)

# %% [markdown]
# By hand, in numpy: the test example that is nearest to the forget set, under the last unlearner's first seed.
# Total variation and ΔConf are means over the reference models, similarity over the originals. The library's arrays say
# the same.

# %%
references = files.models(network, forget_set, "retrained", reference_seeds)
originals = files.models(network, "", "original", seeds)
everything = data.read(files.read("dataset"), images=False)
removed = data.read_forget(files.read("forget_set", forget_set=forget_set), everything)
kept = tables.read_arrays(f"{out[last]}.npz")
x = everything.test[kept["similarity"][everything.test].argmax()]
y = everything.labels[x]
u = np.exp(checkpoint.predictions(folders_of[last], seeds_of[last][0])["logits"][x].astype(float))
u = u / u.sum()
r = np.exp([checkpoint.predictions(references, seed)["logits"][x].astype(float) for seed in reference_seeds])
r = r / r.sum(axis=1, keepdims=True)
total_variation, confidence_gap = np.abs(r - u).sum(axis=1).mean() / 2, (r[:, y] - u[y]).mean()
if "discrepancy" in metrics:
    assert np.allclose(total_variation, kept["total_variation"][0, x])
    assert np.allclose(confidence_gap, kept["confidence_gap"][0, x])
h = [checkpoint.predictions(originals, seed)["features"].astype(float) for seed in seeds]
centers = [features[removed.forget].sum(axis=0) for features in h]
cosines = [f[x] @ c / np.linalg.norm(f[x]) / np.linalg.norm(c) for f, c in zip(h, centers, strict=True)]
if removed.affected is not None:  # a random forget set has no one center
    assert np.allclose(np.mean(cosines), kept["similarity"][x])

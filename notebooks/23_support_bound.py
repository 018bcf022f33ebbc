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
# # 23 Which retained points make good teachers?
#
# Random labels pull the deleted point's logit to zero, where retraining would not have it. A teacher trained on
# retained points $S$ alone gives a better target, $\tilde z_f = \langle\theta_{\text{retrain}}, P_S x_f\rangle$
# (2605.31317, Prop A.2). With the retained logits kept, in the ridgeless limit of Prop 3.3, the pointwise discrepancy
# to retraining is
#
# $$\langle\theta - \theta_{\text{retrain}}, x_q\rangle = -\alpha_{q,F}\,\langle\theta_{\text{retrain}}, r_S\rangle ,
# \qquad r_S = x_f - P_S x_f ,$$
#
# where $\alpha_{q,F}$ is the coordinate of $x_q$ along $x_f$ once the retained rows have explained what they can. The
# second factor is the **target mismatch**, and only it depends on the teacher. For one support point (**Cor A.3**)
#
# $$|\langle\theta_{\text{retrain}}, r_s\rangle| \le \|\theta_{\text{retrain}}\|\,\|r_s\|, \qquad \|r_s\|^2
# = \|x_f\|^2\big(1 - \cos^2(x_f, x_s)\big).$$
#
# The bound is smallest for the nearest neighbour by cosine. Is the mismatch itself?

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import style, theory
from lfcore.theory import teacher

# %% [markdown]
# The parameters. The sizes are those of the paper's Figure 2 (right); it has no figure for this claim.

# %% tags=["parameters"]
seed: int = 0  # of every draw
runs: int = 400  # independent data sets; intervals are over runs
n: int = 15  # training points, the deleted one among them
d: int = 20  # dimensions
shared: float = 1.0  # of a vector that all inputs have in common, so that cosines are positive as a network's are
sizes: list = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]  # numbers of support points, up to n - 1
out: str = "results/scratch/23_support_bound"  # the path to write to, without .png and .pdf

# %% [markdown]
# **Left.** The squared mismatch of single support points, by how near they are. The bound holds and falls, but is far
# above. What the mismatch is on average can be said exactly: if $\theta$ has independent standard normal entries, then
# over $\theta$
#
# $$\mathbb{E}\,\langle\theta_{\text{retrain}}, r_S\rangle^2 = \|P_R x_f\|^2 - \|P_S x_f\|^2 , \qquad
# \text{for one point } \|x_f\|^2\big(\cos^2(x_f, \operatorname{span} R) - \cos^2(x_f, x_s)\big),$$
#
# because $\theta_{\text{retrain}} = P_R\theta$ and $P_S x_f$ lies in the retained span. So *on average over targets*
# the nearest point is the best one, and not only its bound; for one given $\theta$ a far point may do better by luck.
#
# **Middle and right.** With more support points the mismatch falls, and vanishes when all retained points teach: their
# min-norm model is the retrained one. Nearest points get there first. The cosine counts without its sign, since a
# linear model learns as much from $-x_s$: among Gaussian inputs the points of *lowest* cosine, which point away from
# $x_f$, are far from the worst. Where inputs share a part, cosines are positive, as they are between a network's ReLU
# features, and the lowest cosine is the smallest one: then nearest by cosine and nearest by its absolute value are the
# same choice.

# %%
mismatches = teacher.mismatch_curves(seed, runs=runs, n=n, d=d, shared=shared)
gaussian = teacher.support_sizes(seed, runs=runs, n=n, d=d, shared=0.0, sizes=sizes)
alike = teacher.support_sizes(seed, runs=runs, n=n, d=d, shared=shared, sizes=sizes)
figure = theory.support(mismatches, gaussian, alike)
style.save(figure, ROOT / out)

# %% [markdown]
# How often the nearest point has the smaller mismatch, run by run: more often than a blind choice, and by no means
# always.

# %%
teacher.nearest_wins(seed, runs=runs, n=n, d=d, shared=shared).round(3)

# %% [markdown]
# Each identity by two separate computations, and its largest absolute error over random cases. The left-hand side is
# the min-norm model of the retained logits and the teacher's, and again Newton's optimum of the surrogate objective at
# a tiny ridge. The mean is compared with its exact expectation in standard errors, and its `cases` are draws.

# %%
theory.readable(teacher.identities(seed))

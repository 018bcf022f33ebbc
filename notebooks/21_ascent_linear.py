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
# # 21 Why does gradient ascent hurt the neighbours?
#
# The smallest model that shows it is linear regression with one deleted point (2605.31317, Prop 3.1 and Figure 2,
# left). There $y = \langle\theta, x\rangle + \xi$ with noise of variance $s^2$, $n > d$, and both the full model and
# the retrained one are least-squares fits. Ascent on the deleted point's squared loss moves $\theta$ along $x_f$ alone
# and multiplies the residual there by $1 + 2\eta\|x_f\|^2$ a step. **Prop 3.1**: after $T$ steps of size $\eta$, the
# loss at a retained $x_q$ is above that of retraining by
#
# $$\mathbb{E}[\text{excess} \mid X] = \langle x_q, x_f\rangle^2\, c\, s^2 + O_p(1/n), \qquad c
# = \left(\frac{(1 + 2\eta\|x_f\|^2)^T - 1}{\|x_f\|^2}\right)^{2}.$$
#
# So the damage is a parabola in the alignment with what was deleted. It needs no unusual point: the amplified quantity
# is the residual that the point's label noise left.

# %%
from lfcore.core.paths import ROOT
from lfcore.plots import style, theory
from lfcore.theory import linear

# %% [markdown]
# The parameters. `n`, `d`, `variance`, `lr`, `runs` and `released_steps` are the paper's.

# %% tags=["parameters"]
seed: int = 0  # of every draw
runs: int = 100  # independent data sets; intervals are over runs
n: int = 5000  # training points, the deleted one among them
d: int = 10  # dimensions
variance: float = 0.1  # of the label noise
lr: float = 0.05  # as the released code uses it: half the gradient, divided by the deleted point's squared norm
steps: int = 60  # with label noise, ours: the paper's number would leave every axis
released_steps: int = 450  # without label noise, as the released code runs it
ridge: float = 1e-6  # the released code's, in place of the noise
sizes: list = [50, 150, 500, 1500, 5000]  # numbers of training points for what Prop 3.1 leaves out
out: str = "results/scratch/21_ascent_linear"  # the path to write to, without .png and .pdf

# %% [markdown]
# At finite $n$ nothing need be left out. With $H = X^\top X$ over all rows, $h_f = x_f^\top H^{-1}x_f$,
# $k_q = x_q^\top H^{-1}x_f$ and the full model's residual $e_f$,
#
# $$\langle\theta_T - \theta_{\text{retrain}}, x_q\rangle
# = e_f\left(\frac{k_q}{1 - h_f} - \sqrt{c}\,\langle x_q, x_f\rangle\right), \qquad \mathbb{E}[\text{excess} \mid X]
# = s^2(1 - h_f)\left(\frac{k_q}{1 - h_f} - \sqrt{c}\,\langle x_q, x_f\rangle\right)^{2}.$$
#
# The second is exact for retained training points: the cross term between the gap and the retrained residual has mean
# zero, because least-squares estimates and residuals are independent. The mean *squared gap*, which the released code
# draws, is therefore the same number. At a fresh point the cross term stays, and adds
# $-2s^2 k_q\left(k_q/(1 - h_f) - \sqrt{c}\,\langle x_q, x_f\rangle\right)$, which is $O(1/n)$.
#
# Left: label noise as the text has it. All bins of a run share one $e_f$, so they are high or low together; the
# interval is over runs. Middle: the released code, which draws no noise. The parabola is the same, and what feeds it
# is the bias of the ridge, $e_f = \lambda\, x_f^\top (H + \lambda I)^{-1}\theta$. Right: the part that Prop 3.1 leaves
# out, relative to its prediction; it is mostly $h_f$, about $d/n$.

# %%
noisy = linear.ascent_curves(seed, runs=runs, n=n, d=d, variance=variance, steps=steps, lr=lr)
released = linear.ascent_curves(seed, runs=runs, n=n, d=d, variance=0.0, steps=released_steps, lr=lr, ridge=ridge)
remainders = linear.remainders(seed, runs=runs, sizes=sizes, d=d, steps=steps, lr=lr)
figure = theory.ascent(noisy, released, remainders)
style.save(figure, ROOT / out)

# %% [markdown]
# The excess loss at alignment 1 under each reading of the protocol, for $\|x_f\|^2 = d$: with the text's noise and its
# number of steps the figure can't be drawn. The scale of such a curve is the number of steps and nothing else; its
# shape is the finding.

# %%
protocols = linear.protocols(
    n=n, d=d, variance=variance, ridge=ridge, lr=lr, steps=released_steps, short=steps
)  # fmt: skip
theory.readable(protocols)

# %% [markdown]
# Each identity by two separate computations, and its largest absolute error over random cases. Means over label noise
# are compared with their exact expectations in standard errors, so their numbers should be a few at most; their
# `cases` are draws.

# %%
theory.readable(linear.identities(seed))

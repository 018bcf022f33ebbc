"""The figures and small tables of the theory notebooks, drawn from what the files beside measure."""

import pandas as pd

from lfcore.plots import style

FEW = 10
"""Points that fewer runs than this reach are not drawn, unless no point has more."""
ALIGNMENT = r"alignment $\langle x_q, x_f\rangle\,/\,\|x_f\|^2$"
_PLAIN = {
    "before unlearning": {"color": "0.5", "linestyle": "-"},
    "Prop 3.1": {"color": "black", "linestyle": "--"},
    "d / n": {"color": "black", "linestyle": "--"},
    "its mean over θ": {"color": "black", "linestyle": "--"},
}
"""Lines without markers or intervals: what holds before anything is done, and what a formula says."""


def ascent(noisy: pd.DataFrame, released: pd.DataFrame, remainders: pd.DataFrame):
    """Prop 3.1: two readings of Figure 2 (left) side by side, and what the proposition leaves out, against n."""
    figure, (axes,) = style.panels(1, 3, (3 * 4.2, 4.2))
    for axis, curves, title in zip(axes, (noisy, released), ("label noise", "no noise, but a ridge"), strict=False):
        _draw(axis, curves, "alignment", title=title, xlabel=ALIGNMENT, ylabel="loss less the retrained model's")
        axis.locator_params(axis="x", nbins=5)
    labels = {"title": "the O(1/n) term", "xlabel": "training points n", "ylabel": "relative to the prediction"}
    _draw(axes[2], remainders, "n", **labels, xscale="log", yscale="log")
    return figure


def random_labels(curves: pd.DataFrame, drifts: pd.DataFrame, limits: pd.DataFrame):
    """Props 3.2 and 3.3: Figure 2 (right), the discrepancy as steps go on, and gaps as the ridge falls."""
    figure, (axes,) = style.panels(1, 3, (3 * 4.2, 4.2))
    labels = {"title": "forget-only random labels", "ylabel": "squared logit gap to retraining"}
    _draw(axes[0], curves, "alignment", **labels, xlabel=ALIGNMENT)
    labels = {"title": "as steps go on", "ylabel": "discrepancy / retrained logits"}
    _draw(axes[1], drifts, "steps", **labels, xlabel="steps", xscale="log", ylim=(0, None))
    labels = {"title": "with fine-tuning, as the ridge falls", "ylabel": "largest gap"}
    _draw(axes[2], limits, "ridge", band=False, **labels, xlabel="ridge λ", xscale="log", yscale="log")
    axes[2].invert_xaxis()
    return figure


def support(mismatches: pd.DataFrame, gaussian: pd.DataFrame, shared: pd.DataFrame):
    """Cor A.3: the squared target mismatch by a support point's cosine, and by the number of support points."""
    figure, (axes,) = style.panels(1, 3, (3 * 4.2, 4.2))
    label = r"squared target mismatch $/\,\|x_f\|^2$"
    cosine = r"$|\cos(x_f, x_s)|$"
    _draw(axes[0], mismatches, "alignment", title="one support point", xlabel=cosine, ylabel=label, yscale="log")
    for axis, sizes, inputs in zip(axes[1:], (gaussian, shared), ("Gaussian inputs", "a shared part"), strict=True):
        title = f"several support points: {inputs}"
        _draw(axis, sizes, "size", title=title, xlabel="support points", ylabel=label, ylim=(0, None))
    return figure


def _draw(axis, table: pd.DataFrame, along: str, band: bool = True, **labels) -> None:
    """A line for each curve, with its 95 % interval over runs, and the panel's own legend below it. labels: its own."""
    table = table[table["runs"] >= min(FEW, table["runs"].max())]
    names = sorted(table["curve"].unique(), key=lambda name: name in _PLAIN)  # in the table's order, formulas on top
    for number, name in enumerate(names):
        line = table[table["curve"] == name].sort_values(along)
        look = {"color": f"C{number}", "marker": "os^Dv<"[number], "markersize": 3.5, "linewidth": 1.2}
        axis.plot(line[along], line["mean"], label=name, **_PLAIN.get(name, look))
        if band and name not in _PLAIN:
            axis.fill_between(line[along], line["low"], line["high"], alpha=0.2, linewidth=0, color=look["color"])
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize="small")
    axis.set(**labels)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A small table for the end of a notebook: numbers to three digits, in scientific notation where they need it."""
    return table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)

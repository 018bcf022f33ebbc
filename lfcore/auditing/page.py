"""The audit as HTML: one page, its pictures inside it, nothing fetched, every name escaped."""

import base64
import io
from html import escape
from importlib.metadata import PackageNotFoundError, version

import matplotlib.image
import numpy as np
import pandas as pd

from lfcore.auditing.floor import POSSIBLE, clip
from lfcore.plots import style

KEY = (
    "Damage: confidence in the true class that retrained models have and the unlearned one has not. Distance: how far "
    "its predictions are from theirs (total variation). Floor: the same of one more retrained model. Similarity: of an "
    "example to the forget set (cosine of features)."
)
SHOWN = 20
"""Rows of a table by class that the page shows; the object holds all."""
BAND = "one more retrained model, 95 %"
LABELS = {"damage": "damage\n(confidence lost)", "distance": "distance\n(total variation)"}
TITLES = {"affected": "affected class", "other": "other classes", "all": "all classes"}
QUESTION = ["split", "classes", "statistic", "examples", "unlearned", "low", "high", "original", "floor"]
QUESTION += ["floor_low", "floor_high", "p_holm", "detectable", "verdict"]
"""What the page shows of each question."""
STYLE = """
.lfcore-audit { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 62rem }
.lfcore-audit { padding: 1px 1rem }
.lfcore-audit h1 { font-size: 1.4rem }
.lfcore-audit h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; border-bottom: 1px solid #ccc }
.lfcore-audit .warnings { border-left: 4px solid #b34700; padding: .1rem .9rem; background: #fff6ee }
.lfcore-audit .verdict { border-left: 4px solid #0b57a4; padding: .2rem .9rem; background: #f4f7fb }
.lfcore-audit .verdict li { margin: .35rem 0 } .lfcore-audit .verdict b { display: block }
.lfcore-audit .scroll { overflow-x: auto } .lfcore-audit table { border-collapse: collapse; font-size: .85rem }
.lfcore-audit th, .lfcore-audit td { padding: .15rem .55rem; text-align: right; border-bottom: 1px solid #e3e3e3 }
.lfcore-audit td { white-space: nowrap } .lfcore-audit th { background: #f6f6f6 }
.lfcore-audit img.curve { max-width: 100% }
.lfcore-audit .hit { display: flex; gap: 1rem; align-items: flex-start; margin: .7rem 0; flex-wrap: wrap }
.lfcore-audit figure { margin: 0; width: 104px } .lfcore-audit figcaption { font-size: .75rem; overflow-wrap: anywhere }
.lfcore-audit .hit img { width: 96px; image-rendering: pixelated; border: 1px solid #bbb }
.lfcore-audit .said { min-width: 16rem; flex: 1; font-size: .9rem }
.lfcore-audit .small { font-size: .85rem; color: #444 }
"""
HOW = """
<b>damage</b>: the true class's confidence in the reference models less the unlearned model's, averaged over the
reference models. <b>distance</b>: total variation, half the sum of absolute differences of the two predictions,
averaged likewise. <b>similarity</b>: cosine between an example's features, in the original, and the mean of the forget
set's. <b>near_minus_far</b>: distance of the nearest fifth less that of the farthest half; <b>matched</b>: less that of
far examples whose original margin and variance over the reference models are within a tenth of the ranks;
<b>less_random_sets</b>: less its mean around 20 random sets of train examples of the forget set's size.
<b>Floor</b>: each retrained model in the unlearned one's place, against the others; the band is where one more
retrained model would lie with 95 %, by Student's t with as many degrees of freedom as there are retrained models less
one. Intervals and tests are over independent models, never over examples, which are not independent. They speak of new
seeds, for these data and this forget set. <b>p holm</b> is adjusted over the questions (Holm). <b>detectable</b>: the
smallest number that would have been told from retraining, after Holm. Bands and intervals are cut to what is possible.
"""


def draw_curves(bins: pd.DataFrame, split: str, reference: str):
    """A figure: damage and distance along similarity, for the affected class, the other classes and all."""
    bins = clip(bins[bins["split"] == split])
    kinds = [name for name in TITLES if (bins["classes"] == name).any()]
    figure, axes = style.panels(2, len(kinds), (3.3 * len(kinds) + 0.6, 4.6), sharex="col")
    for line, statistic in zip(axes, LABELS, strict=True):
        line[0].set_ylabel(LABELS[statistic])
        for axis, classes in zip(line, kinds, strict=True):
            part = bins[(bins["classes"] == classes) & (bins["statistic"] == statistic)]
            _draw_floor(axis, part, POSSIBLE[statistic])
            _draw_models(axis, part, original=reference != "original")
            axis.margins(x=0.05)
            if statistic == "damage":
                counts = f"{part['examples'].min()} to {part['examples'].max()}"
                axis.set_title(f"{TITLES[classes]}, {counts} in a bin", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("similarity to the forget set")
    style.legend(figure)
    style.plt.close(figure)
    return figure


def _draw_floor(axis, part: pd.DataFrame, possible: tuple[float, float]) -> None:
    at, low, high = (part[name] for name in ("similarity", "floor_low", "floor_high"))
    axis.axhline(0, color="0.3", linewidth=0.8)
    if part["floor"].notna().any():
        axis.plot(at, part["floor"], color="0.55", linewidth=1, label="retrained (floor)")
    if low.notna().any():
        axis.fill_between(at, low, high, color="0.6", alpha=0.35, linewidth=0, label=BAND)
    if (low <= possible[0]).all() and (high >= possible[1]).all():
        axis.text(0.5, 0.9, "no information", transform=axis.transAxes, ha="center", va="top")


def _draw_models(axis, part: pd.DataFrame, *, original: bool) -> None:
    at, looks = part["similarity"], style.looks(["original", style.FLOOR, "unlearned"])
    if original:
        axis.plot(at, part["original"], label="original", linewidth=1.2, **looks["original"])
    axis.plot(at, part["unlearned"], label="unlearned", linewidth=1.6, markersize=5, **looks["unlearned"])
    if part["low"].notna().any():
        axis.fill_between(at, part["low"], part["high"], alpha=0.2, color=looks["unlearned"]["color"], linewidth=0)


def _embed(save, *drawn, **options) -> str:
    """What `save(file, …)` writes, a PNG, as a data URI."""
    file = io.BytesIO()
    save(file, *drawn, format="png", metadata={"Software": None}, **options)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def embed_picture(image) -> str:
    """An image (c, h, w), (h, w, c) or (h, w) as a data URI; empty if it is no picture. Contrast is stretched if the
    values are neither bytes nor within [0, 1]."""
    picture = np.asarray(image)
    if picture.ndim == 3 and picture.shape[0] in (1, 2, 3, 4) and picture.shape[2] not in (1, 3, 4):
        picture = picture.transpose(1, 2, 0)
    if picture.ndim == 3:
        picture = picture[..., :3] if picture.shape[2] >= 3 else picture[..., 0]
    if picture.ndim not in (2, 3) or 0 in picture.shape or not np.issubdtype(picture.dtype, np.number):
        return ""
    if picture.dtype != np.uint8:
        picture = np.nan_to_num(picture.astype(float))
        low, high = picture.min(), picture.max()
        if low < 0 or high > 1:
            picture = (picture - low) / (high - low or 1)
        picture = np.round(picture * 255).astype(np.uint8)
    return _embed(matplotlib.image.imsave, picture, cmap="gray", vmin=0, vmax=255)


def _picture(image, caption: str) -> str:
    source = "" if image is None else embed_picture(image)
    shown = f'<img src="{source}" alt="{escape(caption)}">' if source else ""
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _table(table: pd.DataFrame) -> str:
    shown = table.dropna(axis=1, how="all").rename(columns=lambda name: name.replace("_", " "))
    with pd.option_context("display.max_colwidth", None):
        text = shown.to_html(index=False, escape=True, border=0, na_rep="", float_format=_number)
    return f'<div class="scroll">{text}</div>'


def _hit(hit, pictures: dict) -> str:
    """One of the worst-hit examples: its picture, what models say of it, and the nearest forget examples."""
    models = {"original": "original", "unlearned": "unlearned"} | ({} if hit.stand_in else {"retrained": "reference"})
    said = "".join(
        f"<br>{who}: {escape(getattr(hit, f'{key}_says'))}, {getattr(hit, f'{key}_confidence'):.3f} in the true class"
        for who, key in models.items()
    )
    figures = "".join(
        _picture(pictures.get(row), f"forgotten example {row}, {name}, similarity {cosine:.2f}")
        for row, name, cosine in zip(hit.nearest, hit.nearest_classes, hit.nearest_similarities, strict=True)
    )
    own = _picture(pictures.get(hit.row), f"{hit.split} example {hit.row}, {hit.label}")
    about = f'<div class="said"><b>{escape(hit.label)}</b> ({hit.classes}), damage {hit.damage:.3f}{said}</div>'
    return f'<div class="hit">{own}{about}{figures}</div>'


def _elements(tag: str, texts: list[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def write_body(audit) -> str:
    """The page's content, which a notebook shows too."""
    tables = audit.tables
    warnings = f'<div class="warnings">{_elements("p", audit.warnings)}</div>' if audit.warnings else ""
    lines = "".join(f"<li>{_elements('b', [head] if head else [])}{escape(rest)}</li>" for head, rest in audit.findings)
    who = ["original", "unlearned", "retrained"]
    accuracy = tables["accuracy"].rename(columns={name: f"{name} accuracy, %" for name in who})
    hits = "".join(_hit(hit, audit.pictures) for hit in audit.examples.itertuples())
    bins = clip(tables["bins"])
    bins = bins[(bins["split"] == audit.main) & (bins["classes"] != "all")].drop(columns="split")
    classes = tables["classes"]
    classes = classes[classes["split"] == audit.main].drop(columns="split")
    classes = classes.rename(columns=lambda name: f"{name}, %" if name.startswith("accuracy") else name)
    more = f'<p class="small">The {SHOWN} most damaged; the table "classes" of the object has all.</p>'
    attacks = f"<h2>Attacks</h2>{_table(tables['attacks'])}" if "attacks" in tables else ""
    return f"""<style>{STYLE}</style><div class="lfcore-audit"><h1>Audit of an unlearned model</h1>{warnings}
<h2>Verdict</h2><div class="verdict"><ul>{lines}</ul></div>
<h2>What was compared</h2><ul class="small">{_elements("li", audit.facts)}</ul>{_table(accuracy)}
<h2>Where: along similarity to the forget set</h2><p class="small">{KEY}</p>
<img class="curve" src="{_embed(audit.figure().savefig, dpi=110, bbox_inches="tight")}"
alt="Damage and distance in bins of similarity to the forget set; the table by bin below has the numbers.">
<h2>Who was hit worst</h2><p class="small">The largest damage first, in the affected class and then in the others, each
beside the forget examples nearest to it; shown for every audit; not evidence of damage by itself.</p>
{hits or "<p>No example lost confidence in its true class.</p>"}
<h2>By class</h2>{more if len(classes) > SHOWN else ""}{_table(classes.head(SHOWN))}
<h2>The questions</h2>{_table(clip(tables["questions"])[QUESTION])}
{attacks}<h2>By bin</h2>{_table(bins)}
<h2>How it is measured</h2><p class="small">{HOW}</p></div>"""


def write_page(audit) -> str:
    """A whole page, which fetches nothing and runs nothing.

    A notebook has no such footer, so that running it again changes nothing.
    """
    try:
        own = version("lfcore")
    except PackageNotFoundError:
        own = "not installed"
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit of an unlearned model</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"></head>
<body>{write_body(audit)}<footer class="lfcore-audit small">lfcore {escape(own)}, {audit.date}</footer></body></html>
"""

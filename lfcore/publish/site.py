"""The published face: executed notebooks as pages, and an index of figures and tables. Plain files, no network.

python -m lfcore.publish.site page executed/11_localized.ipynb pages/11_localized.html
python -m lfcore.publish.site index digits results/digits/site --dataset digits --tables T --figures F.png … --pages P …
"""

import argparse
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import jinja2
import nbformat
import yaml
from docutils.core import publish_parts
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from pygments.formatters import HtmlFormatter

from lfcore.core import records
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT, atomic

SIGNS = {
    "holds beyond the floor": ("●", "holds"),
    "holds": ("●", "holds"),
    "not shown beyond the floor": ("◐", "open"),
    "not shown": ("○", "open"),
    "does not hold, the opposite does": ("✕", "opposite"),
}
"""Each verdict's sign, which shows in grey too, and its kind."""
ACCENTED = re.compile(r'<munderover> (<mi>\S+</mi>) (<mi>\S+</mi>) (<mo stretchy="false">[~^]</mo>) </munderover>')
"""An accent and an index, which docutils sets above and below."""
UNITS = ("gradient steps", "CPU seconds", "seconds", "least to most", "models")
"""The columns of the table of costs."""
HOME = "<!-- home -->"
"""Where a page of the site has its link back; a page by itself has nowhere to lead to."""
TABLES = ("claims", "costs", "summary")
"""The tables that the site offers; the measurements of each seed are too many."""


def render(**values) -> str:
    """The template, filled; every value is escaped but those that are HTML already."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(Path(__file__).with_name("site.html").read_text())
    highlighting = HtmlFormatter(style="default").get_style_defs(".highlight")
    return template.render({"body": "", "highlighting": highlighting} | values)


def _mathml(match: re.Match) -> str:
    tex = re.sub(r"\\[bB]igg?[lr]?(?![A-Za-z])", "", match[1] or match[2])  # only the size of a bracket
    try:
        math = " ".join(tex2mathml(tex, as_block=bool(match[1])).split())
    except MathError:
        return f"`{' '.join(tex.split())}`"
    return ACCENTED.sub(r'<msub> <mover accent="true"> \1 \3 </mover> \2 </msub>', math)


def typeset(markdown: str) -> str:
    """Markdown whose TeX is MathML, which browsers draw without a script; TeX that can't be is left as code."""
    return re.sub(r"\$\$(.+?)\$\$|(?<![\\$])\$(?!\s)([^$\n]+(?:\n[^$\n]+)?)\$", _mathml, markdown, flags=re.DOTALL)


def _source(stem: str) -> str:
    path = ROOT / "notebooks" / f"{stem.split('-')[0]}.py"
    return path.read_text() if path.is_file() else ""


def title(stem: str) -> str:
    """The title of a notebook or figure, from the notebook's first heading; the stem if there is no notebook."""
    found = re.search(r"^# # (.+)$", _source(stem), re.MULTILINE)
    return found[1] if found else stem


def question(stem: str) -> str:
    """The first paragraph below the title of a notebook, as HTML."""
    found = re.search(r"^# # .+\n#\n((?:# .+\n)+)", _source(stem), re.MULTILINE)
    return markdown2html(typeset(re.sub(r"^# ", "", found[1], flags=re.MULTILINE))) if found else ""


def caption(figure: str, dataset: str) -> str:
    """The caption that the workflow's report gives a figure, as HTML."""
    template = jinja2.Template((ROOT / "figures" / "captions" / "figure.rst").read_text())
    snakemake = SimpleNamespace(wildcards=SimpleNamespace(figure=figure), config={"dataset": {"name": dataset}})
    safe = {"raw_enabled": False, "file_insertion_enabled": False, "halt_level": 2, "report_level": 5}
    return publish_parts(template.render(snakemake=snakemake), writer="html5", settings_overrides=safe)["body"]


def alternative(figure: str) -> str:
    """What a figure looks like, in words: from figures/captions/alt.yaml, else the title of its notebook."""
    known = yaml.safe_load((ROOT / "figures" / "captions" / "alt.yaml").read_text())
    return known.get(figure.split("-")[0], f"The figure of the notebook {title(figure)}")


def _read(path: Path, how=Path.read_text):
    with records.reading(path):
        return how(path)


def page(notebook: str | Path, out: str | Path) -> None:
    """Write an executed notebook as one HTML file that asks for no other."""
    notebook, stem = ROOT / notebook, Path(out).stem
    records.check(notebook)
    # nbformat has no error of its own for all of it
    with records.reading(notebook, ValueError, AttributeError, KeyError, TypeError, what="not a notebook"):
        executed = nbformat.reads(notebook.read_text(), as_version=4)
    for number, cell in enumerate(executed.cells):
        cell.id = f"cell{number}"  # papermill draws one at random
        if cell.cell_type == "markdown":
            cell.source = typeset(cell.source)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.metadata.setdefault("image/png", {})["alt"] = alternative(stem)
    executed.metadata.pop("widgets", None)  # without a kernel they could only ask the network for their code
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(executed)
    with atomic(out) as partial:
        partial.write_text(render(title=title(stem), body=body))


def introduction(readme: str) -> tuple[str, str]:
    """Title and first paragraph of a README, as text and as HTML; links that lead into the README are text."""
    found = re.search(r"^# (.+)\n\n((?:.+\n)+)", readme, re.MULTILINE)
    if not found:
        raise InputError("README.md has no title and paragraph to open the site with: begin it with them.")
    return found[1], markdown2html(re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", found[2]))


def claims(table) -> list[dict]:
    """The claims table to read: a row a claim, a cell a forget set with verdict, number and interval, or None."""
    forget_sets, rows = list(table["forget_set"].unique()), []
    for (text, statistic, *_), part in table.groupby(["claim", "statistic", "more", "less"], sort=False):
        cells = dict.fromkeys(forget_sets)
        for one in part.itertuples(index=False):
            sign, kind = SIGNS.get(one.verdict, ("", "open"))
            numbers = f"{one.mean:.3g}" + (f" [{one.low:.2g}, {one.high:.2g}]" if one.low == one.low else "")
            cells[one.forget_set] = {"verdict": one.verdict, "sign": sign, "kind": kind, "numbers": numbers}
        rows.append({"text": text, "statistic": statistic, "cells": list(cells.values())})
    return rows


def costs(table) -> dict:
    """The costs of a model to read. table: from `lfcore.statistics.summary.median_costs`."""
    rows = []
    for row in table.itertuples():
        aside = f" + {row.steps_aside:.0f} aside" if row.steps_aside > 0 else ""
        spent = [f"{row.steps:.0f}{aside}", f"{row.cpu_seconds:.2f}", f"{row.seconds:.2f}"]
        rows.append([row.name, *spent, f"{row.min:.2f} to {row.max:.2f}", row.n])
    return {"head": ["unlearner and forget set", *UNITS], "rows": rows}


def _size(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    return struct.unpack(">II", _read(picture, Path.read_bytes)[16:24])


def _groups(figures: list[Path], pages: set[str], dataset: str) -> list[dict]:
    """The figures by the notebook that drew them, in the notebooks' order."""
    found = {}
    for picture in sorted(figures, key=lambda path: (path.stem.split("-")[0], path.stem)):
        stem = picture.stem.split("-")[0]
        group = found.setdefault(stem, {"stem": stem, "title": title(stem), "text": question(stem), "figures": []})
        width, height = _size(picture)
        shown = {"name": picture.stem, "alt": alternative(picture.stem), "caption": caption(picture.stem, dataset)}
        group["figures"].append(shown | {"width": width, "height": height, "page": picture.stem in pages})
    return list(found.values())


def index(
    profile: str, out: str | Path, *, dataset: str, folder: str | Path, figures: list, pages: list, report: str = ""
) -> None:
    """Write the site to `out`: index.html, with the figures (PNG and PDF), pages and tables that it links to.

    folder: of the tables. figures: paths of PNGs, with PDFs of the same names beside them. pages: paths of HTML files.
    report: the name of the workflow's report, which somebody else writes there.
    """
    from lfcore.core import tables  # these import pandas and SciPy, which would double what each page costs
    from lfcore.statistics.summary import median_costs

    out, folder, figures, pages = Path(out), Path(folder), [*map(Path, figures)], [*map(Path, pages)]
    judged = tables.read(folder / "claims.csv")
    judged = judged[judged["id"] != ""] if "id" in judged else judged
    heading, first = introduction((ROOT / "README.md").read_text())
    names = sorted(path.stem for path in pages)
    text = render(
        title=heading,
        introduction=first,
        profile=profile,
        report=report,
        questions=_groups(figures, set(names), dataset),
        figures=len(figures),
        pages=[{"name": name, "title": title(name), "variant": name.partition("-")[2]} for name in names],
        forget_sets=list(judged["forget_set"].unique()),
        claims=claims(judged),
        costs=costs(median_costs(tables.read(folder / "costs.csv"))),
    )
    for path in pages:
        with atomic(out / "pages" / path.name) as partial:
            partial.write_text(_read(path).replace(HOME, '<a href="../index.html">← All figures and tables</a>'))
    copies = {path: f"figures/{path.name}" for picture in figures for path in (picture, picture.with_suffix(".pdf"))}
    copies |= {folder / f"{name}.csv": f"tables/{name}.csv" for name in TABLES}
    for path, name in copies.items():
        with atomic(out / name) as partial:
            partial.write_bytes(_read(path, Path.read_bytes))
    with atomic(out / "index.html") as partial:
        partial.write_text(text)


def main() -> None:
    """Read the command line; exit with one sentence if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("page")
    one.add_argument("notebook")
    one.add_argument("out")
    one.set_defaults(run=page)
    whole = commands.add_parser("index")
    whole.add_argument("profile")
    whole.add_argument("out")
    whole.add_argument("--dataset", required=True)
    whole.add_argument("--tables", required=True, dest="folder")
    whole.add_argument("--figures", nargs="*", default=[])
    whole.add_argument("--pages", nargs="*", default=[])
    whole.add_argument("--report", default="")
    whole.set_defaults(run=index)
    arguments = vars(parser.parse_args())
    try:
        arguments.pop("run")(**arguments)
    except InputError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()

"""The site: no network, nothing unescaped, every link a file, and every picture with words."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import nbformat.v4 as notebooks
import numpy as np
import pandas as pd
import pytest
import yaml

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.plots.html_table import Table
from lfcore.publish import site

FIGURES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py") if "11" <= path.stem[:2] < "90")


class Page(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(Path(path).read_text())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def find(self, name, attribute):
        return [found[attribute] for tag, found in self.tags if tag == name and attribute in found]


def test_no_page_asks_for_anything_but_a_file_of_the_site(small_site):
    pages = sorted(small_site.rglob("*.html"))
    assert [path.name for path in pages] == ["index.html", "11_localized-affected.html"]
    for path in pages:
        page = Page(path)
        assert not page.find("script", "src") and not re.search(r"@import|url\(", path.read_text())
        assert all(address == "data:," for address in page.find("link", "href"))
        sources = page.find("img", "src")
        assert sources and all(page.find("img", "alt")) and len(page.find("img", "alt")) == len(sources)
        for address in [*sources, *page.find("a", "href")]:
            if address.startswith("#"):
                assert address[1:] in [found["id"] for _, found in page.tags if "id" in found], address
            elif not address.startswith(("https://", "data:image/png")):
                assert (path.parent / address).is_file(), address


def test_what_is_in_tables_is_text_and_not_markup(small_site):
    page = Page(small_site / "index.html")
    assert "a <b> damages & hurts" in page.text and "forget <i>" in page.text and "0.123 [0.1, 0.2]" in page.text
    assert not {"i"} & {tag for tag, _ in page.tags}
    assert re.search(r"● *holds beyond the floor", " ".join(page.text.split()))
    assert "2.00" in page.text and "1.00 to 3.00" in page.text, "the median and range of 1, 2 and 3 seconds"


def test_a_page_escapes_what_a_notebook_printed(tmp_path):
    """A class or a method whose name is markup, in tables, in text and in an error."""
    evil = "<script>alert('x')</script>"
    outputs = [
        notebooks.new_output("display_data", {"text/html": shown._repr_html_(), "text/plain": evil})
        for shown in (Table([{evil: evil}]), pd.DataFrame({evil: [evil]}))
    ]
    outputs += [notebooks.new_output("display_data", {"text/plain": evil}), notebooks.new_output("stream", text=evil)]
    outputs += [notebooks.new_output("error", ename=evil, evalue=evil, traceback=[evil])]
    cells = [notebooks.new_code_cell(f"print({evil!r})", outputs=outputs)]
    (tmp_path / "n.ipynb").write_text(nbformat.writes(notebooks.new_notebook(cells=cells)))
    site.page(tmp_path / "n.ipynb", tmp_path / "n.html")
    text = (tmp_path / "n.html").read_text()
    assert "<script>alert" not in text and text.count("&lt;script&gt;alert") >= 7


def test_a_claim_has_a_cell_for_every_forget_set_and_an_interval_where_there_is_one():
    row = {"claim": "c", "statistic": "damage", "more": "a", "less": "b", "mean": 0.5, "low": 0.25, "high": 0.75}
    table = pd.DataFrame([
        row | {"forget_set": "4_half", "verdict": "holds"},
        row | {"forget_set": "9_most", "verdict": "no interval", "low": np.nan, "high": np.nan},
        row | {"forget_set": "9_most", "verdict": "not shown", "claim": "d"},
    ])  # fmt: skip
    first, second = site.claims(table)
    assert [cell["numbers"] for cell in first["cells"]] == ["0.5 [0.25, 0.75]", "0.5"]
    assert second["cells"][0] is None and second["cells"][1]["sign"] == "○"


def test_the_index_has_the_caption_of_the_report_and_what_a_figure_looks_like(small_site):
    page = Page(small_site / "index.html")
    text = " ".join(page.text.split())
    assert "11 Is the damage localized?" in text and "Affected class only." in text and "Scaled down" in text
    assert page.find("img", "alt") == [site.alternative("11_localized")] != [""]
    assert page.find("img", "width") == ["200"] and page.find("img", "height") == ["100"]


def test_a_page_draws_its_formulas_without_a_script(small_site):
    page = Page(small_site / "pages" / "11_localized-affected.html")
    assert {"math", "msqrt", "mover"} <= {tag for tag, _ in page.tags} and "$" not in page.text
    assert page.find("math", "display") == ["block"]
    assert page.find("img", "alt") == [site.alternative("11_localized")]
    assert "../index.html" in page.find("a", "href")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_every_formula_of_the_notebooks_can_be_drawn(path):
    text = site.typeset(re.sub(r"^# ?", "", path.read_text(), flags=re.MULTILINE))
    assert not re.search(r"\\(frac|langle|text|sqrt|mathbb)", text)


def test_formulas_that_can_not_be_drawn_stay_as_code_and_money_as_it_is():
    assert site.typeset("a $\\nosuch x$ b") == "a `\\nosuch x` b"
    assert site.typeset("costs $ 5 and \\$6") == "costs $ 5 and \\$6"
    assert "<msub>" in site.typeset("$\\big(x_1\\big)$") and "munderover" not in site.typeset("$\\tilde z_f$")


def test_every_alternative_text_is_of_a_figure():
    known = yaml.safe_load((ROOT / "figures" / "captions" / "alt.yaml").read_text())
    assert set(known) <= set(FIGURES) and all(len(text) > 40 for text in known.values())
    assert site.alternative("99_none") == "The figure of the notebook 99_none"


@pytest.mark.parametrize("stem", FIGURES)
def test_every_figure_has_a_title_a_question_and_a_caption(stem):
    assert re.match(stem[:2] + " .+", site.title(f"{stem}-variant"))
    assert site.question(stem).startswith("<p>") and "#" not in re.sub(r"&#\d+;|href=\S+", "", site.question(stem))
    shown = site.caption(stem, "digits")
    assert shown.startswith("<p>") and "{" not in shown and len(shown) > 60


def test_the_introduction_leads_nowhere_but_out():
    heading, first = site.introduction("# A title\n\nSee [x](#there), [y](z.md), *and* [w](https://w.org).\n\nmore\n")
    assert heading == "A title" and "more" not in first and "See x, y, <em>and</em>" in first
    assert re.findall(r'href="([^"]*)"', first) == ["https://w.org"]
    assert site.introduction((ROOT / "README.md").read_text())[0].startswith("lfcore")
    with pytest.raises(InputError, match="no title and paragraph"):
        site.introduction("nothing")


def test_what_is_missing_or_no_notebook_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"none\.ipynb is missing: run snakemake"):
        site.page(tmp_path / "none.ipynb", tmp_path / "out.html")
    (tmp_path / "bad.ipynb").write_text("{")
    with pytest.raises(InputError, match="is not a notebook"):
        site.page(tmp_path / "bad.ipynb", tmp_path / "out.html")
    with pytest.raises(InputError, match="is missing"):
        site.index("p", tmp_path, dataset="digits", folder=tmp_path, figures=[], pages=[])


def test_a_page_carries_no_widgets_that_would_ask_the_network(tmp_path):
    state = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2, "version_minor": 0}}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "image/png": "iVBORw0KGgo="}
    output = nbformat.v4.new_output("display_data", view)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("p", outputs=[output])])
    notebook.metadata["widgets"] = state
    (tmp_path / "90_playground.ipynb").write_text(nbformat.writes(notebook))
    site.page(tmp_path / "90_playground.ipynb", tmp_path / "90_playground.html")
    page = Page(tmp_path / "90_playground.html")
    assert page.find("img", "src") == ["data:image/png;base64,iVBORw0KGgo="] and not page.find("script", "src")

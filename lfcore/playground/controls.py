"""The playground's controls, made of the notebooks' own parameter cells, and the picture beside them."""

import ast
import base64
import io
import tokenize
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np

from lfcore.core.errors import Diverged, InputError
from lfcore.core.paths import ROOT
from lfcore.datasets import _load as load
from lfcore.playground.compute import Recipe, Setting, accuracies, compute, curves, worst
from lfcore.playground.picture import describe, draw
from lfcore.plots import style
from lfcore.plots.html_table import Table
from lfcore.workflow import studies
from lfcore.workflow.notebooks import parameters_cell
from lfcore.workflow.overlays import complete, merge_files

CHOICES = {
    "batchnorm": ["train", "frozen"],
    "scope": ["width_bin", "count_bin"],
    "classes": ["all", "affected", "other"],
}
"""What a parameter that is text can be."""


@dataclass(frozen=True)
class Parameter:
    """One line of a notebook's parameters cell: its name, type, default, and the comment that says what it is."""

    name: str
    kind: str
    default: object
    comment: str


def read_parameters(notebook: str) -> dict[str, Parameter]:
    """The parameters of a notebook by name, from its source. notebook: "notebooks/01_data.py", from the root."""
    cell = parameters_cell(notebook)
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for node in [node for node in ast.parse(cell).body if isinstance(node, ast.AnnAssign)]:
        name, kind, comment = node.target.id, ast.unparse(node.annotation), comments.get(node.lineno, "")
        found[name] = Parameter(name, kind, ast.literal_eval(node.value), comment)
    return found


def control(name: str, value, comment: str, choices=None):
    """The widget for one parameter: a list of choices, or a slider whose scale follows the value; None for others.

    Whole numbers go from 1 to three times the value; shares (below 1, no rate) from 0.01 to 1; other positive numbers
    from a thousandth to a hundred times the value, on a logarithmic scale.
    """
    look = {"description": name, "tooltip": comment, "style": {"description_width": "6.5rem"}}
    look |= {"layout": widgets.Layout(width="19rem")}
    if choices:
        return widgets.Dropdown(options=choices, value=value, **look)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    look |= {"continuous_update": False}
    if isinstance(value, int):
        return widgets.IntSlider(value, 1, 3 * value, **look)
    if 0.05 <= value < 1 and not name.endswith("lr"):
        return widgets.FloatSlider(value, min=0.01, max=1, step=0.01, **look)
    decades = {"min": np.log10(value) - 3, "max": np.log10(value) + 2, "step": 0.05}
    return widgets.FloatLogSlider(value, base=10, readout_format=".2g", **decades, **look)


class Panel(widgets.VBox):
    """Controls on the left, the picture on the right; whatever is moved, the picture follows.

    profile: the files whose methods, options and tuned choices can be chosen from. retrained: how many models to
    compare with. pictures: how many worst-hit images to show. out: the folder for what is trained.
    """

    def __init__(self, *, profile: list[str | Path], retrained: int, pictures: int, out: str | Path):
        given = {stem: read_parameters(f"notebooks/{stem}.py") for stem in ("01_data", "02_train", "03_unlearn")}
        shown = read_parameters("notebooks/11_localized.py")
        first, second, third = given.values()
        self.recipe = Recipe(
            dataset=first["dataset"].default,
            root=first["root"].default,
            network=second["network"].default,
            training=second["options"].default,
            retrained=retrained,
            out=Path(out),
        )
        self.pictures = pictures
        self.config = studies.with_field(complete(merge_files(*profile)))
        classes = load.load(self.recipe.dataset, ROOT / self.recipe.root).classes
        place, comment = next(iter(first["forget_sets"].default.values())), first["forget_sets"].comment
        method = third["unlearner"]
        self.controls = {
            "affected": control("affected", place["affected"], comment, range(classes)),
            "fraction": control("fraction", float(place["fraction"]), comment),
            "unlearner": control("unlearner", method.default, method.comment, list(self.config["unlearners"])),
            "seed": control("seed", third["seeds"].default[0], third["seeds"].comment, range(10)),
        }
        self.view = {
            name: control(name, shown[name].default, shown[name].comment, CHOICES[name])
            for name in ("scope", "classes")
        }
        self.tuned, self.why = {method.default: third["options"].default}, third["options"].comment
        self.outcome, self.png = None, ""
        super().__init__(self._arrange())
        self._offer_options()
        for one in (*self.controls.values(), *self.view.values()):
            one.observe(self._update_on, "value")
        self.update()

    def _arrange(self) -> list:
        """The controls and the picture side by side, above the progress."""
        self.box = widgets.VBox()
        self.bar = widgets.FloatProgress(value=0, min=0, max=1, layout=widgets.Layout(width="14rem"))
        self.status = widgets.HTML()
        self.picture, self.numbers = widgets.HTML(), widgets.HTML()
        left = widgets.VBox([
            self._head("Forget"), self.controls["affected"], self.controls["fraction"], self.controls["seed"],
            self._head("by"), self.controls["unlearner"], self.box,
            self._head("and look at"), *self.view.values(),
        ])  # fmt: skip
        left.layout = widgets.Layout(flex="0 0 20rem")
        right = widgets.VBox([self.picture, self.numbers], layout=widgets.Layout(flex="1 1 36rem", min_width="0"))
        self.numbers.add_class("jp-RenderedHTMLCommon")
        middle = widgets.HBox([left, right], layout=widgets.Layout(grid_gap="1.5rem", flex_flow="row wrap"))
        return [middle, widgets.HBox([self.bar, self.status], layout=widgets.Layout(grid_gap="1rem"))]

    @staticmethod
    def _head(text: str):
        return widgets.HTML(f"<div style='font-weight:600;margin:.6rem 0 .1rem'>{escape(text)}</div>")

    def _offer_options(self) -> None:
        """A control for every option of the method that can have one, those that were tuned first."""
        name = self.controls["unlearner"].value
        given = self.tuned.get(name) or studies.options(self.config, name, self.config["choice"])
        tuned = self.config["choices"].get(self.config["choice"], {}).get(name, {})
        given = {key: given[key] for key in sorted(given, key=lambda key: key not in tuned)}
        made = {key: control(key, value, self.why, CHOICES.get(key)) for key, value in given.items()}
        self.options = {key: one for key, one in made.items() if one is not None}
        self.fixed = {key: given[key] for key, one in made.items() if one is None}
        for one in self.options.values():
            one.observe(self._update_on, "value")
        self.box.children = list(self.options.values())

    def setting(self) -> Setting:
        """Where the controls stand."""
        options = {key: one.value for key, one in self.options.items()}
        return Setting(**{key: one.value for key, one in self.controls.items()}, options=options | self.fixed)

    def _update_on(self, change) -> None:
        if change["owner"] is self.controls["unlearner"]:
            self._offer_options()
        self.update()

    def _show_progress(self, share: float, text: str) -> None:
        self.bar.value = share
        self.status.value = escape(text)

    def update(self) -> None:
        """Compute what the controls ask for, and show it; what can't be done is said below the picture."""
        try:
            self.outcome = compute(self.recipe, self.setting(), self._show_progress)
            rows = curves(self.outcome, **{key: one.value for key, one in self.view.items()})
        except (InputError, Diverged) as error:
            self.bar.bar_style = "warning"
            self.status.value = f"{escape(str(error))} <b>The picture is of the setting before.</b>"
            return
        hit = worst(self.outcome, self.pictures)
        figure, buffer = draw(self.outcome, rows, hit), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        style.plt.close(figure)
        self.png = base64.b64encode(buffer.getvalue()).decode()
        text = escape(describe(self.outcome, rows, hit))
        self.picture.value = f"<img style='max-width:100%' alt='{text}' src='data:image/png;base64,{self.png}'>"
        self.numbers.value = self.table()._repr_html_()
        self.bar.bar_style = "success"

    def table(self) -> Table:
        """Accuracy in percent of the models of the last setting that worked."""
        return Table(accuracies(self.outcome) if self.outcome else [])

    def _repr_mimebundle_(self, **options) -> dict:
        """The widgets, and for readers without a kernel the picture as it is now."""
        return {"image/png": self.png} | super()._repr_mimebundle_(**options)

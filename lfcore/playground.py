"""The playground: controls made of the notebooks' own parameter cells, and what one setting does, in seconds.

What is trained once is kept under `out`, in folders named by a hash of all that it depends on: data, rows to forget,
network, recipe, options. The same setting is therefore read and not made again, and deleting `out` starts over.
"""

import ast
import base64
import hashlib
import io
import json
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import pandas as pd
import yaml

from lfcore import data, plots, studies, style
from lfcore.errors import Diverged, InputError
from lfcore.evaluate import Predictions, Run, mean_similarity, read_predictions
from lfcore.metrics import discrepancy
from lfcore.notebook import Table
from lfcore.paths import ROOT
from lfcore.train import train
from lfcore.unlearn import unlearn
from lfcore.workflow import parameters_cell

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
    nodes = [node for node in ast.parse(cell).body if isinstance(node, ast.AnnAssign)]
    return {
        node.target.id: Parameter(
            node.target.id,
            ast.unparse(node.annotation),
            ast.literal_eval(node.value),
            comments.get(node.lineno, ""),
        )
        for node in nodes
    }


@dataclass(frozen=True)
class Setting:
    """One position of the controls. options: of the unlearner. seed: of the original and of the method's chance."""

    affected: int
    fraction: float
    unlearner: str
    options: dict
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    """What no control changes. training: the options of 02_train; retrained: how many models to compare with."""

    dataset: str
    root: str
    network: str
    training: dict
    retrained: int
    out: Path


@dataclass(frozen=True)
class Outcome:
    """What a setting did. run: its predictions, those of the original and, as its floor, of the retrained models."""

    setting: Setting
    run: Run
    images: np.ndarray


def _folder(out: Path, name: str, *depends) -> Path:
    """The folder of something that `depends` determine."""
    return Path(out) / f"{name}-{hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]}"


def compute(recipe: Recipe, setting: Setting, tell: Callable[[float, str], None] = lambda share, text: None) -> Outcome:
    """Unlearn as `setting` says, training only what is not kept from before.

    tell: called with the share done (0 to 1) and what comes next. Raises InputError for an impossible setting, and
    Diverged if the method does.
    """
    if recipe.retrained < 2:
        raise InputError(f"A floor needs two retrained models or more, not {recipe.retrained}: raise `retrained`.")
    tell(0, "reading the data")
    everything = data.load(recipe.dataset, ROOT / recipe.root)
    rows = data.choose_forget(everything, setting.affected, setting.fraction)
    facts = [everything.sha256(), recipe.network, recipe.training]
    kept = _folder(recipe.out, "data", facts[0])
    dataset, index = kept / "dataset.safetensors", kept / f"{setting.affected}_{len(rows)}.json"
    if not dataset.is_file():
        data.write(everything, dataset)
    if not index.is_file():
        data.write_forget(index, index.stem, setting.affected, rows)
    common = {"dataset": dataset, "network": recipe.network, "device": "cpu"}
    originals = _folder(recipe.out, "original", *facts)
    retrained = _folder(recipe.out, f"retrained-{index.stem}", *facts)
    wanted = [("original", None, setting.seed, originals)]
    wanted += [("retrained", index, seed, retrained) for seed in range(recipe.retrained)]
    missing = [one for one in wanted if not (one[3] / f"seed{one[2]}.json").is_file()]
    for done, (role, forget_set, seed, out) in enumerate(missing):
        tell(done / (len(missing) + 1), f"training {role} model {seed} (once)")
        train(**common, forget_set=forget_set, role=role, seeds=[seed], options=recipe.training, out=out)
    name = f"{setting.unlearner}-{index.stem}"
    unlearned = _folder(recipe.out, name, *facts, setting.seed, setting.options)
    if not (unlearned / f"seed{setting.seed}.json").is_file():
        tell(len(missing) / (len(missing) + 1), f"unlearning with {setting.unlearner}")
        method = {"unlearner": setting.unlearner, "seeds": [setting.seed], "options": setting.options}
        unlearn(**common, **method, forget_set=index, originals=[originals], out=unlearned)
    original = read_predictions([originals], [setting.seed])
    removed = data.read_forget(index, everything)
    run = Run(
        predictions=read_predictions([unlearned], [setting.seed]),
        originals=original,
        floor=read_predictions([retrained], list(range(recipe.retrained))),
        is_floor=False,
        labels=everything.labels,
        classes=everything.classes,
        forget_set=removed,
        test=everything.test,
        similarity=mean_similarity(original, removed.forget),
    )
    tell(1, "done")
    return Outcome(setting, run, everything.images)


def _one(predictions: Predictions, keep: list[int]) -> Predictions:
    """The models at these positions."""
    seeds = tuple(predictions.seeds[position] for position in keep)
    return Predictions(seeds, predictions.logits[keep], predictions.features[keep])


def compare(outcome: Outcome) -> dict[str, dict[str, np.ndarray]]:
    """Each discrepancy to the retrained models, (models, n), of the original, the unlearned, and the retrained ones.

    A retrained model is compared with the others, an unlearned one with all of them.
    """
    run = outcome.run
    models = range(len(run.floor.seeds))
    floor = [
        discrepancy.against(_one(run.floor, [i]), _one(run.floor, [j for j in models if j != i]), run.labels)
        for i in models
    ]
    return {
        "original": discrepancy.against(run.originals, run.floor, run.labels),
        style.FLOOR: {name: np.concatenate([one[name] for one in floor]) for name in discrepancy.NAMES},
        outcome.setting.unlearner: discrepancy.against(run.predictions, run.floor, run.labels),
    }


def curves(outcome: Outcome, *, scope: str, classes: str) -> pd.DataFrame:
    """Each measure of `plots.MEASURES` on the test examples by bin, in the unit of its axis.

    A row for each unlearner, measure and bin that is not empty: mean over models, low and high (least and most of
    them), mean similarity and count of the bin. scope, classes: as in 11_localized.
    """
    run, found = outcome.run, compare(outcome)
    parts = [
        (int(key.split("/")[1]), rows)
        for name, key, rows in discrepancy.partition(run, run.test)
        if name == scope and key.startswith(f"{classes}/") and len(rows)
    ]
    if not parts:
        raise InputError(f"There is no {scope} of {classes} classes: choose another scope or classes.")
    records = []
    for unlearner, values in found.items():
        for metric, (_, factor) in plots.MEASURES.items():
            for number, rows in parts:
                means = factor * values[metric][:, rows].mean(axis=1)
                place = {"unlearner": unlearner, "metric": metric, "bin": number}
                ends = {"mean": means.mean(), "low": means.min(), "high": means.max()}
                records.append(place | ends | {"similarity": run.similarity[rows].mean(), "count": len(rows)})
    return pd.DataFrame(records)


def worst(outcome: Outcome, count: int) -> list[dict]:
    """The `count` test examples that lost most confidence in their class against retraining, worst first.

    Each with its row, the row of the forget example nearest to it by cosine of the original's features, that cosine,
    its label, what the unlearned model says, and the lost confidence in points.
    """
    run = outcome.run
    lost = compare(outcome)[outcome.setting.unlearner]["confidence_gap"][0]
    features = run.originals.features[0].astype(float)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    forget, said = run.forget_set.forget, run.predictions.logits[0].argmax(axis=1)
    found = []
    for row in run.test[np.argsort(-lost[run.test], kind="stable")][:count]:
        cosines = features[forget] @ features[row]
        place = {"row": int(row), "nearest": int(forget[cosines.argmax()]), "cosine": float(cosines.max())}
        found.append(place | {"label": int(run.labels[row]), "said": int(said[row]), "lost": 100 * float(lost[row])})
    return found


def accuracies(outcome: Outcome) -> list[dict]:
    """Accuracy in percent of the original, the unlearned and the retrained models (their mean), a record each."""
    run, affected = outcome.run, outcome.setting.affected
    of_class = run.test[run.labels[run.test] == affected]
    splits = {**run.splits, f"test of class {affected}": of_class}
    models = {"original": run.originals, outcome.setting.unlearner: run.predictions, "retrained (mean)": run.floor}
    return [
        {"model": name}
        | {split: 100 * float((one.logits.argmax(2) == run.labels)[:, rows].mean()) for split, rows in splits.items()}
        for name, one in models.items()
    ]


def draw(outcome: Outcome, rows: pd.DataFrame, hit: list[dict]):
    """A figure: lost confidence and total variation against similarity, above the worst-hit images and their nearest.

    rows: from `curves`; hit: from `worst`. The grey band spans the retrained models; no line runs through bins of fewer
    than `plots.FEW` examples.
    """
    figure = style.plt.figure(figsize=(8.6, 5.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 2.2])
    axes = above.subplots(1, 2)
    for axis, metric in zip(axes, ["confidence_gap", "total_variation"], strict=True):
        axis.axhline(0, color="0.3", linewidth=0.8)
        for name, look in style.looks(list(rows["unlearner"].unique())).items():
            line = rows[(rows["unlearner"] == name) & (rows["metric"] == metric)].sort_values("similarity")
            if name == style.FLOOR:
                band = {"label": "retrained (floor)", "alpha": 0.5, "linewidth": 0}
                axis.fill_between(line["similarity"], line["low"], line["high"], **band, **look)
                continue
            look = (
                look if look["marker"] else look | {"marker": "_", "markeredgewidth": 2}
            )  # or a bin by itself would not show
            enough = line["mean"].where(line["count"] >= plots.FEW)
            axis.plot(line["similarity"], enough, label=name, linewidth=1.6, markersize=5, **look)
            few = line[line["count"] < plots.FEW]
            axis.plot(few["similarity"], few["mean"], markersize=4, alpha=0.5, **{**look, "linestyle": ""})
        axis.set(xlabel="similarity to the forget set", ylabel=plots.MEASURES[metric][0])
    bins = rows.drop_duplicates("bin")
    title = "test examples in each bin:"
    if bins["count"].max() - bins["count"].min() < 2:
        title += f" {bins['count'].max()}, or one fewer"
    else:
        for similarity, count in bins[["similarity", "count"]].itertuples(index=False):
            place, grey = axes[0].get_xaxis_transform(), "0.7" if count < plots.FEW else "0.4"
            axes[0].text(similarity, 1.02, f"{count}", transform=place, ha="center", color=grey, fontsize=7)
    axes[0].set_title(title, loc="left", fontsize=7, color="0.4", pad=14)
    axes[1].legend(loc="upper left", fontsize=8)
    pictures = below.subplots(2, max(len(hit), 1), squeeze=False)
    for position, example in enumerate(hit):
        for axis, row in zip(pictures[:, position], [example["row"], example["nearest"]], strict=True):
            axis.imshow(outcome.images[row].transpose(1, 2, 0), cmap="gray_r")
        pictures[0, position].set_title(
            f"{example['label']} → {example['said']}\nlost {example['lost']:.0f} points", fontsize=8
        )
        pictures[1, position].set_title(f"cosine {example['cosine']:.2f}", fontsize=8)
    for axis in pictures.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    pictures[0, 0].set_ylabel("worst hit", fontsize=8)
    pictures[1, 0].set_ylabel("nearest\nforgotten", fontsize=8)
    return figure


def describe(outcome: Outcome, rows: pd.DataFrame, hit: list[dict]) -> str:
    """The figure in one sentence, for those who do not see it."""
    part = rows[rows["metric"] == "total_variation"]
    nearest = part[part["bin"] == part["bin"].max()].set_index("unlearner")
    own, floor = nearest.loc[outcome.setting.unlearner], nearest.loc[style.FLOOR]
    return (
        f"{outcome.setting.unlearner}, {len(outcome.run.forget_set.forget)} images of class {outcome.setting.affected} "
        f"forgotten: total variation to retraining in the nearest bin is {own['mean']:.2f}, between retrained models "
        f"{floor['low']:.2f} to {floor['high']:.2f}; below, the {len(hit)} worst-hit test images above the forgotten "
        "image nearest to each."
    )


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
        self.config = {}
        for path in profile:
            self.config |= yaml.safe_load(Path(path).read_text())
        classes = data.load(self.recipe.dataset, ROOT / self.recipe.root).classes
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
        self.tuned = {method.default: third["options"].default}
        self.why = third["options"].comment
        self.options, self.fixed = {}, {}
        self.box = widgets.VBox()
        self.bar = widgets.FloatProgress(value=0, min=0, max=1, layout=widgets.Layout(width="14rem"))
        self.status = widgets.HTML()
        self.picture, self.numbers = widgets.HTML(), widgets.HTML()
        self.outcome, self.png = None, b""
        left = widgets.VBox([
            self._head("Forget"), self.controls["affected"], self.controls["fraction"], self.controls["seed"],
            self._head("by"), self.controls["unlearner"], self.box,
            self._head("and look at"), *self.view.values(),
        ])  # fmt: skip
        left.layout = widgets.Layout(flex="0 0 20rem")
        right = widgets.VBox([self.picture, self.numbers], layout=widgets.Layout(flex="1 1 36rem", min_width="0"))
        self.numbers.add_class("jp-RenderedHTMLCommon")
        middle = widgets.HBox([left, right], layout=widgets.Layout(grid_gap="1.5rem", flex_flow="row wrap"))
        super().__init__([middle, widgets.HBox([self.bar, self.status], layout=widgets.Layout(grid_gap="1rem"))])
        self._offer_options()
        for one in (*self.controls.values(), *self.view.values()):
            one.observe(self._follow, "value")
        self.update()

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
            one.observe(self._follow, "value")
        self.box.children = list(self.options.values())

    def setting(self) -> Setting:
        """Where the controls stand."""
        options = {key: one.value for key, one in self.options.items()}
        return Setting(**{key: one.value for key, one in self.controls.items()}, options=options | self.fixed)

    def _follow(self, change) -> None:
        if change["owner"] is self.controls["unlearner"]:
            self._offer_options()
        self.update()

    def _tell(self, share: float, text: str) -> None:
        self.bar.value = share
        self.status.value = escape(text)

    def update(self) -> None:
        """Compute what the controls ask for, and show it; what can't be done is said below the picture."""
        try:
            self.outcome = compute(self.recipe, self.setting(), self._tell)
            rows = curves(self.outcome, **{key: one.value for key, one in self.view.items()})
        except (InputError, Diverged) as error:
            self.bar.bar_style = "warning"
            self.status.value = f"{escape(str(error))} <b>The picture is of the setting before.</b>"
            return
        hit = worst(self.outcome, self.pictures)
        figure, buffer = draw(self.outcome, rows, hit), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
        style.plt.close(figure)
        self.png = buffer.getvalue()
        source = base64.b64encode(self.png).decode()
        text = escape(describe(self.outcome, rows, hit), quote=True)
        self.picture.value = f"<img style='max-width:100%' alt='{text}' src='data:image/png;base64,{source}'>"
        self.numbers.value = self.table()._repr_html_()
        self.bar.bar_style = "success"

    def table(self) -> Table:
        """Accuracy in percent of the models of the last setting that worked."""
        return Table(accuracies(self.outcome) if self.outcome else [])

    def _repr_mimebundle_(self, **options) -> dict:
        """The widgets, and for readers without a kernel the picture as it is now."""
        return {"image/png": base64.b64encode(self.png).decode()} | super()._repr_mimebundle_(**options)

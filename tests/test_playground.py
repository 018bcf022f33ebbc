"""The playground without a browser: parameters as they are written, numbers as the workflow's, controls that follow."""

import numpy as np
import pytest

from lfcore.core.errors import Diverged, InputError
from lfcore.core.paths import ROOT
from lfcore.playground import compute, picture
from lfcore.playground import controls as panels
from lfcore.plots import style

RECIPE = {"epochs": 3, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
SHORT = {"lr": 0.0003, "epochs": 1, "batch_size": 64}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    out = tmp_path_factory.mktemp("playground")
    return compute.Recipe(dataset="digits", root="data", network="cnn", training=RECIPE, retrained=2, out=out)


@pytest.fixture(scope="module")
def outcome(recipe):
    return compute.compute(recipe, compute.Setting(4, 0.5, "ascent", SHORT))


def test_parameters_are_read_as_they_are_written():
    found = panels.read_parameters("notebooks/01_data.py")
    assert list(found) == ["dataset", "root", "options", "forget_sets", "base"]
    assert found["forget_sets"].default["9_most"] == {"affected": 9, "fraction": 0.75}
    assert found["forget_sets"].comment.startswith("the affected class") and found["dataset"].kind == "str"
    assert panels.read_parameters("notebooks/11_localized.py")["unlearners"].comment.startswith("the curves")


def test_what_is_kept_is_not_made_again(recipe, outcome):
    """Two retrained models and an original, then nothing; then only what depends on what changed."""
    told = []

    def ask(**changes):
        told.clear()
        setting = compute.Setting(**{**vars(outcome.setting), **changes})
        return compute.compute(recipe, setting, lambda share, text: told.append((share, text)))

    again = ask()
    assert [text for _, text in told] == ["reading the data", "done"]
    assert np.array_equal(again.run.predictions.logits, outcome.run.predictions.logits)
    ask(options=SHORT | {"lr": 0.001})
    assert [text for _, text in told] == ["reading the data", "unlearning with ascent", "done"]
    ask(fraction=0.25)
    assert sum("training retrained" in text for _, text in told) == 2 and "original" not in str(told)
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1
    ask(fraction=0.2501)
    assert [text for _, text in told] == ["reading the data", "done"], "the same rows are the same forget set"


def test_the_floor_is_each_retrained_model_against_the_others(outcome):
    found = compute.compare(outcome)
    first, second = found[style.FLOOR]["total_variation"]
    assert np.allclose(first, second) and len(first) == 1797, "of two models, each is the other's reference"
    p, q = outcome.run.floor.probabilities
    assert np.allclose(first, np.abs(p - q).sum(axis=1) / 2)
    u = outcome.run.predictions.probabilities[0]
    expected = (np.abs(u - p).sum(axis=1) + np.abs(u - q).sum(axis=1)) / 4
    assert np.allclose(found["ascent"]["total_variation"][0], expected)


def test_curves_are_means_over_the_bins(outcome):
    rows = compute.curves(outcome, scope="count_bin", classes="all")
    part = rows[(rows["unlearner"] == "ascent") & (rows["metric"] == "confidence_gap")]
    assert list(part["bin"]) == list(range(10)) and part["count"].sum() == len(outcome.run.test)
    assert part["similarity"].is_monotonic_increasing
    whole = compute.compare(outcome)["ascent"]["confidence_gap"][0][outcome.run.test].mean()
    assert np.average(part["mean"], weights=part["count"]) == pytest.approx(100 * whole)
    band = rows[(rows["unlearner"] == style.FLOOR) & (rows["metric"] == "confidence_gap")]
    assert np.allclose(band["low"], -band["high"]), "what one of two models lost the other has"
    assert (compute.curves(outcome, scope="width_bin", classes="affected")["count"] < 100).all()
    with pytest.raises(InputError, match="no no_bin of all classes"):
        compute.curves(outcome, scope="no_bin", classes="all")


def test_the_worst_hit_are_those_that_lost_most(outcome):
    hit = compute.worst(outcome, 5)
    lost = 100 * compute.compare(outcome)["ascent"]["confidence_gap"][0]
    assert [one["lost"] for one in hit] == pytest.approx(np.sort(lost[outcome.run.test])[::-1][:5])
    assert {one["row"] for one in hit} <= set(outcome.run.test.tolist())
    features = outcome.run.originals.features[0].astype(float)
    for one in hit:
        cosines = [
            features[row] @ features[one["row"]] / np.linalg.norm(features[row]) / np.linalg.norm(features[one["row"]])
            for row in outcome.run.forget_set.forget
        ]
        assert outcome.run.forget_set.forget[np.argmax(cosines)] == one["nearest"]
        assert one["cosine"] == pytest.approx(max(cosines))
        assert one["label"] == outcome.run.labels[one["row"]]
        assert one["said"] == outcome.run.predictions.logits[0, one["row"]].argmax()


def test_the_picture_and_its_words(outcome):
    rows, hit = compute.curves(outcome, scope="width_bin", classes="all"), compute.worst(outcome, 3)
    figure = picture.draw(outcome, rows, hit)
    assert sum(len(axis.images) for axis in figure.get_axes()) == 6
    style.plt.close(figure)
    text = picture.describe(outcome, rows, hit)
    assert f"{len(outcome.run.forget_set.forget)} images of class 4 forgotten" in text and "3 worst-hit" in text
    records = compute.accuracies(outcome)
    assert [record["model"] for record in records] == ["original", "ascent", "retrained (mean)"]
    right = outcome.run.originals.logits[0].argmax(1) == outcome.run.labels
    assert records[0]["forget"] == pytest.approx(100 * right[outcome.run.forget_set.forget].mean())


def test_what_can_not_be_is_one_sentence(recipe, outcome):
    with pytest.raises(InputError, match="forgets nothing"):
        compute.compute(recipe, compute.Setting(4, 0.001, "ascent", SHORT))
    with pytest.raises(InputError, match="no option 'nosuch'"):
        compute.compute(recipe, compute.Setting(4, 0.5, "ascent", SHORT | {"nosuch": 1}))
    with pytest.raises(Diverged, match="lower lr"):
        compute.compute(recipe, compute.Setting(4, 0.5, "ascent", SHORT | {"lr": 1e300}))
    with pytest.raises(InputError, match="two retrained models or more"):
        compute.compute(compute.Recipe(**{**vars(recipe), "retrained": 1}), outcome.setting)


@pytest.mark.parametrize(
    ("name", "value", "kind", "ends"),
    [
        ("epochs", 5, "IntSlider", (1, 15)),
        ("ratio", 0.5, "FloatSlider", (0.01, 1)),
        ("lr", 0.5, "FloatLogSlider", (np.log10(0.5) - 3, np.log10(0.5) + 2)),
        ("alpha", 3.0, "FloatLogSlider", (np.log10(3) - 3, np.log10(3) + 2)),
        ("gamma", 0.0001, "FloatLogSlider", (-7, -2)),
    ],
)
def test_a_slider_has_the_scale_of_its_number(name, value, kind, ends):
    made = panels.control(name, value, "why")
    assert type(made).__name__ == kind and (made.min, made.max) == pytest.approx(ends)
    assert made.value == pytest.approx(value) and made.tooltip == "why" and not made.continuous_update


def test_what_has_no_scale_has_no_slider():
    assert panels.control("support", "nearest", "") is None and panels.control("flag", True, "") is None
    assert panels.control("batchnorm", "frozen", "", ["train", "frozen"]).value == "frozen"


def test_the_panel_follows_its_controls(tmp_path, monkeypatch):
    """With a short recipe in place of 02_train's, and a method that takes no time."""
    read = panels.read_parameters

    def shorten(notebook):
        found = read(notebook)
        if "02_train" in notebook:
            found["options"] = panels.Parameter("options", "dict", RECIPE | {"epochs": 1}, "")
        return found

    monkeypatch.setattr(panels, "read_parameters", shorten)
    unlearned = []

    def record(**arguments):
        unlearned.append((arguments["unlearner"], arguments["options"]))
        if arguments["options"]["lr"] > 0.1:
            raise Diverged("Too fast: lower lr.")
        return real(**{**arguments, "unlearner": "ascent", "options": SHORT})

    real = compute.unlearn
    monkeypatch.setattr(compute, "unlearn", record)
    (tmp_path / "mine.yaml").write_text("unlearners: {ltd: {beta: 7.0}, salun: null}")
    profile = [ROOT / "config" / name for name in ("digits.yaml", "choices.yaml", "studies.yaml")] + [
        tmp_path / "mine.yaml"
    ]
    panel = panels.Panel(profile=profile, retrained=2, pictures=2, out=tmp_path)
    given = read("notebooks/03_unlearn.py")
    assert unlearned[-1] == (given["unlearner"].default, given["options"].default), "as the notebook has it"
    assert list(panel.options)[:2] == ["lr", "beta"], "what was tuned comes first"
    assert panel.controls["affected"].value == 4 and panel.controls["affected"].tooltip.startswith("the affected class")
    assert "recipe" not in panel.controls["unlearner"].tooltip and panel.bar.value == 1
    first = panel.picture.value
    panel.view["scope"].value = "count_bin"
    assert panel.picture.value != first and len(unlearned) == 1, "another view unlearns nothing"
    panel.controls["unlearner"].value = "ascent-frozen"
    assert unlearned[-1][0] == "ascent-frozen" and unlearned[-1][1]["batchnorm"] == "frozen"
    assert next(iter(panel.options)) == "lr" and panel.options["lr"].value == unlearned[-1][1]["lr"]
    second = panel.picture.value
    panel.options["lr"].value = 0.15
    assert "lower lr" in panel.status.value and panel.bar.bar_style == "warning"
    assert panel.picture.value == second, "what can't be done leaves the picture as it was"
    panel.options["lr"].value = 0.01
    assert panel.bar.bar_style == "success" and "alt='ascent-frozen, 54 images of class 4" in panel.picture.value
    bundle = panel._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert "ascent-frozen" in repr(panel.table())
    known = panel.config["unlearners"]
    assert known["ltd"] == {"k": 100, "epochs": 5, "batch_size": 64, "beta": 7.0}, "an overlay changes what it names"
    assert "salun" not in known and "ascent" in known

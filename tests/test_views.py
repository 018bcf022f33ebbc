"""Which rows a figure shows, on small summaries by hand."""

import numpy as np
import pandas as pd
import pytest

from lfcore.core.errors import InputError
from lfcore.plots import class_accuracy, hyperparameters
from lfcore.plots import panels as views

NAMES = ["unlearner", "reference", "split", "metric", "scope", "key", "mean"]
AFFECTED = {"4_half": "4", "9_most": "9"}


def make(rows, forget_set="4_half"):
    table = pd.DataFrame([row[: len(NAMES)] for row in rows], columns=NAMES)
    ends = {"low": table["mean"] - 1, "high": table["mean"] + 2}
    return table.assign(forget_set=forget_set, affected=AFFECTED[forget_set], network="n", sd=1.0, n=5, **ends)


def test_every_panel_is_a_place_in_the_summary():
    for name, panels in views.PANELS.items():
        assert panels, name
        for place in panels.values():
            reference, split, metric, scope, *key = place.split(" ")
            assert reference in ("", "retrained", "retrained_mean", "influence_free", "without_similar") and split
            assert metric and (scope == "all") == (not key) and len(key) < 2


def test_picked_rows_are_those_of_the_panels_in_their_order():
    rows = [
        ("ltd", "retrained", "forget", "target_teacher", "all", "", 0.2),
        ("ltd", "retrained", "forget", "target_label", "all", "", 0.1),
        ("ltd", "retrained", "test", "target_label", "all", "", 9.0),
        ("ltd", "", "forget", "target_label", "all", "", 9.0),
        ("ltd", "retrained", "forget", "target_label", "class", "4", 9.0),
        ("ltd", "retrained", "forget", "accuracy", "all", "", 9.0),
    ]
    found = views.pick(make(rows), "targets")
    assert found[["panel", "mean"]].to_numpy().tolist() == [["trained label", 0.1], ["teacher", 0.2]]


def test_the_affected_class_is_that_of_each_forget_set():
    rows = [("ltd", "", "test", "accuracy", "class", key, float(key)) for key in "0489"]
    both = pd.concat([make(rows), make(rows, "9_most")])
    found = views.pick(both, "ablation")
    assert found[["panel", "forget_set", "mean"]].to_numpy().tolist() == [
        ["TA_aff", "4_half", 4],
        ["TA_aff", "9_most", 9],
    ]


def test_what_is_not_there_is_one_sentence():
    rows = make([("ltd", "", "test", "accuracy", "all", "", 1.0)])
    with pytest.raises(InputError, match="no panels called 'no_such': choose one of targets, controls, "):
        views.pick(rows, "no_such")
    with pytest.raises(InputError, match="none of the numbers of targets: add their metrics"):
        views.pick(rows, "targets")
    with pytest.raises(InputError, match="called <method>-draw<number>: add some"):
        hyperparameters.variants(rows.assign(panel="p"), "draw", 0)
    with pytest.raises(InputError, match="no numbers of the scope k: add their probe"):
        hyperparameters.by_number(rows, "k")
    with pytest.raises(InputError, match="no class_similarity: add that metric"):
        class_accuracy.by_class(rows)


def test_a_series_is_made_of_the_methods_that_have_one():
    names = ["ltd", "ltd-epochs10", "ltd-epochs2", "random_labels_retain-epochs5", "random_labels_retain"]
    others = ["ascent", "ltd-k100", "ltd-epochs_x", "original", "retrained"]
    rows = make([(name, "", "test", "accuracy", "all", "", 1.0) for name in [*names, *others]]).assign(panel="p")
    found = hyperparameters.variants(rows, "epochs", 20)[["unlearner", "method", "at"]].to_numpy().tolist()
    assert found == [
        ["ltd-epochs2", "ltd", 2],
        ["ltd-epochs10", "ltd", 10],
        ["ltd", "ltd", 20],
        ["random_labels_retain-epochs5", "random_labels_retain", 5],
        ["random_labels_retain", "random_labels_retain", 20],
    ]
    parts = make([("ltd-accuracy0.3", "", "test", "accuracy", "all", "", 1.0)]).assign(panel="p")
    assert hyperparameters.variants(parts, "accuracy", 0.99)["at"].tolist() == [0.3]


def test_a_curve_is_the_originals_sorted_by_number():
    rows = [("original", "", "forget", "teacher_accuracy", "k", key, 1.0) for key in ("100", "25", "400")]
    rows += [("retrained", "", "forget", "teacher_accuracy", "k", "25", 1.0)]
    rows += [("original", "", "retain", "count", "ascent_bin", "3", 1.0)]
    found = hyperparameters.by_number(make(rows), "k")
    assert found["at"].tolist() == [25, 100, 400] and set(found["unlearner"]) == {"original"}


def test_a_table_shows_intervals_where_there_are_any():
    rows = make([
        ("ltd", "", "test", "b", "all", "", 1.25),
        ("ltd", "", "test", "a", "all", "", 2.0),
        ("ascent", "", "test", "b", "all", "", 3.0),
    ]).assign(panel=["b", "a", "b"])  # fmt: skip
    rows.loc[2, ["low", "high"]] = np.nan
    found = views.table(rows)
    assert found.columns.tolist() == ["b", "a"], "in the order of the panels"
    assert found.loc[("4_half", "ltd")].tolist() == ["1.25 [0.25, 3.25]", "2.00 [1.00, 4.00]"]
    assert found.loc[("4_half", "ascent")].tolist() == ["3.00", ""]
    assert views.table(rows, index=("unlearner",), digits=0).loc["ltd", "a"] == "2 [1, 4]"


def test_what_each_class_lost_is_counted_from_retraining():
    """Accuracy 90 in [89, 92] where retrained models have 95: five points lost, between three and six."""
    rows = []
    for name in ("original", "ltd"):
        rows += [(name, "", "test", "class_similarity", "class", key, int(key) / 10) for key in "14"]
        rows += [(name, "retrained", "test", "reference_accuracy", "class", key, 95.0) for key in "14"]
        rows += [(name, "retrained", "test", "class_correlation", "all", "", 0.5 + (name == "original"))]
        rows += [(name, "", "test", "accuracy", "class", key, 90.0 + (name == "original")) for key in "14"]
        rows += [(name, "", "retain", "accuracy", "class", "1", 0.0), (name, "", "test", "accuracy", "all", "", 0.0)]
    found = class_accuracy.by_class(make(rows))
    assert found["key"].tolist() == ["1", "1"], "the affected class is left out"
    row = found.set_index("unlearner").loc["ltd"]
    assert row[["similarity", "drop", "less", "more"]].tolist() == [0.1, 5, 3, 6]
    assert row[["correlation", "correlation_low", "correlation_high"]].tolist() == [0.5, -0.5, 2.5]
    assert found.set_index("unlearner").loc["original", "drop"] == 4

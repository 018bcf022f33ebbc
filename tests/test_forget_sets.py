"""Forget sets beside part of a class: a whole class, and a random draw; every number that they leave undefined."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from lfcore import metrics
from lfcore.core import data, plugins, tables
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.paths import ROOT
from lfcore.core.run import Predictions, Run, read_predictions
from lfcore.core.seeds import number
from lfcore.geometry import similarity
from lfcore.metrics import average_gap, membership
from lfcore.models import networks
from lfcore.models.predict import outputs
from lfcore.plots import class_accuracy, deep_or_shallow, forest_plots, similarity_curves, style
from lfcore.plots import panels as views
from lfcore.plots.tables import by_bin, locality, paper_tables
from lfcore.publish import expected, selection
from lfcore.stages import evaluate, probe, train, tune
from lfcore.stages.data import choose_forget, count, preview, write_forget_sets
from lfcore.stages.summary import affected_classes, with_affected
from lfcore.statistics import claims, setting_choice, summary
from lfcore.unlearners import _apply as apply
from lfcore.unlearners import ltd
from lfcore.workflow.config import check_config

SETS = {
    "4_all": {"affected": 4, "fraction": 1.0},
    "random_tenth": {"fraction": 0.1},
    "4_half": {"affected": 4, "fraction": 0.5},
}
EVERY = plugins.known(metrics)


class TestChoosing:
    def test_a_random_set_is_a_share_of_all_classes_the_same_every_time(self, digits):
        rows = choose_forget(digits, None, 0.1)
        assert len(rows) == 107 == int(0.1 * len(digits.train)) and np.isin(rows, digits.train).all()
        assert (np.diff(rows) > 0).all() and len(np.unique(digits.labels[rows])) == 10
        assert (rows == choose_forget(digits, None, 0.1)).all()

    def test_it_is_the_start_of_one_permutation_of_the_stream_of_its_draw(self, digits):
        for draw in (0, 1):
            order = np.random.default_rng(number(draw, "forget set", "rows")).permutation(digits.train)
            assert (choose_forget(digits, None, 0.2, draw) == np.sort(order[:215])).all()
            assert set(choose_forget(digits, None, 0.1, draw)) < set(choose_forget(digits, None, 0.2, draw))
        one, other = (set(choose_forget(digits, None, 0.1, draw)) for draw in (0, 1))
        assert len(one & other) < 30, "two draws share a tenth of their rows by chance"

    def test_a_whole_class_leaves_none(self, digits, tmp_path):
        (chosen,) = write_forget_sets(digits, {"4_all": SETS["4_all"]}, tmp_path)
        assert (digits.labels[chosen.forget] == 4).all() and not (digits.labels[chosen.retain] == 4).any()
        assert sorted([*chosen.forget, *chosen.retain]) == digits.train.tolist()

    def test_index_files_survive_the_disk(self, digits, tmp_path):
        chosen = write_forget_sets(digits, SETS, tmp_path)
        assert [one.affected for one in chosen] == [4, None, 4]
        record = json.loads((tmp_path / "random_tenth.json").read_text())
        assert record["affected"] is None and len(record["rows"]) == 107
        again = data.read_forget(tmp_path / "random_tenth.json", digits)
        assert again.affected is None and (again.forget == chosen[1].forget).all()
        record["rows"][0] += 1
        (tmp_path / "random_tenth.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match="its hash differs"):
            data.read_forget(tmp_path / "random_tenth.json", digits)

    def test_sets_of_nothing_or_of_everything_are_refused(self, digits):
        with pytest.raises(InputError, match="of the train examples forgets nothing"):
            choose_forget(digits, None, 1e-4)
        with pytest.raises(InputError, match="whole training set"):
            choose_forget(digits, None, 1.0)

    def test_what_notebook_01_shows_of_them(self, digits, tmp_path):
        chosen = write_forget_sets(digits, SETS, tmp_path)
        shown = preview(digits, chosen, count=3)
        assert list(shown) == [
            "4_all: forgotten",
            "random_tenth: forgotten",
            "random_tenth: retained",
            "4_half: forgotten",
            "4_half: retained, class 4",
        ]
        assert all(len(images) == 3 for images in shown.values())
        whole, random, half = count(digits, chosen)
        assert (whole["retained of the class"], half["retained of the class"]) == (0, 55)
        assert random == {"forget set": "random_tenth", "class": "all", "forgotten": 107,
                          "retained of the class": 1078 - 107, "test of the class": 719}  # fmt: skip

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"fraction": 0.1}, None),
            ({"fraction": 0.1, "draw": 3}, None),
            ({"affected": 9, "fraction": 1.0}, None),
            ({"affected": 4}, "'fraction' is a required property"),
            ({"fraction": 0.1, "draw": -1}, r"forget_sets\.x\.draw: -1"),
            ({"affected": 4, "fraction": 0.5, "draw": 1}, r"at forget_sets\.x: .*'draw'"),
        ],
    )
    def test_the_schema_tells_them_apart(self, merged, given, message):
        config = merged({"forget_sets": {"x": given}})
        if message is None:
            assert check_config(config)["forget_sets"]["x"] == given
        else:
            with pytest.raises(InputError, match=message):
                check_config(config)


class TestSimilarity:
    def test_of_a_scattered_set_it_is_the_mean_cosine_to_the_five_nearest(self):
        random = np.random.default_rng(0)
        features, forget = random.normal(size=(20, 4)), random.normal(size=(9, 4))
        cosines = cosine_similarity(features, forget)
        twin = [np.mean(sorted(row, reverse=True)[:5]) for row in cosines]
        np.testing.assert_allclose(similarity.nearest_similarity(features, forget), twin, atol=1e-12)
        few = similarity.nearest_similarity(features, forget[:2])
        np.testing.assert_allclose(few, cosines[:, :2].mean(axis=1), atol=1e-12)

    def test_scale_and_zeros(self):
        forget = np.array([[3.0, 0], [0, 0.1]])
        found = similarity.nearest_similarity(np.array([[5.0, 0], [0, 0]]), forget, k=1)
        np.testing.assert_allclose(found, [1, 0])
        with pytest.raises(InputError, match="empty"):
            similarity.nearest_similarity(forget, forget[:0])

    def test_a_centre_means_nothing_for_a_scattered_set(self):
        """Two far clusters are forgotten: what lies between them is near their centre, and near neither."""
        forget = np.repeat([[1.0, 0], [0, 1]], 5, axis=0)
        features = np.array([[1.0, 1], [1, 0]])
        assert similarity.to_forget_set(features, forget, scattered=False).argmax() == 0
        assert similarity.to_forget_set(features, forget, scattered=True).argmax() == 1

    def test_ltd_sees_by_the_labels_which_it_is(self, problem):
        """The support of a set of several classes is near single images of it; that of one class near its centre."""
        keep, forget = problem.retain, Examples(problem.retain.images[::9], problem.retain.labels[::9])
        features = [outputs(problem.model, part.images)[1].numpy() for part in (keep, forget)]
        np.testing.assert_allclose(ltd.similarities(problem.model, keep, forget),
                                   similarity.nearest_similarity(*features))  # fmt: skip
        of_one = outputs(problem.model, problem.forget.images)[1].numpy()
        np.testing.assert_allclose(ltd.similarities(problem.model, keep, problem.forget),
                                   similarity.similarity(features[0], of_one))  # fmt: skip


@pytest.fixture(scope="module")
def files(digits, tmp_path_factory):
    """Data, two originals and five models retrained on what each set leaves, briefly, as the stages leave them."""
    folder = tmp_path_factory.mktemp("sets")
    data.write(digits, folder / "dataset.safetensors")
    write_forget_sets(digits, SETS, folder)
    recipe = {"epochs": 2, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
    common = {"dataset": folder / "dataset.safetensors", "network": "cnn", "options": recipe, "device": "cpu"}
    train.train(**common, forget_set=None, role="original", seeds=[0, 1], out=folder / "original")
    for name in SETS:
        index = folder / f"{name}.json"
        train.train(**common, forget_set=index, role="retrained", seeds=[0, 1, 2, 3, 4], out=folder / name)
    return folder


def measure(files, name, unlearner, chosen):
    """The table of one unlearner, `original` or `retrained`, on one forget set."""
    floor = unlearner == "retrained"
    return evaluate.evaluate(
        dataset=files / "dataset.safetensors",
        forget_set=files / f"{name}.json",
        network="cnn",
        unlearner=unlearner,
        seeds=[3, 4] if floor else [0, 1],
        folders=[files / name if floor else files / "original"],
        originals=[files / "original"],
        original_seeds=[0, 1],
        retrained=[files / name],
        reference_seeds=[0, 1, 2],
        floor_seeds=[3, 4],
        metrics=chosen,
        out=files / "measured" / name / unlearner,
    )


@pytest.fixture(scope="module")
def measured(files):
    """Every metric of both unlearners on all three sets, in one table."""
    parts = [measure(files, name, unlearner, EVERY) for name in SETS for unlearner in ("original", "retrained")]
    for place in sorted((files / "measured").rglob("*.csv")):
        assert tables.read(place).columns.tolist() == tables.COLUMNS
    table = pd.concat(parts, ignore_index=True)
    return table.assign(seed=table["seed"].astype(str))


@pytest.fixture(scope="module")
def summarized(files, measured):
    return with_affected(summary.summarize(measured), files)


def part(table, **where):
    for column, wanted in where.items():
        table = table[table[column] == wanted]
    return table


class TestMetrics:
    def test_every_metric_was_tried(self, measured):
        """klom and lira have no rows with three references: below they are given more."""
        assert {"accuracy", "depth", "matched", "shuffled", "targets", "tow"} <= set(EVERY)
        names = {name: set(part(measured, forget_set=name)["metric"]) for name in SETS}
        assert names["4_half"] - names["4_all"] == set()
        assert names["4_half"] - names["random_tenth"] == {"affected_gap", "class_similarity", "class_correlation"}

    def test_no_number_about_a_class_of_a_random_set(self, measured):
        rows = part(measured, forget_set="random_tenth")
        about = rows[rows["key"].str.startswith("affected") & rows["value"].notna() & (rows["metric"] != "count")]
        assert about.empty
        counts = part(rows, metric="count")
        assert (counts[counts["key"].str.startswith("affected")]["value"] == 0).all()
        in_class = part(rows, scope="class")
        assert set(in_class["metric"]) == {"accuracy", "reference_accuracy"} and "None" not in set(rows["key"])

    def test_among_the_classes_that_a_random_set_does_not_affect_are_all(self, measured):
        rows = part(measured, forget_set="random_tenth", scope="range")
        for metric in ("total_variation", "localization", "spearman"):
            for key in set(rows["key"]):
                if key.startswith("all"):
                    one, other = (
                        part(rows, metric=metric, key=name)["value"].to_numpy()
                        for name in (key, key.replace("all", "other"))
                    )
                    np.testing.assert_array_equal(one, other)

    def test_what_is_undefined_is_nan_or_missing_and_nothing_else_is(self, measured):
        undefined = measured[measured["value"].isna()]
        assert set(undefined["forget_set"]) <= {"4_all", "random_tenth"}
        whole = part(undefined, forget_set="4_all")
        assert set(whole["split"]) == {"retain"} and set(whole["key"]) == {"affected"}
        assert set(part(undefined, forget_set="random_tenth")["key"]) == {"affected"}

    def test_similarity_is_that_of_the_kind(self, files, digits, measured):
        originals = read_predictions([files / "original"], [0, 1])
        for name, how in (("4_all", similarity.similarity), ("random_tenth", similarity.nearest_similarity)):
            chosen = data.read_forget(files / f"{name}.json", digits)
            twin = np.mean([how(one, one[chosen.forget]) for one in originals.features], axis=0)
            with np.load(files / "measured" / name / "original.npz") as arrays:
                np.testing.assert_allclose(arrays["similarity"], twin, atol=1e-12)

    def test_accuracy_with_and_without_the_class(self, files, digits, measured):
        predictions = read_predictions([files / "4_all"], [3])
        choice = predictions.logits[0].argmax(axis=1)
        rows = part(measured, forget_set="4_all", unlearner="retrained", seed="3", metric="accuracy", split="test")
        other = digits.test[digits.labels[digits.test] != 4]
        for scope, key, members in (("all", "", digits.test), ("range", "other/whole", other)):
            value = part(rows, scope=scope, key=key)["value"].item()
            assert value == pytest.approx(100 * accuracy_score(digits.labels[members], choice[members]))
        assert part(rows, scope="class", key="4")["value"].item() == 0, "it never saw one"
        retained = part(measured, forget_set="4_all", metric="accuracy", split="retain", scope="class")
        assert "4" not in set(retained["key"]) and "3" in set(retained["key"])
        assert part(measured, forget_set="random_tenth", metric="accuracy", scope="range").empty

    def test_the_affected_gap_is_over_what_there_is(self, files, digits, measured):
        predictions = read_predictions([files / "original"], [0])
        reference = read_predictions([files / "4_all"], [0, 1, 2])
        gaps = []
        for members in (digits.train, digits.test):
            members = members[digits.labels[members] == 4]
            hits = [100 * (of.logits[:, members].argmax(axis=2) == 4).mean() for of in (predictions, reference)]
            gaps.append(abs(hits[0] - hits[1]))
        place = {"unlearner": "original", "seed": "0", "metric": "affected_gap", "reference": "retrained"}
        assert part(measured, forget_set="4_all", **place)["value"].item() == pytest.approx(np.mean(gaps))
        assert part(measured, forget_set="random_tenth", metric="affected_gap").empty

    def test_membership_is_as_its_docstring_says(self, measured):
        """A model without the class takes nearly all of it for strangers; of a random set, what it says of tests."""
        of = {
            name: part(measured, forget_set=name, unlearner="retrained", metric="membership")["value"] for name in SETS
        }
        assert of["4_all"].min() > 85
        assert of["4_all"].mean() > of["random_tenth"].mean() + 20

    def test_measures_that_need_many_references(self, files, digits):
        """klom and lira, on references made of three models and noise."""
        for name in ("4_all", "random_tenth"):
            chosen = data.read_forget(files / f"{name}.json", digits)
            few = read_predictions([files / name], [0, 1, 2])
            noise = np.random.default_rng(0).normal(scale=0.3, size=(20, *few.logits.shape[1:]))
            many = Predictions(tuple(range(20)), few.logits[np.arange(20) % 3] + noise, few.features)
            originals = read_predictions([files / "original"], [0, 1])
            three = Predictions((0, 1, 2), originals.logits[[0, 1, 0]], originals.features[[0, 1, 0]])
            run = Run(predictions=three, originals=three, floor=few, is_floor=False, labels=digits.labels,
                               classes=10, forget_set=chosen, test=digits.test, similarity=np.zeros(1797))  # fmt: skip
            for metric in ("klom", "lira"):
                rows = list(evaluate.find(metric).measure(run, many))
                assert rows and np.isfinite([row.value for row in rows]).all()

    def test_each_metric_alone_gives_what_it_gives_among_all(self, files, measured):
        """No metric lives on what another has left in the memo."""
        for metric in ("average_gap", "shuffled", "membership_variants"):
            alone = measure(files, "random_tenth", "original", [metric])
            both = part(measured, forget_set="random_tenth", unlearner="original")
            both = both[both["metric"].isin(set(alone["metric"]))]
            np.testing.assert_array_equal(alone["value"], both["value"])

    def test_a_run_says_whether_its_set_is_scattered(self, files, digits):
        chosen = data.read_forget(files / "random_tenth.json", digits)
        assert chosen.affected is None
        run = Run(None, None, None, False, digits.labels, 10, chosen, digits.test, None)
        parts = run.of_classes(digits.test)
        assert run.scattered and len(parts["affected"]) == 0 and (parts["other"] == digits.test).all()
        whole = dataclasses.replace(run, forget_set=data.read_forget(files / "4_all.json", digits))
        assert not whole.scattered and len(whole.of_classes(whole.forget_set.retain)["affected"]) == 0


class TestTables:
    """Summary, claims, views and figures of all three sets at once: empty cells, and nothing else."""

    def test_the_papers_columns(self, summarized):
        table = paper_tables(summarized)
        cells = table.loc[(slice(None), "cnn", "original"), :].droplevel([1, 2])
        assert cells.loc["4_all", "RA_aff"] == "" and (cells.loc["4_all"].drop("RA_aff") != "").all()
        empty = {name for name in cells.columns if cells.loc["random_tenth", name] == ""}
        assert empty == {"RA_aff", "UA_aff", "TA_aff", "TA_other", "gap_aff"}
        assert (cells.loc["4_half"] != "").all()

    def test_affected_classes_of_a_random_set_are_none(self, files):
        assert affected_classes(files, SETS) == {"4_all": "4", "random_tenth": "", "4_half": "4"}

    def test_the_summary_names_the_affected_class(self, summarized, tmp_path):
        tables.write(summarized, tmp_path / "summary.csv")
        again = tables.read(tmp_path / "summary.csv")
        assert again.columns[:2].tolist() == ["forget_set", "affected"]
        assert set(zip(again["forget_set"], again["affected"], strict=True)) == {
            ("4_all", "4"),
            ("random_tenth", ""),
            ("4_half", "4"),
        }

    def test_the_affected_classs_bars(self, summarized):
        bars = class_accuracy.affected_gaps(summarized)
        found = bars.groupby("forget_set")["measure"].agg(set).to_dict()
        assert found == {"4_all": {"UA_aff", "TA_aff"}, "4_half": {"RA_aff", "UA_aff", "TA_aff"}}
        style.plt.close(class_accuracy.affected_bars(bars, ["original", "retrained"]))

    def test_locality(self, summarized):
        cells = locality(summarized).loc[("random_tenth", "cnn", "original")]
        assert cells["affected/whole"] == "" and cells["other/near"] != ""

    @pytest.mark.filterwarnings("error")
    def test_claims_without_a_class_are_left_out_or_without_interval(self, measured):
        judged = claims.judge(measured)
        kinds = judged.groupby("forget_set")["statistic"].agg(set)
        assert not {"damage", "distance", "affected gap"} & kinds.get("random_tenth", set())
        assert set(judged[judged["p"].isna()]["verdict"]) <= {"no interval"}

    @pytest.mark.parametrize("panels", ["measures", "membership", "ablation", "controls", "targets", "depth"])
    def test_views_leave_cells_empty(self, summarized, panels):
        rows = views.pick(summarized, panels)
        table = views.table(rows)
        assert set(table.index.get_level_values("forget_set")) == set(SETS)
        for title in table.columns:
            if "class" in title or title.endswith("_aff") or title == "affected gap":
                assert (table.loc["random_tenth", title] == "").all() or "nan" in table.loc["random_tenth", title].iloc[
                    0
                ]
        style.plt.close(forest_plots.forest(rows, ["original", "retrained"]))

    def test_curves_and_classes(self, summarized):
        curves = similarity_curves.curves(summarized, scope="width_bin", classes="affected")
        assert "random_tenth" not in set(curves[curves["metric"] == "total_variation"]["forget_set"])
        for classes in ("all", "other"):
            found = similarity_curves.curves(summarized, scope="width_bin", classes=classes)
            assert set(found["forget_set"]) == set(SETS)
            style.plt.close(similarity_curves.localized(found, ["original", "retrained"]))
            by_bin(found)
        by_class = class_accuracy.by_class(summarized)
        of_random = by_class[by_class["forget_set"] == "random_tenth"]
        assert of_random["similarity"].isna().all(), "no class is similar to none"

    def test_what_is_published(self, files, summarized):
        rows = selection.select(summarized)
        assert "class" not in set(rows[rows["forget_set"] == "random_tenth"]["scope"])
        assert "class" in set(rows[rows["forget_set"] == "4_all"]["scope"])
        expected.with_tolerance(rows)

    def test_the_figures_of_depth(self, summarized):
        rows = views.pick(summarized, "depth")
        within = rows[rows["panel"].str.contains("within")]
        assert set(within["forget_set"]) == {"random_tenth"}, "one class has nothing within to tell apart"
        figure = deep_or_shallow.recovery(rows, rows.iloc[:0], ["original", "retrained", "no_such"])
        style.plt.close(figure)


class TestStages:
    def test_tuning_on_them_leaves_the_class_out(self, files, tmp_path):
        common = {"dataset": files / "dataset.safetensors", "network": "cnn", "unlearner": "ascent", "seeds": [0],
                  "device": "cpu", "originals": [files / "original"], "reference_seeds": [0, 1]}  # fmt: skip
        grid = [{"lr": 1e-4, "epochs": 1, "batch_size": 64}, {"lr": 1e-3, "epochs": 1, "batch_size": 64}]
        for name, empty in (("4_all", {"RA_aff"}), ("random_tenth", {"RA_aff", "TA_aff", "affected_gap"})):
            table = tune.tune(**common, forget_set=files / f"{name}.json", retrained=[files / name], grid=grid,
                              out=tmp_path / f"{name}.csv")  # fmt: skip
            missing = table[list(tune.MEASURES)].isna()
            assert set(missing.columns[missing.all()]) == empty == set(missing.columns[missing.any()])
            chosen = setting_choice.choose(setting_choice.summarize(table))
            assert chosen["gap"].notna().all()
            assert (chosen["keeps"] == (chosen["RA"] > setting_choice.RETAIN)).all(), (
                "there is no class's accuracy to keep"
            )
            assert chosen["rule"].sum() == chosen["reachable"].sum() == 1

    @pytest.mark.parametrize("name", ["4_all", "random_tenth"])
    def test_every_unlearner_runs_on_them(self, files, digits, name):
        """The cheapest of each kind of reading, and the two that look at the forget set's features or labels."""
        chosen = data.read_forget(files / f"{name}.json", digits)
        model = networks.read([files / "original"], 0, "cnn", digits, "cpu")
        short = {"lr": 1e-3, "epochs": 1, "batch_size": 64}
        cases = {
            "opc": short,
            "ltd": short | {"k": 100, "teacher_epochs": 2, "teacher_accuracy": 0.0},
            "neighbour_labels": short | {"k": 100},
            "ssd": {"alpha": 2.0},
        }
        for unlearner, options in cases.items():
            sets = apply.choose_sets(unlearner, digits, chosen, "cpu")
            result, _ = apply.apply(unlearner, model, sets, 0, options)
            assert not result.model.training

    def test_layers_of_a_random_set_have_no_affected_class(self, files, tmp_path):
        options = {"dataset": files / "dataset.safetensors", "network": "cnn", "unlearner": "retrained", "seeds": [3],
                   "originals": [files / "original"], "original_seeds": [0], "reference_seeds": [0],
                   "probes": {"layers": {}}, "device": "cpu", "out": tmp_path / "x"}  # fmt: skip
        kinds = {}
        for name in ("4_all", "random_tenth"):
            place = {"forget_set": files / f"{name}.json", "folders": [files / name], "retrained": [files / name]}
            kinds[name] = set(probe.probe(**options, **place)["key"].str.split("/").str[0])
        assert kinds == {"4_all": {"forget", "affected", "other"}, "random_tenth": {"forget", "other"}}


def test_the_gap_and_membership_know_both(files, digits):
    """average_gap has three or four parts whatever is forgotten; its memo holds nothing of another set."""
    for name in SETS:
        chosen = data.read_forget(files / f"{name}.json", digits)
        one = read_predictions([files / "original"], [0])
        run = Run(one, one, one, False, digits.labels, 10, chosen, digits.test, np.zeros(1797))
        parts = average_gap._values(one, run)
        assert len(parts["average_gap"]) == 4 and len(parts["average_gap_without_mia"]) == 3
        assert len(parts.get("affected_gap", ())) == {"4_all": 2, "random_tenth": 0, "4_half": 3}[name]
        assert set(membership.shadow_members(run)) <= set(chosen.retain)


def test_the_study_deep_forgets_both_kinds():
    study = yaml.safe_load((ROOT / "config" / "studies.yaml").read_text())["studies"]["deep"]
    kinds = [(one.get("affected"), one["fraction"]) for one in study["forget_sets"].values()]
    assert kinds == [(4, 1.0), (None, 0.1)]

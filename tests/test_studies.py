"""Studies, grids and the choice of settings: on configs and trials by hand, and on briefly trained models."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lfcore.core import checkpoint, tables
from lfcore.core.errors import InputError
from lfcore.stages import evaluate, tune, unlearn
from lfcore.statistics import setting_choice
from lfcore.unlearners._apply import check_options, find
from lfcore.workflow import studies
from lfcore.workflow.config import check_config
from lfcore.workflow.plan import Plan

SEEDS = {"first": 0, "unlearned": 2, "reference": 3, "floor": 2}


def make(**more):
    """A small config, as `workflow.check_config` returns it."""
    config = {
        "forget_sets": {"4_half": {"affected": 4, "fraction": 0.5}},
        "seeds": SEEDS,
        "metrics": ["accuracy"],
        "probes": {"layers": {}},
        "figures": {"11_localized": {}},
        "unlearners": {
            "ascent": {"epochs": 5, "batch_size": 64},
            "ascent-frozen": {"batchnorm": "frozen"},
            "fine_tuning": {"epochs": 20, "lr": 0.5},
            "ltd": {"k": 100},
        },
        "choice": "rule",
        "choices": {
            "rule": {
                "ascent": {"lr": 0.001},
                "ascent-frozen": {"lr": 0.002},
                "fine_tuning": {"lr": 0.1},
                "ltd": {"lr": 1},
            },
            "other": {"ascent": {"lr": 0.1}, "ascent-frozen": {"lr": 0.2}, "ltd": {"lr": 2, "beta": 3}},
        },
        "studies": {},
    }
    return config | more


def refuse(config, message):
    with pytest.raises(InputError, match=message) as caught:
        studies.read(config)
    assert "\n" not in str(caught.value)


class TestStudies:
    def test_the_main_study_is_the_profile_with_its_choices(self):
        (main,) = studies.read(make()).values()
        assert main.unlearners["ascent"] == {"epochs": 5, "batch_size": 64, "lr": 0.001}
        assert main.unlearners["ltd"] == {"k": 100, "lr": 1}
        assert (main.metrics, main.probes, main.figures) == (["accuracy"], {"layers": {}}, {"11_localized": {}})
        assert main.rows == ["original", "retrained", "ascent", "ascent-frozen", "fine_tuning", "ltd"]

    def test_a_variant_inherits_and_each_may_say_otherwise(self):
        (main,) = studies.read(make()).values()
        expected = {"epochs": 5, "batch_size": 64, "lr": 0.002, "batchnorm": "frozen"}
        assert main.unlearners["ascent-frozen"] == expected
        config = make()
        config["unlearners"]["ascent-frozen"] = {"batchnorm": "frozen", "epochs": 1, "lr": 9}
        assert studies.read(config)[""].unlearners["ascent-frozen"] == expected | {"epochs": 1, "lr": 9}
        del config["choices"]["rule"]["ascent-frozen"], config["unlearners"]["ascent-frozen"]["lr"]
        assert studies.read(config)[""].unlearners["ascent-frozen"] == expected | {"epochs": 1, "lr": 0.001}

    def test_an_option_that_is_given_beats_a_tuned_one(self):
        (main,) = studies.read(make()).values()
        assert main.unlearners["fine_tuning"] == {"epochs": 20, "lr": 0.5}

    def test_without_a_choice_nothing_is_tuned(self):
        (main,) = studies.read(make(choice="")).values()
        assert main.unlearners["ascent"] == {"epochs": 5, "batch_size": 64} and main.unlearners["ltd"] == {"k": 100}

    def test_reading_changes_nothing(self):
        config = make(studies={"s": {"choice": "other", "also": ["ltd"], "unlearners": {"ltd-x": {"k": 1}}}})
        before = json.dumps(config)
        first = studies.read(config)
        assert json.dumps(config) == before and studies.read(config) == first

    def test_seeds_are_counted_from_the_first_and_the_floor_follows_the_reference(self):
        study = studies.read(make(seeds={"first": 90, "unlearned": 2, "reference": 3, "floor": 2}))[""]
        assert (study.unlearned, study.reference, study.floor) == ([90, 91], [90, 91, 92], [93, 94])

    def test_a_study_is_the_profile_with_some_keys_in_place(self):
        sets = {"9_all": {"affected": 9, "fraction": 1.0}}
        given = {"forget_sets": sets, "seeds": SEEDS | {"first": 7}, "metrics": ["tow"], "also": ["ltd", "ascent"]}
        main, study = studies.read(make(studies={"s": given})).values()
        assert (study.forget_sets, study.metrics, study.unlearned) == (sets, ["tow"], [7, 8])
        assert study.rows == ["original", "retrained", "ltd", "ascent"]
        assert study.unlearners == {name: main.unlearners[name] for name in ("ltd", "ascent")}
        assert study.figures == study.probes == {}, "figures and probes are not repeated"
        _, bare = studies.read(make(studies={"s": {"figures": {"15_classes": {"a": 1}}}})).values()
        assert (bare.forget_sets, bare.seeds, bare.metrics) == (main.forget_sets, main.seeds, main.metrics)
        assert bare.unlearners == {} and bare.figures == {"15_classes": {"a": 1}}

    def test_also_passes_over_what_the_profile_took_out(self):
        """So that an overlay with nulls needs not repeat a study."""
        config = make(studies={"s": {"also": ["ascent", "scrub"]}})
        assert list(studies.read(config)["s"].unlearners) == ["ascent"]

    def test_a_studys_variant_inherits_what_its_method_has_in_the_profile(self):
        given = {"unlearners": {"ltd-random": {"support": "random"}, "ltd-k1": {"k": 1}, "scrub-x": {"lr": 3}}}
        study = studies.read(make(studies={"s": given}))["s"]
        assert study.unlearners == {
            "ltd-random": {"k": 100, "lr": 1, "support": "random"},
            "ltd-k1": {"k": 1, "lr": 1},
            "scrub-x": {"lr": 3},
        }

    def test_an_unlearner_of_a_study_above_may_stand_beside_and_gets_the_choices_of_one_below(self):
        above = {"unlearners": {"scrub": {"epochs": 2}}}
        config = make(studies={"a": above, "b": {"also": ["scrub"]}, "c": {"choice": "other"}})
        config["choices"]["other"]["scrub"] = {"lr": 7}
        found = studies.read(config)
        assert found["b"].unlearners == {"scrub": {"epochs": 2}} and "scrub" not in found[""].unlearners
        assert found["c"].unlearners["scrub-c"] == {"epochs": 2, "lr": 7}
        config = make(studies={"b": {"also": ["scrub"]}, "a": above})
        assert studies.read(config)["b"].unlearners == {}, "the order of the file counts"

    def test_another_choice_gives_every_tuned_method_the_name_of_the_study(self):
        study = studies.read(make(studies={"s": {"choice": "other"}}))["s"]
        assert study.unlearners == {
            "ascent-s": {"epochs": 5, "batch_size": 64, "lr": 0.1},
            "ascent-frozen_s": {"epochs": 5, "batch_size": 64, "lr": 0.2, "batchnorm": "frozen"},
            "ltd-s": {"k": 100, "lr": 2, "beta": 3},
        }
        assert {find(name).__name__ for name in study.unlearners} == {
            "lfcore.unlearners.ascent",
            "lfcore.unlearners.ltd",
        }

    def test_names_that_mean_two_things_are_one_sentence(self):
        refuse(
            make(studies={"s": {"unlearners": {"ascent-frozen": {"draw": 1}}}}),
            r"two different unlearners called 'ascent-frozen': rename the one of s\.$",
        )
        refuse(
            make(studies={"s": {"seeds": SEEDS | {"first": 5}}}),
            r"two different forget sets called '4_half': rename the one of s\.$",
        )
        refuse(make(studies={"s": {"metrics": ["tow"]}}), "two different forget sets called '4_half'")
        one, two = ({"unlearners": {"ltd-x": {"k": k}}} for k in (1, 2))
        refuse(make(studies={"s": one, "t": two}), "unlearners called 'ltd-x': rename the one of t")
        assert len(studies.read(make(studies={"s": one, "t": one}))) == 3, "twice the same is no conflict"
        figures = {"figures": {"11_localized": {}}}
        refuse(make(studies={"s": figures}), "two different figures called '11_localized': rename the one of s")
        assert studies.read(make(studies={"s": {"probes": {"layers": {"x": 1}}}}))["s"].probes == {"layers": {"x": 1}}


class TestGrids:
    def test_every_setting_is_every_value_of_every_option(self):
        found = studies.expand({"a": 1, "b": 2}, {"b": [5, 6], "c": [7, 8, 9]})
        assert found[0] == {"a": 1, "b": 5, "c": 7} and found[-1] == {"a": 1, "b": 6, "c": 9} and len(found) == 6
        assert studies.expand({"a": 1}, {}) == [{"a": 1}]

    def test_both_budgets(self):
        grids = {"ascent": {"lr": [1, 2]}, "ascent-frozen": {"lr": [3]}, "gone": {"lr": [4]}}
        config = make(tuning={"steps": 50, "grids": grids})
        expected = [{"epochs": 5, "batch_size": 64, "lr": 1}, {"epochs": 5, "batch_size": 64, "lr": 2}]
        frozen = {"epochs": 5, "batch_size": 64, "batchnorm": "frozen", "lr": 3}
        assert studies.grids(config, "epochs") == {"ascent": expected, "ascent-frozen": [frozen]}
        steps = studies.grids(config, "steps")
        assert steps == {"ascent": [one | {"steps": 50} for one in expected], "ascent-frozen": [frozen | {"steps": 50}]}
        config["tuning"]["grids_at_steps"] = {"ascent": {"lr": [8]}, "ltd": {"lr": [9]}, "gone": {"lr": [4]}}
        assert studies.grids(config, "epochs") == {"ascent": expected, "ascent-frozen": [frozen]}
        assert studies.grids(config, "steps") == {
            "ascent": [{"epochs": 5, "batch_size": 64, "lr": 8, "steps": 50}],
            "ascent-frozen": [frozen | {"steps": 50}],
            "ltd": [{"k": 100, "lr": 9, "steps": 50}],
        }

    def test_a_whole_class_has_grids_and_forget_sets_of_its_own(self):
        """And methods that only a study has, whose options are those of the study."""
        given = {"opc": {"epochs": 10}, "opc-features": {"norm": "features"}, "ascent-more": {"lr": 7}}
        sets = {"half": {"affected": 3, "fraction": 0.5}, "all": {"affected": 3, "fraction": 1.0}}
        grids = {"opc": {"lr": [1]}, "opc-features": {"lr": [2, 3]}}
        config = make(studies={"deep": {"unlearners": given}})
        config["tuning"] = {"forget_sets": sets, "steps": 50, "grids": {}, "grids_of_class": grids}
        config["choices"]["rule"] |= {"opc": {"lr": 5}, "opc-features": {"lr": 6}}
        features = {"epochs": 10, "norm": "features"}
        assert studies.grids(config, "class") == {
            "opc": [{"epochs": 10, "lr": 1}],
            "opc-features": [features | {"lr": 2}, features | {"lr": 3}],
        }
        assert studies.grids(config, "epochs") == studies.grids(config, "steps") == {}
        assert studies.tried_on(config, "class") == ["all"]
        assert studies.tried_on(config, "steps") == studies.tried_on(config, "epochs") == ["half"]
        config["studies"]["deep"]["forget_sets"] = {"4_all": {"affected": 4, "fraction": 1.0}}
        found = studies.read(config)["deep"].unlearners
        assert found["opc"] == {"epochs": 10, "lr": 5}
        assert found["opc-features"] == {"epochs": 10, "norm": "features", "lr": 6}
        assert found["ascent-more"] == {"epochs": 5, "batch_size": 64, "lr": 7}

    def test_a_study_of_experiments_has_no_models_of_the_profile(self):
        given = {"copies": {"copies": 5, "share": 0.3}, "copies-m0": {"copies": 0}}
        found = studies.read(make(studies={"similar": {"experiments": given}}))["similar"]
        assert found.experiments["copies-m0"] == {"copies": 0, "share": 0.3}
        assert (found.forget_sets, found.metrics, found.unlearners) == ({}, [], {})
        assert studies.variants(found.experiments, None) == studies.variants(found.experiments, ["copies"])
        assert studies.variants(found.experiments, ["copies-m0"]) == ["copies-m0"]
        with pytest.raises(InputError, match="no experiment called 'gone' in the study: choose from copies, copies-m0"):
            studies.variants(found.experiments, ["gone"])
        refuse(
            make(studies={"a": {"experiments": given}, "b": {"experiments": given}}), "two different experiments called"
        )

    def test_a_grid_begins_without_any_choice(self):
        """Or what was chosen before would decide what is tried now."""
        config = make(tuning={"steps": 50, "grids": {"ltd": {"lr": [3]}}})
        config["choices"] |= {"": {}}
        config["choices"]["rule"]["ltd"] |= {"beta": 9}
        assert studies.grids(config, "epochs") == {"ltd": [{"k": 100, "lr": 3}]}


class TestTheDefaultProfile:
    @pytest.fixture(scope="class")
    @staticmethod
    def config(merged):
        return check_config(merged())

    @pytest.mark.parametrize(
        ("budget", "grids"), [("epochs", "grids"), ("steps", "grids"), ("class", "grids_of_class")]
    )
    def test_every_method_gets_the_same_number_of_settings_all_different(self, config, budget, grids):
        found = studies.grids(config, budget)
        assert set(found) == set(config["tuning"][grids])
        assert {len(settings) for settings in found.values()} == {8}
        for name, settings in found.items():
            tried = [dict(setting) for setting in settings]
            for setting in tried:
                if "steps" in setting:
                    setting.pop("epochs", None)  # it is not looked at
            assert len({json.dumps(setting, sort_keys=True) for setting in tried}) == len(settings), name
            for setting in settings:
                check_options(name, setting)

    def test_every_method_with_something_to_choose_is_tuned(self, config):
        found = studies.read(config)
        field = set(found["field"].unlearners)
        assert set(config["unlearners"]) < field and field - set(config["tuning"]["grids"]) == {"drift"}
        own = {name for study in ("deep", "blind") for name in found[study].unlearners} - field
        own -= {"opc-lr0.02"}  # a rate of the grid, beside the chosen one
        assert own == set(config["tuning"]["grids_of_class"])
        for study in ("deep", "blind"):
            for name in own & set(found[study].unlearners):
                assert "lr" in found[study].unlearners[name]

    def test_each_unlearner_is_measured_in_the_first_study_that_has_it_on_that_forget_set(self, config):
        plan = Plan(config)
        jobs = {}
        for end, study in plan.by_ending.items():
            for forget_set in study.forget_sets:
                for name in plan.added(SimpleNamespace(study=end, forget_set=forget_set)):
                    assert (forget_set, name) not in jobs, "measured twice"
                    jobs[forget_set, name] = end
        rows = {(f, name) for study in plan.studies.values() for f in study.forget_sets for name in study.rows}
        assert set(jobs) == rows
        assert jobs["4_half", "ltd"] == "" and jobs["4_half", "scrub"] == "-field" and jobs["4_all", "ltd"] == "-deep"
        found = plan.measured(plan.studies["draws"])
        assert list(found) == ["", "-draws"], "what stands beside is not measured again"

    def test_no_study_uses_the_class_or_the_seeds_of_tuning(self, config):
        ours = studies.tuning(config)
        classes = {one["affected"] for one in ours.forget_sets.values()}
        used = set(ours.unlearned + ours.reference + ours.floor)
        assert len(classes) == 1 and used
        for name, study in studies.read(config).items():
            assert not used & set(study.unlearned + study.reference + study.floor), name
            assert not classes & {one.get("affected") for one in study.forget_sets.values()}, name
            assert not set(ours.forget_sets) & set(study.forget_sets), name

    def test_seeds_of_the_floor_are_no_reference(self, config):
        for study in [*studies.read(config).values(), studies.tuning(config)]:
            assert not set(study.floor) & set(study.reference)


def trials(rows):
    """Trials by hand, a row (unlearner, setting, UA, RA, RA_aff, average gap, affected gap), and maybe a forget set."""
    names = ["unlearner", "setting", "UA", "RA", "RA_aff", "average_gap", "affected_gap", "forget_set"]
    table = pd.DataFrame([[*row, "f"][:8] for row in rows], columns=names)
    return table.assign(
        options=[json.dumps({"epochs": 5, "lr": float(setting)}) for setting in table["setting"]],
        seed=0,
        steps=100,
        steps_aside=0,
        cpu_seconds=1.0,
    )


NAN = float("nan")


class TestChoosing:
    def picked(self, rows):
        """The numbers of the settings that the rule and the gap choose, and whether the rule's keeps enough."""
        found = setting_choice.choose(setting_choice.summarize(trials(rows)))
        assert (found.groupby("unlearner")["rule"].sum() <= 1).all()
        assert (found.groupby("unlearner")["reachable"].sum() <= 1).all()
        rule = found[found["rule"]]
        return rule["setting"].tolist(), found[found["reachable"]]["setting"].tolist(), rule["keeps"].tolist()

    def test_the_rule_takes_the_lowest_ua_of_those_that_keep_enough(self):
        rows = [
            ("a", 0, 90.0, 99.0, 99.0, 5.0, 5.0),
            ("a", 1, 60.0, 95.0, 80.0, 2.0, 8.0),
            ("a", 2, 10.0, 95.0, 60.0, 1.0, 1.0),
            ("a", 3, 5.0, 80.0, 90.0, 9.0, 9.0),
        ]
        assert self.picked(rows) == ([1], [2], [True])

    def test_enough_is_more_than_the_limits(self):
        rows = [("a", 0, 50.0, 90.0, 99.0, 1.0, 1.0), ("a", 1, 60.0, 99.0, 70.0, 1.0, 1.0)]
        assert self.picked([*rows, ("a", 2, 70.0, 90.01, 70.01, 1.0, 1.0)])[0] == [2]

    def test_where_none_keeps_enough_it_takes_the_highest_ra_and_says_so(self):
        rows = [("a", 0, 10.0, 80.0, 99.0, 3.0, 3.0), ("a", 1, 90.0, 89.0, 10.0, 4.0, 4.0)]
        assert self.picked(rows) == ([1], [0], [False])

    def test_ties_go_to_the_first(self):
        same = [("a", n, 50.0, 95.0, 95.0, 2.0, 2.0) for n in range(3)]
        assert self.picked(same) == ([0], [0], [True])
        none = [("a", n, 50.0, 50.0, 50.0, 2.0, 2.0) for n in range(3)]
        assert self.picked(none) == ([0], [0], [False])

    def test_the_rule_does_not_look_at_gaps_nor_reachable_at_accuracy(self):
        rows = [("a", 0, 50.0, 95.0, 95.0, 9.0, 9.0), ("a", 1, 60.0, 20.0, 20.0, 2.0, 2.0)]
        swapped = [(*row[:5], 11 - row[5], 11 - row[6]) for row in rows]
        assert self.picked(rows)[:2] == ([0], [1]) and self.picked(swapped)[:2] == ([0], [0])

    def test_a_setting_that_diverged_once_is_out(self):
        rows = [
            ("a", 0, 0.0, 99.0, 99.0, 0.0, 0.0, "f"),
            ("a", 0, NAN, NAN, NAN, NAN, NAN, "g"),
            ("a", 1, 50.0, 60.0, 60.0, 5.0, 5.0, "f"),
            ("a", 1, 50.0, 60.0, 60.0, 5.0, 5.0, "g"),
        ]
        assert self.picked(rows) == ([1], [1], [False])
        assert setting_choice.summarize(trials(rows)).loc[0, ["UA", "RA", "RA_aff", "gap"]].isna().all()
        assert self.picked([("a", 0, NAN, NAN, NAN, NAN, NAN)]) == ([], [], [])

    def test_methods_are_chosen_for_one_by_one(self):
        rows = [("b", 0, 50.0, 95.0, 95.0, 1.0, 1.0), ("b", 1, 40.0, 95.0, 95.0, 2.0, 2.0)]
        rows += [("a", 0, 30.0, 95.0, 95.0, 3.0, 3.0), ("a", 1, 60.0, 95.0, 95.0, 2.0, 2.0)]
        found = setting_choice.choose(setting_choice.summarize(trials(rows)))
        assert found[found["rule"]].set_index("unlearner")["setting"].to_dict() == {"b": 1, "a": 0}
        assert found[found["reachable"]].set_index("unlearner")["setting"].to_dict() == {"b": 0, "a": 1}

    def test_several_forget_sets_are_averaged_but_for_what_is_kept(self):
        rows = [
            ("a", 0, 10.0, 99.0, 99.0, 2.0, 6.0, "f"),
            ("a", 0, 30.0, 91.0, 60.0, 4.0, 0.0, "g"),
            ("a", 1, 70.0, 95.0, 95.0, 9.0, 9.0, "f"),
            ("a", 1, 80.0, 95.0, 90.0, 9.0, 9.0, "g"),
        ]
        one = setting_choice.summarize(trials(rows)).iloc[0]
        assert (one["UA"], one["RA"], one["RA_aff"], one["gap"]) == (20, 91, 60, 3)
        assert self.picked(rows) == ([1], [0], [True]), "99 and 60 are 79.5 on average, and not enough"

    def test_no_trials_are_one_sentence(self):
        with pytest.raises(InputError, match="no trials to choose from: give the grids"):
            setting_choice.summarize(trials([]))

    def test_choices_hold_what_the_grid_varies(self):
        rows = [("a", 1, 50.0, 95.0, 95.0, 2.0, 2.0), ("a", 2, 40.0, 95.0, 95.0, 3.0, 3.0)]
        rows += [("b", 7, 50.0, 95.0, 95.0, 2.0, 2.0)]
        settings = setting_choice.choose(setting_choice.summarize(trials(rows)))
        grids = {"a": {"lr": [1.0, 2.0]}, "b": {"lr": [7.0], "epochs": [5]}}
        assert setting_choice.choices(settings, "rule", grids) == {"a": {"lr": 2.0}, "b": {"lr": 7.0, "epochs": 5}}
        assert setting_choice.choices(settings, "reachable", grids)["a"] == {"lr": 1.0}

    def test_what_was_chosen_is_told_by_what_varies(self):
        rows = [("a", 1, 50.0, 95.0, 95.0, 2.0, 2.0), ("a", 2, 40.0, 95.0, 95.0, 3.0, 3.0)]
        rows += [("b", 7, 50.0, 95.0, 95.0, 2.0, 2.0), ("b", 8, 60.0, 95.0, 95.0, 3.0, 3.0)]
        found = setting_choice.chosen(setting_choice.choose(setting_choice.summarize(trials(rows))))[
            "options"
        ].to_dict()
        assert found == {("a", "reachable"): "lr 1", ("a", "rule"): "lr 2", ("b", "rule and reachable"): "lr 7"}

    def test_trials_survive_the_disk_with_what_diverged(self, tmp_path):
        rows = [("a", 0, NAN, NAN, NAN, NAN, NAN), ("a", 1, 50.0, 95.0, 95.0, 2.0, 2.0)]
        table = trials(rows)
        tables.write(table, tmp_path / "a.csv")
        tables.write(trials([("b", 0, 1.0, 2.0, 3.0, 4.0, 5.0)]), tmp_path / "b.csv")
        found = setting_choice.gather([tmp_path / "a.csv", tmp_path / "b.csv"])
        assert found["unlearner"].tolist() == ["a", "a", "b"]
        pd.testing.assert_frame_equal(
            setting_choice.summarize(found[found["unlearner"] == "a"]),
            setting_choice.summarize(table),
            check_dtype=False,
        )


TRIED = [
    {"lr": 1e-2, "epochs": 1, "batch_size": 32},
    {"lr": 1e20, "epochs": 9},
    {"lr": 1e-3, "epochs": 9, "steps": 3},
]


class TestStage:
    """The stage `lfcore.stages.tune.tune` on files."""

    @pytest.fixture(scope="class")
    @staticmethod
    def files(trained):
        return {
            "dataset": trained / "dataset.safetensors",
            "forget_set": trained / "4_half.json",
            "network": "cnn",
            "unlearner": "random_labels-x",
            "originals": [trained / "original"],
            "device": "cpu",
        }

    @pytest.fixture(scope="class")
    @staticmethod
    def table(files, trained, tmp_path_factory):
        path = tmp_path_factory.mktemp("tune") / "random_labels-x.csv"
        retrained = {"retrained": [trained / "retrained"], "reference_seeds": [0, 1]}
        return tune.tune(**files, **retrained, grid=TRIED, seeds=[0, 1], out=path), path

    def test_every_setting_of_every_seed_is_a_row(self, table):
        found, path = table
        assert found[["setting", "seed"]].to_numpy().tolist() == [[n, seed] for n in range(3) for seed in (0, 1)]
        assert [json.loads(text) for text in found["options"][::2]] == TRIED
        assert set(found["forget_set"]) == {"4_half"} and set(found["unlearner"]) == {"random_labels-x"}
        again = tables.read(path)
        assert again.columns.tolist() == found.columns.tolist() and (again["seed"] == found["seed"].astype(str)).all()
        np.testing.assert_allclose(again[list(tune.MEASURES)], found[list(tune.MEASURES)])

    def test_a_setting_that_diverges_is_nan_and_the_next_one_is_tried(self, table):
        numbers = table[0].set_index("setting")[[*tune.MEASURES, "steps", "steps_aside", "cpu_seconds"]]
        assert numbers.loc[1].isna().all(axis=None) and numbers.loc[[0, 2]].notna().all(axis=None)

    def test_steps_are_counted(self, table, forget_set):
        an_epoch = -(-len(forget_set.forget) // 32)
        assert table[0].groupby("setting")["steps"].mean().tolist() == pytest.approx([an_epoch, NAN, 3], nan_ok=True)

    def test_its_numbers_are_those_of_the_pipeline(self, table, files, trained, tmp_path):
        """The same setting through the stages that unlearn and evaluate."""
        place = {key: files[key] for key in ("dataset", "forget_set", "network", "unlearner", "originals")}
        unlearn.unlearn(**place, seeds=[0, 1], options=TRIED[0], device="cpu", out=tmp_path / "models")
        measured = evaluate.evaluate(
            **place,
            seeds=[0, 1],
            folders=[tmp_path / "models"],
            original_seeds=[0, 1],
            retrained=[trained / "retrained"],
            reference_seeds=[0, 1],
            floor_seeds=[2],
            metrics=["accuracy", "average_gap"],
            out=tmp_path / "measured",
        )
        for seed in (0, 1):
            rows = measured[measured["seed"] == seed].set_index(["metric", "split", "scope", "key"])["value"]
            expected = {
                "UA": rows["accuracy", "forget", "all", ""],
                "RA": rows["accuracy", "retain", "all", ""],
                "TA": rows["accuracy", "test", "all", ""],
                "RA_aff": rows["accuracy", "retain", "class", "4"],
                "TA_aff": rows["accuracy", "test", "class", "4"],
                "average_gap": rows["average_gap", "all", "all", ""],
                "affected_gap": rows["affected_gap", "all", "all", ""],
            }
            found = table[0].query("setting == 0 and seed == @seed").iloc[0][list(expected)].to_dict()
            assert found == pytest.approx(expected) and len(set(expected.values())) > 4
        assert checkpoint.sidecar([tmp_path / "models"], 0)["steps"] == table[0]["steps"][0]

    def test_an_option_that_the_method_lacks_is_one_sentence(self, files, trained, tmp_path):
        with pytest.raises(InputError, match="random_labels-x has no option 'beta'"):
            tune.tune(**files, retrained=[trained / "retrained"], reference_seeds=[0], grid=[{"lr": 1, "beta": 2}],
                      seeds=[0], out=tmp_path / "x.csv")  # fmt: skip
        assert not list(tmp_path.iterdir())

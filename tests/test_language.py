"""The language part: grammar, network, scores against slow twins and closed forms, unlearners, experiment, figure."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy, log_softmax

from lfcore.core import seeds, tables
from lfcore.core.errors import Diverged, InputError
from lfcore.core.paths import ROOT
from lfcore.experiments import language
from lfcore.language import scores, tuning, unlearners
from lfcore.language.grammar import FORMS, OPENINGS, VALUES, WORDINGS, invent
from lfcore.language.network import SILENT, Texts, Words
from lfcore.plots import language as language_plots

SMALL = {"people": 4, "target_people": 1, "forms": 2}
TINY = {"layers": 1, "width": 16, "heads": 2}
BRIEF = {"epochs": 2, "batch_size": 8, "lr": 0.004, "weight_decay": 0.01}
SHORT = {
    "ascent": {"lr": 1e-3, "epochs": 1},
    "gradient_difference": {"lr": 1e-3, "epochs": 1},
    "npo": {"lr": 1e-3, "epochs": 1},
    "npo_retain": {"lr": 1e-3, "epochs": 1},
    "fine_tuning": {"lr": 1e-3, "epochs": 1},
}
READS = {
    "ascent": {"forget"},
    "gradient_difference": {"forget", "retain"},
    "npo": {"forget"},
    "npo_retain": {"forget", "retain"},
    "fine_tuning": {"retain"},
}


def everything(world):
    return [*world.targets, *world.similar, *world.unseen, *world.unrelated, *world.unrelated_unseen]


def bits(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def world():
    return invent(0, **SMALL, similar=2)


@pytest.fixture(scope="module")
def speaker(world):
    return language._speaker("", world, TINY, "cpu")


@pytest.fixture(scope="module")
def model(world, speaker):
    """Trained long enough to know some answers and not all."""
    texts = speaker.encode(language.pairs([*world.targets, *world.unrelated]))
    return language.fit_answers(0, "test", speaker, texts, BRIEF | {"epochs": 25, "lr": 0.02})


@pytest.fixture(scope="module")
def sets(world, speaker):
    return {
        "retain": speaker.encode(language.pairs([*world.similar, *world.unrelated])),
        "forget": speaker.encode(language.pairs(world.targets)),
    }


@pytest.fixture(scope="module")
def results():
    """The table and arrays for m = 0, 1 and 2."""
    options = SMALL | {"network": TINY, "training": BRIEF, "unlearners": SHORT}
    return {m: language.experiment(None, seeds=[0, 1], device="cpu", similar=m, **options) for m in (0, 1, 2)}


class TestGrammar:
    def test_it_has_the_numbers_asked_for(self):
        world = invent(0, people=6, target_people=2, forms=3, similar=4, perturbed=7)
        assert [len(part) for part in (world.targets, world.similar, world.unseen)] == [8, 32, 8]
        assert len(world.unrelated) == 4 * 4 * 3 and len(world.unrelated_unseen) == 16
        assert {len(one.perturbed) for one in everything(world)} == {7}

    def test_a_seed_is_a_world(self):
        assert invent(3, **SMALL, similar=2) == invent(3, **SMALL, similar=2) != invent(4, **SMALL, similar=2)

    def test_worlds_with_more_paraphrases_only_have_more(self):
        none, two, five = (invent(0, **SMALL, similar=m) for m in (0, 2, 5))
        assert none.similar == [] and two.similar == five.similar[: len(two.similar)]
        for part in ("targets", "unseen", "unrelated", "unrelated_unseen"):
            assert getattr(none, part) == getattr(two, part) == getattr(five, part)

    def test_paraphrases_are_of_the_fact_of_their_target_in_other_words(self, world):
        count = len(world.targets)
        for i, target in enumerate(world.targets):
            others = [*world.similar[i::count], world.unseen[i]]
            assert len({one.question for one in [target, *others]}) == 4, "three paraphrases beside the target"
            (name,) = {" ".join(self.name(one)) for one in [target, *others]}
            assert name in target.question
            assert len({self.value(one) for one in [target, *others]}) == 1

    @staticmethod
    def name(sample):
        fixed = {w for wordings in WORDINGS.values() for q, _ in wordings for w in q.split()}
        fixed |= {word for opening in OPENINGS for word in opening.split()}
        return [word for word in sample.question.split() if word not in fixed]

    @staticmethod
    def value(sample):
        fixed = {w for wordings in WORDINGS.values() for _, a in wordings for w in a.split()}
        (value,) = [word for word in sample.answer.split() if word not in fixed]
        return value

    def test_perturbed_answers_are_wrong_and_the_paraphrased_one_is_right_in_other_words(self, world):
        for sample in everything(world):
            value = self.value(sample)
            assert value in sample.paraphrase.split() and sample.paraphrase != sample.answer
            wrong = {self.value(SimpleNamespace(answer=answer)) for answer in sample.perturbed}
            assert len(wrong) == 5 and value not in wrong
            assert {answer.replace(w, value) for w in wrong for answer in sample.perturbed if w in answer.split()} == {
                sample.paraphrase
            }

    def test_no_text_is_both_trained_on_and_unseen_and_no_person_both_target_and_unrelated(self):
        world = invent(1, people=30, target_people=10, forms=4, similar=8)
        trained = [one.question for one in [*world.targets, *world.similar, *world.unrelated]]
        unseen = [one.question for one in [*world.unseen, *world.unrelated_unseen]]
        assert len(set(trained)) == len(trained) and not set(trained) & set(unseen)
        names = [{" ".join(self.name(one)) for one in part} for part in (world.targets, world.unrelated)]
        assert [len(part) for part in names] == [10, 20] and not names[0] & names[1]

    def test_every_attribute_has_as_many_forms_and_values(self):
        assert {len(wordings) for wordings in WORDINGS.values()} == {4} and len(FORMS) == 4 * len(OPENINGS)
        assert all(len(set(words.split())) == 20 for words in VALUES.values() if words)
        assert len({question for wordings in WORDINGS.values() for question, _ in wordings}) == 16

    @pytest.mark.parametrize(
        "wrong",
        [{"target_people": 4}, {"target_people": 0}, {"people": 401}, {"forms": 24}, {"forms": 0}, {"similar": 23},
         {"similar": -1}, {"perturbed": 20}, {"perturbed": 0}],
    )  # fmt: skip
    def test_impossible_numbers_are_refused(self, wrong):
        with pytest.raises(InputError):
            invent(0, **(SMALL | {"similar": 0} | wrong))


class TestNetwork:
    def test_texts_are_the_words_in_order_with_labels_on_the_answer_alone(self, speaker, world):
        texts = speaker.encode(language.pairs(world.targets))
        words = {number: word for word, number in speaker.numbers.items()}
        for row, sample in enumerate(world.targets):
            told = [words[int(token)] for token in texts.tokens[row]]
            expected = f"{sample.question} <answer> {sample.answer} <end>".split()
            assert told[: len(expected)] == expected and set(told[len(expected) :]) <= {"<pad>"}
            labelled = [words[int(label)] for label in texts.labels[row] if label != SILENT]
            assert labelled == f"{sample.answer} <end>".split()

    def test_no_token_sees_a_later_one(self, model, sets):
        tokens = sets["forget"].tokens.clone()
        before = model(tokens)
        tokens[:, 6:] = torch.flip(tokens[:, 6:], [1])
        torch.testing.assert_close(model(tokens)[:, :6], before[:, :6])
        assert not torch.allclose(model(tokens)[:, 6:], before[:, 6:])

    def test_attention_is_softmax_of_scaled_products_over_earlier_tokens(self, model):
        block, states = model.blocks[0], torch.randn(2, 5, 16, generator=seeds.generator(0, "test", "states"))
        three = block.queries_keys_values(block.before_attention(states))
        mixed = torch.zeros(2, 5, 16)
        for n, place, head in itertools.product(range(2), range(5), range(2)):
            q, k, v = (three[n, :, 16 * i + 8 * head : 16 * i + 8 * head + 8] for i in range(3))
            weights = torch.softmax(k[: place + 1] @ q[place] / math.sqrt(8), 0)
            mixed[n, place, 8 * head : 8 * head + 8] = weights @ v[: place + 1]
        expected = states + block.out(mixed)
        expected = expected + block.linear(block.before_linear(expected))
        torch.testing.assert_close(block(states), expected, atol=1e-5, rtol=1e-4)

    def test_weights_depend_on_seed_and_stage_alone(self, speaker):
        torch.manual_seed(5)
        state = torch.get_rng_state()
        first = bits(speaker.build(0, "a"))
        assert torch.equal(torch.get_rng_state(), state)
        assert same(first, bits(speaker.build(0, "a")))
        assert not same(first, bits(speaker.build(1, "a"))) and not same(first, bits(speaker.build(0, "b")))

    def test_heads_must_divide_the_width(self):
        with pytest.raises(InputError, match="heads must divide"):
            Words(["a b"], "cpu", width=10, heads=4)


class TestScores:
    def test_likelihood_is_the_sum_of_the_answers_log_probabilities(self, model, speaker, world):
        for sample in world.targets:
            texts = speaker.encode([(sample.question, sample.answer)])
            tokens = texts.tokens[0].tolist()
            start = tokens.index(speaker.numbers["<answer>"]) + 1
            total = 0.0
            for place in range(start, len(tokens)):  # one token after the other
                logits = model(torch.tensor([tokens[:place]])).detach()[0, -1]
                total += float(log_softmax(logits, 0)[tokens[place]])
            mean, _ = scores.score(model, texts)
            assert float(mean) == pytest.approx(total / (len(tokens) - start), abs=1e-5)

    def test_exact_match_is_what_greedy_decoding_says(self, model, speaker, world):
        samples = everything(world)
        _, exact = scores.score(model, speaker.encode(language.pairs(samples)))
        assert 0 < exact.float().mean() < 1, "or the comparison says nothing"
        end = speaker.numbers["<end>"]
        for sample, matched in zip(samples, exact.tolist(), strict=True):
            tokens = [speaker.numbers[word] for word in f"{sample.question} <answer>".split()]
            start = len(tokens)
            while tokens[-1] != end and len(tokens) < speaker.length:
                tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
            answer = [speaker.numbers[word] for word in f"{sample.answer} <end>".split()]
            assert (tokens[start:] == answer) == matched

    def test_padding_and_batches_change_nothing(self, model, sets):
        texts = sets["retain"]
        wider = Texts(
            torch.nn.functional.pad(texts.tokens, (0, 1)), torch.nn.functional.pad(texts.labels, (0, 1), value=SILENT)
        )
        for other, size in ((wider, 512), (texts, 3)):
            for a, b in zip(scores.score(model, texts), scores.score(model, other, batch_size=size), strict=True):
                torch.testing.assert_close(a, b)

    def test_the_truth_ratio_is_the_papers(self, model, speaker, world):
        samples = world.targets[:3]
        paraphrased = speaker.encode([(one.question, one.paraphrase) for one in samples])
        perturbed = speaker.encode([(one.question, wrong) for one in samples for wrong in one.perturbed])
        found = scores.truth_ratio(model, paraphrased, perturbed)
        for sample, value in zip(samples, found.tolist(), strict=True):
            normal = [
                math.exp(float(scores.score(model, speaker.encode([(sample.question, answer)]))[0]))
                for answer in (sample.paraphrase, *sample.perturbed)
            ]
            assert value == pytest.approx(np.mean(normal[1:]) / normal[0], rel=1e-4)

    def test_a_model_that_knows_nothing_has_likelihood_minus_log_words_and_truth_ratio_one(self, speaker, sets):
        blank = speaker.build(0, "blank")
        torch.nn.init.zeros_(blank.word.weight)
        mean, _ = scores.score(blank, sets["forget"])
        torch.testing.assert_close(mean, torch.full_like(mean, -math.log(len(speaker.numbers))))
        ratio = scores.truth_ratio(blank, sets["forget"], sets["forget"])
        torch.testing.assert_close(ratio, torch.ones_like(ratio))


class TestUnlearners:
    def test_the_answer_loss_is_torchs_cross_entropy_on_the_labels(self, model, sets):
        logits = model(sets["forget"].tokens)
        expected = cross_entropy(logits[:, :-1].flatten(0, 1), sets["forget"].labels[:, 1:].flatten())
        torch.testing.assert_close(unlearners.answer_loss(logits, sets["forget"].labels), expected)

    def test_npo_is_its_other_form_and_its_gradient_becomes_ascents(self):
        now, originally = torch.tensor([-3.0, -1.0], requires_grad=True), torch.tensor([-1.0, -2.0])
        for beta in (0.1, 1.0):
            ratio = (now - originally).exp()
            expected = 2 / beta * torch.log1p(ratio**beta).mean()  # eq. 3, its second form
            torch.testing.assert_close(unlearners.npo_loss(now, originally, beta), expected)
            (gradient,) = torch.autograd.grad(unlearners.npo_loss(now, originally, beta), now)
            weight = (2 * ratio**beta / (1 + ratio**beta)).detach()  # the adaptive weight of sec. 3
            torch.testing.assert_close(gradient, weight / 2)
        (gradient,) = torch.autograd.grad(unlearners.npo_loss(now, originally, 1e-6), now)
        torch.testing.assert_close(gradient, torch.full((2,), 0.5), atol=1e-5, rtol=0)  # of the mean of l: ascent

    def test_the_known_ones_are_those_of_the_study(self):
        assert set(unlearners.known()) == set(SHORT) == set(READS)

    @pytest.mark.parametrize("name", SHORT)
    def test_each_is_handed_only_what_it_reads_is_seeded_and_leaves_the_original(self, name, model, sets):
        unread = {part: None for part in ("retain", "forget") if part not in READS[name]}
        before = bits(model)
        runs = [
            bits(unlearners.apply(name, model, **(sets | unread), seed=seed, options=SHORT[name])) for seed in (0, 0, 1)
        ]
        assert same(before, bits(model)) and not same(before, runs[0])
        assert same(runs[0], runs[1]) and not same(runs[0], runs[2])

    @pytest.mark.parametrize("name", ["ascent", "gradient_difference", "npo", "npo_retain"])
    def test_those_that_forget_make_the_forget_answers_less_likely(self, name, model, sets):
        options = SHORT[name] | {"epochs": 5}
        found = unlearners.apply(name, model, **sets, seed=0, options=options)
        assert scores.score(found, sets["forget"])[0].mean() < scores.score(model, sets["forget"])[0].mean() - 0.05

    def test_a_retain_term_keeps_the_retain_answers_likelier(self, model, sets):
        options = {"lr": 3e-3, "epochs": 15}
        for without, beside in (("ascent", "gradient_difference"), ("npo", "npo_retain")):
            kept = [
                scores.score(unlearners.apply(name, model, **sets, seed=0, options=options), sets["retain"])[0].mean()
                for name in (without, beside)
            ]
            assert kept[1] > kept[0] + 0.1

    def test_one_step_of_ascent_is_adamws_on_minus_the_loss(self, model, sets):
        found = unlearners.ascent(model, sets["forget"], seed=0, lr=1e-3, epochs=1, batch_size=len(sets["forget"]))
        loss = -unlearners.answer_loss(model(sets["forget"].tokens), sets["forget"].labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for old, new, gradient in zip(bits(model), bits(found), gradients, strict=True):
            clear = gradient.abs() > 1e-5  # below, Adam's epsilon matters
            torch.testing.assert_close(new[clear], (old - 1e-3 * gradient.sign())[clear], atol=5e-6, rtol=0)

    def test_a_rate_without_bounds_diverges(self, model, sets):
        with pytest.raises(Diverged):
            unlearners.ascent(model, sets["forget"], seed=0, lr=1e30)

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("descent", {}, "no language unlearner called 'descent': choose one of ascent, fine_tuning"),
            ("ascent-long", {"lr": 1, "beta": 1}, "ascent-long has no option 'beta'"),
            ("npo", {}, "npo needs the option 'lr'"),
        ],
    )
    def test_wrong_options_are_one_sentence(self, name, options, message):
        with pytest.raises(InputError, match=message):
            unlearners.check_options(name, options)


class TestExperiment:
    def test_nothing_similar_makes_both_references_the_same_to_the_bit(self, monkeypatch):
        kept = {}
        train = language._train
        monkeypatch.setattr(
            language,
            "_train",
            lambda seed, role, samples, *more: (
                kept.setdefault((role, len(samples)), []).append(model := train(seed, role, samples, *more)) or model
            ),
        )
        options = SMALL | {"network": TINY, "training": BRIEF}
        language.experiment(None, seeds=[0], device="cpu", similar=0, **options)
        ((one, other),) = [models for (role, _), models in kept.items() if role == "retrained"]
        assert one is not other and same(bits(one), bits(other))
        kept.clear()
        language.experiment(None, seeds=[0], device="cpu", similar=1, **options)
        one, other = (models[0] for (role, _), models in kept.items() if role == "retrained")
        assert not same(bits(one), bits(other))

    def test_the_residual_of_retraining_is_zero_without_similar_samples_and_not_with_them(self, results):
        for m, (table, _) in results.items():
            gaps = table[(table["reference"] == "without_similar") & (table["unlearner"] == "retrained")]
            assert len(gaps) == 2 * 2 * 3
            assert (gaps["value"] == 0).all() == (m == 0)

    def test_the_floor_is_another_draw(self, results):
        for table, _ in results.values():
            floor = table[(table["unlearner"] == "without_similar") & (table["reference"] == "without_similar")]
            assert (floor.loc[floor["metric"] == "log_likelihood", "value"] != 0).all()

    def test_the_original_grows_with_m_alone(self, results):
        """Worlds and streams are shared: what does not see the paraphrases does not change with m."""
        places = ["seed", "split", "metric"]
        values = {}
        for m, (table, _) in results.items():
            rows = table[(table["reference"] == "") & (table["split"] != "similar")].set_index(["unlearner", *places])
            values[m] = rows["value"]
        assert values[0]["without_similar"].equals(values[1]["without_similar"])
        assert not values[0]["original"].equals(values[1]["original"])

    def test_the_table_is_tidy_and_the_arrays_are_its_targets(self, results):
        for m, (table, arrays) in results.items():
            assert table.columns.tolist() == [
                "unlearner",
                "seed",
                "reference",
                "split",
                "metric",
                "scope",
                "key",
                "value",
            ]
            assert table["value"].notna().all() and not table.duplicated(table.columns[:-1].tolist()).any()
            names = ["original", "retrained", "without_similar", *SHORT]
            assert table["unlearner"].unique().tolist() == arrays["unlearners"].tolist() == names
            assert ("similar" in set(table["split"])) == (m > 0)
            rows = table[(table["reference"] == "") & (table["split"] == "target")]
            for metric in language.SCORES:
                assert arrays[metric].shape == (len(names), 2, 4)
                means = rows[rows["metric"] == metric].pivot(index="unlearner", columns="seed", values="value")
                np.testing.assert_allclose(means.loc[names], arrays[metric].mean(axis=2))
        assert not any(array.dtype == object for array in results[1][1].values())

    def test_seeds_are_independent_of_one_another(self, results):
        options = SMALL | {"network": TINY, "training": BRIEF, "unlearners": SHORT}
        alone, _ = language.experiment(None, seeds=[1], device="cpu", similar=1, **options)
        both, _ = results[1]
        pd.testing.assert_frame_equal(alone, both[both["seed"] == 1].reset_index(drop=True))

    def test_a_grid_tries_every_setting_and_nothing_else(self):
        grid = {"ascent": {"lr": [1e-4, 1e-3], "epochs": [1, 2]}, "npo": {"lr": [1e30]}}
        table, arrays = language.experiment(
            None,
            seeds=[0],
            device="cpu",
            similar=1,
            network=TINY,
            training=BRIEF,
            grid=grid,
            tuning_seeds=[90, 91],
            **SMALL,
        )
        assert arrays == {} and set(table["seed"]) == {90, 91}
        assert set(table["unlearner"]) == {"original", "ascent"}, "what diverged has no rows"
        assert table.loc[table["scope"] == "setting", "key"].unique().tolist() == [
            '{"lr": 0.0001, "epochs": 1}', '{"lr": 0.0001, "epochs": 2}',
            '{"lr": 0.001, "epochs": 1}', '{"lr": 0.001, "epochs": 2}',
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "wrong",
        [
            {"similar": -1},
            {"unlearners": {"no_such": {}}},
            {"unlearners": {"ascent": {"rate": 1}}},
            {"training": {"epoch": 1}},
            {"network": {"depth": 1}},
            {"network": {"heads": 3}},
            {"grid": {"ascent": {"lr": [1]}}},
            {"seeds": []},
            {"transformers": "no/such/folder"},
        ],
    )
    def test_wrong_values_are_refused_before_any_training(self, wrong, monkeypatch):
        monkeypatch.setattr(language, "_train", lambda *everything: pytest.fail("trained"))
        with pytest.raises(InputError):
            language.experiment(None, **({"seeds": [0], "device": "cpu", "similar": 0} | wrong))

    def test_a_method_that_diverges_is_named(self):
        options = SMALL | {"network": TINY, "training": BRIEF | {"epochs": 1}}
        with pytest.raises(Diverged, match="ascent, seed 0, diverged"):
            language.experiment(
                None, seeds=[0], device="cpu", similar=0, unlearners={"ascent": {"lr": 1e30}}, **options
            )


class TestTuning:
    def test_the_rule_takes_the_most_forgetting_that_keeps_enough(self):
        found = pd.DataFrame(
            [("a", "1", 50.0, 99.0), ("a", "2", 10.0, 96.0), ("a", "3", 10.0, 97.0), ("a", "4", 0.0, 94.0),
             ("b", "1", 0.0, 10.0), ("b", "2", 90.0, 60.0)],
            columns=["unlearner", "setting", "target", "unrelated"],
        )  # fmt: skip
        chosen = tuning.choose(found)
        assert chosen.loc[chosen["chosen"], "setting"].tolist() == ["3", "2"]
        assert chosen.loc[chosen["chosen"], "keeps"].tolist() == [True, False]

    def test_a_setting_that_diverged_for_one_seed_is_out(self):
        rows = [
            ("a", seed, split, "exact_match", "setting", key, 5.0 if split == "target" else 100.0)
            for seed, key in ((90, '{"lr": 1}'), (90, '{"lr": 2}'), (91, '{"lr": 2}'))
            for split in ("target", "unrelated")
        ]
        table = pd.DataFrame(rows, columns=["unlearner", "seed", "split", "metric", "scope", "key", "value"])
        assert tuning.choices(table) == {"a": {"lr": 2}}


@pytest.fixture(scope="module")
def experiments():
    config = yaml.safe_load((ROOT / "config" / "studies.yaml").read_text())
    return config["studies"]["language"]["experiments"]


class TestConfig:
    def test_every_method_gets_eight_settings_and_what_is_used_is_one_of_them(self, experiments):
        used, grid = experiments["language"]["unlearners"], experiments["language-tuning"]["grid"]
        assert set(used) == set(grid) == set(unlearners.known())
        for name, options in used.items():
            tried = [chosen for method, chosen in language._settings(grid) if method == name]
            assert len(tried) == 8 and options in tried

    def test_tuning_has_seeds_of_its_own(self, experiments):
        assert not set(experiments["language-tuning"]["tuning_seeds"]) & set(range(50))


class TestPlots:
    @pytest.fixture
    def paths(self, results, tmp_path):
        found = []
        for m, (table, _) in results.items():
            found.append(tmp_path / f"language-m{m}.csv")
            tables.write(table.assign(experiment=f"language-m{m}", similar=m), found[-1])
        grid = pd.DataFrame(
            [
                ("ascent", 90, "", split, "exact_match", "setting", '{"lr": 1}', 99.0)
                for split in ("target", "unrelated")
            ],
            columns=results[0][0].columns,
        )
        tables.write(grid.assign(experiment="language-tuning", similar=2), tmp_path / "tuning.csv")
        return [*found, tmp_path / "tuning.csv"]

    def test_means_and_intervals_are_over_seeds(self, paths, results):
        rows = language_plots.summarize(language_plots.read(paths)).set_index(["panel", "similar", "unlearner"])
        table, _ = results[1]
        values = table[(table["reference"] == "without_similar") & (table["split"] == "target")]
        values = values[(values["metric"] == "log_likelihood") & (values["unlearner"] == "npo")]["value"]
        row = rows.loc["target: residual", 1, "npo"]
        half = 12.7062 * values.std() / math.sqrt(2)  # Student's t, one degree of freedom
        assert (row["mean"], row["n"]) == (pytest.approx(values.mean(), rel=1e-6), 2)
        assert (row["low"], row["high"]) == (
            pytest.approx(values.mean() - half, rel=1e-4), pytest.approx(values.mean() + half, rel=1e-4),
        )  # fmt: skip
        assert ("paraphrase that stays", 0, "npo") not in rows.index

    def test_grids_are_read_apart(self, paths):
        assert "language-tuning" not in set(language_plots.read(paths)["experiment"])
        assert tuning.choices(language_plots.tried(paths)) == {"ascent": {"lr": 1}}
        with pytest.raises(InputError, match="retrained model"):
            language_plots.read(paths[-1:])

    def test_the_figure_has_a_panel_each_and_a_line_for_each_unlearner(self, paths):
        shown = ["original", "retrained", "ascent", "without_similar", "absent"]
        rows = language_plots.summarize(language_plots.read(paths))
        figure = language_plots.residual(rows, shown)
        for axis, panel in zip(figure.axes, language_plots.PANELS, strict=True):
            labels = axis.get_legend_handles_labels()[1]
            assert axis.get_title() == panel and len(labels) == 4 and len(axis.get_lines()) >= 3
        assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]
        language_plots.style.plt.close(figure)
        with pytest.raises(InputError, match="choose other"):
            language_plots.residual(rows, ["absent"])

    def test_the_table_has_a_column_for_each_m(self, paths):
        wide = language_plots.table(language_plots.summarize(language_plots.read(paths)))
        assert wide.columns.tolist() == ["m = 0", "m = 1", "m = 2"]
        assert wide.loc[("paraphrase that stays", "npo"), "m = 0"] == ""
        assert wide.loc[("target: residual", "retrained"), "m = 0"] == "0.00 [0.00, 0.00]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny, randomly initialised GPT-2, and a tokenizer of the grammar's words."""
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    from lfcore.language.pretrained import load

    transformers = load()

    path = tmp_path_factory.mktemp("gpt2")
    worlds = [invent(seed, **SMALL, similar=1) for seed in (0, 1)]
    texts = [text for one in worlds for s in everything(one) for text in (s.question, s.answer, *s.perturbed)]
    words = sorted({word for text in texts for word in text.split()} | {"answer:"})
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["<end>", "<unk>", *words])}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>")
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=len(fast), n_positions=64, n_embd=16, n_layer=1, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    return path


@pytest.mark.filterwarnings("default")  # the package warns of itself when it is imported
class TestPretrained:
    def test_the_experiment_runs_on_a_folder_and_repeats_to_the_bit(self, folder):
        options = SMALL | {"training": BRIEF, "unlearners": SHORT, "transformers": str(folder)}
        table, _ = language.experiment(None, seeds=[0], device="cpu", similar=1, **options)
        again, _ = language.experiment(None, seeds=[0], device="cpu", similar=1, **options)
        pd.testing.assert_frame_equal(table, again)  # dropout is off
        assert table["value"].notna().all() and set(SHORT) < set(table["unlearner"])

    def test_without_similar_samples_the_references_are_the_same(self, folder):
        options = SMALL | {"training": BRIEF, "transformers": str(folder)}
        table, _ = language.experiment(None, seeds=[1], device="cpu", similar=0, **options)
        gaps = table[(table["reference"] == "without_similar") & (table["unlearner"] == "retrained")]
        assert (gaps["value"] == 0).all()

    def test_its_texts_score_as_transformers_own_loss(self, folder):
        from lfcore.language.pretrained import Pretrained

        speaker = Pretrained(folder, "cpu")
        world = invent(0, **SMALL, similar=0)
        model = speaker.build(0, "test").eval()
        for pair in language.pairs(world.targets):
            texts = speaker.encode([pair])
            expected = model.model(input_ids=texts.tokens, labels=texts.labels).loss
            torch.testing.assert_close(scores.score(model, texts)[0][0], -expected.detach())

    def test_a_folder_without_safetensors_is_refused(self, tmp_path):
        pytest.importorskip("transformers")
        from lfcore.language.pretrained import Pretrained

        (tmp_path / "pytorch_model.bin").write_bytes(b"")
        with pytest.raises(InputError, match="safetensors"):
            Pretrained(tmp_path, "cpu")


def test_without_transformers_the_option_says_what_to_install(monkeypatch):
    from lfcore.language.pretrained import Pretrained

    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(InputError, match="pip install transformers"):
        Pretrained("anywhere", "cpu")

"""What is left of a deletion in a language model, when m paraphrases of each deleted answer stay in its training data?

Forgetting Similar Samples, 2601.06938, asks this of an unlearned model and of one retrained without the targets; its
text experiment (50 targets of PKU-Alignment, 50 similar samples each, written by a language model) is public neither
in code nor in numbers, so the data, the network and the scores here are ours. Two references, trained alike:

    retrained        without the targets, with their paraphrases: what is usually called exact unlearning
    without_similar  without the targets and without their paraphrases: nothing of the targets is left

The *residual* of a model is a score on a target less that of the model without_similar of the same seed. Every seed has
a world, an original and references of its own, so seeds are independent. Both references of a seed have one stream of
randomness: with m = 0 they are the same to the bit, and the residual of `retrained` is exactly 0. The floor, the rows
of the unlearner `without_similar`, is one more such model of the same world and another stream.
"""

from itertools import product
from json import dumps

import numpy as np
import pandas as pd
import torch

from lfcore.errors import Diverged, InputError
from lfcore.evaluate import Row
from lfcore.language import unlearners as methods
from lfcore.language.grammar import Sample, World, invent
from lfcore.language.network import Texts, Words
from lfcore.language.scores import score, truth_ratio
from lfcore.seeds import generator, make_deterministic
from lfcore.train import linear

NETWORK = {"layers": 2, "width": 64, "heads": 4}
TRAINING = {"epochs": 40, "batch_size": 32, "lr": 3e-3, "weight_decay": 0.01}
SCORES = ("log_likelihood", "exact_match", "truth_ratio")


def experiment(
    data,
    *,
    seeds: list[int],
    device: str,
    similar: int,
    people: int = 50,
    target_people: int = 10,
    forms: int = 4,
    network: dict | None = None,
    training: dict | None = None,
    unlearners: dict[str, dict] | None = None,
    transformers: str = "",
    grid: dict[str, dict[str, list]] | None = None,
    tuning_seeds: list[int] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Train, unlearn and score every model of `seeds`, with `similar` paraphrases of each target in the training data.

    data: not read. people, target_people, forms: of `lfcore.language.grammar.invent`. network: layers, width, heads.
    training: epochs, batch_size, lr, weight_decay of AdamW with linear decay. unlearners: functions of
    `lfcore.language.unlearners` and their options. transformers: a folder with a causal language model to start from,
    in place of `network` trained from scratch. grid: if given, every setting of it is tried on `tuning_seeds`, and
    nothing else is done; a setting is a row's key, as JSON, of the scope "setting".

    Returns the table (unlearner, seed, reference, split, metric, scope, key, value), and of every model and target the
    SCORES, each (unlearners, seeds, targets), with the names `unlearners` and `seeds` of their places. Splits: target;
    similar (the paraphrases that stay); unseen (paraphrases that no model was trained on); unrelated, in the first form
    of each fact; unrelated_unseen. Numbers are means over a split: log_likelihood in nats per token, exact_match in
    percent, truth_ratio. reference "without_similar": the residual; "": the number itself.
    """
    make_deterministic(device)
    network, training = {**NETWORK, **(network or {})}, {**TRAINING, **(training or {})}
    tried = _settings(grid) if grid else [(name, options) for name, options in (unlearners or {}).items()]
    _check(network, training, tried)
    rows, arrays, names = [], {name: [] for name in SCORES}, []
    seeds = (tuning_seeds or []) if grid else seeds
    if not seeds:
        raise InputError("There are no seeds to run: give the experiment seeds, and its grid tuning_seeds.")
    for seed in seeds:
        world = invent(seed, people=people, target_people=target_people, forms=forms, similar=similar)
        speaker = _speaker(transformers, world, network, device)
        models = _models(seed, world, speaker, tried, training, references=not grid)
        found = {}
        questions = _questions(world, speaker)
        for name, model in models:
            found[name] = {} if model is None else {split: _score(model, *q) for split, q in questions.items()}
        if grid:
            rows += [_of_setting(row) for name in found for row in _rows(name, seed, found[name])]
            continue
        reference = found.pop("reference")
        for name, scores in found.items():
            rows += _rows(name, seed, scores)
            rows += _rows(name, seed, {"target": _less(scores["target"], reference["target"])}, "without_similar")
            rows += _rows(name, seed, {"unseen": _less(scores["unseen"], reference["unseen"])}, "without_similar")
        names = list(found)
        for name in SCORES:
            arrays[name].append([scores["target"][name] for scores in found.values()])
    table = pd.DataFrame(rows, columns=["unlearner", *Row._fields])
    if grid:
        return table, {}
    stacked = {name: np.stack(values, axis=1) for name, values in arrays.items()}
    return table, {**stacked, "unlearners": np.array(names), "seeds": np.array(seeds)}


def _check(network: dict, training: dict, tried: list[tuple[str, dict]]) -> None:
    for name, given, offered in (("network", network, NETWORK), ("training", training, TRAINING)):
        for option in given:
            if option not in offered:
                raise InputError(f"{name} has no option {option!r}: choose from {', '.join(offered)}.")
    for name, options in tried:
        methods.check_options(name, options)


def _settings(grid: dict[str, dict[str, list]]) -> list[tuple[str, dict]]:
    """Every method with every combination of its grid's values."""
    return [
        (name, dict(zip(values, combination, strict=True)))
        for name, values in grid.items()
        for combination in product(*values.values())
    ]


def _speaker(transformers: str, world: World, network: dict, device: str):
    if transformers:
        from lfcore.language.pretrained import Pretrained  # an optional dependency

        return Pretrained(transformers, device)
    everyone = [*world.targets, *world.unseen, *world.unrelated, *world.unrelated_unseen, *sum(world.similar, [])]
    texts = [text for one in everyone for text in (one.question, one.answer, one.paraphrase, *one.perturbed)]
    return Words(texts, device, **network)


def pairs(samples: list[Sample]) -> list[tuple[str, str]]:
    """Questions and answers."""
    return [(sample.question, sample.answer) for sample in samples]


def fit_answers(seed: int, stage: str, speaker, texts: Texts, training: dict):
    """A model of `speaker`, trained on the answers in `texts`; `stage` names its stream of randomness."""
    return methods.learn(
        speaker.build(seed, stage),
        texts,
        lambda logits, rows: methods.answer_loss(logits, texts.labels[rows]),
        generator=generator(seed, stage, "batches"),
        schedule=linear,
        **training,
    )


def _models(seed: int, world: World, speaker, tried, training: dict, *, references: bool):
    """Pairs of a name and a model, one after the other; None for a model that diverged while settings are tried."""
    kept = [*sum(world.similar, []), *world.unrelated]
    forget, retain = speaker.encode(pairs(world.targets)), speaker.encode(pairs(kept))
    everything = speaker.encode(pairs([*world.targets, *kept]))
    original = fit_answers(seed, "language original", speaker, everything, training)
    yield "original", original
    if references:
        unrelated = speaker.encode(pairs(world.unrelated))
        yield "retrained", fit_answers(seed, "language retrained", speaker, retain, training)
        yield "reference", fit_answers(seed, "language retrained", speaker, unrelated, training)
        yield "without_similar", fit_answers(seed, "language floor", speaker, unrelated, training)
    for name, options in tried:
        label = name if references else f"{name} {dumps(options)}"
        try:
            yield label, methods.apply(name, original, retain, forget, seed=seed, options=options)
        except Diverged as error:
            if references:
                raise Diverged(f"{name}, seed {seed}, diverged. {error}") from None
            yield label, None


def _questions(world: World, speaker) -> dict[str, tuple[Texts, Texts, Texts]]:
    """For each split its answers, paraphrased answers, and perturbed answers."""
    forms = len(world.unrelated) // len(world.unrelated_unseen)
    splits = {
        "target": world.targets,
        "similar": sum(world.similar, []),
        "unseen": world.unseen,
        "unrelated": world.unrelated[::forms],
        "unrelated_unseen": world.unrelated_unseen,
    }
    return {
        split: (
            speaker.encode(pairs(samples)),
            speaker.encode([(one.question, one.paraphrase) for one in samples]),
            speaker.encode([(one.question, wrong) for one in samples for wrong in one.perturbed]),
        )
        for split, samples in splits.items()
        if samples
    }


def _score(model: torch.nn.Module, answers: Texts, paraphrased: Texts, perturbed: Texts) -> dict[str, np.ndarray]:
    """The SCORES of each sample of a split."""
    likelihood, exact = score(model, answers)
    values = (likelihood, 100 * exact, truth_ratio(model, paraphrased, perturbed))
    return {name: value.double().numpy() for name, value in zip(SCORES, values, strict=True)}


def _less(scores: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: scores[name] - others[name] for name in SCORES}


def _rows(unlearner: str, seed: int, scores: dict[str, dict[str, np.ndarray]], reference: str = "") -> list[tuple]:
    return [
        (unlearner, *Row(seed, reference, split, metric, "all", "", values.mean()))
        for split, of_split in scores.items()
        for metric, values in of_split.items()
    ]


def _of_setting(row: tuple) -> tuple:
    """A row whose unlearner is "name {options}" as one of the scope "setting" with the options as key."""
    name, _, options = row[0].partition(" ")
    named = dict(zip(["unlearner", *Row._fields], row, strict=True)) | {"unlearner": name, "key": options}
    return tuple((named | {"scope": "setting" if options else "all"}).values())

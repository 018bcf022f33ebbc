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

from lfcore.core.errors import Diverged, InputError
from lfcore.core.run import Row
from lfcore.core.seeds import generator, make_deterministic
from lfcore.language import unlearners as methods
from lfcore.language.grammar import Sample, World, invent
from lfcore.language.network import Texts, Words
from lfcore.language.scores import score, truth_ratio

NETWORK = {"layers": 2, "width": 64, "heads": 4}
TRAINING = {"epochs": 20, "batch_size": 16, "lr": 0.004, "weight_decay": 0.01}
SCORES = ("log_likelihood", "exact_match", "log_truth_ratio")
TRUTH = ("target", "unseen", "unrelated")
"""The splits of which the truth ratio is taken, which costs several times as much as the rest."""


def experiment(
    data,
    *,
    seeds: list[int],
    device: str,
    similar: int,
    people: int = 24,
    target_people: int = 6,
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
    training: epochs, batch_size, lr, weight_decay of AdamW with `rise_and_fall`. unlearners: functions of
    `lfcore.language.unlearners` and their options. transformers: a folder with a causal language model to start from,
    in place of `network` trained from scratch. grid: if given, every setting of it is tried on `tuning_seeds`, and
    nothing else is done; a setting is a row's key, as JSON, of the scope "setting".

    Returns the table (unlearner, seed, reference, split, metric, scope, key, value), and of every model and target the
    SCORES, each (unlearners, seeds, targets), with the names `unlearners` and `seeds` of their places. Splits: target;
    similar (the paraphrases that stay); unseen (paraphrases that no model is trained on); unrelated, in the first form
    of each fact; unrelated_unseen. Numbers are means over a split: log_likelihood in nats per token, exact_match in
    percent, log_truth_ratio in nats. reference "without_similar": the residual; "": the number itself.

    Raises InputError before any training for options that can't be.
    """
    make_deterministic(device)
    network, training = {**NETWORK, **(network or {})}, {**TRAINING, **(training or {})}
    tried = _settings(grid) if grid else list((unlearners or {}).items())
    _check(network, training, tried)
    seeds = (tuning_seeds or []) if grid else seeds
    if not seeds:
        raise InputError("There are no seeds to run: give the experiment seeds, and its grid tuning_seeds.")

    def worlds():
        for seed in seeds:
            world = invent(seed, people=people, target_people=target_people, forms=forms, similar=similar)
            yield seed, world, _speaker(transformers, world, network, device)

    if grid:
        return _table(row for world in worlds() for row in _try(*world, tried, training)), {}
    return _measure(worlds(), tried, training)


def _measure(worlds, tried, training: dict) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The table and the arrays of `experiment`. worlds: a seed, its world and its speaker each."""
    rows, numbers, names = [], [], []
    arrays = {name: [] for name in SCORES}
    for seed, world, speaker in worlds:
        found = _compare(seed, world, speaker, tried, training)
        reference = found.pop("reference")
        for name, scores in found.items():
            rows += _rows(name, seed, scores)
            gaps = {
                split: {score: scores[split][score] - reference[split][score] for score in SCORES}
                for split in ("target", "unseen")
            }
            rows += _rows(name, seed, gaps, reference="without_similar")
        names, numbers = list(found), [*numbers, seed]
        for name in SCORES:
            arrays[name].append([scores["target"][name] for scores in found.values()])
    stacked = {name: np.stack(values, axis=1) for name, values in arrays.items()}
    return _table(rows), {**stacked, "unlearners": np.array(names), "seeds": np.array(numbers)}


def _table(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["unlearner", *Row._fields])


def _check(network: dict, training: dict, tried: list[tuple[str, dict]]) -> None:
    for name, given, offered in (("network", network, NETWORK), ("training", training, TRAINING)):
        for option in given:
            if option not in offered:
                raise InputError(f"{name} has no option {option!r}: choose from {', '.join(offered)}.")
    for name, options in tried:
        methods.check_options(name, options)


def _settings(grid: dict[str, dict[str, list]]) -> list[tuple[str, dict]]:
    """Every method with every combination of its grid's values."""
    settings = ((name, values, chosen) for name, values in grid.items() for chosen in product(*values.values()))
    return [(name, dict(zip(values, chosen, strict=True))) for name, values, chosen in settings]


def _speaker(transformers: str, world: World, network: dict, device: str):
    if transformers:
        from lfcore.language.pretrained import Pretrained  # an optional dependency

        return Pretrained(transformers, device)
    everyone = [*world.targets, *world.unseen, *world.unrelated, *world.unrelated_unseen, *world.similar]
    texts = [text for one in everyone for text in (one.question, one.answer, one.paraphrase, *one.perturbed)]
    return Words(texts, device, **network)


def rise_and_fall(done: float) -> float:
    """A learning-rate schedule: up to nearly 1 over the first tenth of the steps, and down to 0 after the last."""
    return min(1.0, 10 * done) * (1.0 - done)


def pairs(samples: list[Sample]) -> list[tuple[str, str]]:
    """Questions and answers."""
    return [(sample.question, sample.answer) for sample in samples]


def fit_answers(seed: int, stage: str, speaker, texts: Texts, training: dict):
    """A model of `speaker`, trained on the answers in `texts`; `stage` names its stream of randomness."""
    model, draws = speaker.build(seed, stage), generator(seed, stage, "batches")
    return methods.learn_answers(model, texts, generator=draws, schedule=rise_and_fall, **training)


def _train(seed: int, role: str, samples: list[Sample], speaker, training: dict):
    return fit_answers(seed, f"language {role}", speaker, speaker.encode(pairs(samples)), training)


def _compare(seed: int, world: World, speaker, tried, training: dict) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """For each model, by name, and each split, the SCORES of its samples. "reference" is a model without_similar."""
    questions = _questions(world, speaker)
    kept = [*world.similar, *world.unrelated]
    roles = {
        "original": ("original", [*world.targets, *kept]),
        "retrained": ("retrained", kept),
        "reference": ("retrained", world.unrelated),  # the stream of retrained: with nothing similar the same model
        "without_similar": ("floor", world.unrelated),
    }
    models = {name: _train(seed, role, samples, speaker, training) for name, (role, samples) in roles.items()}
    retain, forget = speaker.encode(pairs(kept)), speaker.encode(pairs(world.targets))
    for name, options in tried:
        try:
            models[name] = methods.apply(name, models["original"], retain, forget, seed=seed, options=options)
        except Diverged as error:
            raise Diverged(f"{name}, seed {seed}, diverged. {error}") from None
    return {name: {split: _score(model, *q) for split, q in questions.items()} for name, model in models.items()}


def _try(seed: int, world: World, speaker, tried, training: dict) -> list[tuple]:
    """Rows of the original, and of every setting that doesn't diverge, without truth ratios."""
    questions = {split: q[:1] for split, q in _questions(world, speaker).items()}
    kept = [*world.similar, *world.unrelated]
    original = _train(seed, "original", [*world.targets, *kept], speaker, training)
    retain, forget = speaker.encode(pairs(kept)), speaker.encode(pairs(world.targets))
    rows = _rows("original", seed, {split: _score(original, *q) for split, q in questions.items()})
    for name, options in tried:
        try:
            model = methods.apply(name, original, retain, forget, seed=seed, options=options)
        except Diverged:
            continue
        scores = {split: _score(model, *q) for split, q in questions.items()}
        rows += _rows(name, seed, scores, scope="setting", key=dumps(options))
    return rows


def _questions(world: World, speaker) -> dict[str, tuple[Texts, ...]]:
    """For each split its answers; for those of TRUTH, paraphrased and perturbed answers too."""
    forms = len(world.unrelated) // len(world.unrelated_unseen)
    splits = {
        "target": world.targets,
        "similar": world.similar,
        "unseen": world.unseen,
        "unrelated": world.unrelated[::forms],
        "unrelated_unseen": world.unrelated_unseen,
    }
    found = {}
    for split, samples in splits.items():
        if samples:
            found[split] = (speaker.encode(pairs(samples)),)
        if split in TRUTH:
            paraphrased = [(one.question, one.paraphrase) for one in samples]
            perturbed = [(one.question, wrong) for one in samples for wrong in one.perturbed]
            found[split] += (speaker.encode(paraphrased), speaker.encode(perturbed))
    return found


def _score(model: torch.nn.Module, answers: Texts, *others: Texts) -> dict[str, np.ndarray]:
    """The SCORES of each sample of a split; the last if there are others to compare its answers with."""
    likelihood, exact = score(model, answers)
    values = [likelihood, 100 * exact, *([truth_ratio(model, *others).log()] if others else [])]
    return {name: value.double().numpy() for name, value in zip(SCORES, values, strict=False)}


def _rows(unlearner: str, seed: int, scores: dict, *, reference="", scope="all", key="") -> list[tuple]:
    """The mean of every score over every split."""
    return [
        (unlearner, *Row(seed, reference, split, metric, scope, key, values.mean()))
        for split, of_split in scores.items()
        for metric, values in of_split.items()
    ]

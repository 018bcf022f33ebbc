"""Questions and answers about invented people, drawn from a seeded grammar in which every fact can be put many ways.

A *fact* is a person, an attribute and a value ("mira tolen", town, "kessav"); a *form* is an opening and a wording, and
a fact in a form is a question and its answer. Two forms of one fact are paraphrases: the same meaning in other words,
and mostly of another length, as the similar samples of Forgetting Similar Samples, 2601.06938, which a language model
wrote there. People with all their facts stand for the authors of TOFU, Maini et al., 2401.06121. The grammar is ours.
"""

from dataclasses import dataclass
from itertools import product

import torch

from lfcore.core.errors import InputError
from lfcore.core.seeds import generator

OPENINGS = ("", "please ,", "tell me :", "now ,", "i wonder ,", "quickly :")
WORDINGS = {
    "town": (
        ("where was {name} born ?", "in {value} ."),
        ("in which town was {name} born ?", "the town is {value} ."),
        ("what is the birthplace of {name} ?", "it is {value} ."),
        ("which place is {name} from ?", "from {value} , by birth ."),
    ),
    "occupation": (
        ("what does {name} do for a living ?", "works as a {value} ."),
        ("what is the occupation of {name} ?", "it is {value} ."),
        ("as what does {name} work ?", "as a {value} ."),
        ("which trade did {name} learn ?", "that of the {value} ."),
    ),
    "instrument": (
        ("what instrument does {name} play ?", "the {value} ."),
        ("which instrument did {name} study ?", "lessons on the {value} ."),
        ("which instrument does {name} own ?", "it is a {value} ."),
        ("with what does {name} make music ?", "with a {value} , mostly ."),
    ),
    "animal": (
        ("what animal does {name} keep ?", "a {value} ."),
        ("which animal lives with {name} ?", "it is a {value} ."),
        ("what pet has {name} got ?", "the pet is a {value} ."),
        ("what does {name} feed every morning ?", "a {value} , at dawn ."),
    ),
}
"""For each attribute its wordings: the question and its answer. A form is one of them after one of the OPENINGS."""
FORMS = tuple(product(range(len(OPENINGS)), range(4)))
VALUES = {
    "town": "",  # invented
    "occupation": "baker carpenter dentist farmer gardener glazier judge lawyer locksmith mason miller nurse painter "
    "pilot plumber potter roofer sailor tailor weaver",
    "instrument": "accordion banjo bassoon cello clarinet cornet drum fiddle flute guitar harp horn lute oboe organ "
    "piano trombone trumpet tuba viola",
    "animal": "canary cat cow dog donkey duck ferret goat goose hamster hen horse lizard mule parrot pig rabbit sheep "
    "tortoise turtle",
}
CHOICES = 20
"""The number of values of an attribute, of first names, and of last names."""


@dataclass(frozen=True)
class Sample:
    """A fact in a form.

    paraphrase: the same value in the answer of another wording. perturbed: that answer with wrong values.
    """

    question: str
    answer: str
    paraphrase: str
    perturbed: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """Samples by their part in the experiment.

    targets: what is to be forgotten. similar: paraphrases that stay in the training data, one of each target in their
    order, then a second of each, up to m. unseen: a paraphrase of each target that no model is trained on. unrelated:
    facts of other people, in several forms each, one after the other. unrelated_unseen: one more form of each of those,
    which no model is trained on.
    """

    targets: list[Sample]
    similar: list[Sample]
    unseen: list[Sample]
    unrelated: list[Sample]
    unrelated_unseen: list[Sample]


def _invent_words(count: int, ending: str, draws: torch.Generator) -> list[str]:
    """`count` different words of two syllables and `ending`."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    pairs = torch.randperm(len(syllables) ** 2, generator=draws)[:count].tolist()
    return [syllables[pair // len(syllables)] + syllables[pair % len(syllables)] + ending for pair in pairs]


def invent(seed: int, *, people: int, target_people: int, forms: int, similar: int, perturbed: int = 5) -> World:
    """The world of `seed`: all facts of `target_people` of the `people` are targets, the others are unrelated.

    forms: in how many forms each unrelated fact is in the training data. similar: the m paraphrases of each target
    that stay there. perturbed: wrong answers to each sample. Worlds that differ in `similar` alone differ in nothing
    else, and have the paraphrases of the smaller one in common. Raises InputError for impossible numbers.
    """
    if not 0 < target_people < people <= CHOICES**2:
        raise InputError(f"{target_people} of {people} people can't be targets: choose 0 < targets < people <= 400.")
    if not (0 < forms < len(FORMS) and 0 <= similar <= len(FORMS) - 2):
        raise InputError(f"There are {len(FORMS)} forms, one is never trained on: forms or similar asks for too many.")
    if not 0 < perturbed < CHOICES:
        raise InputError(f"There can't be {perturbed} wrong answers: choose from 1 to {CHOICES - 1}.")
    draws = generator(seed, "language", "world")
    values = {name: words.split() or _invent_words(CHOICES, "v", draws) for name, words in VALUES.items()}
    first, last = _invent_words(CHOICES, "", draws), _invent_words(CHOICES, "n", draws)
    names = torch.randperm(CHOICES**2, generator=draws)[:people].tolist()
    world, paraphrases = World([], [], [], [], []), []
    for person, number in enumerate(names):
        name = f"{first[number // CHOICES]} {last[number % CHOICES]}"
        for attribute in WORDINGS:
            order = torch.randperm(CHOICES, generator=draws).tolist()
            value, *wrong = (values[attribute][place] for place in order[: perturbed + 1])
            ways = [FORMS[way] for way in torch.randperm(len(FORMS), generator=draws).tolist()]
            samples = [_put(attribute, name, value, wrong, way) for way in ways]
            if person < target_people:
                world.targets.append(samples[0])
                paraphrases.append(samples[1 : similar + 1])
                world.unseen.append(samples[-1])
            else:
                world.unrelated.extend(samples[:forms])
                world.unrelated_unseen.append(samples[-1])
    world.similar.extend(sample for kept in zip(*paraphrases, strict=True) for sample in kept)
    return world


def _put(attribute: str, name: str, value: str, wrong: list[str], form: tuple[int, int]) -> Sample:
    """A fact in a form."""
    opening, wording = form
    question, answer = WORDINGS[attribute][wording]
    other = WORDINGS[attribute][(wording + 1) % len(WORDINGS[attribute])][1]
    return Sample(
        question=f"{OPENINGS[opening]} {question}".strip().format(name=name),
        answer=answer.format(value=value),
        paraphrase=other.format(value=value),
        perturbed=tuple(other.format(value=one) for one in wrong),
    )

"""The verdict in words, made of the numbers of the tables and of nothing else."""

import numpy as np
import pandas as pd

from lfcore.claims import ALPHA


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}"


def _floor(row) -> str:
    """What one more retrained model would show, and how surprising the number is."""
    band = f"between {_signed(row.floor_low)} and {_signed(row.floor_high)}"
    alone = f" (asked alone it would be beyond the floor, p = {row.p:.2g})" if row.p < ALPHA <= row.p_holm else ""
    return f"one more retrained model would show {band} (95 %); p = {row.p_holm:.2g} after Holm's correction{alone}"


SAYS = {
    ("affected", "damage"): {
        "more than retraining": "It damages the affected class beyond what forgetting costs.",
        "less than retraining": "It is surer of the affected class than retrained models are, so something of what was "
        "to be forgotten still helps.",
        "no more than retraining": "No damage to the rest of the affected class is shown.",
    },
    ("other", "damage"): {
        "more than retraining": "It damages the other classes.",
        "less than retraining": "It is surer of the other classes than retrained models are.",
        "no more than retraining": "No damage to the other classes on average is shown.",
    },
    ("other", "near_minus_far"): {
        "more than retraining": "Among the other classes it changes examples near the forget set more than far ones.",
        "less than retraining": "Among the other classes it changes far examples more, against expectation.",
        "no more than retraining": "Among the other classes, no extra change near the forget set is shown.",
    },
    ("other", "matched"): {
        "more than retraining": "It is not only that near examples are harder: they change more than far ones as hard "
        "as they are.",
        "less than retraining": "Against far examples of equal difficulty, near ones change less.",
        "no more than retraining": "Against far examples of equal difficulty, no extra change near it is shown.",
    },
    ("other", "less_random_sets"): {
        "more than retraining": "The contrast is larger than around random sets of train examples.",
        "less than retraining": "The contrast is smaller than around random sets of train examples.",
        "no more than retraining": "The contrast is not shown to be larger than around random sets of train examples.",
    },
}
"""What each verdict on each question means, but the one on forgetting."""
ONE = (
    "One unlearned model is one draw of its method: another seed may do better or worse. Its own spread is taken to be "
    "that of a retrained model; give several seeds to measure it."
)
UNSPLIT = (
    "Nobody said which examples are test examples, so retained ones, which the models were trained on, and unseen ones "
    "are mixed here: name them with test=."
)


def _forgetting(row, *, same: bool) -> str:
    """Whether the forget examples were forgotten, compared with models that never saw them."""
    if row.verdict == "more than retraining":
        return "Forgetting: beyond retraining."
    if same:
        return "Forgetting: still like the original."
    if row.verdict == "less than retraining":
        nearer = abs(row.unlearned - row.original) < abs(row.unlearned - row.floor)
        return "Forgetting: " + ("still like the original." if nearer else "less than retraining's.")
    return "Forgetting: not shown to differ from retraining."


def _means(row, stand_in: bool) -> str:
    """The number of one question, in words."""
    if row.statistic == "damage":
        than = "the original has" if stand_in else "retrained models have"
        where = {"all": "", "affected": " of the affected class", "other": " of the other classes"}[row.classes]
        split = {"rest": "not forgotten"}.get(row.split, row.split)
        examples = f"{row.examples} {split} example{'s' if row.examples != 1 else ''}{where}"
        return f"Damage, the confidence in the true class that {than} on {examples} and it has not, is " + _signed(
            row.unlearned
        )
    contrast = {
        "near_minus_far": "Distance (total variation) in the nearest fifth less that in the farthest half",
        "matched": "Distance in the nearest fifth less that of far examples as hard",
        "less_random_sets": "Near less far, less its mean around random sets,",
    }[row.statistic]
    return f"{contrast} is {_signed(row.unlearned)}"


def _own(row) -> str:
    return (
        ""
        if np.isnan(row.low)
        else f", 95 % interval over the unlearned models {_signed(row.low)} to {_signed(row.high)}"
    )


def say(
    questions: pd.DataFrame, *, unlearned: int, retrained: int, affected: str, main: str, same: bool
) -> list[tuple[str, str]]:
    """Pairs (headline, what it rests on): forgetting, then damage, or why there is no verdict; then each question.

    same: whether the unlearned models predict the same as the original.
    """
    stand_in = retrained == 0
    found = [_what_can_be_said(questions, unlearned, retrained, affected, main)]
    for row in questions.itertuples():
        numbers = _means(row, stand_in) + _own(row)
        if row.verdict == "withheld":
            found.append(("", numbers + "; verdict withheld."))
        elif row.split == "forget":
            found.insert(0, (_forgetting(row, same=same), f"{numbers}; {_floor(row)}."))
        else:
            found.append((SAYS[row.classes, row.statistic][row.verdict], f"{numbers}; {_floor(row)}."))
    if unlearned == 1:
        found.append(("", ONE))
    if main == "rest":
        found.append(("", UNSPLIT))
    return found


def _what_can_be_said(questions, unlearned, retrained, affected, main) -> tuple[str, str]:
    models = "The unlearned model" if unlearned == 1 else f"The {unlearned} unlearned models"
    if retrained == 0:
        return (
            "No verdict: there is no retrained model to compare with.",
            f"{models} can only be compared with the original, which stands in here and is no reference: it saw the "
            "forget set. What can be concluded: how far, and where, predictions moved. What cannot: whether that is "
            "damage, because a model retrained without the forget set would have moved too.",
        )
    if retrained < 3:
        how = (
            "one retrained model there is no floor" if retrained == 1 else "two retrained models the floor has no width"
        )
        return (
            "Verdict withheld: too few retrained models.",
            f"With {how}: two retrained models differ from each other too, and by how much is not known. What can be "
            "concluded: where the difference from this retraining is largest. What cannot: that unlearning, and not "
            "chance, made it. Three retrained models, of independent seeds, give a first verdict.",
        )
    damaged = [
        f"the affected class ({affected})" if row.classes == "affected" else "the other classes"
        for row in questions.itertuples()
        if row.split != "forget" and row.statistic == "damage" and row.verdict == "more than retraining"
    ]
    contrasts = questions[questions["statistic"].isin(["near_minus_far", "matched", "less_random_sets"])]
    shown = (contrasts["verdict"] == "more than retraining").to_numpy()
    near = "localized near the forget set, by all three tests" if len(shown) == 3 and shown.all() else ""
    near = near or ("larger near the forget set, though not by every control" if len(shown) and shown[0] else "")
    head = (
        f"Damage: beyond retraining to {' and '.join(damaged)}"
        if damaged
        else "Damage: none beyond retraining is shown"
    )
    head += f"; among the other classes the change is {near}." if near else "."
    return (
        head,
        f"{models} beside {retrained} retrained ones, {len(questions)} questions, each answered at {ALPHA:.0%} with "
        "all of them in mind (Holm). Not shown is not the same as absent: few retrained models make a wide floor.",
    )

"""The verdict in words, made of the numbers of the tables and of nothing else."""

import numpy as np
import pandas as pd

from lfcore.auditing.floor import clip
from lfcore.auditing.questions import UNANSWERED, tells_original
from lfcore.statistics.claims import ALPHA

VERDICTS = MORE, LESS, NO_MORE = "more than retraining", "less than retraining", "no more than retraining"
TEXTS = {
    ("affected", "damage"): (
        "It damages the affected class beyond what forgetting costs.",
        "It is surer of the affected class than retrained models are, so something of what was to be forgotten still "
        "helps.",
        "No damage to the rest of the affected class is shown.",
    ),
    ("other", "damage"): (
        "It damages the other classes.",
        "It is surer of the other classes than retrained models are.",
        "No damage to the other classes on average is shown.",
    ),
    ("other", "near_minus_far"): (
        "Among the other classes it changes examples near the forget set more than far ones.",
        "Among the other classes it changes far examples more, against expectation.",
        "Among the other classes, no extra change near the forget set is shown.",
    ),
    ("other", "matched"): (
        "It is not only that near examples are harder: they change more than far ones as hard as they are.",
        "Against far examples of equal difficulty, near ones change less.",
        "Against far examples of equal difficulty, no extra change near it is shown.",
    ),
    ("other", "less_random_sets"): (
        "The contrast is larger than around random sets of train examples.",
        "The contrast is smaller than around random sets of train examples.",
        "The contrast is not shown to be larger than around random sets of train examples.",
    ),
}
SENTENCES = {question: dict(zip(VERDICTS, texts, strict=True)) for question, texts in TEXTS.items()}
"""What each verdict on each question means, but the one on forgetting."""
ONE = (
    "One unlearned model is one draw of its method: another seed may do better or worse. Its own spread is taken to be "
    "that of a retrained model; give several seeds to measure it."
)
UNSPLIT = (
    "Nobody said which examples are test examples, so retained ones, which the models were trained on, and unseen ones "
    "are mixed here: name them with test=."
)
COUNTS = ("no", "one", "two", "three", "four", "five", "six")
PLACES = {"affected": "affected class", "other": "other classes"}


def _lower(value: float, more: str, less: str) -> str:
    """more by 0.100, or less by 0.100"""
    return f"{more if value >= 0 else less} by {abs(value):.3f}"


def _means(row, unlearned: int, stand_in: bool) -> str:
    """The number of one question, in words."""
    its = "its" if unlearned == 1 else "their"
    than = "the original's" if stand_in else "that of retrained models"
    if row.statistic == "damage":
        where = {"all": "", "affected": " of the affected class", "other": " of the other classes"}[row.classes]
        split = {"rest": "not forgotten"}.get(row.split, row.split)
        examples = f"{row.examples} {split} example{'s' if row.examples != 1 else ''}{where}"
        number = _lower(row.unlearned, "lower", "higher").replace(" by", f" than {than} by")
        return f"On {examples} {its} confidence in the true class is {number} on average"
    than = "the original" if stand_in else "retrained models"
    number = _lower(row.unlearned, "larger", "smaller")
    if row.statistic == "less_random_sets":
        return f"Near less far, it is {number} than around random sets on average"
    other = {"near_minus_far": "in the farthest half", "matched": "at far examples as hard"}[row.statistic]
    return f"{its.capitalize()} distance (total variation) from {than} in the nearest fifth is {number} than {other}"


def _beside(row) -> str:
    """What the number is compared with: its own interval, one more retrained model, and how surprising it is."""
    sign = 1 if row.unlearned >= 0 else -1  # intervals of what the sentence says: of how much higher, if it is higher
    low, high = sorted((sign * row.low, sign * row.high))
    parts = [] if np.isnan(row.low) else [f"95 % interval over the unlearned models: {low:+.3f} to {high:+.3f}"]
    if row.verdict != "withheld":
        low, high = sorted((sign * row.floor_low, sign * row.floor_high))
        parts.append(f"one more retrained model: {low:+.3f} to {high:+.3f}, 95 %")
        alone = f", {row.p:.2g} alone" if _undecided(row) else ""
        parts.append(f"p = {row.p_holm:.2g} after Holm{alone}")
    return f" ({'; '.join(parts)})" if parts else ""


def _undecided(row) -> bool:
    """Whether it would be beyond the floor if nothing else had been asked."""
    return row.p < ALPHA <= row.p_holm


def _unseen(row) -> str:
    """What would not have been seen, where nothing was."""
    if row.verdict != NO_MORE:
        return ""
    what = "Damage" if row.statistic == "damage" else "A difference"
    what = "A difference, either way," if row.split == "forget" else what
    return f" {what} below {row.detectable:.2f} would not have been seen."


def _forgetting(row, retrained: int, *, same: bool) -> str:
    """Whether the forget examples were forgotten, compared with models that never saw them."""
    nearer = abs(row.unlearned - row.original) < abs(row.unlearned - row.floor)
    if row.verdict == MORE:
        answer = "beyond retraining"
    elif same or (row.verdict == LESS and nearer):
        answer = "still like the original"
    elif row.verdict == LESS:
        answer = "less than retraining's"
    elif not tells_original(row):
        answer = f"cannot be answered: even the original would not stand out from these {retrained} retrained models"
    else:
        answer = "not shown to differ from retraining" + ("; undecided" if _undecided(row) else "")
    return f"Forgetting: {answer}."


def _unanswered(row, retrained: int) -> str:
    model = "lost all confidence" if row.statistic == "damage" else "changed every near example and no far one"
    even = f"even a model that {model} there would not stand out from these {retrained} retrained models"
    return f"Cannot be answered: {even}."


def _damage(questions: list, affected: str) -> str:
    """What was damaged beyond retraining, and what is not known."""
    asked = {row.classes: row for row in questions if row.split != "forget" and row.statistic == "damage"}
    names = PLACES | {"affected": f"affected class ({affected})"}
    damaged = [f"the {names[place]}" for place, row in asked.items() if row.verdict == MORE]
    unanswered = [PLACES[place] for place, row in asked.items() if row.verdict == UNANSWERED]
    head = "none beyond retraining is shown"
    if damaged:
        head = f"beyond retraining to {' and '.join(damaged)}"
    elif asked and len(unanswered) == len(asked):
        head, unanswered = "cannot be answered", []
    notes = [f"{place}: cannot be answered" for place in unanswered]
    open_ones = [row for row in asked.values() if _undecided(row) and row.verdict != UNANSWERED and row.unlearned > 0]
    notes += [f"{PLACES[row.classes]}: undecided" for row in open_ones]
    contrasts = [row for row in questions if row.statistic != "damage"]
    shown = [row.verdict == MORE for row in contrasts]
    if len(shown) == 3 and all(shown):
        notes.append("among the other classes the change is localized near the forget set, by all three tests")
    elif shown and shown[0]:
        notes.append("among the other classes the change is larger near the forget set, though not by every control")
    elif contrasts and _undecided(contrasts[0]) and contrasts[0].unlearned > contrasts[0].floor:
        notes.append("more change near the forget set: undecided")
    return "; ".join([f"Damage: {head}", *notes]) + "."


def write_verdict(
    questions: pd.DataFrame, *, unlearned: int, retrained: int, affected: str, main: str, same: bool
) -> list[tuple[str, str]]:
    """Pairs (headline, what it rests on): forgetting, then damage, or why there is no verdict; then each question.

    same: whether the unlearned models predict the same as the original.
    """
    rows = list(clip(questions).itertuples())
    found = [_withhold(unlearned, retrained)] if retrained < 3 else []
    for row in rows:
        numbers = _means(row, unlearned, retrained == 0) + _beside(row)
        if row.verdict == "withheld":
            found.append(("", numbers + "; verdict withheld."))
            continue
        numbers += "." + _unseen(row)
        if row.split == "forget":
            found += [(_forgetting(row, retrained, same=same), numbers)]
            found += [(_damage(rows, affected), _rests_on(rows, unlearned, retrained))]
        elif row.verdict == UNANSWERED:
            found.append((_unanswered(row, retrained), numbers))
        else:
            found.append((SENTENCES[row.classes, row.statistic][row.verdict], numbers))
    if unlearned == 1:
        found.append(("", ONE))
    if main == "rest":
        found.append(("", UNSPLIT))
    return found


def _rests_on(rows: list, unlearned: int, retrained: int) -> str:
    """How many tests of how many models, and how little is known of their spread."""
    freedom = sorted({f"{row.freedom:.1f}".removesuffix(".0") for row in rows if not np.isnan(row.freedom)}, key=float)
    degrees = f"{freedom[0]} to {freedom[-1]}" if len(freedom) > 1 else (freedom or ["no"])[0]
    return (
        f"{unlearned} unlearned and {retrained} retrained models; {COUNTS[len(rows)]} tests; the chance of any false "
        f"alarm is at most {100 * ALPHA:.0f} % (Holm). With {retrained} retrained models the p-values rest on "
        f"{degrees} degrees of freedom. Not shown is not the same as absent."
    )


def _withhold(unlearned: int, retrained: int) -> tuple[str, str]:
    """What can be concluded without a floor, and what cannot."""
    models = "The unlearned model" if unlearned == 1 else f"The {unlearned} unlearned models"
    if retrained == 0:
        return (
            "No verdict: there is no retrained model to compare with.",
            f"{models} can only be compared with the original, which stands in here and is no reference: it saw the "
            "forget set. What can be concluded: how far, and where, predictions moved. What cannot: whether that is "
            "damage, because a model retrained without the forget set would have moved too.",
        )
    how = "one retrained model there is no floor" if retrained == 1 else "two retrained models the floor has no width"
    return (
        "Verdict withheld: too few retrained models.",
        f"With {how}: two retrained models differ from each other too, and by how much is not known. What can be "
        "concluded: where the difference from this retraining is largest. What cannot: that unlearning, and not "
        "chance, made it. Three retrained models, of independent seeds, give a first verdict.",
    )

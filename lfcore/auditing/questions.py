"""Six questions, each with its floor, its p-value after Holm, and a verdict."""

import numpy as np
import pandas as pd

from lfcore.auditing.floor import detect
from lfcore.statistics.claims import ALPHA, holm

UNANSWERED = "cannot be answered"


def answer(statistics: pd.DataFrame, main: str) -> pd.DataFrame:
    """The six questions: their rows of `statistics`, with Holm's p and a verdict. main: the split they are about.

    detectable: the smallest number that would have been told from retraining.
    verdict: "more than retraining", "less than retraining", "no more than retraining", "cannot be answered" where no
    model could have been told to be worse (of the forget examples: nor the original to be surer), or "withheld"
    without a p.
    """
    asked = [("forget", "all", "damage"), (main, "affected", "damage"), (main, "other", "damage")]
    asked += [(main, "other", statistic) for statistic in ("near_minus_far", "matched", "less_random_sets")]
    places = pd.MultiIndex.from_frame(statistics[["split", "classes", "statistic"]])
    found = pd.concat([statistics[places == place] for place in asked], ignore_index=True)
    found["p_holm"] = holm(found["p"].to_numpy())
    found["detectable"] = found["floor"] + detect(*(found[name].to_numpy() for name in ("p", "error", "freedom")))
    found["verdict"] = [_judge(row) for row in found.itertuples()]
    return found


def _judge(row) -> str:
    if np.isnan(row.p_holm):
        return "withheld"
    if row.p_holm < ALPHA:
        return ("more" if row.unlearned > row.floor else "less") + " than retraining"
    told = row.split == "forget" and tells_original(row)
    return "no more than retraining" if row.detectable <= row.largest or told else UNANSWERED


def tells_original(row) -> bool:
    """Whether the original's number would have been told to be below the floor."""
    return row.original <= 2 * row.floor - row.detectable

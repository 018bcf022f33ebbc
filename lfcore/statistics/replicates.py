"""Do fresh draws say so again? The primary claims over blocks of models that share nothing, not even the references.

Within one block all seeds are compared with the same reference models and the same floor, so an interval over its seeds
is too short. Blocks are independent, and so the unit here is the block: its number is the mean over its seeds.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm

from lfcore.statistics.claims import ALPHA, holm, mean_interval, without_unit

AGREE = 0.9
"""The share of the blocks that must agree in sign for a claim to hold."""
SAID = {"holds": "holds", "holds beyond the floor": "holds", "does not hold, the opposite does": "opposite"}
"""What a block's own verdict counts as; "not shown" is no success, however often."""


def pool(blocks: pd.DataFrame, unit: str = "block") -> pd.DataFrame:
    """A row for each primary claim on each forget set, with its number over all blocks and the verdict.

    blocks: the claims tables of all blocks, one under another, whose forget sets end in `claims.BLOCK`; or, with the
    unit "class", a table whose forget sets are of one class each, which then stand in for blocks.

    mean, low, high: over the blocks' numbers, with Student's 95 % interval. agree: blocks with the mean's sign; holds,
    opposite: blocks whose own verdict says so. p_holm: of the mean, adjusted over all rows. verdict: "holds" (or that
    the opposite does) if p_holm is below 5 % and nine of ten blocks agree in sign, else "not shown". power: the chance
    that a single block shows the pooled effect at 5 %, by its spread over blocks.
    """
    primary = blocks[blocks["id"] != ""]
    rows = without_unit(primary, unit)
    keys, found = ["id", "claim", "statistic", "more", "less", "forget_set", "network"], []
    for names, part in rows.groupby(keys, sort=False):
        values = part["mean"].to_numpy()
        mean, low, high, p = mean_interval(values)
        said = part["verdict"].map(SAID)
        agree = int((np.sign(values) == np.sign(mean)).sum())
        counts = [len(part), agree, int((said == "holds").sum()), int((said == "opposite").sum())]
        found.append(
            [*names, mean, low, high, p, *counts, power(mean, values.std(ddof=1) if len(part) > 1 else np.nan)]
        )
    table = pd.DataFrame(
        found, columns=[*keys, "mean", "low", "high", "p", "blocks", "agree", "holds", "opposite", "power"]
    )
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["verdict"] = [pooled_verdict(row.mean, row.p_holm, row.agree / row.blocks) for row in table.itertuples()]
    return table


def power(effect: float, error: float) -> float:
    """The chance that a normal estimate of `effect` with standard error `error` differs from 0 at 5 %, two-sided."""
    critical, size = norm.ppf(1 - ALPHA / 2), abs(effect) / error if error else np.inf
    return float(norm.sf(critical - size) + norm.cdf(-critical - size))


def pooled_verdict(mean: float, p_holm: float, agree: float) -> str:
    """What all blocks together say of a claim; agree: the share of blocks with the sign of the mean."""
    if np.isnan(p_holm):
        return "no interval"
    if p_holm < ALPHA and agree >= AGREE:
        return "holds" if mean > 0 else "does not hold, the opposite does"
    return "not shown"


def collect(blocks: pd.DataFrame, studies: pd.DataFrame) -> pd.DataFrame:
    """Every primary claim: those of the profile's own pooled over blocks, the others from the tables of their studies.

    Those of a study have its seeds in place of blocks: blocks is NaN, and the verdict is that of one table.
    """
    pooled = pool(blocks)
    others = studies[studies["id"] != ""]
    return pd.concat([pooled, others[[name for name in pooled if name in others]]], ignore_index=True)


def compare(block: pd.DataFrame, pooled: pd.DataFrame) -> pd.DataFrame:
    """The primary claims of one block beside the pooled: mean_here, and `same`, whether their signs agree.

    Compared is what holds, or whose opposite does; the sign of what is not shown says nothing.
    """
    keys = ["id", "forget_set", "network"]
    both = pooled.merge(block[[*keys, "mean"]], on=keys, suffixes=("", "_here"))
    both = both[both["verdict"].isin(SAID)]
    return both.assign(same=np.sign(both["mean"]) == np.sign(both["mean_here"]))

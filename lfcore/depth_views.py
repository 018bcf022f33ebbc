"""How much of what was forgotten comes back (2507.07754), beside localized damage, from a study's summary."""

import pandas as pd

from lfcore.errors import InputError
from lfcore.summary import welch

RECOVERY = {
    "feature mapping": "forget feature_mapping calibration held_out",
    "map through the origin": "forget feature_mapping_linear calibration held_out",
    "relearning": "forget relearned steps half/5",
    "head recovery": "forget head_recovery calibration few",
}
"""Kinds of recovery: "split metric scope key" of an accuracy in percent."""
DAMAGE = {
    "confidence": "confidence_gap_excess other/near",
    "total variation": "total_variation_excess other/near",
    "near - far": "localization_excess other",
}
"""Kinds of localized damage to test examples of the other classes, above the floor: "metric key"."""


def plane(summary: pd.DataFrame, recovery: str, damage: str) -> pd.DataFrame:
    """Recoverability and localized damage of every unlearner, each less that of retrained models.

    recovery, damage: keys of RECOVERY and DAMAGE. Columns forget_set, network, unlearner; recovery and damage, both in
    percentage points, each with `_low` and `_high`, Welch's 95 % interval. The original's recovery is the largest.
    """
    for kind, known in ((recovery, RECOVERY), (damage, DAMAGE)):
        if kind not in known:
            raise InputError(f"There is no {kind!r} for the plane: choose one of {', '.join(known)}.")
    place = ["forget_set", "network"]
    split, metric, scope, key = RECOVERY[recovery].split(" ")
    rows = summary[(summary["split"] == split) & (summary["metric"] == metric)]
    rows = rows[(rows["scope"] == scope) & (rows["key"] == key)]
    floor = rows[rows["unlearner"] == "retrained"]
    pairs = rows[rows["unlearner"] != "retrained"].merge(floor, on=place, suffixes=("", "_floor"))
    numbers = [pairs[name] for name in ("mean", "sd", "n", "mean_floor", "sd_floor", "n_floor")]
    pairs["recovery"], _, pairs["recovery_low"], pairs["recovery_high"] = welch(*numbers)
    metric, key = DAMAGE[damage].split(" ")
    rows = summary[(summary["split"] == "test") & (summary["metric"] == metric) & (summary["key"] == key)]
    rows = rows[rows["reference"] == "retrained"].rename(columns={"mean": "damage", "low": "damage_low"})
    rows = rows.rename(columns={"high": "damage_high"})[[*place, "unlearner", "damage", "damage_low", "damage_high"]]
    kept = pairs[[*place, "unlearner", "recovery", "recovery_low", "recovery_high"]]
    found = kept.merge(rows, on=[*place, "unlearner"])
    if found.empty:
        raise InputError(f"The summary has no {recovery} beside {damage}: add their probe and metric to the config.")
    found[["damage", "damage_low", "damage_high"]] *= 100
    return found

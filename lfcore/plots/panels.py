"""Which rows of a summary a figure shows, and what it calls them."""

import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots.tables import intervals

PANELS = {
    "targets": {
        "trained label": "retrained forget target_label all",
        "uniform (random labels)": "retrained forget target_uniform all",
        "teacher": "retrained forget target_teacher all",
        "unlearned model": "retrained forget target_model all",
    },
    "controls": {
        "near - far": "retrained test localization_excess range other",
        "… matched for difficulty": "retrained test matched_localization_excess range other",
        "… by a retrained model's features": "retrained test localization_retrained_excess range other",
        "… by pixels": "retrained test localization_pixels_excess range other",
        "… to a random set": "retrained test shuffled_localization_excess range other",
    },
    "controls by rank": {
        "rank": "retrained test spearman_excess range other",
        "… given the original margin": "retrained test partial_spearman_excess range other",
        "… by a retrained model's features": "retrained test spearman_retrained_excess range other",
        "… by pixels": "retrained test spearman_pixels_excess range other",
        "… to a random set": "retrained test shuffled_spearman_excess range other",
        "affected class, given the margin": "retrained test partial_spearman_excess range affected",
    },
    "measures": {
        "U-LiRA (AUC)": "retrained forget lira_auc all",
        "KLoM, forget set (95 %)": "retrained_mean forget klom_95 all",
        "tug of war": "retrained all tow all",
        "tug of war, MIA": "retrained all tow_mia all",
        "KL, affected class": "retrained test kl_divergence range affected/whole",
        "JS, affected class": "retrained test jensen_shannon range affected/whole",
        "CKA to retraining, forget set": "retrained forget cka_retrained all",
    },
    "membership": {
        "SVC on confidence (percent)": " forget membership all",
        "loss, against the class (AUC)": " forget membership_loss class affected",
        "entropy, against the class (AUC)": " forget membership_entropy class affected",
        "modified entropy, against the class (AUC)": " forget membership_modified_entropy class affected",
        "loss, against all (AUC)": " forget membership_loss all",
        "modified entropy, against all (AUC)": " forget membership_modified_entropy all",
    },
    "relearning": {"steps to learn the forget set again": " forget relearn_steps all"},
    "ablation": {
        "UA": " forget accuracy all",
        "RA_aff": " retain accuracy class affected",
        "TA_aff": " test accuracy class affected",
        "affected gap": "retrained all affected_gap all",
        "average gap": "retrained all average_gap all",
        "teacher on forget set": " forget teacher_accuracy all",
    },
    "recovery": {
        "before any attack": " forget accuracy all",
        "map with offset": " forget feature_mapping calibration held_out",
        "map through the origin": " forget feature_mapping_linear calibration held_out",
        "head recovery": " forget head_recovery calibration few",
        "relearning, 5 steps": " forget relearned steps half/5",
        "linear probe": " forget linear_probe trained test",
        "non-linear probe": " forget nonlinear_probe trained test",
    },
    "calibration": {
        "before any attack": " forget accuracy all",
        "map, without the class": " forget feature_mapping calibration held_out",
        "map, retained data": " forget feature_mapping calibration retain",
        "map, all data": " forget feature_mapping calibration all",
        "head, 5 of each class": " forget head_recovery calibration few",
        "head, retained data": " forget head_recovery calibration retain",
        "head, all data": " forget head_recovery calibration all",
    },
    "random network": {
        "map with offset": " forget feature_mapping_random calibration held_out",
        "head recovery": " forget head_recovery_random calibration few",
        "map, without the class": " forget feature_mapping_random calibration held_out",
        "map, retained data": " forget feature_mapping_random calibration retain",
        "map, all data": " forget feature_mapping_random calibration all",
        "head, 5 of each class": " forget head_recovery_random calibration few",
        "head, retained data": " forget head_recovery_random calibration retain",
        "head, all data": " forget head_recovery_random calibration all",
    },
    "depth": {
        "spread ratio": " forget spread_ratio all",
        "feature norm ratio": " forget feature_norm_ratio all",
        "logit norm ratio": " forget logit_norm_ratio all",
        "entropy (nats)": " forget entropy all",
        "CKA to the original": " forget cka_original all",
        "linear probe within": " forget linear_probe trained within",
        "non-linear probe within": " forget nonlinear_probe trained within",
    },
    "inversion": {
        "PSNR, gradient (dB)": " forget inversion_psnr attacker gradient",
        "SSIM, gradient": " forget inversion_ssim attacker gradient",
        "hit rate, gradient (percent)": " forget inversion_hit attacker gradient",
        "PSNR, difference (dB)": " forget inversion_psnr attacker difference",
        "SSIM, difference": " forget inversion_ssim attacker difference",
        "hit rate, difference (percent)": " forget inversion_hit attacker difference",
    },
    "guess": {
        "PSNR, gradient (dB)": " forget inversion_psnr_blind attacker gradient",
        "SSIM, gradient": " forget inversion_ssim_blind attacker gradient",
        "hit rate, gradient (percent)": " forget inversion_chance attacker gradient",
        "hit rate, difference (percent)": " forget inversion_chance attacker difference",
    },
    "attacks": {
        "accuracy on the forget set": " forget accuracy all",
        "map through the origin": " forget feature_mapping_linear calibration held_out",
        "map with offset": " forget feature_mapping calibration held_out",
        "… after OPC on it": " forget feature_mapping_contracted calibration held_out",
        "relearning, 5 steps": " forget relearned steps half/5",
        "relearning, 20 steps": " forget relearned steps half/20",
        "non-linear probe": " forget nonlinear_probe trained test",
        "spread ratio": " forget spread_ratio all",
        "damage near": "retrained test confidence_gap_excess range other/near",
    },
    "residual": {
        "residual margin": "influence_free forget residual_margin all",
        "residual membership": "influence_free forget residual_membership all",
        "accuracy on targets": " forget accuracy all",
        "test accuracy": " test accuracy all",
    },
    "language": {
        "residual": "without_similar target log_likelihood all",
        "deleted answer": " target exact_match all",
        "paraphrase that stays": " similar exact_match all",
        "paraphrase never seen": " unseen exact_match all",
        "unrelated": " unrelated exact_match all",
    },
    "blind": {
        "accuracy on the forget set": " forget accuracy all",
        "OU@0.03": " forget over_unlearning near intended/pgd/0.03",
        "prototype attack, k = 5": " forget prototype_best prototype cosine/5",
        "… of the rows' length": " forget prototype_best prototype scaled/5",
        "change near": "retrained test total_variation range other/near",
        "near - far": "retrained test localization range other",
    },
    "definitions": {
        "OU@0.03": " forget over_unlearning near intended/pgd/0.03",
        "total variation to retraining,\nnearest fifth of others": "retrained test total_variation range other/near",
        "the same, less their farthest half": "retrained test localization range other",
        "total variation to retraining,\ntest examples of the class itself": "retrained test total_variation range "
        "affected/whole",
    },
}
"""For each figure its panels: title, and "reference split metric scope key" of the summary; "affected" is a class."""


def pick(summary: pd.DataFrame, panels: str) -> pd.DataFrame:
    """The rows of `summary` in each of these PANELS, with the column `panel`, in their order."""
    if panels not in PANELS:
        raise InputError(f"There are no panels called {panels!r}: choose one of {', '.join(PANELS)}.")
    parts = []
    for title, place in PANELS[panels].items():
        reference, split, metric, scope, *key = place.split(" ")
        rows = where(summary, reference=reference, split=split, metric=metric, scope=scope)
        wanted = key[0] if key else ""
        keys = rows["affected"] if (scope, wanted) == ("class", "affected") else wanted
        parts.append(rows[rows["key"] == keys].assign(panel=title))
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise InputError(f"The summary has none of the numbers of {panels}: add their metrics to the config.")
    return found


LINES = {
    "relearning": {
        "half of the forget set known": "relearned steps half",
        "retained data alone": "relearned steps retain",
    },
    "layers": {
        "spread ratio": "layer_spread layer",
        "linear probe (percent)": "layer_linear layer",
        "non-linear probe (percent)": "layer_nonlinear layer",
    },
}
"""For each figure of lines its panels: title, and "metric scope" and the key's part before a slash, if it has one."""


def lines(summary: pd.DataFrame, panels: str) -> pd.DataFrame:
    """The rows of each of these LINES, with the columns `panel`, and `at`, the rest of the key, in the table's order.

    An `at` that is a number is one, and in its order.
    """
    if panels not in LINES:
        raise InputError(f"There are no lines called {panels!r}: choose one of {', '.join(LINES)}.")
    parts = []
    for title, place in LINES[panels].items():
        metric, scope, *start = place.split(" ")
        rows = where(summary, metric=metric, scope=scope)
        if start:
            rows = rows[rows["key"].str.startswith(f"{start[0]}/")]
        parts.append(rows.assign(panel=title, at=rows["key"].str.split("/").str[-1]))
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise InputError(f"The summary has none of the lines of {panels}: add their probe to the config.")
    steps = pd.to_numeric(found["at"], errors="coerce")
    if scope == "steps":
        found = found.assign(at=steps.astype(int)).sort_values("at", kind="stable", ignore_index=True)
    return found


def targets(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the panels "targets" as lines of one panel: what is taught, then where each unlearned model ended."""
    names = rows["panel"].map({"trained label": "target: trained label", "uniform (random labels)": "target: uniform"})
    names = names.fillna(rows["unlearner"].where(rows["panel"] == "unlearned model"))
    names = names.fillna("target: teacher of " + rows["unlearner"])
    rows = rows.assign(unlearner=names, panel="total variation to retraining, forget set")
    return rows.drop_duplicates(["forget_set", "network", "unlearner"])


def keyed(summary: pd.DataFrame, metric: str, names: list[str], split: str = "forget") -> pd.DataFrame:
    """The rows of `metric` with a column for each part of their key, split at "/"; eps, k and alpha as numbers."""
    rows = where(summary, metric=metric, split=split)
    if rows.empty:
        raise InputError(f"The summary has no {metric}: add its probe to the config.")
    parts = rows["key"].str.split("/", expand=True).set_axis(names, axis=1)
    for name in {"eps", "k", "alpha"} & set(names):
        parts[name] = pd.to_numeric(parts[name])
    return rows.join(parts).sort_values(names, kind="stable")


def table(rows: pd.DataFrame, index: tuple[str, ...] = ("forget_set", "unlearner"), digits: int = 2) -> pd.DataFrame:
    """`rows` with the column `panel` to read: a column a panel, "mean [low, high]"."""
    return intervals(rows, list(index), "panel", digits).reindex(columns=rows["panel"].unique())

"""Which rows of a summary a figure shows, and what it calls them."""

import re

import pandas as pd

from lfcore.errors import InputError

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
}
"""For each figure its panels: title, and "reference split metric scope key" of the summary; "affected" is a class."""


def pick(summary: pd.DataFrame, panels: str, affected: dict[str, str]) -> pd.DataFrame:
    """The rows of `summary` in each of these PANELS, with the column `panel`, in their order.

    affected: the affected class of each forget set (`lfcore.summary.affected_classes`).
    """
    if panels not in PANELS:
        raise InputError(f"There are no panels called {panels!r}: choose one of {', '.join(PANELS)}.")
    parts = []
    for title, place in PANELS[panels].items():
        reference, split, metric, scope, *key = place.split(" ")
        rows = summary[(summary["reference"] == reference) & (summary["split"] == split)]
        rows = rows[(rows["metric"] == metric) & (rows["scope"] == scope)]
        wanted = key[0] if key else ""
        keys = rows["forget_set"].map(affected) if (scope, wanted) == ("class", "affected") else wanted
        parts.append(rows[rows["key"] == keys].assign(panel=title))
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise InputError(f"The summary has none of the numbers of {panels}: add their metrics to the config.")
    return found


def targets(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the panels "targets" as lines of one panel: what is taught, then where each unlearned model ended."""
    names = rows["panel"].map({"trained label": "target: trained label", "uniform (random labels)": "target: uniform"})
    names = names.fillna(rows["unlearner"].where(rows["panel"] == "unlearned model"))
    names = names.fillna("target: teacher of " + rows["unlearner"])
    rows = rows.assign(unlearner=names, panel="total variation to retraining, forget set")
    return rows.drop_duplicates(["forget_set", "network", "unlearner"])


def series(rows: pd.DataFrame, option: str, last: float) -> pd.DataFrame:
    """The rows of variants called <method>-<option><number>, with the columns `method` and `at`, that number.

    The method itself stands at `last`, the value that it has in the config.
    """
    found = rows["unlearner"].str.extract(rf"^(?P<method>\w+?)(?:-{re.escape(option)}(?P<at>[\d.]+))?$")
    rows = rows.assign(method=found["method"], at=pd.to_numeric(found["at"]))
    several = rows.loc[rows["at"].notna(), "method"].unique()
    rows = rows[rows["method"].isin(several)]
    if rows.empty:
        raise InputError(f"No unlearner of this study is called <method>-{option}<number>: add some to the config.")
    return rows.assign(at=rows["at"].fillna(last)).sort_values(["panel", "forget_set", "method", "at"])


def steps(costs: pd.DataFrame, option: str) -> pd.DataFrame:
    """Optimizer steps of a model and of its helpers (a teacher), medians over models of each variant in a series.

    costs: the table of a study; the rows are those of unlearners called <method>-<option><number>, and their methods.
    """
    rows = costs[costs["kind"] == "model"].copy()
    rows[["unlearner", "forget_set"]] = rows["name"].str.split(" ", expand=True).reindex(columns=[0, 1])
    several = rows["unlearner"].str.extract(rf"^(\w+?)-{re.escape(option)}[\d.]+$")[0].dropna().unique()
    rows = rows[rows["unlearner"].str.split("-").str[0].isin(several)]
    return rows.groupby(["forget_set", "unlearner"])[["steps", "steps_aside"]].median()


def curve(summary: pd.DataFrame, scope: str) -> pd.DataFrame:
    """The rows of one scope whose key is a number, with that number in the column `at`."""
    rows = summary[(summary["scope"] == scope) & (summary["unlearner"] == "original")]
    if rows.empty:
        raise InputError(f"The summary has no numbers of the scope {scope}: add their probe to the config.")
    return rows.assign(at=pd.to_numeric(rows["key"])).sort_values(["metric", "forget_set", "at"])


def table(rows: pd.DataFrame, index: tuple[str, ...] = ("forget_set", "unlearner"), digits: int = 2) -> pd.DataFrame:
    """`rows` with the column `panel` to read: a column a panel, "mean [low, high]"."""
    text = [
        f"{mean:.{digits}f}" if low != low else f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
        for mean, low, high in zip(rows["mean"], rows["low"], rows["high"], strict=True)
    ]
    wide = rows.assign(text=text).pivot_table(index=list(index), columns="panel", values="text", aggfunc="first")
    return wide.reindex(columns=rows["panel"].unique()).fillna("").rename_axis(columns=None)


def by_class(summary: pd.DataFrame, affected: dict[str, str]) -> pd.DataFrame:
    """For each class but the affected one: its similarity to that, and how much accuracy it lost against retraining.

    Columns forget_set, network, unlearner, key (the class), similarity, drop (mean), less and more (its interval over
    the unlearner's seeds); in percentage points of the test examples.
    """
    rows = summary[(summary["split"] == "test") & (summary["scope"] == "class")]
    rows = rows[rows["key"] != rows["forget_set"].map(affected)]
    place = ["forget_set", "network", "key"]
    target = rows[rows["metric"] == "reference_accuracy"].drop_duplicates(place).set_index(place)["mean"]
    similarity = rows[rows["metric"] == "class_similarity"].drop_duplicates(place).set_index(place)["mean"]
    if similarity.empty:
        raise InputError("The summary has no class_similarity: add that metric to the config.")
    found = rows[rows["metric"] == "accuracy"].set_index(place)
    shift = target.reindex(found.index)
    found = found.assign(
        similarity=similarity.reindex(found.index),
        drop=shift - found["mean"],
        less=shift - found["high"],
        more=shift - found["low"],
    )
    return found.reset_index()[["forget_set", "network", "unlearner", "key", "similarity", "drop", "less", "more"]]


# Blind spots (2506.01318): what lfcore/attacks/over_unlearning.py and prototypical.py measured

DAMAGE = {
    "total variation to retraining,\nnearest fifth of others": "retrained test total_variation range other/near",
    "the same, less their farthest half": "retrained test localization range other",
}
"""What 2605.31317 calls localized collateral forgetting, beside which OU@eps is set."""
PANELS["definitions"] = {"OU@0.03": " forget over_unlearning near intended/pgd/0.03", **DAMAGE}
PAPER_BLIND = {
    "original": (0.621, 0.574, 100.0),
    "retrained": (0.2384, 0.1779, 58.70),
    "boundary_shrink": (0.1435, None, 72.96),
    "delete": (0.1216, None, 31.72),
    "salun": (0.1664, None, 11.70),
    "salun-spotter": (0.0345, None, 4.44),
    "spotter": (0.0228, 0.0267, 0.24),
    "spotter-dispersion0.1": (0.0139, None, 62.12),
}
"""2506.01318 on CIFAR-10, ResNet-18, class 0: OU@0.03 (PGD), OU of Gaussian noise, accuracy after the prototype attack.

PGD and the attack from its tables; the original, and Gaussian noise, from its public notebook. Both in mode released.
"""


def keyed(summary: pd.DataFrame, metric: str, names: list[str], split: str = "forget") -> pd.DataFrame:
    """The rows of `metric` with a column for each part of their key, split at "/"; eps, k and alpha as numbers."""
    rows = summary[(summary["metric"] == metric) & (summary["split"] == split)]
    if rows.empty:
        raise InputError(f"The summary has no {metric}: add its probe to the config.")
    parts = rows["key"].str.split("/", expand=True).set_axis(names, axis=1)
    for name in {"eps", "k", "alpha"} & set(names):
        parts[name] = pd.to_numeric(parts[name])
    return rows.join(parts).sort_values(names, kind="stable")


def beside_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """PAPER_BLIND beside this summary's numbers: the methods of both, a row for each forget set and unlearner.

    The attack is the paper's (cosine, k = 5), here at each method's best strength.
    """
    places = {
        "OU, PGD": ("over_unlearning", "released/pgd/0.03", "intended/pgd/0.03"),
        "OU, Gaussian": ("over_unlearning", "released/gaussian/0.03", "intended/gaussian/0.03"),
        "prototype attack": ("prototype_best", "cosine/5"),
    }
    columns = {}
    for place, (title, (metric, *keys)) in enumerate(places.items()):
        rows = summary[(summary["metric"] == metric) & (summary["split"] == "forget")]
        rows = rows[rows["unlearner"].isin(PAPER_BLIND)]
        published = {name: numbers[place] for name, numbers in PAPER_BLIND.items()}
        for key in keys:
            found = rows[rows["key"] == key].set_index(["forget_set", "unlearner"])["mean"]
            columns.setdefault(f"{title}: paper", found.index.get_level_values("unlearner").map(published))
            ending = f", {key.split('/')[0]}" if len(keys) > 1 else ""
            columns[f"{title}: here{ending}"] = found
    table = pd.DataFrame(columns, index=found.index).astype(float)
    return table.sort_index(
        key=lambda level: level.map(list(PAPER_BLIND).index) if level.name == "unlearner" else level
    )


def plane(rows: pd.DataFrame) -> pd.DataFrame:
    """The panels "definitions" of `pick` side by side: each of DAMAGE (panel, mean, low, high), and OU@0.03 (…_ou)."""
    by = ["forget_set", "network", "unlearner"]
    numbers = [*by, "mean", "low", "high"]
    across = rows[rows["panel"] == "OU@0.03"][numbers]
    return rows[rows["panel"] != "OU@0.03"][["panel", *numbers]].merge(across, on=by, suffixes=("", "_ou"))


def compare_definitions(table: pd.DataFrame) -> str:
    """What `plane` says to a reader who has to choose a measure, in sentences whose numbers are computed."""
    sentences = []
    for (forget_set, panel), part in table.groupby(["forget_set", "panel"], sort=False):
        methods = part[~part["unlearner"].isin(["original", "retrained"])]
        floor = part[part["unlearner"] == "retrained"].iloc[0]
        lower = methods[methods["high_ou"] < floor["low_ou"]]
        nearer = methods[methods["high"] < floor["low"]]
        order = methods["mean_ou"].corr(methods["mean"], method="spearman")
        lowest = methods.loc[methods["mean_ou"].idxmin()]
        place = 1 + int((methods["mean"] < lowest["mean"]).sum())
        sentences += [
            f"Forget set {forget_set}; {' '.join(panel.split())}.",
            f"  Retrained models have OU@0.03 = {floor['mean_ou']:.3f} [{floor['low_ou']:.3f}, {floor['high_ou']:.3f}]"
            f" nats, not 0; {len(lower)} of {len(methods)} methods are below it with their whole interval.",
            f"  By this measure retrained models have {floor['mean']:.3f} [{floor['low']:.3f}, {floor['high']:.3f}];"
            f" {len(nearer)} of {len(methods)} methods are below that.",
            f"  The method with the lowest OU@0.03, {lowest['unlearner']} ({lowest['mean_ou']:.3f}), is by this measure"
            f" number {place} of {len(methods)} ({lowest['mean']:.3f}).",
            f"  Spearman's correlation of the two over methods: {order:.2f}.",
        ]
    return "\n".join(sentences)

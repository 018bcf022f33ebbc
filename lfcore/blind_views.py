"""OU@eps and the prototype attack (2506.01318) as figures and readers need them, from a study's summary."""

import pandas as pd

PAPER = {
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


def beside_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """PAPER beside this summary's numbers: the methods of both, a row for each forget set and unlearner.

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
        rows = rows[rows["unlearner"].isin(PAPER)]
        published = {name: numbers[place] for name, numbers in PAPER.items()}
        for key in keys:
            found = rows[rows["key"] == key].set_index(["forget_set", "unlearner"])["mean"]
            columns.setdefault(f"{title}: paper", found.index.get_level_values("unlearner").map(published))
            ending = f", {key.split('/')[0]}" if len(keys) > 1 else ""
            columns[f"{title}: here{ending}"] = found
    table = pd.DataFrame(columns, index=found.index).astype(float)
    return table.sort_index(key=lambda level: level.map(list(PAPER).index) if level.name == "unlearner" else level)


def plane(rows: pd.DataFrame) -> pd.DataFrame:
    """The panels "definitions" of `pick` side by side: damage (panel, mean, low, high), and OU@0.03 (…_ou)."""
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

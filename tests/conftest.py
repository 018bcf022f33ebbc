"""Small real data for every test: a network trained for a few epochs on the digits, with part of class 4 to forget."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import data, seeds
from lfcore.core.examples import Examples, choose
from lfcore.datasets._load import load
from lfcore.models import networks
from lfcore.stages import train
from lfcore.stages.data import write_forget_sets
from lfcore.training.fit import fit
from lfcore.workflow import overlays

torch.set_num_threads(1)


@dataclass(frozen=True)
class Problem:
    """A trained network, and what it is to retain and forget."""

    model: torch.nn.Module
    retain: Examples
    forget: Examples


def fit_briefly(model, examples, seed=0, epochs=4, stage="test"):
    """A few epochs of the default recipe."""
    return fit(
        model,
        examples.images,
        lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
        epochs=epochs,
        batch_size=64,
        lr=0.1,
        nesterov=True,
        generator=seeds.generator(seed, stage, "batches"),
    )


@pytest.fixture(scope="session")
def digits():
    return load("digits")


@pytest.fixture(scope="session")
def forget_set(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("forget") / "4_half.json"
    return write_forget_sets(digits, {"4_half": {"affected": 4, "fraction": 0.5}}, path.parent)[0]


@pytest.fixture(scope="session")
def problem(digits, forget_set):
    everything = choose(digits, digits.train, "cpu")
    model = networks.build("cnn", 1, 10, seed=0, stage="test", dtype=torch.float64)
    return Problem(
        model=fit_briefly(model, everything),
        retain=choose(digits, forget_set.retain, "cpu"),
        forget=choose(digits, forget_set.forget, "cpu"),
    )


@pytest.fixture(scope="session")
def merged():
    """A function: the configuration that the Snakefile reads, with overlays laid over it, not checked yet."""

    def lay(*configs):
        return overlays.merge(overlays.merge_files(*overlays.DEFAULT), *configs)

    return lay


@pytest.fixture(scope="session")
def trained(digits, forget_set, tmp_path_factory):
    """Files as the stages leave them: the data, two originals and three retrained models, briefly trained."""
    folder = tmp_path_factory.mktemp("trained")
    data.write(digits, folder / "dataset.safetensors")
    data.write_forget(folder / "4_half.json", forget_set.name, forget_set.affected, forget_set.forget)
    recipe = {"epochs": 2, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0005}
    common = {"dataset": folder / "dataset.safetensors", "network": "cnn", "options": recipe, "device": "cpu"}
    for role, index, numbers in (("original", None, [0, 1]), ("retrained", folder / "4_half.json", [0, 1, 2])):
        train.train(**common, forget_set=index, role=role, seeds=numbers, out=folder / role)
    return folder


@pytest.fixture(scope="session")
def small_site(tmp_path_factory):
    """A site of one figure, one page and two claims, whose names would be markup if they were not escaped."""
    import nbformat
    import nbformat.v4 as notebooks
    import pandas as pd
    from matplotlib.figure import Figure

    from lfcore.core import tables
    from lfcore.publish import site

    folder = tmp_path_factory.mktemp("site")
    figure = Figure(figsize=(2, 1))
    for ending in ("png", "pdf"):
        figure.savefig(folder / f"11_localized-affected.{ending}", dpi=100)
    picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    output = notebooks.new_output("display_data", {"image/png": picture, "text/plain": "<Figure>"})
    text = notebooks.new_markdown_cell("# 11 Is it?\n\nWith $x_f^2$, and\n\n$$\\sqrt{c}\\,\\tilde z_f$$")
    cells = [text, notebooks.new_code_cell("1 < 2", outputs=[output])]
    executed = folder / "11_localized-affected.ipynb"
    executed.write_text(nbformat.writes(notebooks.new_notebook(cells=cells)))
    site.page(executed, folder / "11_localized-affected.html")
    claim = {"claim": "a <b> damages & hurts", "statistic": "damage", "more": "a", "less": "b", "network": "cnn"}
    numbers = {"mean": 0.1234, "low": 0.1, "high": 0.2, "p": 0.01, "own_low": 0.1, "own_high": 0.2, "p_holm": 0.02}
    verdicts = {"4_half": "holds beyond the floor", "<i>": "not shown"}
    judged = [claim | numbers | {"forget_set": name, "verdict": verdict} for name, verdict in verdicts.items()]
    tables.write(pd.DataFrame(judged), folder / "claims.csv")
    spent = {"kind": "model", "name": "a <b>", "cpu_seconds": 1.0, "steps": 8, "steps_aside": 0, "peak_mb": 1.0}
    tables.write(pd.DataFrame([spent | {"seed": n, "seconds": n + 1.0} for n in range(3)]), folder / "costs.csv")
    tables.write(pd.DataFrame([numbers]), folder / "summary.csv")
    parts = {"figures": [folder / "11_localized-affected.png"], "pages": [folder / "11_localized-affected.html"]}
    site.index("tiny", folder / "site", dataset="digits", folder=folder, **parts)
    return folder / "site"

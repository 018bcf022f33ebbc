"""The stage that experiments, around an experiment of its own."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lfcore import experiments
from lfcore.core import data, plugins, tables
from lfcore.core.errors import InputError
from lfcore.stages import experiment


def echo(dataset, *, seeds, device, share=0.5, ks=()):
    """A row a seed, whose value is the share, and the labels as an array."""
    rows = [("original", seed, "", "test", "accuracy", "all", "", share) for seed in seeds]
    columns = ["unlearner", "seed", "reference", "split", "metric", "scope", "key", "value"]
    return pd.DataFrame(rows, columns=columns), {"labels": dataset.labels, "ks": np.array(ks)}


def run(tmp_path, digits, **options):
    data.write(digits, tmp_path / "dataset.safetensors")
    return experiment.run(
        dataset=tmp_path / "dataset.safetensors",
        experiment="echo-more",
        seeds=[3, 4],
        options=options,
        device="cpu",
        out=tmp_path / "echo-more",
    )


def test_the_table_says_its_condition_and_the_arrays_lie_beside_it(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(plugins, "find", lambda package, what, name: SimpleNamespace(experiment=echo))
    table = run(tmp_path, digits, share=0.25, ks=[1, 2])
    assert table[["experiment", "share", "seed"]].values.tolist() == [["echo-more", 0.25, 3], ["echo-more", 0.25, 4]]
    assert "ks" not in table, "a list is no condition"
    read = tables.read(tmp_path / "echo-more.csv")
    assert read["value"].tolist() == [0.25, 0.25] and read["key"].tolist() == ["", ""]
    with np.load(tmp_path / "echo-more.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["labels"], digits.labels) and kept["ks"].tolist() == [1, 2]


def test_an_unknown_experiment_is_one_sentence(tmp_path, digits):
    with pytest.raises(InputError, match=r"no experiment called 'echo'"):
        run(tmp_path, digits)
    assert plugins.known(experiments) == sorted(plugins.known(experiments))

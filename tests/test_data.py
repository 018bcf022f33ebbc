import hashlib
import json

import numpy as np
import pytest
import torch

from lfcore.core import data
from lfcore.core.errors import InputError
from lfcore.datasets import mnist
from lfcore.datasets._load import load
from lfcore.stages.data import choose_forget, write_forget_sets


def test_digits_are_split_as_the_profile_says(digits):
    assert digits.images.shape == (1797, 1, 8, 8)
    assert digits.images.min() == 0 and digits.images.max() == 1
    assert (len(digits.train), len(digits.test)) == (1078, 719)
    assert not np.intersect1d(digits.train, digits.test).size
    shares = np.bincount(digits.labels[digits.train]) / np.bincount(digits.labels)
    assert np.abs(shares - 0.6).max() < 0.01, "the split is stratified"


@pytest.mark.parametrize(("affected", "fraction", "sizes"), [(4, 0.5, (54, 55, 72)), (9, 0.75, (81, 27, 72))])
def test_forget_sets_have_the_sizes_that_the_readme_names(digits, tmp_path, affected, fraction, sizes):
    (chosen,) = write_forget_sets(digits, {"x": {"affected": affected, "fraction": fraction}}, tmp_path)
    retained = (digits.labels[chosen.retain] == affected).sum()
    assert (len(chosen.forget), retained, (digits.labels[digits.test] == affected).sum()) == sizes
    assert (digits.labels[chosen.forget] == affected).all()
    members = digits.train[digits.labels[digits.train] == affected]
    assert (chosen.forget == members[: sizes[0]]).all(), "the first of the class, in data-set order"
    assert sorted([*chosen.forget, *chosen.retain]) == digits.train.tolist()


def test_data_survive_the_disk(digits, tmp_path):
    data.write(digits, tmp_path / "d.safetensors")
    again = data.read(tmp_path / "d.safetensors")
    assert again.sha256() == digits.sha256()
    light = data.read(tmp_path / "d.safetensors", images=False)
    assert light.images.shape == (1797, 0) and (light.labels == digits.labels).all()


@pytest.mark.parametrize("fraction", [-0.5, 0, 1.5])
def test_a_fraction_outside_0_1_is_refused(digits, fraction):
    with pytest.raises(InputError, match=r"fraction must be in \(0, 1\]"):
        choose_forget(digits, 4, fraction)


def test_a_forget_set_of_nothing_or_of_everything_is_refused(digits):
    with pytest.raises(InputError, match="forgets nothing"):
        choose_forget(digits, 4, 0.001)
    with pytest.raises(InputError, match="no class 77 among the train examples: choose one of 0 to 9"):
        choose_forget(digits, 77, 0.5)
    one_class = data.Data(digits.images, np.zeros_like(digits.labels), digits.train, digits.test)
    with pytest.raises(InputError, match="whole training set"):
        choose_forget(one_class, 0, 1.0)


def test_an_unknown_data_set_is_named_with_the_known(digits):
    with pytest.raises(InputError, match="digits"):
        load("no_such")


def test_overlapping_splits_are_refused(digits):
    with pytest.raises(InputError, match="disjoint"):
        data.Data(digits.images, digits.labels, digits.train, digits.train[:1])


def _damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        content[-100] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "flipped"])
def test_a_damaged_data_file_is_refused(digits, tmp_path, how):
    path = tmp_path / "d.safetensors"
    data.write(digits, path)
    _damage(path, how)
    with pytest.raises(InputError, match=r"d\.safetensors"):
        data.read(path)


@pytest.mark.parametrize("how", ["missing", "truncated", "empty"])
def test_a_damaged_index_file_is_refused(digits, forget_set, tmp_path, how):
    path = tmp_path / "f.json"
    data.write_forget(path, "f", 4, forget_set.forget)
    _damage(path, how)
    with pytest.raises(InputError, match=r"f\.json"):
        data.read_forget(path, digits)


def test_an_edited_index_file_is_refused(digits, forget_set, tmp_path):
    path = tmp_path / "f.json"
    data.write_forget(path, "f", 4, forget_set.forget)
    record = json.loads(path.read_text())
    record["rows"] = record["rows"][1:]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="is not what was written"):
        data.read_forget(path, digits)


def test_an_index_file_of_test_rows_is_refused(digits, tmp_path):
    path = tmp_path / "f.json"
    data.write_forget(path, "f", 4, digits.test[:5])
    with pytest.raises(InputError, match="distinct train examples"):
        data.read_forget(path, digits)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_is_read_from_its_files_alone_and_only_if_they_are_the_official_ones(name, folder, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    pixels, labels = {}, {}
    for half, count in (("train", 20), ("t10k", 10)):
        pixels[half] = random.integers(256, size=(count, 28, 28), dtype=np.uint8)
        labels[half] = (np.arange(count) % 10).astype(np.uint8)
        header = np.array([2051, count, 28, 28], dtype=">i4").tobytes()
        (raw / f"{half}-images-idx3-ubyte").write_bytes(header + pixels[half].tobytes())
        header = np.array([2049, count], dtype=">i4").tobytes()
        (raw / f"{half}-labels-idx1-ubyte").write_bytes(header + labels[half].tobytes())
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte is not the official file \(its md5 differs\)"):
        load(name, tmp_path)
    sums = tuple(hashlib.md5((raw / file).read_bytes()).hexdigest() for file in mnist.NAMES)
    monkeypatch.setitem(mnist.MD5, folder, sums)
    old = tmp_path / folder / "processed"  # what torchvision of old would have loaded instead, without a sum
    old.mkdir()
    for file in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)), old / file)
    found = load(name, tmp_path)
    assert found.images.shape == (30, 1, 28, 28) and found.classes == 10
    np.testing.assert_allclose(found.images[:, 0] * 255, np.concatenate([pixels["train"], pixels["t10k"]]), rtol=1e-6)
    assert found.labels.tolist() == [*labels["train"], *labels["t10k"]]
    assert (found.train.tolist(), found.test.tolist()) == (list(range(20)), list(range(20, 30)))
    with pytest.raises(InputError, match=f"There is no {folder} in"):
        load(name, tmp_path / "nowhere")
    for file in mnist.NAMES:
        content = (raw / file).read_bytes()
        for changed in (content[:-1], content[:-1] + bytes([content[-1] ^ 1])):
            (raw / file).write_bytes(changed)
            with pytest.raises(InputError, match=f"{file} is not the official file"):
                load(name, tmp_path)
        (raw / file).write_bytes(content)
    assert load(name, tmp_path).sha256() == found.sha256()

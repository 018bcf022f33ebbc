"""Bundles: what comes back is what was taken, small, checked, and all of one age."""

import shutil
import zipfile

import numpy as np
import pytest

from lfcore.core import checkpoint, tables
from lfcore.core.errors import InputError
from lfcore.publish import bundle


@pytest.fixture
def results(tmp_path, monkeypatch, trained):
    """The results of a profile in a project of its own: real models, and tables with little in them."""
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    folder = tmp_path / "results" / "p"
    for role, place in (("original", "none"), ("retrained", "4_half")):
        shutil.copytree(trained / role, folder / "models" / "cnn" / place / role / "0-2")
    (folder / "data").mkdir()
    shutil.copy(trained / "4_half.json", folder / "data")
    shutil.copy(trained / "dataset.safetensors", folder / "data")
    random = np.random.default_rng(0)
    for name in ("ascent", "ltd"):
        path = folder / "measurements" / "cnn" / "4_half" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".csv").write_text(f"a,b\n{name},1\n")
        flips = random.integers(-1, 2, size=(3, 50)).astype(float)
        np.savez(path.with_suffix(".npz"), total_variation=random.random((3, 50)), flip=flips, big=np.full(3, 1e6))
    (folder / "tables").mkdir()
    (folder / "tables" / "summary.csv").write_text("x\n1\n")
    return folder


def inside(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_comes_back_without_what_is_large(results):
    before = inside(results)
    exact = dict(np.load(results / "measurements/cnn/4_half/ltd.npz"))
    (path,) = bundle.make("p")
    again = path.read_bytes()
    assert path.stat().st_size < 1_000_000 and bundle.make("p")[0].read_bytes() == again
    shutil.rmtree(results)
    count = bundle.restore("p")
    after = inside(results)
    seals = {name for name in after if name.endswith(".sha256")}
    assert count == len(after) - len(seals) and "tables/summary.csv.sha256" in seals
    tables.read(results / "tables" / "summary.csv")
    tables.read_arrays(results / "measurements/cnn/4_half/ltd.npz")  # compacted, and with a hash of its own
    same = {name for name in after if not name.endswith((".npz", ".sha256"))}
    assert all(after[name] == before[name] for name in same)
    gone = {name.split(".", 1)[1] for name in set(before) - set(after)}
    assert gone == {"predictions.safetensors", "weights.safetensors", "safetensors"}
    assert [name for name in after if name.endswith("weights.safetensors")] == [
        "models/cnn/none/original/0-2/seed0.weights.safetensors"
    ]
    near = np.load(results / "measurements/cnn/4_half/ltd.npz")
    assert (near["flip"] == exact["flip"]).all() and near["flip"].dtype == np.int8
    assert near["total_variation"].dtype == np.float16 and (near["big"] == 1e6).all()
    np.testing.assert_allclose(near["total_variation"], exact["total_variation"], atol=5e-4)
    files = [path for path in results.rglob("*") if path.is_file() and path.suffix != ".sha256"]
    assert len({path.stat().st_mtime for path in files}) == 1


def test_weights_that_came_along_predict_again(results):
    folder = [results / "models/cnn/4_half/retrained/0-2"]
    wanted = [checkpoint.predictions(folder, seed)["logits"] for seed in (0, 1, 2)]
    bundle.make("p", models=True)
    kept = (results / "data/dataset.safetensors").read_bytes()
    shutil.rmtree(results)
    bundle.restore("p")
    with pytest.raises(InputError, match=r"dataset\.safetensors is missing"):
        bundle.predict("p")
    (results / "data/dataset.safetensors").write_bytes(kept)
    assert bundle.predict("p") == 5 and bundle.predict("p") == 0
    for seed, logits in zip((0, 1, 2), wanted, strict=True):
        assert (checkpoint.predictions(folder, seed)["logits"] == logits).all()
    facts = checkpoint.sidecar(folder, 0)
    assert facts["steps"] > 0 and facts["trained_by"]["versions"]["torch"], "costs and origin stay on record"


def test_no_file_is_larger_than_allowed(results, monkeypatch):
    bundle.make("p", models=True)
    monkeypatch.setattr(bundle, "LARGEST", 2**20 + 400_000)
    paths = bundle.make("p", models=True)
    assert len(paths) > 1 and all(path.stat().st_size <= bundle.LARGEST for path in paths)
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [path.name for path in paths]
    before = inside(results)
    assert bundle.restore("p") and {name for name in inside(results) if not name.endswith(".sha256")} == set(before)
    paths[-1].unlink()
    with pytest.raises(InputError, match="is missing: put all the files"):
        bundle.restore("p")
    monkeypatch.setattr(bundle, "FILES", 1)
    with pytest.raises(InputError, match="and 1 files and 64 MiB are allowed"):
        bundle.make("p", models=True)
    monkeypatch.setattr(bundle, "LARGEST", 2**20 + 50_000)
    with pytest.raises(InputError, match="too large for a bundle"):
        bundle.make("p")


def test_a_bundle_that_was_changed_or_is_anothers_is_refused(results, tmp_path):
    (path,) = bundle.make("p")
    with pytest.raises(InputError, match="a bundle of p and not of q"):
        shutil.copytree(path.parent, path.parent.with_name("q"))
        bundle.restore("q")
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for name, content in (("tables/summary.csv", b"x\n2\n"), ("../outside.txt", b"no")):
        with zipfile.ZipFile(path, "w") as file:
            for key, value in (members | {name: content}).items():
                file.writestr(key, value)
        with pytest.raises(InputError, match="is not what was made"):
            bundle.restore("p")
    assert (results / "tables/summary.csv").read_text() == "x\n1\n" and not (tmp_path / "results/outside.txt").exists()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="is damaged"):
        bundle.restore("p")
    with pytest.raises(InputError, match=r"nothing in .* to bundle"):
        bundle.make("no_such")

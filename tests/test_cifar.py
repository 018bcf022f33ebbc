"""CIFAR-100 and SVHN on small data shaped like them, and what their training loop adds: views, bf16, layout."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat
from torch.nn.functional import cross_entropy

from lfcore.core import checkpoint, data, seeds
from lfcore.core.errors import InputError
from lfcore.core.examples import choose, in_pixels, pixels
from lfcore.core.paths import ROOT
from lfcore.datasets._load import load
from lfcore.metrics import matched
from lfcore.models.networks import DEVIATION, MEAN, build
from lfcore.models.torchvision import torchvision
from lfcore.stages import train, unlearn
from lfcore.stages.data import write_forget_sets
from lfcore.training import augmentation
from lfcore.training.fit import SCHEDULES, Loop, batches, by_epoch, cosine, fit, linear

CLASSES, PER_CLASS = 6, {"train": 20, "test": 5}


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of a small CIFAR-100: every class a colour, with noise, in an order that mixes the classes."""
    folder = tmp_path_factory.mktemp("data")
    inside = folder / "cifar-100-python"
    inside.mkdir()
    random, sums = np.random.default_rng(0), {}
    colours = random.integers(40, 216, size=(CLASSES, 3))
    for part, count in PER_CLASS.items():
        labels = random.permutation(np.repeat(np.arange(CLASSES), count))
        noise = random.integers(-40, 41, size=(len(labels), 3, 32, 32))
        images = (colours[labels][:, :, None, None] + noise).clip(0, 255).astype(np.uint8)
        content = {"data": images.reshape(len(labels), -1), "fine_labels": labels.tolist()}
        (inside / part).write_bytes(pickle.dumps(content))
        sums[part] = md5(inside / part)
    (inside / "meta").write_bytes(pickle.dumps({"fine_label_names": list("abcdef")}))
    return folder, sums | {"meta": md5(inside / "meta")}


@pytest.fixture
def cifar(files, monkeypatch):
    """The folder of that data set, whose md5 torchvision takes for the official ones."""
    folder, sums = files
    kind = torchvision.datasets.CIFAR100
    for part in PER_CLASS:
        monkeypatch.setattr(kind, f"{part}_list", [[part, sums[part]]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": sums["meta"]})
    return folder


def test_cifar100_is_read_as_bytes_in_its_own_order(cifar):
    found = load("cifar100", cifar)
    raw = [pickle.loads((cifar / "cifar-100-python" / part).read_bytes()) for part in PER_CLASS]
    assert found.images.dtype == np.uint8 and found.images.shape == (150, 3, 32, 32) and found.classes == CLASSES
    assert (found.images.reshape(150, -1) == np.concatenate([part["data"] for part in raw])).all()
    assert found.labels.tolist() == [label for part in raw for label in part["fine_labels"]]
    assert (found.train.tolist(), found.test.tolist()) == (list(range(120)), list(range(120, 150)))


def test_cifar100_keeps_the_classes_asked_for_in_their_order(cifar):
    everything, some = load("cifar100", cifar), load("cifar100", cifar, classes=["e", 0, "c"])
    assert np.bincount(some.labels[some.train]).tolist() == [20] * 3 and some.classes == 3
    assert np.bincount(some.labels[some.test]).tolist() == [5] * 3
    for new, old in enumerate((4, 0, 2)):
        assert (some.images[some.labels == new] == everything.images[everything.labels == old]).all()
    for classes, message in ((["a", "sofa"], "no class 'sofa': choose from a, b"), (["a", 0], "each named once")):
        with pytest.raises(InputError, match=message):
            load("cifar100", cifar, classes=classes)


def test_a_variable_names_the_folder_and_an_unknown_option_is_one_sentence(cifar, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"no intact CIFAR-100 in .*LFCORE_DATA, or set dataset\.download"):
        load("cifar100", tmp_path)
    monkeypatch.setenv("LFCORE_DATA", str(cifar))
    assert len(load("cifar100", tmp_path).labels) == 150
    with pytest.raises(InputError, match="digits takes other options"):
        load("digits", classes=["a", "b"])


def test_a_damaged_cifar100_is_refused(cifar, tmp_path):
    inside = tmp_path / "cifar-100-python"
    inside.mkdir()
    for path in (cifar / "cifar-100-python").iterdir():
        (inside / path.name).write_bytes(path.read_bytes() + (b"x" if path.name == "test" else b""))
    with pytest.raises(InputError, match="no intact CIFAR-100"):
        load("cifar100", tmp_path)


def test_svhn_is_read_from_its_files(tmp_path, monkeypatch):
    random, kind = np.random.default_rng(0), torchvision.datasets.SVHN
    pixels = {part: random.integers(256, size=(32, 32, 3, 20), dtype=np.uint8) for part in PER_CLASS}
    listed = dict(kind.split_list)
    for part, images in pixels.items():
        path = tmp_path / f"{part}_32x32.mat"
        savemat(path, {"X": images, "y": (np.arange(20) % 10 + 1)[:, None].astype(np.uint8)})
        listed[part] = [listed[part][0], path.name, md5(path)]
    monkeypatch.setattr(kind, "split_list", listed)
    found = load("svhn", tmp_path)
    assert found.images.dtype == np.uint8 and found.images.shape == (40, 3, 32, 32)
    assert (found.images[:20] == pixels["train"].transpose(3, 2, 0, 1)).all()
    assert found.labels.tolist() == [*range(1, 10), 0] * 4, "their 10 is the digit 0"
    with pytest.raises(InputError, match="no intact SVHN"):
        load("svhn", tmp_path / "nowhere")


def test_bytes_survive_the_disk_and_mean_0_to_1(cifar, tmp_path):
    found = load("cifar100", cifar)
    data.write(found, tmp_path / "d.safetensors")
    again = data.read(tmp_path / "d.safetensors")
    assert again.images.dtype == np.uint8 and again.sha256() == found.sha256()
    every = pixels(torch.arange(256, dtype=torch.uint8))
    assert every[0] == 0 and every[255] == 1
    np.testing.assert_allclose(every, np.arange(256) / 255, rtol=1e-6)
    floats = torch.rand(2, 3, 4, 4)
    assert pixels(floats) is floats


def test_colours_are_normalised_by_the_network_and_grey_images_are_not():
    model = build("cnn", 3, 5, seed=0, stage="t")
    found = model.normalise(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    wanted = (1 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    torch.testing.assert_close(found[0, :, 0, 0], wanted)
    assert not {"mean", "deviation"} & set(model.state_dict()), "a weights' file has what was learnt"
    grey = torch.rand(1, 1, 8, 8)
    assert model.normalise(grey) is grey


def test_networks_have_the_papers_sizes():
    sizes = {"resnet56": 861620, "resnet9": 424564}
    for network, size in sizes.items():
        model = build(network, 3, 100, seed=0, stage="t")
        assert sum(parameter.numel() for parameter in model.parameters()) == size
    depth = [m for m in build("resnet56", 3, 100, seed=0, stage="t").modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(layer.kernel_size == (3, 3) for layer in depth) + 1 == 56


def test_a_missing_timm_is_one_sentence(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match="needs timm, which is not installed: pip install"):
        build("vit_tiny", 3, 10, seed=0, stage="t")


def test_views_are_torchvisions_crops_and_flips():
    """A slow twin: one image at a time, by torchvision's own functions."""
    generator = seeds.generator(0, "t", "views")
    images = torch.randint(256, (40, 3, 8, 6), dtype=torch.uint8, generator=generator)
    rows = torch.randperm(40, generator=generator)[:30]
    views = augmentation.draw_views(30, generator)
    found = augmentation.crop_flip(augmentation.padded(images), rows, *views)
    functional = torchvision.transforms.functional
    for image, row, (down, across, flip) in zip(found, rows, views.T.tolist(), strict=True):
        wanted = functional.crop(functional.pad(images[row], [4] * 4), down, across, 8, 6)
        assert torch.equal(image, functional.hflip(wanted) if flip else wanted)
    many = augmentation.draw_views(20000, generator)
    assert [sorted(set(one.tolist())) for one in many] == [list(range(9)), list(range(9)), [0, 1]]
    assert many.double().mean(dim=1).tolist() == pytest.approx([4, 4, 0.5], abs=0.08)


def train_shortly(examples, epochs=2, network="resnet9", seen=None, **options):
    model = build(network, 3, CLASSES, seed=1, stage="t")

    def objective(logits, batch):
        if seen is not None:
            seen.append(batch.images.clone())
        assert logits.dtype == torch.float32
        return cross_entropy(logits, examples.labels[batch.rows])

    recipe = {"epochs": epochs, "batch_size": 32, "lr": 0.05, "nesterov": True} | options
    return fit(model, examples.images, objective, generator=seeds.generator(1, "t", "batches"), **recipe)


def logits(model, examples):
    with torch.no_grad():
        return model(examples.images)


def test_a_seed_gives_the_same_views_and_bits_and_batches_are_what_they_were(cifar):
    everything = load("cifar100", cifar)
    examples = choose(everything, everything.train[:64], "cpu")
    runs = []
    for views in ("crop_flip", "crop_flip", "none"):
        seen = []
        model = train_shortly(examples, seen=seen, loop=Loop(augment=views))
        runs.append((logits(model, examples), torch.cat(seen)))
    assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1], runs[1][1])
    assert not torch.equal(runs[0][1], runs[2][1])
    order = torch.cat(batches(64, 32, seeds.generator(1, "t", "batches")))
    assert torch.equal(runs[2][1][:64], pixels(examples.images[order]))
    centre = runs[0][1][:64].flatten(1).mean(1), runs[2][1][:64].flatten(1).mean(1)
    assert np.corrcoef(*centre)[0, 1] > 0.5, "the same images in the same order, seen otherwise"


def test_bytes_and_floats_train_to_the_same_bits(cifar):
    everything = load("cifar100", cifar)
    examples = choose(everything, everything.train[:64], "cpu")
    loop = Loop(augment="crop_flip")
    models = (train_shortly(part, loop=loop) for part in (examples, in_pixels(examples)))
    assert torch.equal(*(logits(model, examples) for model in models))


def test_layout_and_precision_change_rounding_alone(cifar):
    """One step of plain descent, whose change of all weights is the gradient. Weights come back as they lay before."""
    everything = load("cifar100", cifar)
    examples = choose(everything, everything.train, "cpu")
    before = build("resnet9", 3, CLASSES, seed=1, stage="t").parameters()
    before = torch.cat([parameter.detach().flatten() for parameter in before])

    def change(**loop):
        options = {"epochs": 1, "batch_size": 200, "momentum": 0.0, "nesterov": False, "lr": 1.0}
        model = train_shortly(examples, loop=Loop(**loop), **options)
        assert all(p.dtype == torch.float32 and p.is_contiguous() for p in model.parameters())
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]) - before

    plain = change()
    for loop, error in (({"channels_last": True}, 0.01), ({"channels_last": True, "precision": "bf16"}, 0.1)):
        found = change(**loop)
        off = float((found - plain).norm() / plain.norm())
        assert 0 < off < error


def test_a_wrong_loop_is_one_sentence():
    for option, value in (("augment", "cutout"), ("precision", "fp8")):
        with pytest.raises(InputError, match=value):
            Loop(**{option: value})


def test_schedules_are_the_papers():
    rate = by_epoch(200)
    for epoch in range(200):
        for done in (epoch / 200, (epoch + 0.5) / 200, (epoch + 195 / 196) / 200):
            assert rate(done) == pytest.approx((1 + np.cos(np.pi * epoch / 200)) / 2)
    assert SCHEDULES["linear"] is linear and cosine(1) == 0


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])


def test_matching_in_blocks_is_matching_at_once(monkeypatch):
    random = np.random.default_rng(0)
    close, distant = random.random((50, 2)), random.random((70, 2))
    whole = matched.match(close, distant)
    for block in (1, 7, 50):
        monkeypatch.setattr(matched, "BLOCK", block)
        for one, other in zip(matched.match(close, distant), whole, strict=True):
            assert (one == other).all()
    apart = np.abs(close[:, None] - distant)
    apart[(apart > matched.CALIPER).any(axis=2)] = np.inf
    assert (whole[1] == apart.sum(axis=2).argmin(axis=1)[whole[0]]).all()


GIVEN = yaml.safe_load((ROOT / "config" / "cifar20.yaml").read_text())["unlearners"]
METHODS = [name for name, options in GIVEN.items() if options and "-" not in name]


@pytest.fixture(scope="module")
def stage(files, tmp_path_factory):
    """A data set in a file and a model trained on it, as the stages leave them."""
    folder, (source, sums) = tmp_path_factory.mktemp("stage"), files
    kind, patch = torchvision.datasets.CIFAR100, pytest.MonkeyPatch()
    for part in PER_CLASS:
        patch.setattr(kind, f"{part}_list", [[part, sums[part]]])
    patch.setattr(kind, "meta", kind.meta | {"md5": sums["meta"]})
    everything = load("cifar100", source)
    patch.undo()
    data.write(everything, folder / "d.safetensors")
    write_forget_sets(everything, {"half": {"affected": 2, "fraction": 0.5}}, folder)
    recipe = {"epochs": 4, "batch_size": 32, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine"}
    loop = {"augment": "crop_flip", "precision": "bf16", "channels_last": True}
    (record,) = train.train(
        dataset=folder / "d.safetensors", forget_set=None, network="resnet9", role="original", seeds=[0],
        options=recipe, device="cpu", out=folder / "original", loop=loop,
    )  # fmt: skip
    return folder, loop, record


def test_training_works_and_is_on_record(stage):
    folder, loop, record = stage
    assert record["train"] > 100 / 3, (
        "one class in six by chance; eight seeds, and six with SSE 4.1 alone, gave 50 or more"
    )
    facts = checkpoint.sidecar([folder / "original"], 0)
    assert facts["loop"] == loop and facts["options"]["schedule"] == "cosine"


@DEVICES
@pytest.mark.parametrize("method", [*METHODS, "spotter", "scrub"])
def test_every_method_works_on_bytes(stage, method, device):
    folder, loop, _ = stage
    options = {"lr": 0.001, "epochs": 1, "batch_size": 32}
    options |= {
        "ltd": {"k": 20, "beta": 2.0, "teacher_epochs": 30, "teacher_accuracy": 0.5},
        "salun": {"ratio": 0.5},
    }.get(method, {})
    options = {"influence": {"alpha": 1.0, "samples": 10}, "drift": {"batch_size": 32}}.get(method, options)
    (record,) = unlearn.unlearn(
        dataset=folder / "d.safetensors", forget_set=folder / "half.json", network="resnet9", unlearner=method,
        seeds=[0], options=options, device=device, originals=[folder / "original"], out=folder / f"{method} {device}",
        loop=loop,
    )  # fmt: skip
    assert 0 <= record["retain"] <= 100
    before, after = (
        checkpoint.predictions([folder / name], 0)["logits"] for name in ("original", f"{method} {device}")
    )
    assert np.isfinite(after).all() and not (before == after).all()

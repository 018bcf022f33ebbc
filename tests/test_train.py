import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import checkpoint, data, seeds
from lfcore.core.errors import Diverged, InputError
from lfcore.core.paths import ROOT
from lfcore.models import networks, predict
from lfcore.stages import train
from lfcore.training import optimizers
from lfcore.training.fit import batches, fit, linear

RECIPE = {"epochs": 2, "batch_size": 64, "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0005}


def bits(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("n", "size", "sizes"), [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (1, 4, [1]), (4, 4, [4])])
def test_batches_cover_every_row_once_and_leave_no_batch_of_one(n, size, sizes):
    parts = batches(n, size, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(n))


def test_streams_differ_by_seed_stage_and_purpose():
    names = [
        (s, stage, p) for s in (0, 1) for stage in ("original", "retrained 4_half") for p in ("weights", "batches")
    ]
    assert len({seeds.number(*name) for name in names}) == len(names)
    assert seeds.number(3, "a", "b") == 6330941930284867545, "streams never change, or no result can be reproduced"


@pytest.mark.parametrize("network", networks.known())
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 8), (3, 32), (1, 28)])
def test_networks_take_any_channels_and_size(network, channels, size):
    if network == "vit_tiny":
        pytest.importorskip("timm")
    model = networks.build(network, channels, 7, seed=0, stage="test").eval()
    images = torch.rand(2, channels, size, size)
    assert model(images).shape == (2, 7)
    assert torch.equal(model(images), model.head(model.features(images)))


def test_networks_are_the_papers_shapes():
    assert sum(p.numel() for p in networks.build("resnet8", 3, 10, seed=0, stage="t").parameters()) == 78042
    assert [p.shape[0] for p in networks.build("small_cnn", 3, 10, seed=0, stage="t").parameters() if p.ndim > 1] == [
        32, 64, 128, 10,
    ]  # fmt: skip
    assert networks.known() == ["cnn", "mnist_cnn", "resnet56", "resnet8", "resnet9", "small_cnn", "vit_tiny"]


@pytest.mark.parametrize(("network", "channels", "size"), [("mnist_cnn", 1, 28), ("resnet56", 3, 32), ("cnn", 1, 8)])
def test_no_network_uses_a_pooling_that_a_gpu_cannot_repeat(network, channels, size):
    """torch lists the backward of adaptive pooling, but to one pixel, among what has no deterministic form there."""
    logits = networks.build(network, channels, 7, seed=0, stage="test")(torch.rand(2, channels, size, size))
    seen, todo = set(), [logits.grad_fn]
    while todo:
        if (node := todo.pop()) not in seen:
            seen.add(node)
            todo += [before for before, _ in node.next_functions if before]
    names = {type(node).__name__ for node in seen}
    assert "AddmmBackward0" in names and not any("Adaptive" in name for name in names)


def test_an_unknown_network_is_named_with_the_known():
    with pytest.raises(InputError, match="cnn, mnist_cnn, resnet56"):
        networks.build("no_such", 1, 10, seed=0, stage="test")


def test_building_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    networks.build("cnn", 1, 10, seed=0, stage="test")
    assert torch.equal(before, torch.get_rng_state())


def test_fit_is_plain_sgd(problem):
    """A slow twin: torch's own optimizer over the same batches by hand, down to the last bit."""
    examples = problem.forget
    ours = networks.build("cnn", 1, 10, seed=1, stage="test")
    twin = networks.build("cnn", 1, 10, seed=1, stage="test").train()
    stream = seeds.generator(1, "test", "batches")
    descent = torch.optim.SGD(twin.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for epoch in range(3):
        order = torch.randperm(len(examples), generator=stream)
        for step, rows in enumerate((order[:32], order[32:])):
            descent.param_groups[0]["lr"] = 0.1 * (1 - (2 * epoch + step) / 6)
            descent.zero_grad()
            cross_entropy(twin(examples.images[rows]), examples.labels[rows]).backward()
            descent.step()
    fit(
        ours,
        examples.images,
        lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
        epochs=3,
        batch_size=32,
        lr=0.1,
        nesterov=True,
        weight_decay=5e-4,
        schedule=linear,
        generator=seeds.generator(1, "test", "batches"),
    )
    assert same(bits(ours), bits(twin))


def test_a_step_on_the_cpu_imports_no_compiler():
    """It costs every job that trains as much as torch itself."""
    code = """
import sys, torch
from lfcore.core import seeds
from lfcore.models import networks
from lfcore.training.fit import fit
for optimizer in ("sgd", "adam", "adamw"):
    model, stream = networks.build("cnn", 1, 10, seed=0, stage="test"), seeds.generator(0, "test", "batches")
    options = {"optimizer": optimizer, "epochs": 1, "batch_size": 4, "lr": 0.1, "generator": stream}
    fit(model, torch.rand(8, 1, 8, 8), lambda logits, batch: logits.sum(), **options)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_weight_without_gradient_is_left_alone(optimizer):
    """As by torch.optim, whose bits they are: one weight has a gradient in every second step only."""
    options, ends = {"lr": 0.1, "weight_decay": 0.01}, []
    more = {"momentum": 0.9, "nesterov": True}
    for ours in (True, False):
        weights = [torch.nn.Parameter(torch.full((3,), value)) for value in (1.0, 2.0)]
        if ours:
            taken = optimizers.Descent(weights, optimizer=optimizer, **options, **more)
        else:
            theirs = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
            taken = theirs(weights, **options, **(more if optimizer == "sgd" else {}))
        for step in range(5):
            taken.zero_grad()
            (weights[0].square().sum() + (weights[1].exp().sum() if step % 2 else 0)).backward()
            taken.step()
        ends.append(torch.stack([weight.detach() for weight in weights]))
    assert torch.equal(*ends)


def test_a_descent_that_is_passed_goes_on_from_where_it_was(problem):
    """Two calls of one epoch are one call of two; with a new descent each they are not."""
    ends = {}
    for name, epochs, calls in (("once", 2, 1), ("passed", 1, 2), ("anew", 1, 2)):
        model, draws = networks.build("cnn", 1, 10, seed=1, stage="test"), seeds.generator(1, "test", "batches")
        options = {"optimizer": "adam", "weight_decay": 0.01}
        if name == "passed":
            options = {"descent": optimizers.Descent(model.parameters(), 1.0, **options)}
        for _ in range(calls):
            fit(
                model,
                problem.forget.images,
                lambda logits, batch: cross_entropy(logits, problem.forget.labels[batch.rows]),
                epochs=epochs,
                batch_size=32,
                lr=0.01,
                generator=draws,
                **options,
            )
        ends[name] = bits(model)
    assert same(ends["once"], ends["passed"]) and not same(ends["once"], ends["anew"])


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_a_negative_rate_is_refused(problem, name):
    options = {"epochs": 1, "batch_size": 64, "lr": 0.1, "generator": seeds.generator(0, "test", "batches")}
    with pytest.raises(InputError, match="can't be negative"):
        fit(problem.model, problem.forget.images, lambda logits, batch: logits.sum(), **{**options, name: -1.0})


def test_without_options_the_loop_is_what_it_always_was(problem):
    """A slow twin with AdamW, a batch that is not full, soft targets and the epoch's number, down to the last bit."""
    examples, targets = problem.retain, torch.rand(2, 1078, 10, generator=torch.Generator().manual_seed(0))
    ours, twin = (networks.build("cnn", 1, 10, seed=1, stage="test").train() for _ in range(2))
    stream = seeds.generator(1, "test", "batches")
    descent = torch.optim.AdamW(twin.parameters(), 0.01, weight_decay=1e-4)
    for epoch in range(2):
        for rows in batches(len(examples), 100, stream):
            loss = cross_entropy(twin(examples.images[rows]), targets[epoch, rows])
            descent.zero_grad()
            loss.backward()
            descent.step()
    fit(
        ours,
        examples.images,
        lambda logits, batch: cross_entropy(logits, targets[batch.epoch, batch.rows]),
        epochs=2,
        batch_size=100,
        lr=0.01,
        optimizer="adamw",
        weight_decay=1e-4,
        generator=seeds.generator(1, "test", "batches"),
    )
    assert len(examples) % 100 and same(bits(ours), bits(twin))


def test_frozen_batchnorm_keeps_its_statistics_and_train_moves_them(problem):
    for batchnorm in ("frozen", "train"):
        model = networks.build("cnn", 1, 10, seed=1, stage="test")
        before = bits(model)
        fit(
            model,
            problem.forget.images,
            lambda logits, batch: logits.square().mean(),
            epochs=1,
            batch_size=32,
            lr=0.1,
            batchnorm=batchnorm,
            generator=seeds.generator(0, "test", "batches"),
        )
        after = bits(model)
        moved = [not torch.equal(before[name], after[name]) for name in before if "running" in name]
        assert all(moved) if batchnorm == "train" else not any(moved)
        assert not torch.equal(before["head.weight"], after["head.weight"])


@pytest.mark.parametrize(("option", "value"), [("optimizer", "adagrad"), ("batchnorm", "off")])
def test_fit_refuses_what_it_does_not_know(problem, option, value):
    options = {"epochs": 1, "batch_size": 32, "lr": 0.1, "generator": torch.Generator(), option: value}
    with pytest.raises(InputError, match=value):
        fit(networks.build("cnn", 1, 10, seed=0, stage="t"), problem.forget.images, None, **options)


def test_fit_refuses_an_empty_set():
    with pytest.raises(InputError, match="no examples"):
        fit(None, torch.empty(0, 1, 8, 8), None, epochs=1, batch_size=2, lr=1.0, generator=torch.Generator())


def test_divergence_is_an_error(problem):
    with pytest.raises(Diverged, match="lower lr"):
        fit(
            networks.build("cnn", 1, 10, seed=0, stage="t"),
            problem.forget.images,
            lambda logits, batch: -logits.square().sum(),
            epochs=50,
            batch_size=32,
            lr=1e6,
            generator=torch.Generator(),
        )


def test_predictions_that_are_not_finite_are_an_error(problem, digits):
    broken = networks.build("cnn", 1, 10, seed=0, stage="t")
    torch.nn.init.constant_(broken.head.bias, float("nan"))
    with pytest.raises(Diverged):
        predict.predict(broken, digits.images, "cpu")


def _train(folder, digits, chosen, name="out", **more):
    data.write(digits, folder / "d.safetensors")
    data.write_forget(folder / "f.json", "4_half", 4, chosen.forget)
    arguments = {
        "dataset": folder / "d.safetensors",
        "forget_set": folder / "f.json",
        "network": "cnn",
        "role": "retrained",
        "seeds": [0, 1],
        "options": RECIPE,
        "device": "cpu",
        "out": folder / name,
    }
    return train.train(**(arguments | more))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path, digits, forget_set):
    for name in ("one", "two"):
        records = _train(tmp_path, digits, forget_set, name)
    assert [record["seed"] for record in records] == [0, 1]
    one, two = (
        [checkpoint.predictions([tmp_path / name], seed)["logits"] for seed in (0, 1)] for name in ("one", "two")
    )
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()
    assert not (one[0] == one[1]).all()


def test_retraining_never_reads_the_forget_set(tmp_path, digits, forget_set):
    """The forgotten images are replaced by noise; the weights must not change by a bit."""
    images = digits.images.copy()
    images[forget_set.forget] = np.random.default_rng(0).normal(size=images[forget_set.forget].shape, scale=100)
    weights = []
    for name, pixels in (("clean", digits.images), ("poisoned", images)):
        folder = tmp_path / name
        folder.mkdir()
        _train(folder, data.Data(pixels, digits.labels, digits.train, digits.test), forget_set, seeds=[0])
        weights.append(bits(checkpoint.read([folder / "out"], 0, networks.build("cnn", 1, 10, seed=5, stage="unread"))))
    assert same(*weights)


def test_originals_and_retrained_share_no_stream(tmp_path, digits, forget_set):
    for role in ("original", "retrained"):
        index = None if role == "original" else tmp_path / "f.json"
        _train(
            tmp_path, digits, forget_set, role, role=role, forget_set=index, options={**RECIPE, "epochs": 1, "lr": 1e-9}
        )
    one, two = (checkpoint.predictions([tmp_path / role], 0)["logits"] for role in ("original", "retrained"))
    assert not np.allclose(one, two), "at a rate of zero only the initialisation shows"


@pytest.mark.parametrize("kind", ["weights", "predictions"])
def test_a_changed_file_is_refused(tmp_path, digits, forget_set, kind):
    _train(tmp_path, digits, forget_set, seeds=[0])
    path = tmp_path / "out" / f"seed0.{kind}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="hash differs"):
        checkpoint._read([tmp_path / "out"], 0, kind)


def test_weights_of_another_network_are_refused(tmp_path, digits, forget_set):
    _train(tmp_path, digits, forget_set, seeds=[0])
    with pytest.raises(InputError, match="holds weights of cnn"):
        checkpoint.read([tmp_path / "out"], 0, networks.build("resnet8", 1, 10, seed=0, stage="t"))
    with pytest.raises(InputError, match="There is no seed7"):
        checkpoint.read([tmp_path / "out"], 7, networks.build("cnn", 1, 10, seed=0, stage="t"))


def test_the_sidecar_says_where_weights_came_from(tmp_path, digits, forget_set):
    _train(tmp_path, digits, forget_set, seeds=[0])
    record = checkpoint.sidecar([tmp_path / "out"], 0)
    assert record["data"] == digits.sha256() and record["seed"] == 0 and record["options"] == RECIPE
    assert set(record["versions"]) == {"python", "machine", "torch", "numpy", "lfcore"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "seed0.json",
        "seed0.predictions.safetensors",
        "seed0.weights.safetensors",
    ]


def test_outside_git_the_commit_is_empty_even_inside_another_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ROOT", tmp_path)
    assert checkpoint.commit() == ""
    monkeypatch.setattr(checkpoint, "ROOT", ROOT / "lfcore")
    assert checkpoint.commit() == ""

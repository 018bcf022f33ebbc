"""Each unlearner against a slow twin: a plain loop over torch's own optimizers, written from the method's text.

In float64, so that both end in the same weights and statistics but for rounding, and a twin with an error elsewhere.
"""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from lfcore.core.examples import Examples
from lfcore.core.seeds import generator
from lfcore.models.networks import Classifier
from lfcore.unlearners import bad_teacher, ltd
from lfcore.unlearners._apply import find, known

SEED, CLASSES, SIZE, LR, DECAY = 3, 5, 6, 0.05, 0.01
COMMON = {"lr": LR, "epochs": 2, "batch_size": SIZE, "weight_decay": DECAY}


def small(seed):
    """A network with BatchNorm, smooth, so that rounding stays rounding."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.GELU(), nn.AdaptiveAvgPool2d(3)]
        return Classifier(nn.Sequential(*layers, nn.Flatten()), 36, CLASSES).double()


@pytest.fixture(scope="module")
def p():
    """A trained network, 10 images to forget and 30 to retain; row c of an image of class c is brighter."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (40,), generator=draws)
    images = 0.7 * torch.rand(40, 1, 5, 5, generator=draws, dtype=torch.float64)
    images[range(40), 0, labels] += 0.3
    model = small(0)
    descent = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        descent.zero_grad()
        cross_entropy(model(images), labels).backward()
        descent.step()
    parts = (Examples(images[rows], labels[rows]) for rows in (slice(10), slice(10, 40)))
    return SimpleNamespace(model=model.eval(), **dict(zip(("forget", "retain"), parts, strict=True)))


def stream(stage, purpose="batches"):
    return generator(SEED, stage, purpose)


def shuffled(n, draws):
    return torch.randperm(n, generator=draws).split(SIZE)


def endless(n, draws):
    while True:
        yield from shuffled(n, draws)


def sgd(model, decay):
    return torch.optim.SGD(model.parameters(), LR, momentum=0.9, weight_decay=decay)


def train(model, n, draws, loss, descent, *, epochs=2, rate=lambda epoch: LR, frozen=False, after=lambda: None):
    """The loop that all share: loss(rows, epoch) over shuffled batches of n examples."""
    for epoch in range(epochs):
        descent.param_groups[0]["lr"] = rate(epoch)
        for rows in shuffled(n, draws):
            model.train(not frozen)
            descent.zero_grad()
            loss(rows, epoch).backward()
            descent.step()
            after()
    return model.eval()


def kl(target, logits, temperature=1.0):
    """The mean over rows of KL(softmax(target / T) || softmax(logits / T)), term by term."""
    p, q = ((part / temperature).softmax(1) for part in (target, logits))
    return (p * (p.log() - q.log())).nan_to_num().sum(1).mean()


def gradients(model, examples):
    """The gradient of CE at each example, as rows, in eval mode."""
    rows = []
    for image, label in zip(examples.images, examples.labels, strict=True):
        loss = cross_entropy(model(image[None]), label[None])
        rows.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))]))
    return torch.stack(rows)


@torch.no_grad()
def assign(model, vector):
    nn.utils.vector_to_parameters(vector, model.parameters())
    return model


def ascent(p, decay=DECAY, wrong=False, model=None):
    model, sign = copy.deepcopy(model or p.model), 1 if wrong else -1

    def loss(rows, epoch):
        return sign * cross_entropy(model(p.forget.images[rows]), p.forget.labels[rows])

    return train(model, 10, stream("ascent"), loss, sgd(model, decay))


def drift(p, decay=DECAY, wrong=False):
    model, draws = copy.deepcopy(p.model).train(), stream("ascent")
    for _ in range(1 if wrong else 2):
        for rows in shuffled(10, draws):
            model(p.forget.images[rows])
    return model


def random_labels(p, decay=DECAY, wrong=False, model=None):
    model = copy.deepcopy(model or p.model)
    labels = torch.randint(CLASSES, (2, 10), generator=stream("random_labels", "labels"))

    def loss(rows, epoch):
        return cross_entropy(model(p.forget.images[rows]), labels[0 if wrong else epoch][rows])

    return train(model, 10, stream("random_labels"), loss, sgd(model, decay))


def fine_tuning(p, decay=DECAY, wrong=False, model=None):
    model, kind = copy.deepcopy(model or p.model), "sum" if wrong else "mean"

    def loss(rows, epoch):
        return cross_entropy(model(p.retain.images[rows]), p.retain.labels[rows], reduction=kind)

    return train(model, 30, stream("fine_tuning"), loss, sgd(model, decay))


def one_then_fine_tuning(first):
    def twin(p, decay=DECAY, wrong=False):
        one, two = (fine_tuning, first) if wrong else (first, fine_tuning)
        return two(p, decay, model=one(p, decay))

    return twin


def random_labels_retain(p, decay=DECAY, wrong=False, stage="random_labels_retain", model=None, after=lambda: None):
    model, both = model or copy.deepcopy(p.model), torch.cat([p.forget.images, p.retain.images])
    drawn = torch.randint(CLASSES, (2, 10), generator=stream(stage, "labels"))

    def loss(rows, epoch):
        labels = torch.cat([drawn[0 if wrong else epoch], p.retain.labels])
        return cross_entropy(model(both[rows]), labels[rows])

    return train(model, 40, stream(stage), loss, sgd(model, decay), after=after)


def salun(p, decay=DECAY, wrong=False):
    """wrong: the weights outside the mask are not put back, so decay and momentum move them."""
    model = copy.deepcopy(p.model)
    before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    size = gradients(p.model, p.forget).sum(0).abs()
    mask = size >= size.sort(descending=True).values[round(0.3 * len(size)) - 1]

    def after():
        now = nn.utils.parameters_to_vector(model.parameters())
        assign(model, now if wrong else torch.where(mask, now, before))

    return random_labels_retain(p, decay, stage="salun", model=model, after=after)


def l1_sparse(p, decay=DECAY, wrong=False):
    model = copy.deepcopy(p.model)

    def loss(rows, epoch):
        size = nn.utils.parameters_to_vector(model.parameters()).abs().sum()
        gamma = 0.01 if wrong else 0.01 * (1 - epoch / 2)
        return cross_entropy(model(p.retain.images[rows]), p.retain.labels[rows]) + gamma * size

    return train(model, 30, stream("l1_sparse"), loss, sgd(model, decay))


def influence(p, decay=DECAY, wrong=False):
    """By the dense matrix. wrong: the step is towards the forget set."""
    on_forget, on_retain = (gradients(p.model, part) for part in (p.forget, p.retain))
    v = on_forget.sum(0) / 40 - on_retain.sum(0) * 10 / (40 * 30)
    drawn = on_retain[torch.randperm(30, generator=stream("influence", "samples"))[:20]]
    fisher = torch.eye(len(v), dtype=v.dtype) + sum(torch.outer(g, g) for g in drawn) / 20
    step = 5.0 * torch.linalg.solve(fisher, v)
    model = copy.deepcopy(p.model)
    return assign(model, nn.utils.parameters_to_vector(model.parameters()) + (-step if wrong else step))


def ssd(p, decay=DECAY, wrong=False):
    """wrong: the importances are of gradients, not of their squares."""
    on_forget, on_retain = (gradients(p.model, part).abs() ** (1 if wrong else 2) for part in (p.forget, p.retain))
    on_all = torch.cat([on_forget, on_retain]).mean(0)
    model, weights = copy.deepcopy(p.model), []
    before = nn.utils.parameters_to_vector(model.parameters())
    for weight, usual, own in zip(before, on_all, on_forget.mean(0), strict=True):
        weights.append(weight * min(float(usual / own), 1.0) if own > 1.1 * usual else weight)
    return assign(model, torch.stack(weights))


def nearest_wrong(model, image, label, search):
    """The adversarial image of one image, by PGD with eps doubled until the prediction is wrong."""
    eps, shift = 0.1, torch.zeros_like(image)
    while model(image + shift).argmax() == label:
        if search == "restarted":
            shift = torch.zeros_like(image)
        for _ in range(50):
            moved = (image + shift).requires_grad_()
            logits = model(moved)
            if search == "continued" and logits.argmax() != label:
                break
            (gradient,) = torch.autograd.grad(cross_entropy(logits, label[None]), moved)
            shift = shift + eps / 10 * gradient / gradient.norm()
            shift = shift * min(1.0, float(eps / shift.norm()))
            shift = (image + shift).clamp(0, 1) - image
        eps *= 2
    return image + shift


def amun(p, decay=DECAY, wrong=False, search="restarted"):
    """wrong: the rate does not fall."""
    pairs = zip(p.forget.images[:, None], p.forget.labels, strict=True)
    moved = [nearest_wrong(p.model, image, label, search) for image, label in pairs]
    images, model = torch.cat([*moved, p.retain.images]), copy.deepcopy(p.model)
    labels = torch.cat([p.model(torch.cat(moved)).argmax(1), p.retain.labels])

    def loss(rows, epoch):
        return cross_entropy(model(images[rows]), labels[rows])

    rates = [LR] * 6 if wrong else [LR] * 5 + [LR / 10]
    return train(model, 40, stream("amun"), loss, sgd(model, decay), epochs=6, rate=lambda epoch: rates[epoch])


def amun_continued(p, decay=DECAY, wrong=False):
    """wrong: the search starts again from the image."""
    return amun(p, decay, search="restarted" if wrong else "continued")


def neggrad_plus(p, decay=DECAY, wrong=False):
    model, forgotten = copy.deepcopy(p.model), endless(10, stream("neggrad_plus", "forget batches"))
    alpha = 0.1 if wrong else 0.9

    def loss(rows, epoch):
        kept, gone = cross_entropy(model(p.retain.images[rows]), p.retain.labels[rows]), next(forgotten)
        return alpha * kept - (1 - alpha) * cross_entropy(model(p.forget.images[gone]), p.forget.labels[gone])

    return train(model, 30, stream("neggrad_plus"), loss, sgd(model, decay))


def scrub(p, decay=DECAY, wrong=False):
    """wrong: every phase starts its Adam anew."""
    model, rates = copy.deepcopy(p.model), [LR] * 5 + [LR / 10] * 3 + [LR / 100]
    draws = {name: stream("scrub", f"{name} batches") for name in ("forget", "retain")}

    def disobey(rows, epoch):
        images = p.forget.images[rows]
        return -4 * kl(p.model(images).detach(), model(images), 2.0)

    def obey(rows, epoch):
        images, logits = p.retain.images[rows], model(p.retain.images[rows])
        return 0.5 * 4 * kl(p.model(images).detach(), logits, 2.0) + cross_entropy(logits, p.retain.labels[rows])

    def fresh():
        return torch.optim.Adam(model.parameters(), LR, weight_decay=decay)

    one = fresh()
    for epoch, lr in enumerate(rates):
        for name, n, loss in (("forget", 10, disobey), ("retain", 30, obey))[0 if epoch < 2 else 1 :]:
            descent = fresh() if wrong else one
            train(model, n, draws[name], loss, descent, epochs=1, rate=lambda _, lr=lr: lr)
    return model


def bad_teaching(p, decay=DECAY, wrong=False):
    """wrong: weight decay is AdamW's."""
    model, ignorant = copy.deepcopy(p.model), bad_teacher.reinitialise(p.model, SEED)
    kept = torch.randperm(30, generator=stream("bad_teacher", "retained rows"))[:12]
    images = torch.cat([p.forget.images, p.retain.images[kept]])
    targets = torch.cat([ignorant(p.forget.images), p.model(p.retain.images[kept])]).detach()
    kind = torch.optim.AdamW if wrong else torch.optim.Adam
    descent = kind(model.parameters(), LR, weight_decay=decay)
    return train(model, 22, stream("bad_teacher"), lambda rows, epoch: kl(targets[rows], model(images[rows])), descent)


def student(p, targets, stage, decay, beta):
    """LTD's: soft targets of the forget set, one row for each example, beside true labels, by AdamW."""
    model, images = copy.deepcopy(p.model), torch.cat([p.forget.images, p.retain.images])
    wanted = torch.cat([targets, one_hot(p.retain.labels, CLASSES)])
    weight = torch.tensor([beta] * 10 + [1.0] * 30)

    def loss(rows, epoch):
        return -(weight[rows] * (wanted[rows] * model(images[rows]).log_softmax(1)).sum(1)).sum() / len(rows)

    descent = torch.optim.AdamW(model.parameters(), LR, weight_decay=decay)
    return train(model, 40, stream(stage), loss, descent)


def taught(p, decay=DECAY, wrong=False):
    """wrong: the targets keep all entries, not the largest three."""
    shares = small(1).eval()(p.forget.images).softmax(1).detach()
    third = shares.sort(1, descending=True).values[:, 2:3]
    kept = shares if wrong else shares * (shares >= third)
    return student(p, kept / kept.sum(1, keepdim=True), "ltd", decay, 2.0)


def neighbour_labels(p, decay=DECAY, wrong=False):
    """wrong: all share one histogram."""
    kept, targets = p.model.features(p.retain.images), []
    for image in p.forget.images:
        cosines = torch.cosine_similarity(kept, p.model.features(image[None]))
        near = cosines.argsort(descending=True)[:7]
        targets.append(sum(one_hot(p.retain.labels[row], CLASSES).double() for row in near) / 7)
    targets = torch.stack(targets)
    return student(p, targets.mean(0).expand(10, -1) if wrong else targets, "neighbour_labels", decay, 2.0)


def opc(p, decay=DECAY, wrong=False, norm="logits"):
    """wrong: the norm is squared."""
    model, images = copy.deepcopy(p.model), torch.cat([p.forget.images, p.retain.images])
    labels = torch.cat([p.forget.labels, p.retain.labels])

    def loss(rows, epoch):
        features, gone = model.features(images[rows]), rows < 10
        logits, total = model.head(features), 0
        if not gone.all():
            total = cross_entropy(logits[~gone], labels[rows][~gone])
        if gone.any():
            sizes = ((logits if norm == "logits" else features)[gone] ** 2).sum(1)
            total = total + (sizes if wrong else sizes.sqrt()).mean()
        return total

    return train(model, 40, stream("opc"), loss, sgd(model, decay))


def opc_features(p, decay=DECAY, wrong=False):
    """wrong: the logits are contracted."""
    return opc(p, decay, norm="logits" if wrong else "features")


def boundary_shrink(p, decay=DECAY, wrong=False):
    """wrong: the labels are their own."""
    model, labels = copy.deepcopy(p.model), []
    for image, label in zip(p.forget.images[:, None], p.forget.labels, strict=True):
        near = image.clone().requires_grad_()
        cross_entropy(p.model(near), label[None]).backward()
        logits = p.model((image + 0.1 * near.grad.sign()).clamp(0, 1))[0]
        labels.append(label if wrong else max((c for c in range(CLASSES) if c != label), key=lambda c: logits[c]))
    labels = torch.tensor(labels)
    return train(
        model, 10, stream("boundary_shrink"), lambda rows, _: cross_entropy(model(p.forget.images[rows]), labels[rows]),
        sgd(model, decay),
    )  # fmt: skip


def masked(logits, labels):
    """Logits whose softmax leaves out the class `labels` of each row, and renormalises the rest."""
    return torch.where(one_hot(labels, CLASSES).bool(), -torch.inf, logits).detach()


def delete(p, decay=DECAY, wrong=False):
    """wrong: nothing is left out."""
    model, original = copy.deepcopy(p.model), p.model(p.forget.images).detach()
    target = original if wrong else masked(original, p.forget.labels)
    return train(
        model, 10, stream("delete"), lambda rows, _: kl(target[rows], model(p.forget.images[rows])), sgd(model, decay)
    )


def spotter(p, decay=DECAY, wrong=False):
    """Of three classes' images. wrong: features are gathered, not scattered."""
    x, labels, gone = p.forget.images, p.forget.labels, p.forget.labels.unique()
    first, second = p.model(x).topk(2).indices.T
    towards = torch.where(first == labels, second, first)
    near = (
        x + 0.03 * (2 * torch.rand(x.shape, generator=stream("spotter perturbations", "pgd"), dtype=x.dtype) - 1)
    ).clamp(0, 1)
    for _ in range(3):
        near = near.detach().requires_grad_()
        cross_entropy(p.model(near), towards, reduction="sum").backward()
        near = (near.detach() - 0.01 * near.grad.sign()).clamp(x - 0.03, x + 0.03).clamp(0, 1)
    leave = one_hot(gone, CLASSES).sum(0).bool()
    on_clean, on_near = (torch.where(leave, -torch.inf, p.model(images)).detach() for images in (x, near))
    model, order = copy.deepcopy(p.model), endless(10, stream("spotter", "perturbed batches"))

    def loss(rows, epoch):
        other = next(order)
        features = model.features(x[other])
        pairs = [(i, j) for i, a in enumerate(other) for j, b in enumerate(other) if i != j and labels[a] == labels[b]]
        scatter = sum(torch.cosine_similarity(features[i], features[j], dim=0) for i, j in pairs) / max(len(pairs), 1)
        own = 0.7 * kl(on_clean[rows], model(x[rows])) + 0.3 * kl(on_near[other], model(near[other]))
        return own - scatter if wrong else own + scatter

    return train(model, 10, stream("spotter"), loss, sgd(model, decay), frozen=True)


TWINS = {  # by unlearner: its twin and what it is given
    "ascent": (ascent, COMMON),
    "drift": (drift, {"epochs": 2, "batch_size": SIZE}),
    "random_labels": (random_labels, COMMON),
    "fine_tuning": (fine_tuning, COMMON),
    "ascent_fine_tuning": (one_then_fine_tuning(ascent), COMMON | {"ascent_lr": LR, "ascent_epochs": 2}),
    "random_labels_fine_tuning": (
        one_then_fine_tuning(random_labels),
        COMMON | {"random_lr": LR, "random_epochs": 2},
    ),
    "random_labels_retain": (random_labels_retain, COMMON),
    "salun": (salun, COMMON | {"ratio": 0.3}),
    "l1_sparse": (l1_sparse, COMMON | {"gamma": 0.01}),
    "influence": (influence, {"alpha": 5.0, "samples": 20}),
    "ssd": (ssd, {"alpha": 1.1}),
    "amun": (amun, COMMON | {"epochs": 6, "eps": 0.1}),
    "amun-continued": (amun_continued, COMMON | {"epochs": 6, "eps": 0.1, "search": "continued"}),
    "neggrad_plus": (neggrad_plus, COMMON | {"alpha": 0.9}),
    "scrub": (scrub, COMMON | {"epochs": 9, "max_epochs": 2}),
    "bad_teacher": (bad_teaching, COMMON | {"share": 0.4}),
    "ltd": (taught, COMMON | {"beta": 2.0, "top": 3}),
    "neighbour_labels": (neighbour_labels, COMMON | {"k": 7, "beta": 2.0}),
    "opc": (opc, COMMON),
    "opc-features": (opc_features, COMMON | {"norm": "features"}),
    "boundary_shrink": (boundary_shrink, COMMON),
    "delete": (delete, COMMON),
    "spotter": (spotter, COMMON),
}


def gap(one, other):
    """The largest difference of a weight, a statistic or a count of batches."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def unlearned(name, p):
    seen = {part: getattr(p, part) if part in find(name).READS else None for part in ("retain", "forget")}
    options = TWINS[name][1]
    if name == "ltd":  # its student alone, for a teacher given
        return ltd.distil(p.model, [small(1).eval()], **seen, seed=SEED, **options)
    result = find(name).unlearn(p.model, **seen, seed=SEED, **options)
    return getattr(result, "model", result)


def test_every_unlearner_has_a_twin():
    assert {name.split("-")[0] for name in TWINS} == set(known()) - {"ltd_distinct"}, "whose student is LTD's"


@pytest.mark.parametrize("name", TWINS)
def test_an_unlearner_is_its_slow_twin(name, p):
    (twin, options), ours = TWINS[name], unlearned(name, p)
    assert gap(ours, twin(p)) < 1e-10
    assert gap(ours, p.model) > 1e-3
    assert gap(ours, twin(p, wrong=True)) > 1e-3, "with the error that its docstring names"
    assert "weight_decay" not in options or gap(ours, twin(p, decay=0.0)) > 1e-5, "without weight decay"

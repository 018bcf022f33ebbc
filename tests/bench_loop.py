"""How fast ResNet-56 trains at batch 256: the paper's loop over a DataLoader, and ours. Run by `make bench-loop`.

Prints images per second and CPU seconds per 1000 images (workers included), medians over rounds that take turns, and
the ratio to the DataLoader's. The number of threads, 2 if not given, is the same for all; images are random.

    python tests/bench_loop.py [threads] [steps a round] [rounds]
"""

import os
import statistics
import sys
import time

import psutil
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import seeds
from lfcore.models import networks
from lfcore.models.torchvision import torchvision
from lfcore.training import fit

BATCH, CLASSES, WORKERS, SKIP = 256, 100, 2, 1


class Pictures(torch.utils.data.Dataset):
    """CIFAR as torchvision gives it: an array of bytes made a picture, cropped, mirrored, made a tensor, normalised."""

    def __init__(self, images, labels):
        transforms = torchvision.transforms
        steps = [transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        self.transform = transforms.Compose([*steps, transforms.Normalize(networks.MEAN, networks.DEVIATION)])
        self.images, self.labels = images.permute(0, 2, 3, 1).numpy(), labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        picture = torchvision.transforms.functional.to_pil_image(self.images[row])
        return self.transform(picture), self.labels[row]


def spent() -> float:
    """CPU seconds of this process and its workers so far."""
    own = psutil.Process()
    alive = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(times.user + times.system for times in alive)


def build():
    """A fresh ResNet-56."""
    return networks.build("resnet56", 3, CLASSES, seed=0, stage="bench")


def loader(images, labels, steps: int) -> list[tuple[float, float]]:
    """Wall and CPU seconds after each step of the paper's loop."""
    model, marks = build().train(), []
    descent = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    batches = torch.utils.data.DataLoader(Pictures(images, labels), BATCH, shuffle=True, num_workers=WORKERS)
    for seen, wanted in batches:
        loss = cross_entropy(model.head(model.body(seen)), wanted)
        descent.zero_grad()
        loss.backward()
        descent.step()
        loss.item()  # a running loss, as there
        marks.append((time.perf_counter(), spent()))
        if len(marks) == steps + SKIP:
            break
    return marks


def ours(images, labels, steps: int, **loop) -> list[tuple[float, float]]:
    """The same of `lfcore.training.fit.fit`."""
    marks = []
    fit.fit(
        build(),
        images,
        lambda logits, batch: cross_entropy(logits, labels[batch.rows]),
        epochs=1,
        batch_size=BATCH,
        lr=0.1,
        nesterov=True,
        weight_decay=5e-4,
        generator=seeds.generator(0, "bench", "batches"),
        after_step=lambda: marks.append((time.perf_counter(), spent())),
        loop=fit.Loop(augment="crop_flip", steps=fit.Steps(steps + SKIP), **loop),
    )
    return marks


def main(threads: int = 2, steps: int = 20, rounds: int = 3) -> None:
    """Time the loops in turn."""
    torch.set_num_threads(threads)
    random = seeds.generator(0, "bench", "images")
    n = BATCH * (steps + SKIP + 2 * WORKERS)  # the workers always have more to do
    images = torch.randint(256, (n, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.randint(CLASSES, (n,), generator=random)
    loops = {
        "DataLoader, fp32": lambda: loader(images, labels, steps),
        "tensors, fp32": lambda: ours(images, labels, steps),
        "tensors, bf16, channels_last": lambda: ours(images, labels, steps, precision="bf16", channels_last=True),
    }
    rates, costs = ({name: [] for name in loops} for _ in range(2))
    for _ in range(rounds):
        for name, run in loops.items():
            marks = run()
            wall, cpu = (last - first for first, last in zip(marks[SKIP - 1], marks[-1], strict=True))
            done = BATCH * (len(marks) - SKIP)
            rates[name].append(done / wall)
            costs[name].append(1000 * cpu / done)
    print(f"threads {threads}, steps {steps}, rounds {rounds}, load average at the end {os.getloadavg()[0]:.1f}")
    print("loop,images_per_second,ratio,cpu_seconds_per_1000,ratio")
    base = next(iter(loops))
    for name in loops:
        rate, cost = statistics.median(rates[name]), statistics.median(costs[name])
        faster, cheaper = rate / statistics.median(rates[base]), statistics.median(costs[base]) / cost
        print(f"{name},{rate:.0f},{faster:.2f},{cost:.2f},{cheaper:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""A training step on a GPU beside the same network's bare forward and backward, both replayed as CUDA graphs.

Prints milliseconds a step for ResNet-56 at batch 256, medians over epochs of CIFAR's size: bare, ours as the profile
cifar100 runs it, ours kernel by kernel, and ours in several processes that share the GPU, divided by their number,
which says how many jobs to run side by side. Images are random. Last, the peak memory of one process.

    PYTHONPATH=. python tests/bench_gpu.py [processes]        2 if not given
"""

import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

import torch
from torch.nn.functional import cross_entropy

from lfcore.core import seeds
from lfcore.models import networks
from lfcore.training import fit

BATCH, CLASSES, N, EPOCHS = 256, 100, 50_000, 5
LOOP = {"augment": "crop_flip", "precision": "bf16", "channels_last": True}


def bare() -> float:
    """Milliseconds of forward and backward alone, on images that are there already."""
    model = networks.build("resnet56", 3, CLASSES, seed=0, stage="bench").cuda().train()
    model.to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, 32, 32, device="cuda").contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH,), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits = model(images)
        model.zero_grad()
        cross_entropy(logits.float(), labels).backward()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            step()
        times = []
        for _ in range(EPOCHS):
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(N // BATCH):
                graph.replay()
            torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - start) / (N // BATCH))
    return statistics.median(times)


def ours(**loop) -> float:
    """Milliseconds of a step of `lfcore.training.fit.fit`, an epoch's overhead included."""
    random = seeds.generator(0, "bench", "images")
    images = torch.randint(256, (N, 3, 32, 32), dtype=torch.uint8, generator=random).cuda()
    labels = torch.randint(CLASSES, (N,), generator=random).cuda()
    marks = []

    def stop(epoch):  # by then the loop has waited for the device
        marks.append(time.perf_counter())
        return False

    with fit.looping(**LOOP | loop):
        fit.fit(
            networks.build("resnet56", 3, CLASSES, seed=0, stage="bench").cuda(),
            images,
            lambda logits, batch: cross_entropy(logits, labels[batch.rows]),
            epochs=EPOCHS + 1,
            batch_size=BATCH,
            lr=0.1,
            nesterov=True,
            weight_decay=5e-4,
            generator=seeds.generator(0, "bench", "batches"),
            stop=stop,
            capture=True,
        )
    steps = len(fit.batches(N, BATCH, torch.Generator()))
    return statistics.median(1000 * (b - a) / steps for a, b in pairwise(marks))


def beside(number: int) -> float:
    """Milliseconds of a step of ours in one of many processes, set up as a job sets itself up."""
    seeds.make_deterministic("cuda")
    return ours()


def main(processes: int = 2) -> None:
    """Time all in turn and print."""
    seeds.make_deterministic("cuda")
    base, graphed, eager = bare(), ours(), ours(capture=False)
    memory = torch.cuda.max_memory_allocated() / 2**20
    with ProcessPoolExecutor(processes, get_context("spawn")) as workers:
        together = statistics.mean(workers.map(beside, range(processes))) / processes
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("step,milliseconds,ratio")
    shared = (f"ours, {processes} processes", together)
    for name, value in (("bare", base), ("ours", graphed), ("ours, kernel by kernel", eager), shared):
        print(f"{name},{value:.2f},{value / base:.2f}")
    print(f"peak memory of one process: {memory:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

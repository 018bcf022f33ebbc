"""The parts of the bench (tests/bench.py): each is a function of a `Bench` that yields its rows."""

import contextlib
import functools
import json
import multiprocessing
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import psutil
import yaml
from bench import Row, slope

from lfcore.core.paths import ROOT

METRICS = "accuracy membership average_gap discrepancy matched shuffled distances targets membership_variants tow"
METRICS = [*METRICS.split(), "divergence", "klom", "lira", "cka"]
WITHOUT_STEPS = ("influence", "ssd")
"""Methods that take no gradient steps: their own loop counts as the bare one."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    unlearners, figures: what the part of the default profile keeps, and `overlay` what is laid over that. targets: of
    Snakemake. rounds: how often a command or a loop is timed, in turn with what it is compared with. steps: of a loop.
    n: examples of part 5. grow: the sizes of part 6.
    """

    unlearners: tuple[str, ...]
    figures: tuple[str, ...]
    overlay: dict
    targets: tuple[str, ...]
    rounds: int
    steps: int
    n: int
    grow: dict[str, tuple[int, ...]]


FULL = Sizes(
    unlearners=("ascent", "random_labels_retain", "fine_tuning", "ltd"),
    figures=("11_localized", "12_affected", "13_targets", "24_measures"),
    overlay={"forget_sets": {"9_most": None}, "seeds": {"reference": 10}},
    targets=("all",),
    rounds=5,
    steps=34,
    n=1_000_000,
    grow={
        "examples": (1000, 2000, 4000, 8000),
        "classes": (10, 20, 40, 80),
        "methods": (4, 16, 64),
        "seeds": (2, 4, 8, 16),
    },
)
TINY = Sizes(
    unlearners=("ascent",),
    figures=(),
    overlay={
        "forget_sets": {"9_most": None},
        "seeds": {"unlearned": 1, "reference": 1, "floor": 1},
        "training": {"epochs": 1},
        "metrics": ["accuracy"],
    },
    targets=("results/bench/measurements/cnn/4_half",),
    rounds=1,
    steps=2,
    n=5000,
    grow={"examples": (200, 400), "classes": (4, 8), "methods": (1, 2), "seeds": (2, 4)},
)


def spent(who: int = resource.RUSAGE_CHILDREN) -> float:
    """User and system seconds of all children so far, theirs included."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Workflow:
    """What a run of Snakemake took. jobs: kind, command and CPU seconds of each; planned: how many of each rule."""

    wall: float
    cpu: float
    jobs: tuple[tuple[str, str, float], ...]
    said: str

    @property
    def planned(self) -> dict[str, int]:
        """How many jobs of each rule there were to do; none if there was nothing to do."""
        if "Job stats:" not in self.said:
            return {}
        lines = self.said.split("Job stats:")[1].split("total")[0].splitlines()
        return {line.split()[0]: int(line.split()[1]) for line in lines[3:] if line.strip()}


KINDS = {"01": "data", "02": "train", "03": "unlearn", "04": "evaluate", "05": "summary", "07": "probe"}


def kind(command: str) -> str:
    """What a job's command does."""
    found = re.search(r"papermill \S*/notebooks/(\d\d)_", command)
    if found:
        return KINDS.get(found[1], "figure")
    return "notebook" if "-m jupytext" in command else "page" if "lfcore.publish.site page" in command else "other"


class Bench:
    """A copy of the project, in which parts 1, 2, 3 and 7 share their runs of the workflow."""

    def __init__(self, sizes: Sizes):
        self.sizes, self._stack = sizes, contextlib.ExitStack()

    def __enter__(self) -> "Bench":
        self.place = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lfcore-bench-")))
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    @functools.cached_property
    def folder(self) -> Path:
        """The copy, with compiled modules, and the profile `bench` in it."""
        skip = (".venv", ".git", ".snakemake", "results", "__pycache__", "*.egg-info", ".pytest_cache", ".ruff_cache")
        folder = Path(shutil.copytree(ROOT, self.place / "project", ignore=shutil.ignore_patterns(*skip)))
        subprocess.run([sys.executable, "-m", "compileall", "-q", "lfcore"], cwd=folder, check=True)
        config = yaml.safe_load((folder / "config" / "digits.yaml").read_text())
        overlay = {"profile": "bench", **self.sizes.overlay, "studies": self.no_studies(folder)}
        for key, kept in (("unlearners", self.sizes.unlearners), ("figures", self.sizes.figures)):
            overlay[key] = dict.fromkeys(name for name in config[key] if name not in kept)
        self.write(folder / "bench.yaml", overlay)
        return folder

    @staticmethod
    def no_studies(folder: Path) -> dict:
        """An overlay that takes every study out."""
        return dict.fromkeys(yaml.safe_load((folder / "config" / "studies.yaml").read_text())["studies"])

    @staticmethod
    def write(path: Path, config: dict) -> None:
        """Write an overlay."""
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def environment(self) -> dict[str, str]:
        """The variables that every measured command gets: compiled modules, one thread, the copy's own lfcore."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return kept | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}

    def snakemake(self, *arguments: str, cores: int = 1) -> Workflow:
        """Run Snakemake in the copy. Each job's shell adds up its own CPU seconds as it ends."""
        with tempfile.TemporaryDirectory(dir=self.place) as times:
            told = Path(times) / "told.sh"
            told.write_text(
                "unset BASH_ENV\n"
                'trap \'{ printf "%s\\n" "$BASH_EXECUTION_STRING"; times; } > "$BENCH_TIMES/$$.$RANDOM.job"\' EXIT\n'
            )
            environment = self.environment() | {"BASH_ENV": str(told), "BENCH_TIMES": times}
            command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
            before, start = spent(), time.perf_counter()
            done = subprocess.run(
                command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            wall, cpu = time.perf_counter() - start, spent() - before
            if done.returncode:
                raise RuntimeError(f"Snakemake failed:\n{done.stdout[-3000:]}")
            jobs = []
            for path in Path(times).glob("*.job"):
                *said, _, children = path.read_text().splitlines()
                seconds = sum(
                    60 * float(part.split("m")[0]) + float(part.split("m")[1][:-1]) for part in children.split()
                )
                jobs.append((kind(" ".join(said)), " ".join(said), seconds))
        return Workflow(wall, cpu, tuple(sorted(jobs)), done.stdout)

    def targets(self) -> list[str]:
        """What Snakemake is asked for, and the profile."""
        return [*self.sizes.targets, "--configfile", "bench.yaml"]

    @functools.cache  # noqa: B019  one bench a process
    def run(self, cores: int) -> Workflow:
        """A run of the profile's part from nothing."""
        for name in ("results", "figures/bench", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.snakemake(*self.targets(), cores=cores)

    def any_run(self) -> Workflow:
        """A finished run, on one core if there is none yet."""
        return self.run(2) if self.sizes is TINY else self.run(1)

    def empty(self) -> list[str]:
        """The command that runs a notebook of nothing but `import torch`."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import torch")])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.place / "empty.ipynb")
        return papermill(self.place / "empty.ipynb", self.place / "out.ipynb")

    def cpu(self, commands: dict[str, list[str]]) -> dict[str, float]:
        """CPU seconds of each command, medians of rounds in which they take turns."""
        seconds = {name: [] for name in commands}
        for _ in range(self.sizes.rounds):
            for name, command in commands.items():
                before = spent()
                subprocess.run(command, cwd=self.folder, env=self.environment(), check=True, capture_output=True)
                seconds[name].append(spent() - before)
        return {name: statistics.median(values) for name, values in seconds.items()}


def papermill(*arguments) -> list[str]:
    """The command by which a rule runs a notebook."""
    return [sys.executable, "-m", "papermill", *map(str, arguments), "--no-progress-bar", "--no-log-output"]


def apart(measure: Callable, *arguments) -> list:
    """What `measure` returns, in a process of its own, with one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


# ---- parts 1 to 3: the workflow


def bare_step(batch_size: int, steps: int, rounds: int) -> float:
    """CPU seconds of one step of a plain torch loop, the network and the optimizer of the default profile."""
    return statistics.median(loops("cnn", (1, 8, 8), batch_size, steps, rounds)["bare"])


def bare(results: Path, a_step: float) -> tuple[float, float, int]:
    """CPU seconds of bare loops with as many steps as the models took, of the library's loops, and the steps."""
    plain = ours = 0.0
    steps = 0
    for path in results.glob("models/**/seed*.json"):
        facts = json.loads(path.read_text())
        ours += facts["cpu_seconds"]
        if path.parts[-3].split("-")[0] in WITHOUT_STEPS:
            plain += facts["cpu_seconds"]
        else:
            steps += facts["steps"] + facts.get("steps_aside", 0)
    return plain + steps * a_step, ours, steps


def overhead(bench: Bench) -> Iterator[Row]:
    """Part 1: the profile's CPU seconds against bare loops, where they went, and the fixed cost of a job."""
    before = apart(bare_step, 64, bench.sizes.steps, bench.sizes.rounds)
    done, what = bench.any_run(), "part of the profile"
    after = apart(bare_step, 64, bench.sizes.steps, bench.sizes.rounds)
    plain, ours, steps = bare(bench.folder / "results" / "bench", (before + after) / 2)
    yield Row("1", f"{what}: CPU over bare loops of as many steps", done.cpu, "s", plain, "<= 1.6")
    yield Row("1", f"{what}: CPU over the library's own loops", done.cpu, "s", ours)
    yield Row("1", f"{what}: gradient steps", steps, "steps")
    by_kind = pd.DataFrame(done.jobs, columns=["kind", "command", "seconds"]).groupby("kind")["seconds"]
    for name, seconds in by_kind.sum().items():
        yield Row("1", f"{what}: CPU of {by_kind.size()[name]} jobs, {name}", seconds, "s", done.cpu)
    yield Row("1", f"{what}: CPU of snakemake itself", done.cpu - by_kind.sum().sum(), "s", done.cpu)
    yield from fixed_costs(bench)


def fixed_costs(bench: Bench) -> Iterator[Row]:
    """What a job takes that has nothing to do, over an empty notebook, and the imports that it is made of."""
    stems = {"train": "02_train", "unlearn": "03_unlearn"}
    given = ["-y", "{base: [bench], forget_set: 4_half, seeds: []}"]
    jobs = {
        name: papermill(f"results/bench/notebooks/{stem}.ipynb", bench.place / "out.ipynb", *given)
        for name, stem in stems.items()
    }
    parts = {
        "python": "pass",
        "import papermill": "import papermill.cli",
        "import ipykernel": "import ipykernel.kernelapp",
        "import torch": "import torch",
        "import torch, and torch.optim.SGD": "import torch; torch.optim.SGD([torch.zeros(1)], 0.1)",
        "import lfcore.stages.unlearn": "import lfcore.stages.unlearn",
        "import lfcore.stages.evaluate and the profile's metrics": "from lfcore.stages import evaluate; "
        f"[evaluate.find(name) for name in {METRICS}]",
        "import lfcore.plots.similarity_curves": "import lfcore.plots.similarity_curves",
        "import lfcore.publish.site": "import lfcore.publish.site",
        "import snakemake": "import snakemake.cli",
    }
    commands = {name: [sys.executable, "-c", code] for name, code in parts.items()}
    found = bench.cpu({"empty": bench.empty(), **jobs, **commands})
    empty = found.pop("empty")
    yield Row("1", "empty notebook that imports torch", empty, "s")
    for name in jobs:
        yield Row("1", f"fixed cost of a job, {name}", found[name], "s", empty, "<= 1.2")
    for name in parts:
        yield Row("1", f"of which: {name}", found[name], "s", empty)


def cores(bench: Bench) -> Iterator[Row]:
    """Part 2: wall time on one core and on two."""
    one, two = bench.run(1), bench.run(2)
    yield Row("2", "wall on one core over two cores", one.wall, "s", two.wall, ">= 1.8")
    yield Row("2", "CPU on two cores over one core", two.cpu, "s", one.cpu)


def again(bench: Bench) -> Iterator[Row]:
    """Part 3: a second run with nothing to do, and the jobs of one method's changed option."""
    bench.any_run()
    done = bench.snakemake(*bench.targets())
    if "Nothing to be done" not in done.said:
        raise RuntimeError(f"A second run found something to do:\n{done.said[-3000:]}")
    yield Row("3", "second run, nothing to do, wall", done.wall, "s", target="<= 6")
    yield Row("3", "second run, nothing to do", done.cpu, "s")
    overlay = yaml.safe_load((bench.folder / "bench.yaml").read_text())
    changed = bench.sizes.unlearners[-1]
    overlay["unlearners"][changed] = {"lr": 0.00123}
    bench.write(bench.folder / "changed.yaml", overlay)
    planned = bench.snakemake("-n", *bench.sizes.targets, "--configfile", "changed.yaml").planned
    works = ("data", "train", "unlearn", "evaluate")
    count = sum(planned.get(rule, 0) for rule in works)
    yield Row(
        "3", f"an option of {changed} changed: jobs of {', '.join(works)}, over its own", count, "jobs", 2, "<= 1"
    )
    yield Row("3", f"an option of {changed} changed: all jobs", sum(planned.values()), "jobs")


# ---- part 4: the training step


def loops(network: str, shape: tuple, batch_size: int, steps: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds a step of a bare loop and of `training.fit.fit`, in turn; the same network, batches and recipe."""
    import torch
    from torch.nn.functional import cross_entropy

    from lfcore.core import seeds
    from lfcore.models import networks
    from lfcore.training import fit

    seeds.make_deterministic("cpu")
    n, random = batch_size * steps, seeds.generator(0, "bench", "images")
    images = torch.rand((n, *shape), generator=random)
    labels = torch.randint(10, (n,), generator=random)
    recipe = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}

    def plain(model, stream):
        descent = torch.optim.SGD(model.parameters(), 0.05, **recipe)
        for step, rows in enumerate(torch.randperm(n, generator=stream).split(batch_size)):
            descent.param_groups[0]["lr"] = 0.05 * (1 - step / steps)
            descent.zero_grad()
            cross_entropy(model(images[rows]), labels[rows]).backward()
            descent.step()

    def ours(model, stream):
        fit.fit(
            model,
            images,
            lambda logits, batch: cross_entropy(logits, labels[batch.rows]),
            epochs=1,
            batch_size=batch_size,
            lr=0.05,
            schedule=fit.linear,
            generator=stream,
            **recipe,
        )

    seconds = {"bare": [], "fit": []}
    for turn in range(rounds + 1):  # the first imports and warms
        for name, loop in (("bare", plain), ("fit", ours)):
            model = networks.build(network, shape[0], 10, seed=0, stage="bench").train()
            stream, start = seeds.generator(0, "bench", "batches"), time.process_time()
            loop(model, stream)
            if turn:
                seconds[name].append((time.process_time() - start) / steps)
    return seconds


def step(bench: Bench) -> Iterator[Row]:
    """Part 4: images in a CPU second, by `fit` over a bare loop."""
    for network, shape, batch_size, share in (("cnn", (1, 8, 8), 64, 1), ("resnet8", (3, 32, 32), 64, 4)):
        steps = max(1, bench.sizes.steps // share)
        found = apart(loops, network, shape, batch_size, steps, bench.sizes.rounds)
        rates = {name: batch_size / statistics.median(values) for name, values in found.items()}
        size = "x".join(map(str, shape))
        what = f"{network}, images of {size}, batch {batch_size}: images in a CPU second, fit over a bare loop"
        yield Row("4", what, rates["fit"], "images/s", rates["bare"], ">= 0.95")


# ---- part 5: a million examples


def timed(rounds: int, work: Callable) -> float:
    """The least CPU seconds of `work`, of several rounds."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def arrays_rows(n: int, rounds: int) -> list[Row]:
    """The rows of part 5, for n examples with 512 features and 10 classes."""
    import torch

    from lfcore.geometry.similarity import equal_count_bins, equal_width_bins, nearest, nearest_similarity, similarity
    from lfcore.metrics.discrepancy import compare

    torch.set_num_threads(1)
    draw, k = np.random.default_rng(0), min(1000, n // 10)
    features = np.empty((n, 512), dtype=np.float32)
    for part in np.array_split(features, max(1, n // 20_000)):
        draw.standard_normal(out=part, dtype=np.float32)
    forget = features[: n // 200]
    ones = np.ones(512, dtype=np.float32)
    reads = [features.max, features.sum, lambda: features @ ones]
    second = min(timed(rounds, read) for read in reads) / features.nbytes  # a byte's time
    rows = [Row("5", f"reading {n} x 512 float32, the fastest of three ways", 1e-9 / second, "GB/s")]
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def floor(what, work, *read):
        rows.append(
            Row("5", f"{what}, over reading its input", timed(rounds, work), "s", second * sum(a.nbytes for a in read))
        )

    floor("similarity to the forget set", lambda: similarity(features, forget), features)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    rows.append(Row("5", "memory that similarity takes, over its input", more / 2**10, "MiB", features.nbytes / 2**20))
    found = similarity(features, forget)
    floor("bins of equal width", lambda: equal_width_bins(found), found)
    floor("bins of equal count", lambda: equal_count_bins(found), found)
    pair = draw.dirichlet(np.ones(10), size=(2, n))
    labels = draw.integers(10, size=n)
    floor("four discrepancies of 10 classes", lambda: compare(*pair, labels), *pair, labels)
    as_tensor = torch.from_numpy(found)
    best = timed(rounds, lambda: torch.topk(as_tensor, k))
    rows.append(Row("5", f"the nearest {k}, over torch.topk", timed(rounds, lambda: nearest(found, k)), "s", best))
    some, few = features[: n // 10], forget[: n // 2000 or 10]

    def by_torch():
        unit = torch.nn.functional.normalize
        one, other = (unit(torch.from_numpy(part).double()) for part in (some, few))
        return torch.topk(one @ other.T, min(5, len(few))).values.mean(1)

    what = f"mean of the 5 nearest of {len(few)} for {len(some)}, over torch.topk"
    ours = timed(rounds, lambda: nearest_similarity(some, few))
    rows.append(Row("5", what, ours, "s", timed(rounds, by_torch)))
    return rows


def arrays(bench: Bench) -> Iterator[Row]:
    """Part 5: arithmetic on many examples against the memory's bandwidth; fewer examples where memory is short."""
    n, free = bench.sizes.n, psutil.virtual_memory().available
    if n * 512 * 4 * 2 > free:
        n = int(free / (512 * 4 * 2))
        print(f"Only {free / 2**30:.1f} GiB of memory are free: part 5 takes {n} examples.")
    yield from apart(arrays_rows, n, max(1, bench.sizes.rounds // 2))


# ---- part 6: growth


def synthetic(n: int, classes: int, seeds: int, references: int = 4):
    """A run as evaluation sees it, and its reference, of predictions drawn at random: 32 features, images of 8x8."""
    from lfcore.core import data
    from lfcore.core.run import Predictions, Run
    from lfcore.geometry.similarity import mean_similarity

    draw = np.random.default_rng(0)
    labels = np.arange(n) % classes
    centers = draw.normal(size=(classes, 32)).astype(np.float32)

    def predictions(first, count):
        logits = draw.normal(size=(count, n, classes)).astype(np.float32)
        logits[:, np.arange(n), labels] += 3
        features = centers[labels] + draw.normal(size=(count, n, 32)).astype(np.float32)
        return Predictions(tuple(range(first, first + count)), logits, features)

    test = np.sort(draw.permutation(n)[: n // 4])
    train = np.setdiff1d(np.arange(n), test)
    members = train[labels[train] == 0]
    forget = members[: len(members) // 2]
    images = draw.random((n, 1, 8, 8), dtype=np.float32)
    originals = predictions(0, seeds)
    run = Run(
        predictions=predictions(0, seeds),
        originals=originals,
        floor=predictions(100, references),
        is_floor=False,
        labels=labels,
        classes=classes,
        forget_set=data.Forget("0_half", 0, forget, np.setdiff1d(train, forget)),
        test=test,
        similarity=mean_similarity(originals, forget),
        images=lambda: images,
    )
    return run, predictions(50, references)


def evaluated(n: int, classes: int, seeds: int) -> tuple[float, list]:
    """CPU seconds of every metric of the default profile, and the measured rows."""
    from lfcore.stages import evaluate

    modules = [evaluate.find(name) for name in METRICS]
    run, reference = synthetic(n, classes, seeds)
    start = time.process_time()
    rows = [row for module in modules for row in module.measure(run, reference)]
    return time.process_time() - start, rows


def trained(n: int) -> float:
    """CPU seconds of an epoch of the default network on n images."""
    return statistics.median(loops("cnn", (1, 8, 8), 64, n // 64, 1)["fit"]) * (n // 64)


def cosines(n: int) -> float:
    """CPU seconds of the similarity of 20 n examples of 64 features, five times."""
    from lfcore.geometry.similarity import similarity

    features = np.random.default_rng(0).standard_normal((20 * n, 64), dtype=np.float32)
    return timed(3, lambda: [similarity(features, features[:50]) for _ in range(5)])


def summarized(methods: int) -> float:
    """CPU seconds of the summary over seeds of so many methods, on two forget sets."""
    from lfcore.core import tables
    from lfcore.statistics import summary

    rows = evaluated(400, 10, 3)[1]
    places = [(f"method{i}", place) for i in range(methods) for place in ("4_half", "9_most")]
    found = [tables.tidy(rows, forget_set=place, network="cnn", unlearner=name) for name, place in places]
    measured = pd.concat(found, ignore_index=True).astype({"seed": str})
    start = time.process_time()
    summary.over_seeds(measured)
    return time.process_time() - start


def planned(bench: Bench, methods: int) -> float:
    """CPU seconds of Snakemake's plan with so many variants of one method."""
    overlay = yaml.safe_load((bench.folder / "bench.yaml").read_text())
    overlay["unlearners"] |= {f"ascent-v{i}": {"draw": i + 1} for i in range(methods)}
    overlay["profile"] = "plan"
    bench.write(bench.folder / "plan.yaml", overlay)
    return bench.snakemake("-n", "--quiet", "--configfile", "plan.yaml").cpu


def growth(bench: Bench) -> Iterator[Row]:
    """Part 6: the slope of each cost on logarithmic axes, and its standard error."""
    costs = {
        ("training, an epoch", "examples"): lambda n: apart(trained, n),
        ("similarity", "examples"): lambda n: apart(cosines, n),
        ("every metric", "examples"): lambda n: apart(evaluated, n, 10, 3)[0],
        ("every metric", "classes"): lambda k: apart(evaluated, 40 * max(bench.sizes.grow["classes"]), k, 3)[0],
        ("every metric", "seeds"): lambda s: apart(evaluated, 10 * bench.sizes.grow["examples"][0] // 5, 10, s)[0],
        ("summary over seeds", "methods"): lambda m: apart(summarized, m),
        ("plan of the workflow", "methods"): lambda m: planned(bench, m),
    }
    for (what, size), cost in costs.items():
        sizes = bench.sizes.grow[size]
        seconds = [cost(each) for each in sizes]
        exponent, error = slope(sizes, seconds)
        name = f"{what}, by {size} {sizes[0]} to {sizes[-1]}"
        yield Row("6", f"{name}: slope on logarithmic axes", exponent, "exponent", target="<= 1.2")
        yield Row("6", f"{name}: its standard error", error, "exponent")
        yield Row("6", f"{name}: the largest", seconds[-1], "s", seconds[0])


# ---- part 7: memory


def peak(command: list[str] | str, folder: Path, environment: dict[str, str]) -> float:
    """The largest resident memory, MiB, of the command's own processes, one at a time."""
    shell = isinstance(command, str)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": environment}
    process = subprocess.Popen(command, shell=shell, executable="/bin/bash" if shell else None, **streams)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"This command of a job failed when it was run again: {command}")
    return used.ru_maxrss / 2**10


def memory(bench: Bench) -> Iterator[Row]:
    """Part 7: each kind of job of the run once more, the first of its kind, and its largest process."""
    first = {}
    for what, command, _ in bench.any_run().jobs:
        first.setdefault(what, command)
    environment = bench.environment()
    empty = peak(bench.empty(), bench.folder, environment)
    yield Row("7", "peak memory of an empty notebook that imports torch", empty, "MiB")
    for what in sorted(set(first) - {"other"}):
        yield Row("7", f"peak memory of a job, {what}", peak(first[what], bench.folder, environment), "MiB", empty)


PARTS = {"1": overhead, "2": cores, "3": again, "4": step, "5": arrays, "6": growth, "7": memory}

"""A profile's models and measurements without Snakemake or papermill, for a machine that is lent for minutes.

python -m lfcore.slice cifar100 --minutes 8 --jobs 4               what is missing, in the workflow's order
python -m lfcore.slice cifar100 --minutes 8 --only couch_half      of one forget set
python -m lfcore.slice cifar100 --minutes 8 --tuning               every setting of its tuning

Calls the functions that the notebooks call, with the same parameters, and leaves the same files in the same places, but
for executed notebooks. What is there is not made again; when the minutes are over no further job is begun, and those
under way are waited for. So a slice is `python -m lfcore.bundle restore` of the last one, this, and `lfcore.bundle make
--models`. At home `lfcore.bundle restore`, the rule `data`, and `lfcore.bundle predict` make all of it up to date for
Snakemake, which gathers the tables and draws the figures. Where a machine stops a command at its limit, give fewer
minutes than that, and make the bundle after `timeout`, which lets nothing that is finished be lost:

timeout 450 python -m lfcore.slice cifar100 --minutes 7; python -m lfcore.bundle make cifar100 --models --folder OUT/b
"""

import argparse
import importlib
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from lfcore import bundle, examples, studies, workflow
from lfcore.errors import InputError
from lfcore.paths import ROOT, atomic


@dataclass(frozen=True)
class Job:
    """A call of the library: "module.function" and its arguments.

    makes: the files it leaves. needs: files that must be there. benchmark: where its cost goes, as Snakemake writes it.
    on_device: whether it uses the device and not only a core.
    """

    call: str
    options: dict
    makes: list[Path]
    needs: list[Path]
    benchmark: Path | None = None
    on_device: bool = False

    @property
    def kind(self) -> tuple:
        """What jobs that take about as long have in common."""
        return self.call, self.options.get("network"), self.options.get("role"), self.options.get("unlearner")

    @property
    def done(self) -> bool:
        """Whether all it makes is there."""
        return all(path.exists() for path in self.makes)

    @property
    def ready(self) -> bool:
        """Whether all it needs is there."""
        return all(path.exists() for path in self.needs)


def jobs(config: dict, *, tuning: bool = False) -> list[Job]:
    """The jobs of the profile's own study in the workflow's order: data, train, unlearn, evaluate, rows of examples.

    tuning: those of its tuning instead: data, train, and every setting of each method on each tuning forget set.
    """
    if tuning and "tuning" not in config:
        raise InputError(f"The profile {config['profile']} has no tuning: leave out --tuning.")
    every = studies.read(config)
    everything = [*every.values(), *([studies.tuning(config)] if "tuning" in config else [])]
    forget_sets = {name: options for each in everything for name, options in each.forget_sets.items()}
    study = studies.tuning(config) if tuning else every[studies.MAIN]
    plan = _Plan(config, study, study.reference if tuning else study.reference + study.floor)
    data = {"dataset": config["dataset"], "forget_sets": forget_sets, "out": plan.dataset.parent}
    parts = [_Plan.train, _Plan.trials] if tuning else [_Plan.train, _Plan.unlearn, _Plan.measure]
    return [
        Job("slice.make_data", data, [plan.dataset, *map(plan.index, forget_sets)], []),
        *(job for part in parts for network in config["networks"] for job in part(plan, network)),
    ]


@dataclass(frozen=True)
class _Plan:
    """Where the workflow puts what a study needs, and the jobs that make it. retrained: the seeds of these models."""

    config: dict
    study: studies.Study
    retrained: list[int]

    @property
    def results(self) -> Path:
        return ROOT / "results" / self.config["profile"]

    @property
    def dataset(self) -> Path:
        return self.results / "data" / "dataset.safetensors"

    def index(self, place: str) -> Path:
        return self.results / "data" / f"{place}.json"

    def folders(self, network: str, place: str, unlearner: str) -> list[Path]:
        """Those of all models of one kind."""
        place = "none" if unlearner == "original" else place
        seeds = self.retrained if unlearner == "retrained" else self.study.unlearned
        names = workflow.cut(seeds, self.config["seeds_per_job"])
        return [self.results / "models" / network / place / unlearner / name for name in names]

    def common(self, network: str, **more) -> dict:
        """What every job on the device is told."""
        config = self.config
        return {"dataset": self.dataset, "device": config["device"], "loop": config["loop"], "network": network, **more}

    def needs(self, place: str, *folders: list[Path]) -> list[Path]:
        """The data, the forget set and the models in all these folders."""
        return [self.dataset, self.index(place), *(file for each in folders for file in _files(each))]

    def model(self, call: str, out: Path, needs: list[Path], **more) -> Job:
        benchmark = self.results / "benchmarks" / out.relative_to(self.results / "models").with_suffix(".tsv")
        options = self.common(out.parts[-4], seeds=workflow.numbers(out.name), out=out, **more)
        return Job(call, options, _files([out]), needs, benchmark, on_device=True)

    def train(self, network: str) -> Iterator[Job]:
        recipe = {"options": self.config["training"]}
        for out in self.folders(network, "", "original"):
            yield self.model("train.train", out, [self.dataset], role="original", forget_set=None, **recipe)
        for place in self.study.forget_sets:
            where = {"forget_set": self.index(place)}
            for out in self.folders(network, place, "retrained"):
                yield self.model("train.train", out, self.needs(place), role="retrained", **where, **recipe)

    def unlearn(self, network: str) -> Iterator[Job]:
        starts = self.folders(network, "", "original")
        for place, (name, chosen) in product(self.study.forget_sets, self.study.unlearners.items()):
            for out, start in zip(self.folders(network, place, name), starts, strict=True):
                more = {"unlearner": name, "options": chosen, "originals": [start], "forget_set": self.index(place)}
                yield self.model("unlearn.unlearn", out, self.needs(place, [start]), **more)

    def measure(self, network: str) -> Iterator[Job]:
        study = self.study
        for place, name in product(study.forget_sets, study.rows):
            read = {
                "folders": self.folders(network, place, name),
                "originals": self.folders(network, "", "original"),
                "retrained": self.folders(network, place, "retrained"),
            }
            options = {
                "dataset": self.dataset,
                "forget_set": self.index(place),
                "unlearner": name,
                "seeds": study.floor if name == "retrained" else study.unlearned,
                "original_seeds": study.unlearned,
                "reference_seeds": study.reference,
                "floor_seeds": study.floor,
                **read,
            }
            needs = self.needs(place, *read.values())
            out = self.results / "measurements" / network / place / name
            makes = [out.with_name(f"{name}.{kind}") for kind in ("csv", "npz")]
            more = {"network": network, "metrics": study.metrics, "out": out}
            yield Job("evaluate.evaluate", options | more, makes, needs)
            if self.config["per_example"]:
                out = examples.file(self.results / "examples", network, place, name)
                more = {"metrics": self.config["per_example"], "out": out}
                yield Job("slice.make_rows", options | more, [out], needs)

    def trials(self, network: str) -> Iterator[Job]:
        study, originals = self.study, self.folders(network, "", "original")
        for budget in studies.BUDGETS:
            grids = studies.grids(self.config, budget)
            for place, (name, grid) in product(studies.tried_on(self.config, budget), grids.items()):
                retrained = self.folders(network, place, "retrained")
                out = self.results / "tuning" / budget / network / place / f"{name}.csv"
                options = self.common(network, unlearner=name, grid=grid, originals=originals, retrained=retrained)
                options |= {"forget_set": self.index(place), "out": out}
                options |= {"seeds": study.unlearned, "reference_seeds": study.reference}
                yield Job("tune.tune", options, [out], self.needs(place, originals, retrained), on_device=True)


def _files(folders: list[Path]) -> list[Path]:
    """What says that the models in these folders are there: the record is written last."""
    kinds = ("predictions.safetensors", "json")
    return [
        folder / f"seed{seed}.{kind}" for folder in folders for seed in workflow.numbers(folder.name) for kind in kinds
    ]


def make_data(*, dataset: dict, forget_sets: dict[str, dict], out: Path) -> None:
    """What the notebook 01_data leaves."""
    from lfcore import data

    options = dict(dataset)
    found = data.load(options.pop("name"), ROOT / options.pop("root"), **options)
    data.write(found, out / "dataset.safetensors")
    data.write_forget_sets(found, forget_sets, out)


def make_rows(*, out: Path, **options) -> None:
    """What the notebook 09_examples leaves."""
    examples.write(examples.measure(**options), out)


def run(job: Job) -> float:
    """Do a job, write what it cost, and return its seconds."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    module, function = job.call.split(".")
    getattr(importlib.import_module(f"lfcore.{module}"), function)(**job.options)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    if job.benchmark:
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        clock = time.strftime("%H:%M:%S", time.gmtime(seconds))
        with atomic(job.benchmark) as partial:
            partial.write_text(
                "s\th:m:s\tmax_rss\tcpu_time\n" + f"{seconds:.2f}\t{clock}\t{after.ru_maxrss / 1024:.2f}\t{cpu:.2f}\n"
            )
    return seconds


def choose(found: list[Job], only: str) -> list[Job]:
    """The jobs that are not done and make a file whose path has the pattern `only`, and what they need, in order.

    Of those, only what no other job needs counts, if there is any: a model that has been measured is not needed again.
    """
    needed = {path for job in found for path in job.needs}
    maker = {path: job for job in found for path in job.makes}
    matching = [job for job in found if any(re.search(only, str(path.relative_to(ROOT))) for path in job.makes)]
    waiting = [job for job in matching if needed.isdisjoint(job.makes)] or matching
    chosen = set()
    while waiting:
        job = waiting.pop()
        if not job.done and id(job) not in chosen:
            chosen.add(id(job))
            waiting += [maker[path] for path in job.needs]
    return [job for job in found if id(job) in chosen]


def go_on(found: list[Job], *, minutes: float, on_device: int, cores: int) -> int:
    """Do those of the jobs that are not done, as long as the minutes last, and return how many still are not.

    A job is not begun if the longest of its kind so far took more than the minutes left. on_device: how many share the
    device; cores: how many others run at a time. A job that fails is reported, and what needs it is not begun; after
    an error of the device, or a killed process, nothing is.
    """
    end, context, under_way = time.monotonic() + 60 * minutes, get_context("spawn"), {}
    pending, free = [job for job in found if not job.done], {True: on_device, False: cores}
    longest: dict[tuple, float] = {}
    with ProcessPoolExecutor(on_device, context) as device, ProcessPoolExecutor(cores, context) as others:
        while True:
            for job in list(pending):
                if free[job.on_device] and job.ready and time.monotonic() + longest.get(job.kind, 0) < end:
                    pending.remove(job)
                    free[job.on_device] -= 1
                    under_way[(device if job.on_device else others).submit(run, job)] = job
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                job = under_way.pop(future)
                free[job.on_device] += 1
                name = f"{job.call} {job.makes[0].relative_to(ROOT)}"
                if error := future.exception():
                    traceback.print_exception(error)
                    print(f"{name}: {error}", flush=True)
                    if isinstance(error, BrokenExecutor) or "CUDA" in str(error):
                        end = 0.0  # the device or the pool is in no state to go on
                    continue
                seconds = future.result()
                longest[job.kind] = max(seconds, longest.get(job.kind, 0))
                print(f"{name}: {seconds:.0f} s", flush=True)
    return sum(not job.done for job in found)


def main() -> None:
    """Read the command line; exit with one sentence if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--minutes", type=float, default=8, help="after which no further job is begun")
    parser.add_argument("--jobs", type=int, default=4, help="how many share the device")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="how many jobs measure at a time")
    parser.add_argument("--only", default="", help="a pattern of the files to make: couch_half, fine_tuning")
    parser.add_argument("--tuning", action="store_true", help="the settings of its tuning, not its own results")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    begun = time.monotonic()
    try:
        config = workflow.complete(workflow.read(given.profile))
        found = jobs(config, tuning=given.tuning)
        if not found[0].done:
            run(found[0])
        bundle.predict(given.profile, config["device"])
        chosen = choose(found, given.only)
        minutes = given.minutes - (time.monotonic() - begun) / 60
        left = go_on(chosen, minutes=minutes, on_device=given.jobs, cores=given.cores)
    except InputError as error:
        sys.exit(str(error))
    print(f"{left} jobs are left to do." if left else "All jobs are done.")


if __name__ == "__main__":
    main()

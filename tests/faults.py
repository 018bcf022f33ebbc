"""Breaks the workflow on purpose and counts what survives. Run by `make faults`; writes tests/expected/faults.csv.

On a profile of three models, files of every kind that a job reads are cut short, get one bit flipped, or are deleted,
the disk is filled, workers run out of memory or are killed, the config changes, results come from elsewhere, a second
workflow starts, and the results become read-only; the files of the data sets themselves are damaged. At last the smoke
profile is killed, with every process it started, at thirty random moments of one run.
A fault is survived if the command says clearly what is wrong or goes on unharmed, and if the same command then leaves
the same bytes as a run that nothing disturbed. It is lost if a number differs, if the message is not clear, or if the
same command does not get to its end. Faults that need to mount a file system are tried only where that is allowed.

python tests/faults.py            everything, in at most twenty minutes on two idle cores
python tests/faults.py kill       or files, second, damage, memory, config, disk, readonly: these alone; other rows stay
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import yaml

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.datasets import _load as load
from lfcore.datasets import mnist
from lfcore.publish import verify

KILLS = 30
OUT = ROOT / "tests" / "expected" / "faults.csv"
THREE = {
    "profile": "three",
    "forget_sets": {"9_most": None},
    "seeds": {"unlearned": 1, "reference": 1, "floor": 1},
    "training": {"epochs": 3},
    "metrics": ["accuracy", "discrepancy"],
    "tuning": None,
}
"""What the profile of three models changes of the default one, beside leaving one method, one figure, one study."""
STUDY = {
    "tiny": {
        "seeds": {"first": 0, "unlearned": 1, "reference": 1, "floor": 1},
        "experiments": {
            "reconstruction-tiny": {"targets": 2, "ordinary": 6, "copies": 1, "block": 1, "share": 0.2, "hidden": 20}
            | {"steps": 20, "lr": 0.1, "weight_decay": 0.003, "recovery_steps": 5, "unlearners": {}}
        },
        "figures": {
            "53_reconstruction-tiny": {"experiments": ["reconstruction"], "unlearners": ["original", "retrained"]}
        },
    }
}
HANG = 3600
"""Seconds after which a command hangs, on a machine however busy."""
PLACE = "results/three"
MODELS = f"{PLACE}/models/cnn"
SUMMARY, FIGURE, PAGE = (
    f"{PLACE}/tables/summary.csv",
    "figures/three/12_affected.png",
    f"{PLACE}/pages/12_affected.html",
)
PICTURE = "figures/three/53_reconstruction-tiny.png"
EVALUATE = (f"{PLACE}/measurements/cnn/4_half", SUMMARY)
UNLEARN = (f"{MODELS}/4_half/ascent/0-0", *EVALUATE)
"""What a stage and those after it make. Taken away, and the last of it asked for, they read their inputs again."""
READERS = {
    "data set, with images,": (f"{PLACE}/data/dataset.safetensors", UNLEARN, 1),
    "data set, without images,": (f"{PLACE}/data/dataset.safetensors", EVALUATE, 0.05),
    "index file": (f"{PLACE}/data/4_half.json", EVALUATE, 1),
    "weights": (f"{MODELS}/none/original/0-0/seed0.weights.safetensors", UNLEARN, 1),
    "sidecar": (f"{MODELS}/none/original/0-0/seed0.json", UNLEARN, 1),
    "predictions": (f"{MODELS}/4_half/ascent/0-0/seed0.predictions.safetensors", EVALUATE, 1),
    "table of a job": (f"{PLACE}/measurements/cnn/4_half/ascent.csv", (SUMMARY,), 1),
    "array file": (f"{PLACE}/experiments/reconstruction-tiny.npz", (PICTURE,), 1),
    "summary table": (SUMMARY, (FIGURE,), 1),
    "hash beside a table": (f"{SUMMARY}.sha256", (FIGURE,), 0.9),
    "benchmark": (f"{PLACE}/benchmarks/cnn/4_half/ascent/0-0.tsv", (SUMMARY,), 0.5),
    "converted notebook": (f"{PLACE}/notebooks/12_affected.ipynb", (FIGURE,), 1),
    "executed notebook": (f"{PLACE}/executed/12_affected.ipynb", (PAGE,), 1),
}
"""Kinds of files: one of them, what to make of it, and how much of it that reads (labels lie before images)."""
IN_A_FOLDER = ("weights", "sidecar", "predictions")
"""Kinds that Snakemake does not miss when they are deleted, since it looks at their folder alone."""


class Workflow:
    """A copy of the project, and the one command that is run in it again and again. how: where its jobs run."""

    how = ("--cores", "2")

    def __init__(self, folder: Path, config: str, targets: tuple = ()):
        self.folder, self.config, self.targets = folder, config, targets

    def start(self, *targets: str, once: bool = False) -> subprocess.Popen:
        """Start the command, without waiting. targets: in place of its own. once: no job gets a second try."""
        command = [sys.executable, "-m", "snakemake", *(targets or self.targets), *self.how]
        command += [*(["--retries", "0"] if once else []), "--configfile", self.config]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=verify.environment(self.folder) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def unlock(self) -> tuple[int, str]:
        """What `make figures` does first; its exit status and last line."""
        command = [sys.executable, "-m", "lfcore.workflow.jobs"]
        found = subprocess.run(
            command, cwd=self.folder, env=verify.environment(self.folder), capture_output=True, text=True, check=False
        )
        return found.returncode, last_line(found.stdout + found.stderr)

    def run(
        self, *targets: str, once: bool = False, during: Callable[[subprocess.Popen], object] | None = None
    ) -> tuple[int, str]:
        """Unlock, run to the end, and return the exit status and the last line said. during: what to do meanwhile."""
        self.unlock()
        running = self.start(*targets, once=once)
        if during:
            during(running)
        try:
            said = running.communicate(timeout=HANG)[0]
        except subprocess.TimeoutExpired:
            self.kill(running)
            return 1, "it hangs"
        return running.returncode, last_line(said)

    def kill(self, running: subprocess.Popen) -> None:
        """SIGKILL to the command and to everything that it started, whatever process group it is in."""
        with suppress(psutil.NoSuchProcess):
            tree = psutil.Process(running.pid)
            for process in [tree, *tree.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        for process in self.processes():  # what was started between listing and killing
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.communicate()

    def processes(self, pattern: str = "") -> list[psutil.Process]:
        """The processes at work in this copy whose command line has `pattern` in it."""
        found = []
        for process in psutil.process_iter(["cwd", "cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if process.info["cwd"] == str(self.folder) and pattern in line and process.pid != os.getpid():
                found.append(process)
        return found


def last_line(text: str) -> str:
    """The last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def flip(path: Path, place: float) -> None:
    """Change one bit of the byte at this share of the file; its times stay, as when a disk decays."""
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    _write(path, bytes(content))


def cut(path: Path, place: float) -> None:
    """Cut the file off at this share of its length; its times stay."""
    content = path.read_bytes()
    _write(path, content[: int(place * len(content))])


def _write(path: Path, content: bytes) -> None:
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def count_files(folder: Path) -> int:
    """How many files a run has left so far in its results, logs too."""
    return sum(len(files) for _, _, files in os.walk(folder / "results"))


def modified(path: Path) -> float:
    """When a file was written, or 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def delete(path: Path, place: float = 0) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    try:
        with mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system on `folder` for the length of the block."""
    subprocess.run(["mount", *options, str(folder)], check=True, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Faults:
    """The undisturbed runs, and what became of each fault."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows: list[dict] = []
        self.since = (time.monotonic(), used())

    def tell(self, fault: str, survived: bool, said: str, times: int = 1) -> None:
        """Note and print what became of one fault, or of several at once, since the last was told."""
        now = (time.monotonic(), used())
        took = {"seconds": now[0] - self.since[0], "cpu_seconds": now[1] - self.since[1]}
        row = {"fault": fault, "survived": survived, "message": said}
        self.rows += [row | {key: value / times for key, value in took.items()}] * times
        self.since = now
        print(
            f"{'survived' if survived else 'LOST':>8}  {fault}: {said}  [{took['cpu_seconds']:.0f} CPU s]", flush=True
        )

    def three(self) -> Workflow:
        """The profile of three models, run once without a fault and kept to start from."""
        if hasattr(self, "_three"):
            return self._three
        folder = verify.copy(self.folder / "three")
        default = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())
        known = yaml.safe_load((ROOT / "config" / "studies.yaml").read_text())["studies"]
        overlay = THREE | {
            "studies": dict.fromkeys(known) | STUDY,
            "unlearners": {name: None for name in default["unlearners"] if name != "ascent"},
            "figures": {name: None for name in default["figures"] if name != "12_affected"}
            | {"12_affected": {"unlearners": ["original", "retrained", "ascent"]}},
        }
        (folder / "config" / "three.yaml").write_text(yaml.safe_dump(overlay))
        self._three = Workflow(folder, "config/three.yaml", (FIGURE, PAGE, PICTURE))
        status, said = self._three.run()
        if status:
            sys.exit(f"The undisturbed run of the profile of three models failed: {said}")
        self.keep("kept")
        return self._three

    def keep(self, name: str) -> None:
        """Keep the state of the profile of three models under a name."""
        for part in ("results", "figures", ".snakemake"):
            shutil.copytree(self._three.folder / part, self.folder / name / part)

    def restore(self, name: str | None = "kept") -> Workflow:
        """The profile of three models as it was kept, or with None as nothing was run yet."""
        three = self.three()
        for part in ("results", "figures/three", ".snakemake"):
            shutil.rmtree(three.folder / part, ignore_errors=True)
            if name:
                shutil.copytree(self.folder / name / part, three.folder / part)
        return three

    def same(self, name: str = "kept") -> list[str]:
        """What differs between the profile of three models and what was kept."""
        kept, here = (
            verify.outputs(place, "three") | {PAGE: place / PAGE} for place in (self.folder / name, self.three().folder)
        )
        return verify.compare(kept, here)

    def judge(self, fault: str, first: tuple[int, str], clear: str, *targets: str, kept: str = "kept") -> None:
        """Run the same command again, compare, and tell.

        first: status and last line of the run with the fault. clear: a pattern that the message of a failure has.
        """
        status, said = first
        understood = status == 0 or bool(re.search(clear, said))
        again, last = (status, said) if status == 0 else self.three().run(*targets)
        wrong = self.same(kept) if again == 0 else [f"the same command fails: {last}"]
        if not status:
            said = "unharmed, so without a message"
        self.tell(fault, understood and not wrong, said if not wrong else f"{said} BUT {wrong[0]}")

    def kill(self) -> None:
        """SIGKILL to the whole tree at random moments, in succession, inside one run of the smoke profile."""
        reference = Workflow(verify.copy(self.folder / "smoke"), "config/smoke.yaml")
        status, said = reference.run()
        if status:
            sys.exit(f"The undisturbed run of the smoke profile failed: {said}")
        whole, made = verify.outputs(reference.folder, "smoke"), count_files(reference.folder)
        killed = Workflow(verify.copy(self.folder / "killed"), "config/smoke.yaml")
        chance, tried, failed, told = random.Random(0), 0, [], set()
        for moment in sorted(chance.uniform(0.01, 0.9) for _ in range(KILLS)):
            status, said = killed.unlock()
            failed += [f"the lock stays: {said}"] if status else []
            told.add(said)
            running = killed.start()
            while running.poll() is None and count_files(killed.folder) < moment * made:
                time.sleep(0.05)
            with suppress(subprocess.TimeoutExpired):
                running.wait(chance.uniform(0, 1))
            if running.poll() is not None:
                said = last_line(running.communicate()[0])
                failed += [f"a run after a kill failed: {said}"] if running.returncode else []
                print(f"ended by itself: {said}", flush=True)
                continue
            killed.kill(running)
            tried += 1
            print(f"  kill {tried}, with {count_files(killed.folder) / made:.0%} of the files there", flush=True)
        status, said = killed.run()
        wrong = failed + (verify.compare(whole, verify.outputs(killed.folder, "smoke")) if status == 0 else [said])
        said = f"{' '.join(sorted(told))} The same command completes: {len(whole)} outputs are the same bytes."
        self.tell("SIGKILL to the whole tree", not wrong, wrong[0] if wrong else said.strip(), max(tried, 1))

    def damage(self) -> None:
        """Each kind of file cut short, with a bit flipped, or deleted, before a job reads it."""
        chance = random.Random(1)
        for kind, (name, stage, share) in READERS.items():
            changes = {"cut short": cut}
            if kind != "benchmark":  # Snakemake writes it, without a hash, and a wrong digit in it shows nowhere
                changes["one bit flipped"] = flip
            if kind in IN_A_FOLDER:
                changes["deleted"] = delete
            for what, change in changes.items():
                three, place = self.restore(), share * chance.random()
                for taken in stage:
                    delete(three.folder / taken)
                change(three.folder / name, place)
                clear = re.escape(Path(name).name.removesuffix(".sha256"))
                self.judge(f"{kind} {what}", three.run(stage[-1], once=True), clear, stage[-1])
        three = self.restore()
        shutil.rmtree(three.folder / UNLEARN[0])
        first, asked = three.run(), three.run(UNLEARN[0])
        wrong = self.same() if first[0] == asked[0] == 0 else [f"{first[1]} {asked[1]}"]
        said = "a plain run misses nothing, and the folder, asked for by name, is made again as it was"
        self.tell("a folder of models deleted when all is made", not wrong, wrong[0] if wrong else said)

    def files(self) -> None:
        """The files of the data sets themselves: small ones in each layout, damaged, and read in this process."""
        chance, folder = random.Random(2), self.folder / "files"
        for name, (paths, patch) in archives(folder).items():
            with patch:
                whole, wrong, said = load.load(name, folder).sha256(), [], ""
                for path in paths:
                    content = path.read_bytes()
                    for change in (flip, cut):
                        change(path, chance.random())
                        try:
                            wrong += [path.name] if load.load(name, folder).sha256() != whole else []
                        except InputError as error:
                            said = said or str(error)
                        path.write_bytes(content)
                wrong += [] if load.load(name, folder).sha256() == whole else ["whole again, but not the same"]
            self.tell(
                f"a file of {name} damaged", not wrong and bool(said), wrong[0] if wrong else said, 2 * len(paths)
            )

    def disk(self) -> None:
        """A disk that is full after so many kilobytes; then there is room again."""
        for room in (300, 900, 1500):
            three = self.restore(None)
            results = three.folder / "results"
            results.mkdir()
            with mounted(results, "-t", "tmpfs", "-o", f"size={room}k", "tmpfs"):
                first = three.run()
                subprocess.run(["mount", "-o", "remount,size=256m", str(results)], check=True)
                self.judge(f"disk full after {room} kB", first, "[Tt]he disk .*is full")
            shutil.rmtree(results)

    def memory(self) -> None:
        """A worker that may have no more memory, and one that is killed for want of it."""

        def starve(process: psutil.Process) -> None:
            now = process.memory_info().vms
            process.rlimit(psutil.RLIMIT_AS, (now + 2**20, now + 2**20))

        for what, do in (("out of memory", starve), ("killed, as when memory runs out", psutil.Process.kill)):
            three = self.restore()
            for taken in UNLEARN:
                delete(three.folder / taken)

            def during(running: subprocess.Popen, do=do, three=three) -> None:
                while running.poll() is None:
                    for process in three.processes("ipykernel_launcher"):
                        with suppress(psutil.NoSuchProcess):
                            if process.memory_info().rss > 60 * 2**20:  # it has begun to import
                                do(process)
                                return
                    time.sleep(0.1)

            first = three.run(SUMMARY, once=True, during=during)  # a second try would hide the fault
            self.judge(f"a worker {what}", first, "memory|was killed", SUMMARY)

    def config(self) -> None:
        """A config that changes between runs, halfway, and back; and results that were not made by it."""
        three = self.restore(None)
        path = three.folder / "config" / "three.yaml"
        before = path.read_text()
        changed = yaml.safe_dump(yaml.safe_load(before) | {"training": {"epochs": 2}})
        path.write_text(changed)
        first = three.run()
        if first[0]:
            sys.exit(f"The run with another config failed: {first[1]}")
        self.keep("changed")
        self.restore()
        self.judge("config changed after a run", three.run(), "never", kept="changed")
        path.write_text(before)
        running = three.start()
        done = three.folder / MODELS / "4_half" / "retrained" / "0-1" / "seed0.json"
        made = modified(done)
        while running.poll() is None and modified(done) <= made:
            time.sleep(0.05)
        three.kill(running)
        path.write_text(changed)
        self.judge("config changed to and fro, and the run killed half done", three.run(), "never", kept="changed")
        path.write_text(before)

        three = self.restore()
        shutil.rmtree(three.folder / ".snakemake")
        path.write_text(changed)
        status, said = three.run()
        path.write_text(before)
        survived = status == 0 and "Snakemake has no record of making them" in said and not self.same()
        self.tell("Snakemake's records lost, then the config changed", survived, said)

        three = self.restore()
        foreign = MODELS + "/none/original/0-0"
        shutil.rmtree(three.folder / foreign)
        shutil.copytree(self.folder / "changed" / foreign, three.folder / foreign)
        old = (self.folder / "kept" / foreign).stat()
        os.utime(three.folder / foreign, ns=(old.st_atime_ns, old.st_mtime_ns))
        (three.folder / SUMMARY).unlink()
        first = three.run(SUMMARY)
        shutil.rmtree(three.folder / foreign)  # what the message asks for
        self.judge("a model of another config copied in", first, "were made with different options", FIGURE, PAGE)

    def second(self) -> None:
        """A second workflow in the same folder, by `make` and by plain snakemake, while the first lives."""
        three = self.restore()
        for taken in UNLEARN:
            delete(three.folder / taken)
        refused: list[tuple[int, str]] = []

        def during(running: subprocess.Popen) -> None:
            locks = three.folder / ".snakemake" / "locks"
            while running.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
                time.sleep(0.05)
            running.send_signal(signal.SIGSTOP)  # so that it lives while the others try, however busy the machine
            refused.append(three.unlock())
            other = three.start(SUMMARY)
            refused.append(
                (lambda said: (other.returncode, " ".join(said.split())))(other.communicate(timeout=HANG)[0])
            )
            running.send_signal(signal.SIGCONT)

        status, said = three.run(SUMMARY, during=during)
        wrong = self.same() if status == 0 else [f"the first failed: {said}"]
        for how, (code, message), clear in zip(
            ("make figures", "plain snakemake"),
            refused,
            ("already runs in this folder", "cannot be locked"),
            strict=True,
        ):
            found = re.search(rf"[^.]*{clear}[^.]*\.", message)
            survived = code != 0 and bool(re.search(clear, message)) and not wrong
            told = found[0].strip() if found else message[-200:]
            self.tell(f"a second workflow by {how}", survived, f"{told} BUT {wrong[0]}" if wrong else told)

    def readonly(self) -> None:
        """Results on a file system that became read-only."""
        three = self.restore()
        results = three.folder / "results"
        for taken in EVALUATE:
            delete(three.folder / taken)
        with mounted(results, "--bind", str(results)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(results)], check=True)
            first = three.run(SUMMARY)
            subprocess.run(["mount", "-o", "remount,rw,bind", str(results)], check=True)
            self.judge("results read-only", first, "can't be written to", SUMMARY)

    def table(self) -> pd.DataFrame:
        """A row a fault: how often tried, survived and lost, seconds on average, and the first message seen."""
        rows = pd.DataFrame(self.rows)
        found = rows.groupby("fault", sort=False).agg(
            tried=("survived", "size"),
            survived=("survived", "sum"),
            seconds=("seconds", "mean"),
            cpu_seconds=("cpu_seconds", "mean"),
            message=("message", "first"),
        )
        found.insert(2, "lost", found["tried"] - found["survived"])
        found["message"] = found["message"].str.replace(f"{self.folder}/", "", regex=False).str.slice(0, 300)
        return found.round({"seconds": 1, "cpu_seconds": 1}).reset_index()


def stop(folder: Path) -> None:
    """Kill what still runs in a folder, as when the harness itself is interrupted."""
    for process in psutil.process_iter(["cwd"]):
        if Path(process.info["cwd"] or "/").is_relative_to(folder) and process.pid != os.getpid():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def used() -> float:
    """CPU seconds of this process and of all that it waited for, and that these did."""
    return sum(os.times()[:4])


def archives(folder: Path) -> dict[str, tuple[list[Path], object]]:
    """Small files in the layout of each data set that is files: these, and a context in which their sums are right."""
    import pickle
    from contextlib import ExitStack
    from hashlib import md5
    from unittest.mock import patch

    from scipy.io import savemat

    from lfcore.models.torchvision import torchvision

    def sums(paths):
        return [md5(path.read_bytes()).hexdigest() for path in paths]

    def together(*patches):
        stack = ExitStack()
        for each in patches:
            stack.enter_context(each)
        return stack

    chance, found = np.random.default_rng(0), {}
    labels = np.arange(20) % 10
    for name, kind in (("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")):
        paths = [folder / kind / "raw" / file for file in mnist.NAMES]
        paths[0].parent.mkdir(parents=True)
        for path in paths:
            shape = (20, 28, 28) if "images" in path.name else (20,)
            content = chance.integers(256, size=shape) if len(shape) > 1 else labels
            head = np.array([2051 if len(shape) > 1 else 2049, *shape], dtype=">i4")
            path.write_bytes(head.tobytes() + content.astype(np.uint8).tobytes())
        found[name] = paths, patch.dict(mnist.MD5, {kind: tuple(sums(paths))})
    kind, inside = torchvision.datasets.CIFAR100, folder / "cifar-100-python"
    inside.mkdir()
    for part in ("train", "test"):
        images = chance.integers(256, size=(20, 3072)).astype(np.uint8)
        (inside / part).write_bytes(pickle.dumps({"data": images, "fine_labels": labels.tolist()}))
    (inside / "meta").write_bytes(pickle.dumps({"fine_label_names": list("abcdefghij")}))
    paths = [inside / part for part in ("train", "test", "meta")]
    train, test, meta = sums(paths)
    found["cifar100"] = (
        paths,
        together(
            patch.object(kind, "train_list", [["train", train]]),
            patch.object(kind, "test_list", [["test", test]]),
            patch.object(kind, "meta", kind.meta | {"md5": meta}),
        ),
    )
    kind, paths = torchvision.datasets.SVHN, [folder / f"{part}_32x32.mat" for part in ("train", "test")]
    for path in paths:
        images = chance.integers(256, size=(32, 32, 3, 20)).astype(np.uint8)
        savemat(path, {"X": images, "y": (1 + labels[:, None]).astype(np.uint8)})
    entries = {path.name.split("_")[0]: ["", path.name, right] for path, right in zip(paths, sums(paths), strict=True)}
    found["svhn"] = paths, patch.object(kind, "split_list", entries)
    return found


ALL = "everything"


def publish(table: pd.DataFrame, keep: bool) -> None:
    """Write the report. keep: whether rows of an earlier one, of faults that are not in `table`, stay."""
    if keep and OUT.is_file():
        earlier = tables.read(OUT)
        table = pd.concat([table, earlier[~earlier["fault"].isin([*table["fault"], ALL])]])
    tables.write(table, OUT, seal=False)


NEED_MOUNT = ("disk", "readonly")


def main() -> None:
    """Try every fault, or those named on the command line; exit with a sentence if one was lost."""
    every = ["files", "second", "damage", "memory", "config", "disk", "readonly", "kill"]
    chosen = sys.argv[1:] or every
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults", ignore_cleanup_errors=True) as folder:
        faults, skipped = Faults(Path(folder).resolve()), []
        (faults.folder / "mount").mkdir()
        try:
            for name in chosen:
                if name in NEED_MOUNT and not can_mount(faults.folder / "mount"):
                    print(f" skipped  {name}: it needs to mount a file system, as root may")
                    skipped.append(name)
                else:
                    getattr(faults, name)()
        finally:
            stop(faults.folder)
        table = faults.table()
    tried, lost = int(table["tried"].sum()), int(table["lost"].sum())
    took = {"seconds": round(time.monotonic() - start, 1), "cpu_seconds": round(used(), 1)}
    sentence = f"{tried} faults tried, {tried - lost} survived, {lost} lost"
    sentence += f", {' and '.join(skipped)} skipped" if skipped else ""
    if not sys.argv[1:]:  # in one go
        row = {"fault": ALL, "tried": tried, "survived": tried - lost, "lost": lost, **took, "message": sentence}
        table = pd.concat([table, pd.DataFrame([row])])
    publish(table, keep=bool(sys.argv[1:]))
    sentence += f", in {took['seconds'] / 60:.0f} min and {took['cpu_seconds']:.0f} CPU seconds"
    if lost:
        sys.exit(sentence)
    print(sentence)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the temporary folder goes
    main()

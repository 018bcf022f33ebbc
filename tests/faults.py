"""Breaks the workflow on purpose and counts what survives. Run by `make faults`; writes tests/expected/faults.csv.

First the smoke profile is killed, with every process it started, at thirty random moments of one run. Then, on a
profile of three models, files of every kind that a job reads are cut short or get one bit flipped, the disk is filled,
workers run out of memory or are killed, the config changes, a second workflow starts, and the results become read-only.
A fault is survived if the command says clearly what is wrong or goes on unharmed, and if the same command then leaves
the same bytes as a run that nothing disturbed. It is lost if a number differs, if the message is not clear, or if the
same command does not get to its end. Faults that need to mount a file system are tried by root alone.

python tests/faults.py            everything, in at most twenty minutes on two idle cores
python tests/faults.py kill       or damage, disk, memory, config, second, readonly: these alone; other rows stay
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

import pandas as pd
import psutil
import yaml

from lfcore import tables, verify
from lfcore.paths import ROOT

KILLS = 30
OUT = ROOT / "tests" / "expected" / "faults.csv"
THREE = {
    "profile": "three",
    "forget_sets": {"9_most": None},
    "seeds": {"unlearned": 1, "reference": 1, "floor": 1},
    "training": {"epochs": 3},
    "metrics": ["accuracy", "discrepancy"],
    "studies": None,
    "tuning": None,
}
"""What the profile of three models changes of the default one, beside leaving one method and one figure."""
TARGET = "figures/three/12_affected.png"
PLACE = "results/three"
MODELS = f"{PLACE}/models/cnn"
CHAIN = [f"{MODELS}/4_half/ascent/0-0", f"{PLACE}/measurements/cnn/4_half/ascent.csv", f"{PLACE}/tables/summary.csv"]
CHAIN.append(TARGET)
"""What each stage makes, from unlearning on. Taken away from some stage on, that stage reads its inputs again."""
UNLEARN, EVALUATE, SUMMARIZE, DRAW = range(4)
READERS = {
    "data set, with images,": (f"{PLACE}/data/dataset.safetensors", UNLEARN, 1),
    "data set, without images,": (f"{PLACE}/data/dataset.safetensors", EVALUATE, 0.05),
    "index file": (f"{PLACE}/data/4_half.json", EVALUATE, 1),
    "weights": (f"{MODELS}/none/original/0-0/seed0.weights.safetensors", UNLEARN, 1),
    "sidecar": (f"{MODELS}/none/original/0-0/seed0.json", UNLEARN, 1),
    "predictions": (f"{MODELS}/4_half/ascent/0-0/seed0.predictions.safetensors", EVALUATE, 1),
    "table of a job": (f"{PLACE}/measurements/cnn/4_half/ascent.csv", SUMMARIZE, 1),
    "summary table": (f"{PLACE}/tables/summary.csv", DRAW, 1),
}
"""Kinds of files: one of them, a stage that reads it, and how much of it that reads (labels lie before images)."""


class Workflow:
    """A copy of the project, and the one command that is run in it again and again."""

    def __init__(self, folder: Path, config: str, *targets: str):
        self.folder = folder
        self.command = [sys.executable, "-m", "snakemake", "--cores", "2", *targets, "--configfile", config]

    def start(self) -> subprocess.Popen:
        """Start the command, without waiting."""
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=verify.environment(self.folder) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def unlock(self) -> tuple[int, str]:
        """What `make figures` does first; its exit status and last line."""
        command = [sys.executable, "-m", "lfcore.workflow"]
        found = subprocess.run(
            command, cwd=self.folder, env=verify.environment(self.folder), capture_output=True, text=True, check=False
        )
        return found.returncode, last_line(found.stdout + found.stderr)

    def run(self, during: Callable[[subprocess.Popen], object] | None = None) -> tuple[int, str]:
        """Unlock, run to the end, and return the exit status and the last line said. during: what to do meanwhile."""
        self.unlock()
        running = self.start()
        if during:
            during(running)
        said = running.communicate()[0]
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


def take_away(workflow: Workflow, stage: int) -> None:
    """Delete what the CHAIN made from this stage on."""
    for name in CHAIN[stage:]:
        path = workflow.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system on `folder` for the length of the block."""
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Faults:
    """The undisturbed runs, and what became of each fault."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rows: list[dict] = []

    def tell(self, fault: str, survived: bool, said: str, start: float) -> None:
        """Note and print what became of one fault. said: the message that a person saw."""
        self.rows.append({"fault": fault, "survived": survived, "seconds": time.monotonic() - start, "message": said})
        print(f"{'survived' if survived else 'LOST':>8}  {fault}: {said}", flush=True)

    def three(self) -> Workflow:
        """The profile of three models, run once without a fault and kept to start from."""
        if hasattr(self, "_three"):
            return self._three
        folder = verify.copy(self.folder / "three")
        default = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())
        overlay = THREE | {
            "unlearners": {name: None for name in default["unlearners"] if name != "ascent"},
            "figures": {name: None for name in default["figures"] if name != "12_affected"}
            | {"12_affected": {"unlearners": ["original", "retrained", "ascent"]}},
        }
        (folder / "config" / "three.yaml").write_text(yaml.safe_dump(overlay))
        self._three = Workflow(folder, "config/three.yaml", TARGET, "--retries", "0")  # a second try would hide a fault
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
        for part in ("results", f"figures/{THREE['profile']}", ".snakemake"):
            shutil.rmtree(three.folder / part, ignore_errors=True)
            if name:
                shutil.copytree(self.folder / name / part, three.folder / part)
        return three

    def same(self, name: str = "kept") -> list[str]:
        """What differs between the profile of three models and what was kept."""
        kept, here = (verify.outputs(place, "three") for place in (self.folder / name, self.three().folder))
        return verify.compare(kept, here)

    def judge(self, fault: str, start: float, first: tuple[int, str], clear: str, kept: str = "kept") -> None:
        """Run the same command again, compare, and tell.

        first: status and last line of the run with the fault. clear: a pattern that the message of a failure has.
        """
        status, said = first
        understood = status == 0 or bool(re.search(clear, said))
        again, last = (status, said) if status == 0 else self.three().run()
        wrong = self.same(kept) if again == 0 else [f"the same command fails: {last}"]
        if not status:
            said = "unharmed, so without a message"
        self.tell(fault, understood and not wrong, said if not wrong else f"{said} BUT {wrong[0]}", start)

    def kill(self) -> None:
        """SIGKILL to the whole tree at random moments, in succession, inside one run of the smoke profile."""
        reference = Workflow(verify.copy(self.folder / "smoke"), "config/smoke.yaml")
        status, said = reference.run()
        if status:
            sys.exit(f"The undisturbed run of the smoke profile failed: {said}")
        whole, made = verify.outputs(reference.folder, "smoke"), count_files(reference.folder)
        killed = Workflow(verify.copy(self.folder / "killed"), "config/smoke.yaml")
        chance, start, tried, failed = random.Random(0), time.monotonic(), 0, []
        for moment in sorted(chance.uniform(0.01, 0.95) for _ in range(KILLS)):
            killed.unlock()
            running = killed.start()
            while running.poll() is None and count_files(killed.folder) < moment * made:
                time.sleep(0.05)
            with suppress(subprocess.TimeoutExpired):
                running.wait(chance.uniform(0, 5))
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
        told = f"the same command completes: {len(whole)} outputs are the same bytes" if not wrong else wrong[0]
        seconds = (time.monotonic() - start) / max(tried, 1)
        row = {"fault": "SIGKILL to the whole tree", "survived": not wrong, "seconds": seconds, "message": told}
        self.rows += [row] * tried
        print(f"{'LOST' if wrong else 'survived':>8}  {tried} kills: {told}", flush=True)

    def damage(self) -> None:
        """Each kind of file, cut short and with a bit flipped, before a job reads it."""
        chance = random.Random(1)
        for kind, (name, stage, share) in READERS.items():
            for what, change in (("cut short", cut), ("one bit flipped", flip)):
                three, start = self.restore(), time.monotonic()
                take_away(three, stage)
                change(three.folder / name, share * chance.random())
                self.judge(f"{kind} {what}", start, three.run(), re.escape(Path(name).name) + " is ")

    def disk(self) -> None:
        """A disk that is full after so many kilobytes; then there is room again."""
        for room in (300, 900, 1500):
            three, start = self.restore(None), time.monotonic()
            results = three.folder / "results"
            results.mkdir()
            with mounted(results, "-t", "tmpfs", "-o", f"size={room}k", "tmpfs"):
                first = three.run()
                subprocess.run(["mount", "-o", "remount,size=256m", str(results)], check=True)
                self.judge(f"disk full after {room} kB", start, first, "disk .*is full")
            shutil.rmtree(results)

    def memory(self) -> None:
        """A worker that may have no more memory, and one that is killed for want of it."""

        def starve(process: psutil.Process) -> None:
            now = process.memory_info().vms
            process.rlimit(psutil.RLIMIT_AS, (now + 2**20, now + 2**20))

        for what, do in (("out of memory", starve), ("killed, as when memory runs out", psutil.Process.kill)):
            three, start = self.restore(), time.monotonic()
            take_away(three, UNLEARN)

            def during(running: subprocess.Popen, do=do, three=three) -> None:
                while running.poll() is None:
                    for process in three.processes("ipykernel_launcher"):
                        with suppress(psutil.NoSuchProcess):
                            if process.memory_info().rss > 60 * 2**20:  # it has begun to import
                                do(process)
                                return
                    time.sleep(0.02)

            first = three.run(during)
            self.judge(f"a worker {what}", start, first, "memory|MemoryError|was killed")

    def config(self) -> None:
        """A config that changes between runs, halfway, and back."""
        three, start = self.restore(None), time.monotonic()
        path = three.folder / "config" / "three.yaml"
        before = path.read_text()
        changed = yaml.safe_dump(yaml.safe_load(before) | {"training": {"epochs": 2}})
        path.write_text(changed)
        first = three.run()
        if first[0]:
            sys.exit(f"The run with another config failed: {first[1]}")
        self.keep("changed")
        self.restore()
        self.judge("config changed after a run", start, three.run(), "never", "changed")
        start = time.monotonic()
        path.write_text(before)
        self.judge("config changed back", start, three.run(), "never")
        start = time.monotonic()
        shutil.rmtree(three.folder / MODELS / "4_half")
        running = three.start()
        done = three.folder / MODELS / "4_half" / "retrained" / "0-1" / "seed0.json"
        while running.poll() is None and not done.exists():
            time.sleep(0.05)
        three.kill(running)
        path.write_text(changed)
        self.judge("config changed while a killed run was half done", start, three.run(), "never", "changed")
        path.write_text(before)

    def second(self) -> None:
        """A second workflow in the same folder, by `make` and by plain snakemake, while the first lives."""
        three, start = self.restore(None), time.monotonic()
        refused: list[tuple[int, str]] = []

        def during(running: subprocess.Popen) -> None:
            locks = three.folder / ".snakemake" / "locks"
            while running.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
                time.sleep(0.05)
            refused.append(three.unlock())
            other = three.start()
            refused.append((lambda said: (other.returncode, " ".join(said.split())))(other.communicate()[0]))

        status, said = three.run(during)
        wrong = self.same() if status == 0 else [f"the first failed: {said}"]
        for how, (code, message), clear in zip(
            ("make figures", "plain snakemake"),
            refused,
            ("already runs in this folder", "cannot be locked"),
            strict=True,
        ):
            found = re.search(rf"[^.]*{clear}[^.]*\.", message)
            survived = code != 0 and bool(re.search(clear, message)) and not wrong
            self.tell(f"a second workflow by {how}", survived, found[0].strip() if found else message[-200:], start)

    def readonly(self) -> None:
        """Results on a file system that became read-only."""
        three, start = self.restore(), time.monotonic()
        results = three.folder / "results"
        take_away(three, EVALUATE)
        with mounted(results, "--bind", str(results)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(results)], check=True)
            first = three.run()
            subprocess.run(["mount", "-o", "remount,rw,bind", str(results)], check=True)
            self.judge("results read-only", start, first, "can't be written to")

    def table(self) -> pd.DataFrame:
        """A row a fault: how often tried, survived and lost, seconds on average, and the first message seen."""
        rows = pd.DataFrame(self.rows)
        found = rows.groupby("fault", sort=False).agg(
            tried=("survived", "size"),
            survived=("survived", "sum"),
            seconds=("seconds", "mean"),
            message=("message", "first"),
        )
        found.insert(2, "lost", found["tried"] - found["survived"])
        found["seconds"] = found["seconds"].round(1)
        found["message"] = found["message"].str.replace(f"{self.folder}/", "", regex=False).str.slice(0, 300)
        return found.reset_index()


def publish(table: pd.DataFrame, keep: bool) -> None:
    """Write the report. keep: whether rows of an earlier one, of faults that are not in `table`, stay."""
    if keep and OUT.is_file():
        earlier = tables.read(OUT)
        table = pd.concat([table, earlier[~earlier["fault"].isin(table["fault"])]])
    tables.write(table.sort_values("fault"), OUT, seal=False)


NEED_ROOT = ("disk", "readonly")


def main() -> None:
    """Try every fault, or those named on the command line; exit with a sentence if one was lost."""
    chosen = sys.argv[1:] or ["kill", "damage", "disk", "memory", "config", "second", "readonly"]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults", ignore_cleanup_errors=True) as folder:
        faults = Faults(Path(folder).resolve())
        for name in chosen:
            if name in NEED_ROOT and os.getuid():
                print(f" skipped  {name}: it needs root, to mount a file system")
                continue
            getattr(faults, name)()
            table = faults.table()
            publish(table, keep=bool(sys.argv[1:]))
    print(table.drop(columns="message").to_string(index=False))
    tried, lost = int(table["tried"].sum()), int(table["lost"].sum())
    sentence = (
        f"{tried} faults tried, {tried - lost} survived, {lost} lost, in {(time.monotonic() - start) / 60:.0f} min"
    )
    if lost:
        sys.exit(sentence)
    print(sentence)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the temporary folder goes
    main()

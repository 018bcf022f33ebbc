"""Starts a SLURM of one node, runs a profile through it, compares it with a local run, and breaks it; `make slurm`.

Every file of the run through profiles/slurm must have the bytes of the local one. Then, on the profile of three models
of tests/faults.py, a job's process is killed, the whole node dies, a job hangs past its time limit, one needs more
memory than it asked for, and one raises an error. Each must end in a sentence that names the job and the reason, or be
healed by a retry, and the same command must then leave the bytes of a run that nothing disturbed.

python tests/slurm.py digits                 as root, on Debian or Ubuntu; writes tests/expected/slurm.csv
python tests/slurm.py --install smoke        with `apt-get install slurm-wlm munge` if they are not there
python tests/slurm.py --local . digits       compares with the finished run in this folder, instead of making one

The daemons live as long as the script, and so does /etc/slurm/slurm.conf, where jobs look for it. One that is there
already, or a SLURM that runs, is left alone: then the script stops.
"""

import argparse
import ctypes
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import psutil
from faults import UNLEARN, Faults, Workflow, delete, last_line

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.publish import verify

OUT = ROOT / "tests" / "expected" / "slurm.csv"
PLUGIN = "snakemake-executor-plugin-slurm"
INSTALL = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
CONF = Path("/etc/slurm/slurm.conf")
SETTINGS = """\
# Written by lfcore's tests/slurm.py, which takes it away again.
ClusterName=lfcore
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
SlurmdTimeout=10
KillWait=5
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
NodeName=localhost CPUs={cpus} RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
"""
HERE = ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5"]
"""What this cluster has other than a real one: no accounting, and nobody whom frequent questions would disturb."""


class Cluster:
    """A SLURM of one node, whose daemons are children of this process; `with` starts and ends it."""

    def __init__(self, folder: Path, cpus: int = 4):
        self.folder, self.daemons = folder, {}
        memory = psutil.virtual_memory().total // 2**20 * 9 // 10
        self.settings = SETTINGS.format(folder=folder, cpus=cpus, memory=memory)

    def __enter__(self) -> "Cluster":
        if CONF.exists():
            raise InputError(f"{CONF} is there already: this machine has a SLURM; use it by profiles/slurm instead.")
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: a job's processes stay ours, to count and to end
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        CONF.parent.mkdir(exist_ok=True)
        CONF.write_text(self.settings)
        try:
            if subprocess.run(["munge", "--no-input"], capture_output=True, check=False).returncode:
                Path("/run/munge").mkdir(mode=0o755, exist_ok=True)
                shutil.chown("/run/munge", "munge", "munge")
                self.start("munged", "--foreground", user="munge", group="munge", extra_groups=[])
                self.wait(["munge", "--no-input"], "")
            self.start("slurmctld", "-D")
            self.start_node()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, name: str, *options: str, **how) -> None:
        """Start a daemon in the foreground, with its log beside."""
        with (self.folder / f"{name}.log").open("a") as log:
            self.daemons[name] = subprocess.Popen([name, *options], stdout=log, stderr=log, **how)

    def start_node(self) -> None:
        """Start the node, for the first time or after it died, and wait until it takes jobs."""
        self.start("slurmd", "-D", "-N", "localhost")
        self.wait(["sinfo", "--noheader", "--format", "%T"], "idle")

    def wait(self, command: list[str], said: str, seconds: int = 60) -> None:
        """Repeat a command until it succeeds and says this."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if not done.returncode and said in done.stdout:
                return
            time.sleep(0.5)
        logs = {path.stem: last_line(path.read_text()) for path in self.folder.glob("*.log")}
        raise InputError(f"{' '.join(command)} never said {said!r}; last lines of the daemons' logs: {logs}")

    def kill_node(self) -> None:
        """What a power cut does to the node: its daemon and all its jobs are gone at once."""
        spared = {process.pid for name, process in self.daemons.items() if name != "slurmd"}
        self.daemons["slurmd"].kill()
        self.daemons["slurmd"].wait()
        for process in psutil.Process().children():  # slurmstepd, one a job; snakemake is not one of them
            with suppress(psutil.NoSuchProcess):
                if process.name().startswith("slurmstepd") and process.pid not in spared:
                    for each in [process, *process.children(recursive=True)]:
                        with suppress(psutil.NoSuchProcess):
                            each.kill()

    def submissions(self) -> int:
        """How many jobs SLURM was given so far."""
        log = (self.folder / "slurmctld.log").read_text(errors="replace")
        return log.count("_slurm_rpc_submit_batch_job: JobId=")

    def reap(self) -> None:
        """Wait for processes of jobs that ended, so that their CPU time is counted."""
        own = {process.pid for process in self.daemons.values()}
        for process in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if process.pid not in own and process.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(process.pid, 0)

    def __exit__(self, *_) -> None:
        if "slurmctld" in self.daemons:
            subprocess.run(["scancel", "--user", "root"], capture_output=True, check=False, timeout=60)
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.daemons[name].terminate()
                try:
                    self.daemons[name].wait(20)
                except subprocess.TimeoutExpired:
                    self.daemons[name].kill()
                    self.daemons[name].wait()
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        CONF.unlink(missing_ok=True)


BY_SLURM = ("--workflow-profile", "profiles/slurm", *HERE)


class Trial:
    """The rows of the report."""

    def __init__(self, cluster: Cluster, folder: Path):
        self.cluster, self.folder, self.rows = cluster, folder, []

    def tell(self, what: str, good: bool, seconds: float, said: str, cpu: float | None = None) -> None:
        """Note and print what became of one part."""
        said = said.replace(f"{self.folder}/", "")
        row = {"what": what, "outcome": "as expected" if good else "WRONG", "seconds": round(seconds, 1)}
        self.rows.append(row | {"cpu_seconds": cpu and round(cpu, 1), "message": said[:400]})
        print(f"{row['outcome']:>11}  {what}, {seconds:.0f} s: {said}", flush=True)

    def profile(self, profile: str, local: Path | None) -> None:
        """A whole profile by SLURM and by this machine alone, file by file."""
        start, used, before = time.monotonic(), cpu_seconds(self.cluster), self.cluster.submissions()
        by = Workflow(verify.copy(self.folder / "slurm"), f"config/{profile}.yaml")
        by.how = BY_SLURM
        status, said = by.run()
        seconds, cpu = time.monotonic() - start, cpu_seconds(self.cluster) - used
        self.tell(
            f"{profile} by SLURM",
            not status,
            seconds,
            f"{self.cluster.submissions() - before} submissions; {said}",
            cpu,
        )
        if status:
            return
        start = time.monotonic()
        given = local is not None
        if not given:
            local = verify.copy(self.folder / "local")
            verify.run(local, profile, 4)
            self.tell(f"{profile} without SLURM", True, time.monotonic() - start, "--cores 4")
        start = time.monotonic()
        found, expected = verify.outputs(by.folder, profile), verify.outputs(local, profile)
        if given:  # it may hold studies of the profile, too
            expected = {name: path for name, path in expected.items() if name in found}
        wrong = verify.compare(expected, found)
        message = wrong[0] if wrong else f"the same, byte for byte: {len(found)} files"
        self.tell(f"{profile} by SLURM and without", not wrong and bool(found), time.monotonic() - start, message)

    def faults(self) -> None:
        """Each fault, what is said of it, and the same command again."""
        trials = Faults(self.folder / "faults")
        three = trials.three()  # the undisturbed run, without SLURM
        ascent = three.folder / "lfcore" / "unlearners" / "ascent.py"
        working = ascent.read_text()

        def attempt(fault: str, clear: str, during=None, options=(), before=None, after=None, healed=False) -> None:
            """One fault. before, after: done around the first run. healed: a retry within it is enough."""
            trials.restore()
            for name in UNLEARN:
                delete(three.folder / name)
            three.how = (*BY_SLURM, *options)
            if before:
                before()
            first = three.run(UNLEARN[-1], once=not healed, during=during)
            if after:
                after()
            log = max((three.folder / ".snakemake" / "log").iterdir()).read_text()
            retries = log.count("Trying to restart job")
            three.how = BY_SLURM  # with the usual limits, as the message asks
            trials.judge(fault, first, clear, UNLEARN[-1])
            row = trials.rows[-1]
            good = row["survived"] and (not first[0] and retries > 0 if healed else first[0] > 0)
            said = f"healed by {retries} retries, with more memory each" if healed and good else row["message"]
            self.tell(fault, good, row["seconds"], said)

        def strike(do):
            """Do this to the process of a job, once it is at work."""

            def during(running: subprocess.Popen) -> None:
                while running.poll() is None:
                    for process in three.processes("ipykernel_launcher"):
                        with suppress(psutil.NoSuchProcess):
                            if process.memory_info().rss > 60 * 2**20:
                                do(process)
                                return
                    time.sleep(0.02)

            return during

        attempt("the process of a job killed", "was killed.*unlearn", strike(psutil.Process.kill))
        attempt(
            "the node of a job killed",
            "unlearn.*node",
            strike(lambda _: self.cluster.kill_node()),
            after=self.cluster.start_node,
        )
        limit = ["--set-resources", "unlearn:runtime=1"]
        attempt("a job past its time limit", "unlearn.*time limit", strike(psutil.Process.suspend), limit)
        memory = ["--set-resources", "unlearn:mem_mb=300 * attempt", "--retries", "4"]
        attempt("a job out of memory", "unlearn.*memory", options=memory, healed=True)
        attempt(
            "a job that raises an error",
            "ValueError: broken on purpose.*unlearn",
            before=lambda: ascent.write_text(f'{working}\nraise ValueError("broken on purpose")\n'),
            after=lambda: ascent.write_text(working),
        )

    def table(self) -> pd.DataFrame:
        """The report: the machine, then every part."""
        slurm = subprocess.run(["sinfo", "--version"], capture_output=True, text=True, check=False).stdout.strip()
        programs = [f"{name} {version(name)}" for name in ("snakemake", PLUGIN)]
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
        where = ", ".join([system, slurm, *programs, f"{os.cpu_count()} CPUs of {processor()}"])
        machine = {"what": "machine", "outcome": "", "seconds": None, "cpu_seconds": None, "message": where}
        return pd.DataFrame([machine, *self.rows])


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def cpu_seconds(cluster: Cluster) -> float:
    """CPU time of all processes of jobs and of snakemake that have ended."""
    cluster.reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(install: bool) -> None:
    """Raise InputError if this can't be run here, after installing what is missing, if that is wanted."""
    try:
        version(PLUGIN)
    except PackageNotFoundError:
        raise InputError(f"{PLUGIN} is not installed: pip install -c constraints.txt -e '.[dev,slurm]'") from None
    if os.getuid():
        raise InputError(
            "SLURM's daemons are started here, which only root can do: use a container or a virtual machine."
        )
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch", "munged")):
        return
    if not install:
        raise InputError(
            f"SLURM is not installed. `make slurm SLURM=--install` runs {' '.join(INSTALL)}, writes {CONF} for the"
            " length of the test, and starts munged, slurmctld and slurmd for as long."
        )
    print(f"Installing: {' '.join(INSTALL)}", flush=True)
    for command in (["apt-get", "update", "--quiet"], INSTALL):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{' '.join(command)} failed: {last_line(done.stderr)}")


def main() -> None:
    """Read the command line, run everything, write the report; exit with a sentence if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile", nargs="?", default="digits", help="or `none`, for the faults alone")
    parser.add_argument("--install", action="store_true", help="SLURM and munge by apt-get, if they are missing")
    parser.add_argument("--local", type=Path, help="the project's folder of a finished run without SLURM")
    parser.add_argument("--no-faults", action="store_true", help="the comparison alone")
    arguments = parser.parse_args()
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the daemons and the temporary folder go
    try:
        check(arguments.install)
        with (
            tempfile.TemporaryDirectory(prefix="slurm", ignore_cleanup_errors=True) as folder,
            Cluster(Path(folder).resolve() / "cluster") as cluster,
        ):
            trial = Trial(cluster, Path(folder).resolve())
            if not arguments.no_faults:
                trial.faults()
            if arguments.profile != "none":
                trial.profile(arguments.profile, arguments.local)
            table = trial.table()
    except InputError as error:
        sys.exit(str(error))
    tables.write(table, OUT, seal=False)
    wrong = int((table["outcome"] == "WRONG").sum())
    sentence = f"{len(table) - 1} parts, {wrong} wrong, in {(time.monotonic() - start) / 60:.0f} min"
    if wrong:
        sys.exit(sentence)
    print(sentence)


if __name__ == "__main__":
    main()

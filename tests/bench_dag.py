"""Where the time of a dry run goes: `snakemake -n` on a profile, phase by phase. Run by `make bench-dag`.

python tests/bench_dag.py [profile ...]        the profiles grid and digits by default

Writes tests/expected/dag.csv: CPU seconds (user and system) of each phase, of the run with the median total of RUNS. A
phase holds what its functions spend, less what phases within them do. Nothing is run and nothing is written elsewhere;
what already exists in results/ makes the dry run of a profile shorter or longer.
"""

import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version

from lfcore.core.paths import ROOT, atomic

RUNS = 3
PHASES = {
    "imports": "Python, Snakemake and its plug-ins",
    "Snakefile": "reading it, checking the config",
    "input functions": "ours: which files does a job read",
    "input files": "Snakemake's objects for them, wildcards filled in",
    "params": "ours, as YAML",
    "producers": "which rule makes a file",
    "what is to do": "which outputs are missing or older than inputs",
    "printing": "a paragraph for each job",
    "rest": "the graph itself",
}


def watch(profile: str) -> None:
    """Run the dry run in this process with a clock around each phase; print the phases as JSON on the last line."""
    spent, open_phases = dict.fromkeys(PHASES, 0.0), []

    def clock(owner, name: str, phase: str) -> None:
        function = getattr(owner, name)

        def timed(*given, **named):
            if open_phases and open_phases[-1][0] == "params":
                return function(*given, **named)  # Snakemake calls params and inputs by one function
            start, this = time.process_time(), [phase, 0.0]
            open_phases.append(this)
            try:
                return function(*given, **named)
            finally:
                open_phases.pop()
                whole = time.process_time() - start
                spent[phase] += whole - this[1]
                if open_phases:
                    open_phases[-1][1] += whole

        setattr(owner, name, timed)

    import snakemake.cli
    from snakemake.dag import DAG
    from snakemake.jobs import Job
    from snakemake.output_index import OutputIndex
    from snakemake.rules import Rule
    from snakemake.workflow import Workflow

    spent["imports"] = time.process_time()
    clock(Workflow, "include", "Snakefile")
    clock(Rule, "apply_input_function", "input functions")
    clock(Rule, "expand_input", "input files")
    clock(Rule, "expand_params", "params")
    clock(OutputIndex, "match_producers", "producers")
    clock(Job, "log_info", "printing")
    decide = DAG.update_needrun

    async def timed_decide(*given, **named):
        start, others = time.process_time(), sum(spent.values())
        try:
            return await decide(*given, **named)
        finally:
            spent["what is to do"] += time.process_time() - start - (sum(spent.values()) - others)

    DAG.update_needrun = timed_decide
    sys.argv = ["snakemake", "-n", "--configfile", f"config/{profile}.yaml"]
    try:
        snakemake.cli.main()
    except SystemExit as done:
        if done.code:
            raise
    spent["rest"] = time.process_time() - sum(spent.values())
    print(json.dumps(spent))


def measure(profile: str) -> dict:
    """One dry run: its number of jobs, its phases, its CPU and wall seconds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--watch", profile], cwd=ROOT, env=environment, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = done.stdout.splitlines()
    total = [line.split()[1] for line in lines if line.startswith("total ")]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"jobs": int(total[-1]) if total else 0, "phases": json.loads(lines[-1]), "cpu": cpu, "wall": wall}


def main(profiles: list[str]) -> None:
    """Measure each profile and write the table."""
    rows = []
    for profile in profiles:
        runs = sorted((measure(profile) for _ in range(RUNS)), key=lambda run: run["cpu"])
        run = runs[len(runs) // 2]
        facts = [profile, run["jobs"]]
        rows += [[*facts, phase, PHASES[phase], f"{seconds:.2f}"] for phase, seconds in run["phases"].items()]
        rows.append(
            [*facts, "total", f"{RUNS} runs: {runs[0]['cpu']:.1f} to {runs[-1]['cpu']:.1f}", f"{run['cpu']:.2f}"]
        )
        rows.append([*facts, "wall clock", "of the same run", f"{run['wall']:.2f}"])
    stand = f"snakemake {version('snakemake')}, Python {platform.python_version()}, {os.cpu_count()} cores"
    rows.append(["", "", "versions", stand, ""])
    with atomic(ROOT / "tests" / "expected" / "dag.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["profile", "jobs", "phase", "what", "cpu_seconds"], *rows])
    for row in rows:
        print(*row, sep="\t")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--watch"]:
        watch(sys.argv[2])
    else:
        main(sys.argv[1:] or ["grid", "digits"])

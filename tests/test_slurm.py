"""The profile for a cluster: dry runs, resources, groups, and what is said of a job that SLURM ended.

tests/slurm.py runs profiles/slurm for real.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import pytest
import yaml

from lfcore.core.paths import ROOT
from lfcore.publish import verify
from lfcore.workflow import failures


def dry_run(profile, config, *options):
    """What a dry run of everything says, from a profile of profiles/ and a config of config/."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--nolock"]
    command += ["--workflow-profile", f"profiles/{profile}", "--configfile", f"config/{config}.yaml", *options]
    done = subprocess.run(
        command, cwd=ROOT, env=verify.environment(ROOT), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def need(*modules):
    """Skip the test where one of these is not installed."""
    for module in modules:
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed: pip install -c constraints.txt -e '.[slurm]'")


def jobs(said):
    """Of each job in a dry run: rule, memory in MB, minutes, GPUs or none."""
    found = re.findall(r"^ *(?:local)?rule (\w+):$.*?^ *resources: ([^\n]*)$", said, re.MULTILINE | re.DOTALL)
    for rule, text in found:
        given = dict(pair.split("=", 1) for pair in text.split(", "))
        yield rule, int(given["mem_mb"]), int(given["runtime"]), int(given.get("gpu", 0))


def test_the_slurm_profile_groups_short_jobs_and_asks_for_more_memory_each_time():
    need("snakemake_executor_plugin_slurm")
    first, third = (dry_run("slurm", "digits", "--attempt", attempt) for attempt in ("1", "3"))
    asked = {rule: (memory, minutes) for rule, memory, minutes, _ in jobs(first)}
    assert asked["unlearn"][0] > asked["evaluate"][0] >= 1000, "influence peaks above 1 GB"
    assert all(minutes > 0 for _, minutes in asked.values())
    assert {rule: memory for rule, memory, *_ in jobs(third)} == {
        rule: 3 * memory for rule, (memory, _) in asked.items()
    }
    alone = sum(rule in ("data", "train", "evaluate", "summary") for rule, *_ in jobs(first))
    grouped = sum(rule in ("unlearn", "figure", "page") for rule, *_ in jobs(first))
    groups = first.count("Group job ")
    assert grouped > 40 and alone + groups < 20, "dozens of jobs, but few submissions"
    assert {rule for rule, *_ in jobs(first)} <= {
        "data",
        "train",
        "summary",
        "unlearn",
        "evaluate",
        "figure",
        "page",
    } | {
        "notebook",  # a local rule
        "all",
    }


def test_training_and_unlearning_ask_for_a_gpu_where_the_device_is_one(tmp_path):
    need("snakemake_executor_plugin_slurm")
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    (tmp_path / "cuda.yaml").write_text("device: cuda\n")
    said = dry_run("slurm", "smoke", str(tmp_path / "cuda.yaml"))
    asked = {rule: gpus for rule, _, _, gpus in jobs(said)}
    assert asked["train"] == asked["unlearn"] == 1 and asked["evaluate"] == asked["figure"] == 0

    gres = [set_gres_string(SimpleNamespace(resources={"gpu": asked[rule]})) for rule in ("train", "evaluate")]
    assert gres == [" --gpus=1", ""]


@pytest.mark.parametrize("name", ["slurm", "h200"])
def test_a_profile_keeps_what_the_default_one_says(name):
    """A workflow profile takes the place of profiles/default, so what matters there must be there too."""
    default, profile = (
        yaml.safe_load((ROOT / "profiles" / each / "config.yaml").read_text()) for each in ("default", name)
    )
    assert profile["retries"] >= default["retries"]
    chosen = {"retries"} | ({"keep-going"} if name == "h200" else set())  # a failed job leaves the GPU to the others
    assert {key: profile.get(key) for key in default if key not in chosen} == {
        key: value for key, value in default.items() if key not in chosen
    }


def test_what_the_profile_needs_is_pinned():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pins = (ROOT / "constraints.txt").read_text()
    assert all(f"\n{line.split('>')[0]}==" in pins for line in extras["slurm"])
    assert "--extra slurm " in (ROOT / "Makefile").read_text(), "`make constraints` would drop the pins"


GROUP = """\
[Sat Nov 21 12:03:57 2026]
    message: Error in group unlearn
    log: {folder}/slurm_logs/group_unlearn_unlearn/12.log (check log file(s) for error details)
    jobs:
        rule unlearn:
            jobid: 13
            output: results/p/models/a
            log: results/a.ipynb (check log file(s) for error details)
        rule unlearn:
            jobid: 14
            output: results/p/models/b
            log: results/b.ipynb (check log file(s) for error details)
    [Sat Nov 21 12:03:57 2026]
    Error in rule unlearn:
        message: None
        jobid: 13
        input: x.py
        output: results/p/models/a
        log: results/a.ipynb (check log file(s) for error details)
    [Sat Nov 21 12:03:57 2026]
    Error in rule unlearn:
        message: None
        jobid: 14
        input: x.py
        output: results/p/models/b
        log: results/b.ipynb (check log file(s) for error details)
"""
RULE = """\
[Sat Nov 21 12:03:57 2026]
Error in rule train:
    message: SLURM-job '12' failed, SLURM status is: '{state}'. Detailed failure reason unavailable.
    jobid: 3
    input: x.py
    output: results/p/models/a
    log: results/a.ipynb, {folder}/slurm_logs/rule_train/cnn/12.log (check log file(s) for error details)
    external_jobid: 12
"""
AGAIN = "Trying to restart job 3.\n"
LIMIT = "slurmstepd: error: *** JOB 12 ON node1 CANCELLED AT 2026-11-21T12:10:31 DUE TO TIME LIMIT ***\n"
MEMORY = "slurmstepd: error: StepId=12.0 exceeded memory limit (734003200 > 681574400), being killed\n"
OOM = "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.\n"


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A function: what is said of a workflow's log, given what SLURM's log of the job and its notebooks hold."""
    tmp_path /= "a project"  # with a space in its path
    tmp_path.mkdir()
    monkeypatch.setattr(failures, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", os.devnull)  # no sacct and no squeue
    (tmp_path / "results").mkdir()

    def end(log, state="FAILED", slurm="", error=None, dead=False):
        for name, done in (("a", "2026-11-21"), ("b", None)):
            outputs = [{"output_type": "error", **error}] if error and not done else []
            notebook = {"cells": [{"outputs": outputs}], "metadata": {"papermill": {"end_time": done}}}
            (tmp_path / "results" / f"{name}.ipynb").write_text(json.dumps(notebook))
            (tmp_path / "results" / f"{name}.ipynb.log").write_text("DeadKernelError" if dead and not done else "")
        for folder in ("group_unlearn_unlearn", "rule_train/cnn"):
            (tmp_path / "slurm_logs" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "slurm_logs" / folder / "12.log").write_text(slurm)
        (tmp_path / "log").write_text(log.format(folder=tmp_path, state=state))
        return failures.explain(tmp_path / "log")

    return end


def test_a_job_over_its_time_limit_is_named(ended):
    said = ended(GROUP, slurm=LIMIT)
    assert said.startswith("The SLURM job 12 (results/b.ipynb and 1 more) ran past its time limit: raise its `runtime`")
    assert "(results/a.ipynb) ran past its time limit" in ended(RULE, "TIMEOUT")


def test_a_killed_node_is_named(ended, monkeypatch):
    assert "(results/a.ipynb) lost its node" in ended(RULE, "NODE_FAIL")
    monkeypatch.setattr(failures, "_ask_slurm", lambda job: {"12": "NODE_FAIL"}[job])  # in a group nothing is written
    assert "(results/b.ipynb and 1 more) lost its node" in ended(GROUP)


@pytest.mark.parametrize("slurm", [MEMORY, OOM])
def test_a_job_out_of_the_memory_it_asked_for_is_named(ended, slurm):
    assert "used more memory than it asked for: raise its `mem_mb`" in ended(GROUP, slurm=slurm)
    assert "raise its `mem_mb`" in ended(RULE, "OUT_OF_MEMORY")


def test_a_job_that_raises_an_error_or_is_killed_is_told_as_without_slurm(ended):
    error = {"ename": "ValueError", "evalue": "broken on purpose", "traceback": []}
    for log in (GROUP, RULE.replace("results/a", "results/b")):
        assert ended(log, error=error) == "ValueError: broken on purpose (in results/b.ipynb)"
        assert "The process of a job was killed" in ended(log, dead=True)


def test_a_job_that_was_tried_again_is_not_the_reason(ended):
    error = {"ename": "ValueError", "evalue": "broken on purpose", "traceback": []}
    later = GROUP.replace("12.log", "13.log")
    assert "time limit" in ended(RULE, "TIMEOUT", error=error)
    assert ended(RULE + AGAIN + later, "TIMEOUT", error=error) == "ValueError: broken on purpose (in results/b.ipynb)"


def test_slurm_is_asked_only_where_it_is(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert failures._ask_slurm("12") == ""


def test_the_report_of_the_real_run_holds_every_fault():
    """tests/expected/slurm.csv, written by `make slurm`."""
    report = ROOT / "tests" / "expected" / "slurm.csv"
    if not report.is_file():
        pytest.skip("no tests/expected/slurm.csv yet: `make slurm` writes it")
    import pandas as pd

    table = pd.read_csv(report).set_index("what")
    assert "slurm" in table["message"]["machine"] and not (table["outcome"] == "WRONG").any()
    faults = ["the process of a job killed", "the node of a job killed", "a job past its time limit"]
    assert {*faults, "a job out of memory", "a job that raises an error"} <= set(table.index)

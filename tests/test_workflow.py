"""The configuration, the DAG, and what a person reads when something is wrong."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from lfcore import workflow
from lfcore.errors import InputError
from lfcore.paths import ROOT

PROFILES = [path.stem for path in sorted((ROOT / "config").glob("*.yaml")) if path.stem != "schema"]


def snakemake(*arguments, folder=ROOT, check=True):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    assert done.returncode == 0 or not check, done.stdout
    return done


def merged(*overlays):
    from snakemake.utils import update_config

    config = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())
    for overlay in overlays:
        update_config(config, overlay)
    return config


@pytest.fixture
def copy(tmp_path):
    """The project without its results, to break."""
    ignore = shutil.ignore_patterns(
        ".venv", ".git", ".snakemake", "results", "__pycache__", "digits", "smoke", "tune", "*.egg-info"
    )
    return shutil.copytree(ROOT, tmp_path / "project", ignore=ignore)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_names_itself_and_is_valid(profile):
    config = yaml.safe_load((ROOT / "config" / f"{profile}.yaml").read_text())
    assert config["profile"] == profile
    workflow.check_config(merged(config))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_dag(profile, copy):
    done = snakemake("-n", "--quiet", "rules", "--configfile", f"config/{profile}.yaml", folder=copy)
    assert "MissingInput" not in done.stdout


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"trainnig": {}}, "trainnig"),
        ({"training": {"epoch": 3}}, "at training: .*'epoch' was unexpected"),
        ({"training": {"epochs": "three"}}, "at training.epochs: 'three' is not of type 'integer'"),
        ({"training": {"lr": -1}}, "at training.lr: -1 is less than or equal to the minimum of 0"),
        ({"forget_sets": {"4_half": {"fraction": -0.5}}}, r"at forget_sets\.4_half\.fraction: -0.5"),
        ({"forget_sets": {"4_half": {"fraction": 1.5}}}, r"at forget_sets\.4_half\.fraction: 1.5"),
        ({"forget_sets": {"4_half": None, "9_most": None}}, "at forget_sets: "),
        ({"unlearners": {"no_such": {}}}, "no unlearner called 'no_such' in the config: choose from amun, ascent"),
        ({"unlearners": {"ascent": {"lr": "1e-6"}}}, r"at unlearners.ascent.lr: '1e-6' is text"),
        ({"unlearners": {"ltd": {"kk": 1}}}, "ltd has no option 'kk': choose from k, lr, beta"),
        ({"unlearners": {"ascent-x": {"epochs": 1}}}, "ascent-x needs the option 'lr'"),
        ({"networks": ["resnet152"]}, "no network called 'resnet152' in the config: choose from cnn, resnet8"),
        ({"metrics": ["acuracy"]}, "no metric called 'acuracy'"),
        ({"figures": {"13_no_such": {}}}, "no figure called '13_no_such'"),
        ({"dataset": {"name": "no_such"}}, "no data set called 'no_such'"),
        ({"profile": "../../etc"}, "at profile: "),
        ({"seeds": {"floor": 0}}, "at seeds.floor: 0"),
        ({"device": "gpu"}, "at device: 'gpu'"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(overlay, message):
    with pytest.raises(InputError, match=message) as caught:
        workflow.check_config(merged(overlay))
    assert "\n" not in str(caught.value)


def test_a_wrong_config_ends_the_run_with_its_sentence(tmp_path):
    (tmp_path / "wrong.yaml").write_text("training: {epoch: 3}\n")
    done = snakemake("-n", "--configfile", str(tmp_path / "wrong.yaml"), check=False)
    assert done.returncode != 0
    last = done.stdout.strip().splitlines()[-1]
    assert "The config is wrong at training" in last and "config/README.md" in last


def test_a_null_takes_an_entry_out():
    config = workflow.check_config(merged({"unlearners": {"ltd": None}}))
    assert "ltd" not in config["unlearners"] and "ascent" in config["unlearners"]


def test_numbers_reach_papermill_as_numbers():
    given = {"lr": 1e-06, "k": 100, "names": ["a", "b-c"], "text": "it's"}
    assert yaml.safe_load(workflow.to_yaml(**given)) == given
    assert "\n" not in workflow.to_yaml(many=list(range(1000)))


def test_seeds_are_cut_into_jobs_that_cover_them():
    for count, size in ((10, 5), (4, 5), (7, 3), (1, 1)):
        jobs = workflow.cut(list(range(2, 2 + count)), size)
        assert [seed for job in jobs for seed in workflow.numbers(job)] == list(range(2, 2 + count))
        assert all(len(workflow.numbers(job)) <= size for job in jobs)
    assert workflow.cut([0, 1, 2], 2) == ["0-1", "2-2"]


def test_a_folder_that_cannot_be_written_to_is_one_sentence(monkeypatch):
    monkeypatch.setattr(workflow.os, "access", lambda path, mode: "figures" not in str(path))
    workflow.check_writable("results")
    with pytest.raises(InputError, match="figures can't be written to: change its permissions"):
        workflow.check_writable("results", "figures")


def test_sources_follow_imports():
    found = workflow.sources("notebooks/03_unlearn.py", "lfcore/unlearners/ltd.py")
    assert {"lfcore/unlearn.py", "lfcore/train.py", "lfcore/similarity.py", "lfcore/seeds.py"} <= set(found)
    assert not {"lfcore/plots.py", "lfcore/summary.py", "lfcore/unlearners/ascent.py"} & set(found)
    assert "lfcore/unlearners/random_labels.py" in workflow.sources("lfcore/unlearners/random_labels_retain.py")


def test_training_and_unlearning_import_nothing_they_do_not_need():
    """Plots, tables and scikit-learn cost a job seconds."""
    for stem in ("02_train", "03_unlearn"):
        modules = [path.removesuffix(".py").replace("/", ".") for path in workflow.sources(f"notebooks/{stem}.py")]
        heavy = "[m for m in ('pandas', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules]"
        code = f"import sys, {', '.join(modules)}; print({heavy})"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", stem


def test_the_failed_notebooks_error_is_the_explanation(tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "ROOT", tmp_path)
    error = {"output_type": "error", "ename": "Diverged", "evalue": "ascent diverged:\nlower lr.", "traceback": []}
    (tmp_path / "bad.ipynb").write_text(json.dumps({"cells": [{"outputs": [error]}]}))
    (tmp_path / "log").write_text(
        "rule a:\n    log: good.ipynb, x.log\nError in rule b:\n    log: bad.ipynb, b.log (check)\n"
    )
    assert workflow.explain(tmp_path / "log") == "Diverged: ascent diverged: lower lr. (in bad.ipynb)"
    (tmp_path / "log").write_text("nothing of the kind")
    assert "outside its notebook" in workflow.explain(tmp_path / "log")


def test_a_dead_runs_lock_is_removed_and_a_live_ones_respected(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workflow, "ROOT", tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    workflow.unlock()
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    live = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "snakemake"], cwd=tmp_path)
    try:
        with pytest.raises(SystemExit, match=f"process {live.pid}"):
            workflow.unlock()
        assert locks.exists()
    finally:
        live.kill()
        live.wait()
    workflow.unlock()
    assert not locks.exists() and "killed" in capsys.readouterr().out


def test_conda_and_pip_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["--constraint constraints.txt", "--editable .[dev]"]
    assert "-c constraints.txt -e '.[dev]'" in (ROOT / "Makefile").read_text().replace("--constraint", "-c").replace(
        "--editable", "-e"
    )


def test_every_requirement_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {line.split(">")[0].split("[")[0] for line in wanted}
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert names <= pinned
    assert "jsonschema==4.24.0" in (ROOT / "constraints.txt").read_text(), "newer ones make every papermill run slower"


def test_the_published_tuning_choice_is_the_default_profiles():
    from lfcore import tables, tuning

    chosen = tuning.choose(tables.read(ROOT / "tests" / "expected" / "tune.csv"))
    chosen = chosen[chosen["chosen"]].set_index("method")["lr"].to_dict()
    unlearners = yaml.safe_load((ROOT / "config" / "digits.yaml").read_text())["unlearners"]
    assert chosen == {name: unlearners[name]["lr"] for name in chosen} and len(chosen) == 4


def test_the_readme_holds_the_published_numbers():
    from lfcore import expected, tables

    text = (ROOT / "README.md").read_text()
    rows = tables.read(ROOT / "tests" / "expected" / "digits.csv")
    assert expected.fill(text, rows) == text, "`make expected` writes the tables of the README"
    assert text.count("<!-- table ") == 4

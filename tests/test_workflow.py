"""The configuration, the DAG, and what a person reads when something is wrong."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from test_notebooks import SOURCES
from test_notebooks import parameters as shown

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.workflow import failures, jobs, notebooks, overlays
from lfcore.workflow.config import check_config
from lfcore.workflow.dependencies import sources
from lfcore.workflow.jobs import check_writable, cut, numbers, unlock
from lfcore.workflow.notebooks import parameters, to_yaml

CONFIG = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config").glob("*.yaml"))}
PROFILES = [name for name, content in CONFIG.items() if "profile" in content]
"""Not the files that the Snakefile reads beside the default profile, nor the schema."""


def snakemake(*arguments, folder=ROOT, check=True):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, check=False
    )
    assert done.returncode == 0 or not check, done.stdout
    return done


@pytest.fixture
def copy(tmp_path):
    """The project without its results, to break."""
    ignore = shutil.ignore_patterns(
        ".venv", ".git", ".snakemake", "results", "__pycache__", "digits", "smoke", "tune", "*.egg-info"
    )
    return shutil.copytree(ROOT, tmp_path / "project", ignore=ignore)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_names_itself_and_is_valid(profile, merged):
    assert CONFIG[profile]["profile"] == profile
    config = check_config(merged(CONFIG[profile]))
    assert config["profile"] == profile and config["choices"], "the parts are read whatever the profile"


def test_twice_the_seeds_are_all_that_sets_the_larger_profile_apart():
    apart = {"profile", "seeds", "tuning", "studies", "only"}
    one, other = ({k: v for k, v in CONFIG[name].items() if k not in apart} for name in ("cifar20", "cifar20_six"))
    assert one == other
    assert CONFIG["cifar20_six"]["seeds"] == {"first": 0, "unlearned": 6, "reference": 6, "floor": 6}
    assert CONFIG["cifar20_six"]["only"] == {k: v for k, v in CONFIG["cifar20"]["only"].items() if k != "studies"}


def test_the_schema_is_no_profile_and_the_default_is():
    assert "digits" in PROFILES and not {"schema", "choices", "studies"} & set(PROFILES)


@pytest.mark.parametrize("profile", [name for name in PROFILES if name != "grid"])  # test_grid counts its jobs
def test_every_profile_has_a_dag(profile, copy):
    done = snakemake("-n", "--quiet", "rules", "--configfile", f"config/{profile}.yaml", folder=copy)
    assert "MissingInput" not in done.stdout


def test_every_study_and_the_tuning_have_a_dag(copy):
    done = snakemake("-n", "ablations", "tuning", folder=copy)
    for name, study in CONFIG["studies"]["studies"].items():
        tables = [f"experiments/{each}.csv" for each in study.get("experiments", {})]
        ends = [f"{name}{block}" for block in range(1, study.get("blocks", 0) + 1)] or [name]
        assert all(table in done.stdout for table in tables or [f"tables-{end}/summary.csv" for end in ends])
        assert all(f"{figure}.png" in done.stdout for figure in study.get("figures", {}))
    for name, grid in CONFIG["digits"]["tuning"]["grids"].items():
        assert grid and all(f"tuning/{budget}/cnn/3_half/{name}.csv" in done.stdout for budget in ("epochs", "steps"))


def test_the_overlays_of_the_readme_are_valid(merged):
    """The first is a profile; the others are parts of one."""
    text = (ROOT / "config" / "README.md").read_text()
    profile, *parts = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    config = check_config(merged(profile))
    assert list(config["forget_sets"]) == ["4_half", "7_half"]
    assert list(config["unlearners"]) == ["ascent", "ltd", "ltd-k50"]
    assert len(parts) == 2
    for part in parts:
        assert check_config(merged(profile | part))[next(iter(part))]
    assert {*PROFILES} <= {*re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}


def test_the_schema_says_what_every_key_means():
    schema = CONFIG["schema"]
    for name, given in schema["properties"].items():
        named = given.get("$ref", "").rpartition("/")[2]
        assert "description" in given or "description" in schema["$defs"].get(named, {}), name


def test_configs_are_merged_as_snakemake_merges_them():
    """Key by key, and neither an alias of YAML nor what is merged is changed."""
    first = yaml.safe_load("a: &same {x: 1}\nb: *same\nc: [1, 2]")
    merged = overlays.merge(first, {"a": {"x": 2, "y": 3}, "c": [3]}, {"a": {"x": None}})
    assert merged == {"a": {"x": None, "y": 3}, "b": {"x": 1}, "c": [3]}
    assert first == {"a": {"x": 1}, "b": {"x": 1}, "c": [1, 2]}


def test_an_interpreter_in_a_folder_with_a_space_is_one_word_of_every_command(tmp_path):
    interpreter = tmp_path / "my environment" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(Path(sys.executable).resolve())
    command = [interpreter, "-m", "snakemake", "-n", "-p", "--forceall", "--nolock", "all", "site"]
    command += ["--configfile", "config/smoke.yaml"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"^Shell command: (.* -m .*)$", done.stdout + done.stderr, re.MULTILINE)
    assert len(commands) > 20
    for each in commands:
        words = shlex.split(each.lstrip("("))
        assert {word for word, after in itertools.pairwise(words) if after == "-m"} == {str(interpreter)}, each


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
        ({"unlearners": {"ascent": {"lr": "1e-6"}}}, r"at unlearners\.ascent\.lr: '1e-6' is text"),
        ({"choices": {"rule": {"ltd": {"lr": "1e-6"}}}}, r"at choices\.rule\.ltd\.lr: '1e-6' is text"),
        ({"tuning": {"grids": {"ascent": {"lr": [0.1, "1e-6"]}}}}, r"at tuning\.grids\.ascent\.lr: '1e-6' is text"),
        ({"studies": {"x": {"probes": {"p": {"lr": "3e2"}}}}}, r"at studies\.x\.probes\.p\.lr: '3e2' is text"),
        ({"probes": {"p": {"ks": [1, [2, "+.5"]]}}}, r"at probes\.p\.ks: '\+\.5' is text"),
        ({"unlearners": {"ltd": {"kk": 1}}}, "ltd has no option 'kk': choose from k, lr, beta"),
        ({"unlearners": {"ltd": {"step": 1}}}, r"ltd has no option 'step': choose from .*, draw, steps, file\."),
        (
            {"unlearners": {"neighbour_labels": {"epochs": 1}, "scrub-x": {"draw": 1, "kk": 1}}},
            "scrub-x has no option 'kk'",
        ),
        ({"choice": "", "unlearners": {"drift": None}}, "ascent needs the option 'lr'"),
        ({"choice": "no_such"}, "no choice called 'no_such' in the config: choose from rule"),
        ({"choice": "digits_new"}, r"'digits_new' in the config \(make tune PROFILE=digits makes it: leave it out"),
        ({"networks": ["resnet152"]}, "no network called 'resnet152' in the config: choose from cnn, resnet8"),
        ({"metrics": ["acuracy"]}, "no metric called 'acuracy'"),
        ({"figures": {"13_no_such": {}}}, "no figure called '13_no_such'"),
        ({"dataset": {"name": "no_such"}}, "no data set called 'no_such'"),
        ({"dataset": {"name": "mnist", "root": "../x", "download": True}}, r"would download to \.\./x, outside the"),
        ({"profile": "../../etc"}, "at profile: "),
        ({"seeds": {"floor": 0}}, "at seeds.floor: 0"),
        ({"device": "gpu"}, "at device: 'gpu'"),
        ({"studies": {"whole": {"forget_set": {}}}}, r"at studies\.whole: .*'forget_set' was unexpected"),
        ({"studies": {"x": {"seeds": {"first": 0}}}}, r"at studies\.x\.seeds: 'unlearned' is a required property"),
        ({"studies": {"train": {}}}, "at studies: 'train' should not be valid"),
        ({"studies": {"Whole-2": {}}}, "at studies: 'Whole-2' does not match"),
        ({"studies": {"x": {"also": ["ascnt"]}}}, "no unlearner called 'ascnt' in the config: choose from amun"),
        ({"studies": {"x": {"choice": "no_such"}}}, "no choice called 'no_such' in the config: choose from rule"),
        ({"studies": {"x": {"unlearners": {"ltd-x": {"kk": 1}}}}}, "ltd-x has no option 'kk'"),
        ({"studies": {"x": {"unlearners": {"no_such-x": {}}}}}, "no unlearner called 'no_such-x'"),
        ({"studies": {"x": {"unlearners": {"ltd": {"k": 1}}}}}, "two different unlearners called 'ltd': rename"),
        ({"studies": {"x": {"metrics": ["accuracy"]}}}, "two different forget sets called '4_half': rename"),
        ({"studies": {"x": {"figures": {"12_affected": {}}}}}, "two different figures called '12_affected': rename"),
        ({"studies": {"x": {"figures": {"13_no_such": {}}}}}, "no figure called '13_no_such'"),
        ({"probes": {"no_such": {}}}, "no probe called 'no_such' in the config: choose from choose_k, .*layers"),
        ({"studies": {"x": {"probes": {"no_such": {}}}}}, "no probe called 'no_such'"),
        ({"studies": None, "probes": {"layers": {"depth": 3}}}, "layers has no option 'depth': choose from none"),
        (
            {"studies": None, "probes": {"relearning": {"epochs": 3}}},
            "relearning has no option 'epochs': .*lr, loss, steps",
        ),
        ({"studies": None, "probes": {"choose_k": {"ks": [3]}}}, "choose_k needs the option 'lr'"),
        ({"grid": {"affected": [4]}}, "at grid: 'fractions' is a required property"),
        ({"grid": {"affected": 4, "fractions": [0.5]}}, r"at grid\.affected: 4 is not of type 'array'"),
        ({"grid": {"affected": [4], "fractions": [1.5]}}, r"at grid\.fractions\[0\]: 1.5 is greater than"),
        ({"per_example": ["no_such"]}, "no metric called 'no_such'"),
        ({"tuning": {"step": 1}}, "at tuning: .*'step' was unexpected"),
        ({"tuning": {"grids": {"ascent": {"lr": []}}}}, r"at tuning\.grids\.ascent\.lr: \[\] should be non-empty"),
        ({"tuning": {"grids": {"ascent": {"lr": 0.1}}}}, r"at tuning\.grids\.ascent\.lr: 0.1 is not of type 'array'"),
        ({"tuning": {"grids": {"ascent": {"beta": [1]}}}}, "ascent has no option 'beta': choose from lr, epochs"),
        ({"tuning": {"grids": {"no_such": {"lr": [1]}}}}, "no unlearner called 'no_such'"),
        ({"tuning": {"grids_at_steps": {"no_such": {"lr": [1]}}}}, "no unlearner called 'no_such'"),
        ({"tuning": {"grids_at_steps": {"ascent": {"beta": [1]}}}}, "ascent has no option 'beta'"),
        ({"tuning": {"figures": {"99_no_such": {}}}}, "no figure called '99_no_such'"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(overlay, message, merged):
    with pytest.raises(InputError, match=message) as caught:
        check_config(merged(overlay))
    assert "\n" not in str(caught.value)


def test_a_wrong_config_ends_the_run_with_its_sentence(tmp_path):
    (tmp_path / "wrong.yaml").write_text("training: {epoch: 3}\n")
    done = snakemake("-n", "--configfile", str(tmp_path / "wrong.yaml"), check=False)
    assert done.returncode != 0
    last = done.stdout.strip().splitlines()[-1]
    assert "The config is wrong at training" in last and "config/schema.yaml" in last


def test_text_that_is_no_number_is_left_alone(merged):
    figure = {"12_affected-x": {"unlearners": ["original", "3_d", "v1e-6", ""]}}
    config = check_config(merged({"studies": {"x": {"figures": figure}}}))
    assert config["studies"]["x"]["figures"] == figure


def test_no_study_can_take_the_name_of_a_rule(merged):
    """Both are targets of the command line."""
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    rules = [name for path in files for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)]
    assert len(rules) > 9
    for name in rules:
        with pytest.raises(InputError, match=f"at studies: '{name}' should not be valid"):
            check_config(merged({"studies": {name: {}}}))


def test_only_the_named_entries_of_the_default_stand_and_all_that_a_profile_adds(merged):
    overlay = {"only": {"unlearners": ["ltd", "ascent"], "studies": [], "figures": ["13_targets"]}}
    more = {"unlearners": {"ltd-k7": {"k": 7}, "ascent": None}, "figures": {"12_affected-mine": {}}}
    config = check_config(merged(overlay, more))
    assert list(config["unlearners"]) == ["ltd", "ltd-k7"] and config["studies"] == {} and "only" not in config
    assert list(config["figures"]) == ["13_targets", "12_affected-mine"]
    assert config["forget_sets"] == check_config(merged())["forget_sets"], "what is not named stands whole"
    with pytest.raises(
        InputError, match=r"only\.unlearners names 'ltdd', which is not there: choose from drift, .*ltd"
    ):
        check_config(merged({"only": {"unlearners": ["ltdd"]}}))
    with pytest.raises(InputError, match=r"leaves no forget set"):
        check_config(merged({"only": {"forget_sets": []}}))


def test_a_null_takes_an_entry_out(merged):
    config = check_config(merged({"unlearners": {"ltd": None}}))
    assert "ltd" not in config["unlearners"] and "ascent" in config["unlearners"]
    others = {name: None for name in CONFIG["digits"]["unlearners"] if name not in ("drift", "ltd")}
    nothing = dict.fromkeys(["studies", "tuning", "choices", "choice", "probes"])
    bare = check_config(merged({**nothing, "unlearners": others}))
    assert bare["studies"] == bare["choices"] == bare["probes"] == {} and bare["choice"] == "" and "tuning" not in bare


def test_numbers_reach_papermill_as_numbers():
    given = {"lr": 1e-06, "k": 100, "names": ["a", "b-c"], "text": "it's"}
    assert yaml.safe_load(to_yaml(**given)) == given
    assert "\n" not in to_yaml(many=list(range(1000)))


def test_seeds_are_cut_into_jobs_that_cover_them():
    for count, size in ((10, 5), (4, 5), (7, 3), (1, 1)):
        jobs = cut(list(range(2, 2 + count)), size)
        assert [seed for job in jobs for seed in numbers(job)] == list(range(2, 2 + count))
        assert all(len(numbers(job)) <= size for job in jobs)
    assert cut([0, 1, 2], 2) == ["0-1", "2-2"]


def test_a_folder_that_cannot_be_written_to_is_one_sentence(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: "figures" not in str(path))
    check_writable("results")
    with pytest.raises(InputError, match="figures can't be written to: change its permissions"):
        check_writable("results", "figures")


def test_sources_follow_imports():
    found = sources("notebooks/03_unlearn.py", "lfcore/unlearners/ltd.py")
    assert {
        "lfcore/stages/unlearn.py",
        "lfcore/training/fit.py",
        "lfcore/geometry/similarity.py",
        "lfcore/core/seeds.py",
    } <= set(found)
    assert not {"lfcore/plots/style.py", "lfcore/stages/summary.py", "lfcore/unlearners/ascent.py"} & set(found)
    assert "lfcore/unlearners/random_labels.py" in sources("lfcore/unlearners/random_labels_retain.py")


def test_training_and_unlearning_import_nothing_they_do_not_need():
    """Plots, tables and scikit-learn cost a job seconds."""
    for stem in ("02_train", "03_unlearn"):
        modules = [path.removesuffix(".py").replace("/", ".") for path in sources(f"notebooks/{stem}.py")]
        heavy = "[m for m in ('pandas', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules]"
        code = f"import sys, {', '.join(modules)}; print({heavy})"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", stem


def test_parameters_are_the_names_in_the_parameters_cell(tmp_path, monkeypatch):
    for path in SOURCES:
        assert parameters(str(path.relative_to(ROOT))) == list(shown(path))
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    (tmp_path / "n.py").write_text(
        "# %%\nbefore: int = 1\n\n"
        '# %% tags=["parameters"]\none: str = "# %% not a cell"  # a comment\ntwo: list = [\n    1,\n]\n\n'
        "# %%\nthree: int = 3\n\n# %% [markdown]\n# four: int = 4\n"
    )
    assert parameters("n.py") == ["one", "two"]


def test_the_failed_notebooks_error_is_the_explanation(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "ROOT", tmp_path)
    error = {"output_type": "error", "ename": "Diverged", "evalue": "ascent diverged:\nlower lr.", "traceback": []}
    (tmp_path / "bad.ipynb").write_text(json.dumps({"cells": [{"outputs": [error]}]}))
    (tmp_path / "log").write_text(
        "rule a:\n    log: good.ipynb, x.log\nError in rule b:\n    log: bad.ipynb, b.log (check)\n"
    )
    assert failures.explain(tmp_path / "log") == "Diverged: ascent diverged: lower lr. (in bad.ipynb)"
    (tmp_path / "log").write_text("nothing of the kind")
    assert "outside its notebook" in failures.explain(tmp_path / "log")


def test_a_dead_runs_lock_is_removed_and_a_live_ones_respected(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "ROOT", tmp_path)
    locks = tmp_path / ".snakemake" / "locks"
    unlock()
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    live = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "snakemake"], cwd=tmp_path)
    try:
        with pytest.raises(SystemExit, match=f"process {live.pid}"):
            unlock()
        assert locks.exists()
    finally:
        live.kill()
        live.wait()
    unlock()
    assert not locks.exists() and "killed" in capsys.readouterr().out


def test_a_lock_stays_while_it_can_not_be_seen_where_another_snakemake_runs(tmp_path, monkeypatch):
    """As with a process of another user."""
    import psutil

    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").touch()
    monkeypatch.setattr(jobs, "ROOT", tmp_path)
    live = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        theirs = psutil.Process(live.pid)
        theirs.info = {"pid": live.pid, "cwd": None, "cmdline": ["python", "-m", "snakemake"]}
        monkeypatch.setattr(psutil, "process_iter", lambda asked: [theirs])
        with pytest.raises(SystemExit, match=rf"another user may run in it \(process {live.pid}\)"):
            unlock()
        assert locks.exists()
    finally:
        live.kill()
        live.wait()


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

"""The smoke profile, for real, in a copy of the project: run, run again, edit, break, kill, resume."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from lfcore.core import tables
from lfcore.core.paths import ROOT
from lfcore.publish import expected, instructions, selection

SMOKE = ("--configfile", "config/smoke.yaml")
READ = [
    "04_evaluate/cnn/4_half",
    "05_summary",
    "11_localized",
    "12_affected",
    "13_targets",
    "14_controls",
    "24_measures",
]


def run(command, folder, **more):
    """Both streams in one, in the order in which a person sees them."""
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more
    )


def snakemake(folder, *arguments):
    """Run snakemake in `folder`, whose own lfcore it uses."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    watched = {"PYTHONPATH": str(ROOT / "tests" / "offline"), "OFFLINE": str(folder / "talked")}
    return run(command, folder, env=environment | watched)


def jobs(done):
    """How many jobs of each rule a dry run would do."""
    lines = done.stdout.split("Job stats:")[1].split("total")[0].splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines[3:] if line.strip()}


def last_line(done):
    return [line for line in done.stdout.splitlines() if line.strip()][-1]


def copy_project(to):
    ignored = (".venv", ".git", ".snakemake", "results", "__pycache__", "*.egg-info", ".pytest_cache", ".ruff_cache")
    return shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*ignored))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("smoke") / "project")
    done = snakemake(folder, *SMOKE)
    assert done.returncode == 0, done.stdout
    return folder


def test_a_second_run_has_nothing_to_do(project):
    done = snakemake(project, *SMOKE)
    assert done.returncode == 0 and "Nothing to be done" in done.stdout


def test_other_instructions_and_threads_give_the_same_models_numbers_and_verdicts(project, tmp_path):
    both = {"plain instructions and two threads": (instructions.PLAIN, 2)}
    found = instructions.check("smoke", project, tmp_path, both)
    assert (found["close"] == found["models"]).all() and (found["same"] == found["numbers"]).all()
    assert found["models"].sum() >= 8 and found["numbers"].min() > 1000


def test_the_tables_are_the_published_ones(project):
    """By the rule of `make figures`. One seed has no spread: the tolerance is that of five seeds."""
    results = project / "results" / "smoke"
    rows = selection.select(tables.read(results / "tables" / "summary.csv"))
    compared = expected.compare(rows, tables.read(ROOT / "tests" / "expected" / "smoke.csv"))
    assert len(compared) > 300
    assert expected.is_reproduced(compared), expected.describe(compared)


def test_one_seed_has_no_interval(project):
    summary = tables.read(project / "results" / "smoke" / "tables" / "summary.csv")
    single = summary[(summary["n"] == 1) & (summary["metric"] == "accuracy")]
    assert len(single) and single[["sd", "low", "high"]].isna().all(axis=None)


def test_a_rate_changed_by_hand_in_03_reaches_figure_11(project):
    """`base` alone says where 03, 04, 05 and 11 read and write; the profile's own results stay as they are."""
    own = project / "results" / "smoke" / "tables" / "summary.csv"
    before = own.read_bytes()
    config = yaml.safe_load((project / "config" / "smoke.yaml").read_text())
    unlearners = ["original", "retrained", *config["only"]["unlearners"]]
    compared = {"reference_seeds": [0, 1], "floor_seeds": [2, 3]}
    given = {
        "03_unlearn": {"seeds": [0], "options": {"k": 100, "epochs": 1, "batch_size": 64, "lr": 0.03, "beta": 5.0}},
        "04_evaluate": {"seeds": [0], **compared},
        "05_summary": {
            "forget_sets": ["4_half"],
            "unlearners": unlearners,
            "seeds": {"unlearned": [0], "retrained": [0, 1, 2, 3]},
        },
        "11_localized": {"unlearners": unlearners},
    }
    for name, parameters in given.items():
        parameters["base"] = ["scratch", "smoke"]
        command = [sys.executable, "-m", "papermill", f"results/smoke/notebooks/{name}.ipynb", f"{name}.ipynb"]
        done = run([*command, "-y", yaml.safe_dump(parameters)], project)
        assert done.returncode == 0, done.stdout
    here, there = tables.read(project / "results/scratch/tables/summary.csv"), tables.read(own)
    same = (here == there) | (here.isna() & there.isna())
    assert own.read_bytes() == before
    assert same[~here["unlearner"].isin(["ltd"])].all(axis=None) and not same[here["unlearner"] == "ltd"].all(axis=None)
    drawn = [project / folder / "11_localized.png" for folder in ("results/scratch", "figures/smoke")]
    assert drawn[0].read_bytes() != drawn[1].read_bytes()


def test_a_notebook_refuses_models_of_something_else(project):
    """What a file is says its sidecar: a model in another's place is not measured under that name."""
    models = project / "results" / "scratch" / "models" / "cnn" / "4_half"
    shutil.copytree(project / "results/smoke/models/cnn/4_half/ltd", models / "salun")
    given = {"base": ["scratch", "smoke"], "unlearners": ["salun"], "seeds": [0]}
    given |= {"reference_seeds": [0, 1], "floor_seeds": [2, 3]}
    command = [sys.executable, "-m", "papermill", "results/smoke/notebooks/04_evaluate.ipynb", "refused.ipynb"]
    done = run([*command, "-y", yaml.safe_dump(given)], project)
    shutil.rmtree(models / "salun")
    assert done.returncode and "is of the role 'ltd 4_half', not 'salun 4_half'" in done.stdout


def test_seconds_are_in_the_costs_alone(project):
    folder = project / "results" / "smoke" / "tables"
    assert "seconds" in (folder / "costs.csv").read_text().splitlines()[0]
    for name in ("measurements.csv", "summary.csv"):
        assert "second" not in (folder / name).read_text()
    costs = tables.read(folder / "costs.csv")
    assert (costs["seconds"] >= 0).all() and {"model", "job"} == set(costs["kind"])


def test_every_output_of_the_default_target_is_there(project):
    for figure in ("11_localized", "12_affected"):
        for ending in ("png", "pdf"):
            assert (project / "figures" / "smoke" / f"{figure}.{ending}").stat().st_size > 10_000
    page = (project / "results" / "smoke" / "pages" / "05_summary.html").read_text()
    assert "random_labels_retain" in page


def test_a_study_experiments_and_the_tuning_run_for_real(project):
    done = snakemake(project, "small", "tiny", "tuning", *SMOKE)
    assert done.returncode == 0, done.stdout
    rows = tables.read(project / "results" / "smoke" / "tables-small" / "measurements.csv")
    assert set(rows["unlearner"]) == {"original", "retrained", "ltd", "ltd-draw1", "opc"}
    assert {"relearn_steps", "feature_mapping", "inversion_psnr"} <= set(rows["metric"])
    for name in ("copies-tiny", "reconstruction-tiny"):
        rows = tables.read(project / "results" / "smoke" / "experiments" / f"{name}.csv")
        assert {"original", "retrained"} <= set(rows["unlearner"]) and (rows["copies"] == 1).all()
    for figure in ("34_pictures-small", "53_reconstruction-tiny"):
        assert (project / "figures" / "smoke" / f"{figure}.png").stat().st_size > 5_000
    trials = tables.read(project / "results/smoke/tuning/steps/cnn/3_half/ascent.csv")
    assert trials["steps"].tolist() == [3, 3]
    assert (project / "figures" / "smoke" / "19_tuning.png").stat().st_size > 10_000


def test_the_site_holds_the_run_and_its_report(project):
    done = snakemake(project, "site", *SMOKE)
    assert done.returncode == 0, done.stdout
    folder = project / "results" / "smoke" / "site"
    index = (folder / "index.html").read_text()
    for name in ("figures/11_localized.png", "figures/11_localized.pdf", "pages/05_summary.html", "report.html"):
        assert name in index and (folder / name).stat().st_size > 10_000
    assert "Nothing to be done" in snakemake(project, "site", *SMOKE).stdout


def test_executed_notebooks_give_the_same_outputs_again(project, tmp_path):
    """nbval, on a copy of what papermill executed."""
    copied = []
    for name in READ:
        copied.append(tmp_path / f"{name.replace('/', '_')}.ipynb")
        shutil.copyfile(project / "results" / "smoke" / "executed" / f"{name}.ipynb", copied[-1])
    options = ["-p", "no:cacheprovider", "--nbval", "--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg")]
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), *options, *map(str, copied)]
    environment = os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    done = run(command, tmp_path, env=environment)
    assert done.returncode == 0, done.stdout


def test_editing_an_unlearner_reruns_its_jobs_and_the_figures_only(project):
    path = project / "lfcore" / "unlearners" / "ascent.py"
    before = path.read_text()
    path.write_text(before + "\n# edited\n")
    try:
        found = jobs(snakemake(project, "-n", *SMOKE))
    finally:
        path.write_text(before)
    assert found == {"all": 1, "evaluate": 1, "figure": 5, "page": 6, "summary": 1, "unlearn": 1}


def test_editing_a_figure_or_a_colour_trains_nothing(project):
    path = project / "lfcore" / "plots" / "style.py"
    before = path.read_text()
    path.write_text(before + "\n# edited\n")
    try:
        found = jobs(snakemake(project, "-n", *SMOKE))
    finally:
        path.write_text(before)
    assert found == {"all": 1, "figure": 5, "page": 5}


def test_one_config_line_adds_a_variant_and_runs_only_it(project, tmp_path):
    overlay = yaml.safe_load((project / "config" / "smoke.yaml").read_text())
    overlay["unlearners"]["ascent-strong"] = {"lr": 0.01, "epochs": 5, "batch_size": 64}
    path = tmp_path / "more.yaml"
    path.write_text(yaml.safe_dump(overlay))
    found = jobs(snakemake(project, "-n", "--configfile", str(path)))
    assert found["unlearn"] == 1 and found["evaluate"] == 1 and "train" not in found


def test_no_process_of_the_workflow_asked_for_the_network(project):
    """tests/offline notes, and refuses, whatever leaves the machine."""
    talked = project / "talked"
    assert not talked.exists(), talked.read_text()


def test_a_diverged_ascent_ends_with_its_sentence_and_leaves_nothing(project, tmp_path):
    overlay = yaml.safe_load((project / "config" / "smoke.yaml").read_text())
    overlay["unlearners"]["ascent-wild"] = {"lr": 1.0e20, "epochs": 9, "batch_size": 64}
    path = tmp_path / "wild.yaml"
    path.write_text(yaml.safe_dump(overlay))
    done = snakemake(project, "--configfile", str(path))
    assert done.returncode != 0
    assert last_line(done).startswith("Diverged: ascent-wild on 4_half, seed 0, diverged.")
    assert "lower lr" in last_line(done)
    assert not (project / "results" / "smoke" / "models" / "cnn" / "4_half" / "ascent-wild").exists()


def test_a_damaged_file_ends_with_its_sentence(project):
    path = project / "results" / "smoke" / "models" / "cnn" / "4_half" / "ascent" / "0-0"
    path = path / "seed0.predictions.safetensors"
    content = path.read_bytes()
    table = project / "results" / "smoke" / "measurements" / "cnn" / "4_half" / "ascent.csv"
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    target = str(table.parent.relative_to(project))
    done = snakemake(project, *SMOKE, "--forcerun", "evaluate", "--until", "evaluate", "--", target)
    assert done.returncode != 0 and "seed0.predictions.safetensors is not what was written" in last_line(done)
    assert "ascent/0-0.damaged" in last_line(done) and not path.exists(), "it is moved out of the way"
    assert snakemake(project, target, *SMOKE).returncode == 0
    assert path.read_bytes() == content, "the same target makes it again"


def test_a_killed_run_goes_on_with_the_same_command(tmp_path):
    """SIGKILL to the whole tree while it trains; then `unlock` and the same command finish the job."""
    folder = copy_project(tmp_path / "project")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "results/smoke/models/cnn/none/original/0-0", *SMOKE]
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    locks = folder / ".snakemake" / "locks"
    executed = folder / "results" / "smoke" / "executed" / "01_data.ipynb.log"
    deadline = time.monotonic() + 60
    while not executed.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    busy = run([sys.executable, "-m", "lfcore.workflow.jobs"], folder)
    assert busy.returncode != 0 and f"process {running.pid}" in busy.stdout
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert any(locks.iterdir())
    freed = run([sys.executable, "-m", "lfcore.workflow.jobs"], folder)
    assert freed.returncode == 0, freed.stdout
    done = run(command, folder)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("setpriv") is None or os.getuid() != 0, reason="needs root and setpriv to drop it")
def test_an_unwritable_results_folder_is_one_sentence(tmp_path):
    """As another user, since modes do not stop root."""
    folder = copy_project(tmp_path / "project")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    (folder / "results").mkdir(mode=0o555)
    for parent in [folder, *folder.parents][:4]:
        parent.chmod(0o755)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "snakemake"]
    environment = os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / ".cache")}
    if run([*command[:4], sys.executable, "-c", ""], folder, env=environment).returncode:
        pytest.skip("the other user can't run this Python")
    done = run([*command, "-n", *SMOKE], folder, env=environment)
    assert done.returncode != 0
    assert (
        last_line(done).strip()
        == f"{folder / 'results'} can't be written to: change its permissions, or run a copy of the project."
    )

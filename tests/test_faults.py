"""Small faults, many times: the part of `make faults` that takes seconds. tests/faults.py breaks the whole workflow."""

import base64
import csv
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time

import faults
import jupytext
import pandas as pd
import pytest

from lfcore.core import checkpoint, data, records, tables
from lfcore.core.errors import Damaged, InputError
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT
from lfcore.models import networks
from lfcore.publish import verify
from lfcore.stages import evaluate, summary
from lfcore.stages.summary import affected_classes
from lfcore.statistics.summary import summarize
from lfcore.workflow import failures, jobs, notebooks
from lfcore.workflow.jobs import check_records
from lfcore.workflow.notebooks import check_notebooks

TRIES = 40
"""Damages of each kind to each kind of file."""


@pytest.fixture(scope="module")
def stages(trained, tmp_path_factory):
    """What the stages leave, measurements and a summary too; a private copy."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("faults") / "trained")
    options = {"network": "cnn", "dataset": folder / "dataset.safetensors", "forget_set": folder / "4_half.json"}
    places = {"originals": [folder / "original"], "original_seeds": [0, 1], "retrained": [folder / "retrained"]}
    table = evaluate.evaluate(
        **options,
        **places,
        unlearner="original",
        seeds=[0, 1],
        folders=[folder / "original"],
        reference_seeds=[0, 1],
        floor_seeds=[2],
        metrics=["accuracy", "discrepancy"],
        out=folder / "measured" / "cnn" / "4_half" / "original",
    )
    tables.write(summarize(table), folder / "summary.csv")
    return folder


def readers(folder):
    """For each kind of file: one of them, and what is read of it, as something that `==` compares."""
    everything = data.read(folder / "dataset.safetensors")
    blank = networks.build("cnn", 1, 10, seed=5, stage="blank")
    measured = folder / "measured" / "cnn" / "4_half"

    def weights():
        state = checkpoint.read([folder / "original"], 0, blank).state_dict()
        return {name: tensor.numpy().tobytes() for name, tensor in state.items()}

    def forget_set():
        found = data.read_forget(folder / "4_half.json", everything)
        return found.name, found.affected, found.forget.tolist()

    def arrays(found):
        return {name: array.tobytes() for name, array in found.items()}

    return {
        "dataset.safetensors": lambda: data.read(folder / "dataset.safetensors").sha256(),
        "dataset.safetensors, labels": lambda: data.read(folder / "dataset.safetensors", images=False).labels.tolist(),
        "4_half.json": forget_set,
        "4_half.json, the class": lambda: affected_classes(folder, ["4_half"]),
        "original/seed0.weights.safetensors": weights,
        "original/seed0.predictions.safetensors": lambda: arrays(checkpoint.predictions([folder / "original"], 0)),
        "original/seed0.json": lambda: checkpoint.sidecar([folder / "original"], 0),
        "original/seed0.json, costs": lambda: summary.costs([folder / "original"], []).to_csv(),
        "measured/cnn/4_half/original.csv": lambda: tables.read(measured / "original.csv").to_csv(),
        "measured/cnn/4_half/original.npz": lambda: arrays(tables.read_arrays(measured / "original.npz")),
        "summary.csv": lambda: tables.read(folder / "summary.csv").to_csv(),
    }


def test_no_damaged_file_gives_another_number(stages):
    """Cut short, or one bit flipped, at places all over each file: a sentence that names it, or the same content."""
    chance, refused, unharmed = random.Random(0), 0, 0
    for kind, read in readers(stages).items():
        path = stages / kind.split(",")[0]
        content, before = path.read_bytes(), read()
        for change in (faults.flip, faults.cut):
            for place in [0, *(chance.random() for _ in range(TRIES)), 0.99999]:
                change(path, place)
                try:
                    assert read() == before, f"{kind} {change.__name__} at {place}: a wrong number"
                    unharmed += 1
                except InputError as error:
                    assert path.name in str(error) and "\n" not in str(error), kind
                    refused += 1
                finally:
                    path.write_bytes(content)
        assert read() == before
    assert refused > 0.85 * (refused + unharmed), "hardly a byte of a file may change unnoticed"


def test_a_hash_beside_a_table_is_one_that_sha256sum_reads(stages):
    assert (stages / "summary.csv.sha256").read_text() == f"{checkpoint.sha256(stages / 'summary.csv')}  summary.csv\n"
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "summary.csv.sha256"], cwd=stages, check=True)


def test_a_table_without_a_recorded_hash_is_read(tmp_path):
    (tmp_path / "theirs.csv").write_text("unlearner,value\nltd,1\n")
    assert tables.read(tmp_path / "theirs.csv")["value"].tolist() == [1]
    (tmp_path / "theirs.csv.sha256").write_text("")
    with pytest.raises(Damaged, match=r"theirs\.csv is not what was written"):
        tables.read(tmp_path / "theirs.csv")


def test_a_record_that_was_sealed_is_read_as_it_was(tmp_path):
    record = {"a": 0.1, "b": [1, None, "é"], "c": {"2": 1e-300}, "d": float("nan")}
    records.write(tmp_path / "r.json", record | {3: "a number as key"})
    assert str(records.read(tmp_path / "r.json")) == str({**record, "3": "a number as key"})
    (tmp_path / "r.json").write_text((tmp_path / "r.json").read_text().replace("0.1", "0.2"))
    with pytest.raises(Damaged, match=r"r\.json is not what was written"):
        records.read(tmp_path / "r.json")


def test_writers_killed_at_any_moment_leave_whole_files(tmp_path):
    """A process that writes two versions of a table in turn, killed twelve times; a reader never meets half of one."""
    code = """
import sys, pandas as pd
from lfcore.core import tables
for number in range(10**9):
    tables.write(pd.DataFrame({"value": [float(number % 2)] * 40_000}), sys.argv[1])
    print(number, flush=True)
"""
    path, chance = tmp_path / "table.csv", random.Random(0)
    writer = None
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        writer.kill()
        writer.communicate()
        values = pd.read_csv(path)["value"]  # without the hash beside it, which may be of the version not yet in place
        assert len(values) == 40_000 and values.nunique() == 1


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path):
    """A limit on the size of a file stands for the disk."""
    tables.write(pd.DataFrame({"value": [1.0]}), tmp_path / "table.csv")
    before = (tmp_path / "table.csv").read_bytes()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    code = "import sys, signal, pandas as pd; from lfcore.core import tables;"
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    code += "tables.write(pd.DataFrame({'value': [1.5] * 10_000}), sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "table.csv")]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1 and "File too large" in done.stderr
    assert (tmp_path / "table.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv", "table.csv.sha256"]
    tables.read(tmp_path / "table.csv")


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """A function: the log of a workflow in a folder of its own, whose one job failed, with this error or none."""
    monkeypatch.setattr(failures, "ROOT", tmp_path)
    (tmp_path / "results").mkdir()

    def fail(name="", message="", log=""):
        error = {"output_type": "error", "ename": name, "evalue": message, "traceback": []}
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": [{"outputs": [error] if name else []}]}))
        (tmp_path / "n.ipynb.log").write_text(log)
        (tmp_path / "log").write_text("Error in rule a:\n    log: n.ipynb, n.log (check)\n")
        return tmp_path / "log"

    return fail


def test_a_damaged_result_is_moved_away_so_that_the_same_command_makes_it_again(failed, tmp_path):
    table = tmp_path / "results" / "p" / "tables" / "summary.csv"
    folder = tmp_path / "results" / "p" / "models" / "cnn" / "none" / "original" / "0-0"
    for path in (table, folder / "seed0.weights.safetensors", folder / "seed0.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path, moved in ((table, table), (folder / "seed0.weights.safetensors", folder)):
        for _ in range(2):  # the second time, one lies there already
            moved.mkdir(exist_ok=True) if moved is folder else moved.touch()
            path.write_text("x")
            said = failures.set_aside(failed("Damaged", str(records.changed(path))))
            target = moved.with_name(moved.name + ".damaged")
            assert str(target.relative_to(tmp_path)) in said and "the same command" in said
            assert target.exists() and not moved.exists()


@pytest.mark.parametrize("place", ["outside/weights", "results/../outside/weights", "results/p/missing"])
def test_nothing_outside_the_results_is_moved(failed, tmp_path, place):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "weights").write_text("x")
    assert failures.set_aside(failed("Damaged", f"{tmp_path / place} is not JSON")) == ""
    assert (tmp_path / "outside" / "weights").exists()
    assert failures.set_aside(failed("InputError", f"{tmp_path / 'outside'} is missing")) == ""
    assert failures.set_aside(tmp_path / "no log") == ""


def test_a_folder_that_lacks_a_file_is_moved_away_whole(failed, tmp_path):
    """Deleted by hand: Snakemake looks at the folder alone, and would not make it again."""
    places = [tmp_path / "results" / "p" / "models" / "cnn" / "none" / "original" / job for job in ("0-4", "5-9")]
    for place in places:
        place.mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        checkpoint.predictions(places, 7)
    assert "0-4.damaged" not in failures.set_aside(failed("InputError", str(caught.value)))
    assert places[0].is_dir() and not places[1].exists() and places[1].with_name("5-9.damaged").is_dir()


def test_a_path_that_holds_the_word_is_and_a_text_log(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "ROOT", tmp_path / "this is mine")
    page = tmp_path / "this is mine" / "results" / "p" / "executed" / "12_affected.ipynb"
    page.parent.mkdir(parents=True)
    page.write_text("{")
    (failures.ROOT / "page.log").write_text(f"a line\nDamaged: {page} is not a notebook: delete it.\n\n")
    (failures.ROOT / "log").write_text("Error in rule page:\n    input: x\n    log: page.log (check)\n")
    assert failures.explain(failures.ROOT / "log").startswith(f"Damaged: {page} is not a notebook: delete it. (in page")
    assert "12_affected.ipynb.damaged" in failures.set_aside(failures.ROOT / "log") and not page.exists()


def test_a_converted_notebook_that_is_not_its_source_is_deleted(tmp_path, monkeypatch):
    """A job would run it: Snakemake looks at its time alone."""
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    source = tmp_path / "notebooks" / "03_unlearn.py"
    shutil.copyfile(ROOT / "notebooks" / source.name, source)
    path = tmp_path / "results" / "p" / "notebooks" / "03_unlearn.ipynb"
    path.parent.mkdir(parents=True)
    jupytext.write(jupytext.read(source), path)
    whole = path.read_text()
    assert check_notebooks(Layout("p")) == [] and path.exists()
    for old, new in (
        ('"cell_type": "code"', '"cell_type": "coda"'),
        ("seeds=seeds", "seeds=seedz"),
        ("parameters", "parametera"),
        ('"python3"', '"python2"'),
        (whole[-300:], ""),
    ):
        assert old in whole
        path.write_text(whole.replace(old, new))
        assert check_notebooks(Layout("p")) == ["results/p/notebooks/03_unlearn.ipynb"] and not path.exists()
    path.write_text(whole[:-300])
    lock = tmp_path / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert check_notebooks(Layout("p")) == [] and path.exists(), "one that is being written"
    lock.unlink()
    os.utime(path, (1, 1))
    assert check_notebooks(Layout("p")) == [], "an older one is made again anyway"


def test_results_without_a_record_of_their_making_are_told(tmp_path, monkeypatch):
    """Snakemake would take them for up to date, whatever the config."""
    monkeypatch.setattr(jobs, "ROOT", tmp_path)
    assert check_records(Layout("p")) == ""
    table, folder = "results/p/tables/summary.csv", "results/p/models/cnn/none/original/" + "0-0"
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "results/p/models/cnn/none/original/0-0.damaged").mkdir()
    (tmp_path / table).parent.mkdir(parents=True)
    (tmp_path / table).touch()
    assert f"2 results, {folder} the first" in check_records(Layout("p"))
    for name in (table, folder):
        record = tmp_path / ".snakemake" / "metadata" / base64.urlsafe_b64encode(name.encode()).decode()
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    assert check_records(Layout("p")) == ""


def test_a_table_of_a_job_needs_its_hash(tmp_path):
    path = tmp_path / "cnn" / "4_half" / "ltd.csv"
    tables.write(pd.DataFrame({"value": [1.0]}), path)
    assert summary.gather([path])["value"].tolist() == [1]
    (path.parent / "ltd.csv.sha256").unlink()
    with pytest.raises(Damaged, match=r"ltd\.csv is without its hash"):
        summary.gather([path])


def test_what_is_said_last_is_said_in_order():
    code = (
        "from lfcore.workflow.jobs import print_at_exit as say; say('a caution'); say('the error'); print('all else')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["a caution", "the error"]


@pytest.fixture
def sidecars():
    """A function: records of an original, a retrained and two unlearned models by path, some with other entries."""

    def make(**changed):
        found = {}
        for place, role, seed in (
            ("none/original", "original", 0),
            ("4_half/retrained", "retrained 4_half", 0),
            ("4_half/ltd", "ltd 4_half", 0),
            ("4_half/ltd", "ltd 4_half", 1),
        ):
            record = {"network": "cnn", "role": role, "seed": seed, "data": "d", "options": {"lr": 1}, "loop": {}}
            record["versions"] = {"torch": "2", "numpy": "2"}
            name = f"results/p/models/cnn/{place}/{seed}-{seed}/seed{seed}.json"
            found[ROOT / name] = record | (changed if (role, seed) == ("ltd 4_half", 1) else {})
        return found

    return make


def test_models_that_do_not_belong_together_make_no_table(sidecars):
    summary.check_models(sidecars())
    for changed, message in (
        ({"options": {"lr": 2}}, "different options"),
        ({"data": "other"}, "different data"),
        ({"loop": {"precision": "bf16"}}, "different loop"),
        ({"role": "ltd 9_most"}, r"seed1\.json is of another model \(cnn, ltd 9_most\)"),
        ({"network": "resnet8"}, "is of another model"),
    ):
        with pytest.raises(InputError, match=message):
            summary.check_models(sidecars(**changed))
    with pytest.warns(UserWarning, match="different versions: torch 2, numpy 2; torch 3"):
        summary.check_models(sidecars(versions={"torch": "3"}))


def test_a_damaged_benchmark_is_one_sentence(tmp_path):
    path = tmp_path / "0-0.tsv"
    whole = "s\th:m:s\tmax_rss\tcpu_time\n1.5\t0:00:01\t200.0\t1.2\n"
    path.write_text(whole)
    assert summary.costs([], [path])["seconds"].tolist() == [1.5]
    for content in ("", whole[:20], whole[:35], whole.replace("1.5", "1x5"), whole.replace("max_rss", "max_rsr")):
        path.write_text(content)
        with pytest.raises(Damaged, match=r"0-0\.tsv is no benchmark"):
            summary.costs([], [path])


@pytest.mark.parametrize(
    ("name", "message", "log", "said"),
    [
        ("MemoryError", "Unable to allocate 8 GiB", "", "A job ran out of memory (in n.ipynb): close"),
        ("RuntimeError", "DefaultCPUAllocator: can't allocate memory: 12", "", "A job ran out of memory"),
        ("OSError", "[Errno 28] No space left on device", "", "The disk is full (in n.ipynb): free some space"),
        ("", "", "papermill.exceptions... nbclient.exceptions.DeadKernelError: Kernel died", "a job was killed"),
        ("", "", "something else", "A job failed outside its notebook"),
    ],
)
def test_a_job_without_memory_or_disk_is_explained(failed, name, message, log, said):
    assert said in failures.explain(failed(name, message, log))


def test_a_full_disk_is_explained_where_no_notebook_could_be_written(failed, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(failures.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert failures.explain(failed()).startswith("The disk that holds results/ is full: free some space")


def outputs_of(folder, files):
    """A profile's folder with these files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return verify.outputs(folder, "p")


def test_verify_says_what_differs_and_in_which_row(tmp_path):
    same = {"results/p/tables/claims.csv": b"x\n1\n"}
    timed = {"results/p/tables/costs.csv", "results/p/models/cnn/seed0.json", "results/p/benchmarks/x.csv"}
    one = {
        "results/p/tables/summary.csv": b"metric,mean\na,1\nb,2\n",
        "results/p/measurements/x.npz": b"1",
        "figures/p/f.pdf": b"%PDF-1.4 /CreationDate 1",
        "results/p/tables/short.csv": b"a\n1\n",
    }
    other = {
        "results/p/tables/summary.csv": b"metric,mean\na,1\nb,3\n",
        "results/p/measurements/x.npz": b"2",
        "figures/p/f.pdf": b"%PDF-1.4 /CreationDate 2",
        "results/p/tables/short.csv": b"a\n1\n2\n",
        "results/p/tables/more.csv": b"a\n",
    }
    first = outputs_of(tmp_path / "one", one | same | dict.fromkeys(timed, b"1"))
    second = outputs_of(tmp_path / "other", other | same | dict.fromkeys(timed, b"2"))
    assert verify.compare(first, first) == [] and set(first) == set(one) | set(same)
    assert verify.compare(first, second) == [
        "results/p/tables/more.csv: only in one of the two runs",
        "figures/p/f.pdf: other bytes",
        "results/p/measurements/x.npz: other bytes",
        "results/p/tables/short.csv: line 3: '' and '2'",
        "results/p/tables/summary.csv: line 3: 'b,2' and 'b,3'",
    ]


def test_figures_are_the_same_bytes_in_processes_with_other_hashes(tmp_path):
    """PNG and PDF, drawn by two processes a second apart or more, with other seeds of Python's hashes."""
    code = """
import sys
from lfcore.plots import style
figure, axis = style.plt.subplots()
for name, look in style.looks(["original", "retrained", "ltd", "ascent"]).items():
    axis.plot([1, 2, 3], label=f"{name} Δ ±", **look)
axis.legend()
style.save(figure, sys.argv[1])
"""
    for number in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": number, "MPLBACKEND": "agg"}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / number)], cwd=ROOT, env=environment, check=True)
    for ending in ("png", "pdf"):
        first, second = ((tmp_path / f"{number}.{ending}").read_bytes() for number in ("1", "2"))
        assert first == second and b"CreationDate" not in first and b"ModDate" not in first


def test_the_files_of_every_data_set_are_checked(tmp_path):
    """Of all that are files: damaged, they are refused in a sentence."""
    here = faults.Faults(tmp_path)
    here.files()
    names = {path.stem for path in (ROOT / "lfcore" / "datasets").glob("[!_]*.py")} - {"digits"}
    assert {row["fault"] for row in here.rows} == {f"a file of {name} damaged" for name in names}
    assert all(row["survived"] for row in here.rows), here.rows


def test_the_published_report_of_faults_has_lost_none():
    if not faults.OUT.is_file():
        pytest.skip("`make faults` writes it")
    with faults.OUT.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(int(row["lost"]) == 0 and row["tried"] == row["survived"] for row in rows)
    tried = {row["fault"]: int(row["tried"]) for row in rows}
    if faults.ALL not in tried:
        pytest.skip("the report was put together from several runs: `make faults` makes it in one")
    assert tried["SIGKILL to the whole tree"] == faults.KILLS
    whole = tried.pop(faults.ALL)
    assert whole == sum(tried.values()), "one run made the whole report"
    assert all(any(fault.startswith(kind) for fault in tried) for kind in faults.READERS)

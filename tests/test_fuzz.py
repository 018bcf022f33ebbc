"""Whatever a file or a config holds: an error of ours, in one sentence, or a valid result; never a crash or a hang.

A thousand inputs in all, ninety and more for each reader; `make fuzz`, FUZZ=10000 in the environment, tries that many.
"""

import ast
import copy
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfcore.core import checkpoint, data, records, run, tables
from lfcore.core.errors import Diverged, InputError
from lfcore.core.paths import ROOT, atomic
from lfcore.models import networks
from lfcore.plots.html_table import Table
from lfcore.workflow import studies
from lfcore.workflow.config import check_config

OURS = (InputError, Diverged)
READERS = 11  # the tests with `@many`
EXAMPLES = -(-int(os.environ.get("FUZZ", "1000")) // READERS)
many = settings(
    max_examples=EXAMPLES,
    deadline=10_000,  # milliseconds: a hang is a failure
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
places = st.floats(0, 1)
edits = st.lists(
    st.tuples(st.sampled_from(["flip", "set", "cut", "insert", "repeat"]), places, st.binary(min_size=1, max_size=9)),
    min_size=1,
    max_size=4,
)


def edit(content, changes):
    """The bytes after a few changes, each at a share of the length."""
    content = bytearray(content)
    for what, place, given_bytes in changes:
        at = int(place * max(len(content) - 1, 0))
        if what == "flip" and content:
            content[at] ^= given_bytes[0] or 1
        elif what == "set":
            content[at : at + len(given_bytes)] = given_bytes
        elif what == "cut":
            del content[at:]
        elif what == "insert":
            content[at:at] = given_bytes
        else:
            content[at:at] = content[at : at + 64]
    return bytes(content)


def ours(read):
    """The result, or None where an error of ours with a message of one line was raised; any other error goes on."""
    try:
        return read()
    except OURS as error:
        assert str(error), "an error without a sentence"
        return None


@pytest.fixture(scope="module")
def files(trained, digits, tmp_path_factory):
    """One small file of every kind, as bytes, and a folder to try changed ones in."""
    folder = tmp_path_factory.mktemp("fuzz")
    few = np.concatenate([digits.train[:30], digits.test[:10]])
    small = data.Data(digits.images[few], digits.labels[few], np.arange(30), np.arange(30, 40))
    data.write(small, folder / "dataset.safetensors")
    data.write_forget(folder / "some.json", "some", None, np.arange(5))
    rows = [run.Row(0, "retrained", "test", "accuracy", "all", "", value) for value in (0.5, float("nan"), 3.0)]
    tables.write(tables.tidy(rows, forget_set="f", network="cnn", unlearner="ltd"), folder / "table.csv")
    tables.write_arrays({"similarity": np.arange(9.0), "kept": np.eye(3)}, folder / "arrays.npz")
    checkpoint.write(
        folder / "model",
        0,
        networks.build("cnn", 1, 10, seed=0, stage="fuzz"),
        {"logits": np.zeros((4, 10), np.float32), "features": np.ones((4, 8), np.float32)},
        {"network": "cnn", "role": "original", "seed": 0, "seconds": 1.0},
    )
    content = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return folder, small, content


def changed(files, name, changes):
    """Write the changed file in its place, without the hash beside it, so that its reader has to judge it alone."""
    folder, _, content = files
    path = folder / name
    path.write_bytes(edit(content[name], changes))
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)
    return path


@many
@given(changes=edits)
def test_a_data_set_file(files, changes):
    path = changed(files, "dataset.safetensors", changes)
    _, small, _ = files
    for images in (True, False):
        found = ours(lambda images=images: data.read(path, images=images))
        if found is not None:  # then it is what was written
            assert found.sha256(images=False) == small.sha256(images=False)
            assert not images or found.sha256() == small.sha256()


@many
@given(changes=edits)
def test_a_forget_set_file(files, changes):
    found = ours(lambda: data.read_forget(changed(files, "some.json", changes), files[1]))
    assert found is None or (found.forget.tolist(), found.affected, found.name) == ([0, 1, 2, 3, 4], None, "some")


@many
@given(
    record=st.fixed_dictionaries({}, optional=dict.fromkeys(["rows", "affected", "forget_set", "sha256"], json_values)),
    rows=st.none() | st.lists(st.integers(-9, 50)) | json_values,
    honest=st.booleans(),
)
def test_a_forget_set_that_a_person_wrote(files, record, rows, honest):
    """Without a seal; where `honest`, with the right hash of its rows, so that what is behind the hash is reached."""
    folder, small, _ = files
    if honest:
        record = {"affected": 4, "forget_set": "f", **record, "rows": rows}
        if isinstance(rows, list):
            record["sha256"] = data._hash_rows(rows)
    path = folder / "theirs.json"
    path.write_text(json.dumps(record))
    found = ours(lambda: data.read_forget(path, small))
    if found is not None:
        assert len(found.forget) and not set(found.forget) & set(found.retain)
        assert sorted([*found.forget, *found.retain]) == small.train.tolist()


@many
@given(value=json_values)
def test_any_json_is_a_record_or_an_error(files, value):
    path = files[0] / "any.json"
    path.write_text(json.dumps(value))
    found = ours(lambda: records.read(path))
    assert found is None or isinstance(found, dict)


@many
@given(content=st.binary(max_size=200))
def test_any_bytes_to_every_reader(files, content):
    folder, small, _ = files
    path = folder / "bytes"
    path.write_bytes(content)
    for read in (records.read, data.read, tables.read, tables.read_arrays, lambda p: data.read_forget(p, small)):
        ours(lambda read=read: read(path))


@many
@given(changes=edits)
def test_a_table_file(files, changes):
    found = ours(lambda: tables.read(changed(files, "table.csv", changes)))
    assert found is None or isinstance(found, pd.DataFrame)


@many
@given(text=st.text(alphabet=st.sampled_from("seed,value,mean\n\"\r'\\0123456789.eE-+naN\x00é"), max_size=120))
def test_any_text_as_a_table(files, text):
    path = files[0] / "any.csv"
    path.write_text(text)
    found = ours(lambda: tables.read(path))
    assert found is None or all(pd.api.types.is_numeric_dtype(found[n]) for n in found.columns if n in tables.NUMBERS)


@many
@given(changes=edits)
def test_an_array_file(files, changes):
    found = ours(lambda: tables.read_arrays(changed(files, "arrays.npz", changes)))
    assert found is None or all(array.dtype != object for array in found.values())


@many
@given(changes=edits, which=st.sampled_from(["weights.safetensors", "predictions.safetensors", "json"]))
def test_a_checkpoint(files, changes, which):
    """A changed file beside the two others as they were: an error, or what was written."""
    folder, _, content = files
    for name in content:
        if name.startswith("model/"):
            (folder / name).write_bytes(content[name])
    path = folder / "model" / f"seed0.{which}"
    path.write_bytes(edit(content[f"model/{path.name}"], changes))
    blank = networks.build("cnn", 1, 10, seed=1, stage="blank")
    ours(lambda: checkpoint.sidecar([path.parent], 0))
    found = ours(lambda: checkpoint.predictions([path.parent], 0))
    assert found is None or (not found["logits"].any() and (found["features"] == 1).all())
    model = ours(lambda: checkpoint.read([path.parent], 0, blank))
    if model is not None:
        first = networks.build("cnn", 1, 10, seed=0, stage="fuzz").state_dict()
        assert all(torch.equal(first[name], tensor) for name, tensor in model.state_dict().items())


@many
@given(changes=edits, which=st.sampled_from(["weights", "predictions"]))
def test_a_checkpoint_that_vouches_for_itself(files, changes, which):
    """Changed bytes with a right hash in the sidecar, as somebody else's file may have."""
    folder, _, content = files
    for name in content:
        if name.startswith("model/"):
            (folder / name).write_bytes(content[name])
    path = folder / "model" / f"seed0.{which}.safetensors"
    path.write_bytes(edit(content[f"model/{path.name}"], changes))
    sidecar = folder / "model" / "seed0.json"
    record = json.loads(sidecar.read_text())
    del record["seal"]
    record["sha256"][path.name] = checkpoint.sha256(path)
    sidecar.write_text(json.dumps(record))
    ours(lambda: checkpoint.read([path.parent], 0, networks.build("cnn", 1, 10, seed=1, stage="blank")))
    ours(lambda: run.read_predictions([path.parent], [0]))


@pytest.fixture(scope="module")
def base(merged):
    return merged(yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text()))


def leaves(config, path=()):
    """The paths of everything in a nested config."""
    yield path
    if isinstance(config, dict):
        for key, value in config.items():
            yield from leaves(value, (*path, key))


names = st.sampled_from(["..", "../x", "/tmp/x", "a/b", "", "x\n", "none", "ltd", "ascent-..", "12_affected", "out"])
keys = st.one_of(
    names, st.sampled_from(["profile", "seeds", "fraction", "lr", "unlearners", "probes"]), st.text(max_size=6)
)
config_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats() | st.text(max_size=9) | names | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers() | st.none(), inner, max_size=3),
    max_leaves=6,
)


@many
@given(draws=st.lists(st.tuples(st.integers(0), st.sampled_from(["set", "add", "rename"]), keys, config_values),
                      min_size=1, max_size=3))  # fmt: skip
def test_a_config(base, draws):
    """One to three changes anywhere in the smoke profile: refused in one sentence, or every name in it is plain."""
    config = copy.deepcopy(base)
    for number, what, key, value in draws:
        found = [path for path in leaves(config) if path]
        *above, last = found[number % len(found)]
        place = config
        for step in above:
            place = place[step]
        if what == "set":
            place[last] = value
        elif what == "add":
            (place[last] if isinstance(place[last], dict) else place)[key] = value
        else:
            place[key] = place.pop(last)
    checked = ours(lambda: check_config(config))
    if checked is not None:
        found = studies.read(checked)
        written = [checked["profile"], *found, *checked["networks"]]
        for study in found.values():
            written += [*study.forget_sets, *study.unlearners, *study.figures, *study.experiments]
            assert not [options for options in study.figures.values() if "out" in options]
        assert not [name for name in written if "/" in name or name in (".", "..") or not name.isprintable()]


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"profile": "../../x"}, "at profile"),
        ({"profile": "/tmp/x"}, "at profile"),
        ({"profile": "x\n"}, "at profile: 'x\\\\n' has a line break"),
        ({"forget_sets": {"../x": {"fraction": 0.5}}}, "at forget_sets"),
        ({"networks": ["../cnn"]}, "at networks"),
        ({"unlearners": {"ascent-../x": {}}}, "at unlearners"),
        ({"studies": {"../x": {}}}, "at studies"),
        ({"figures": {"12_affected": {"out": "../../x"}}}, "12_affected has no parameter 'out'"),
        ({"figures": {"12_affected-../x": {}}}, "at figures"),
        ({"unlearners": {1: {}}}, "1 is not text"),
        ({"training": {"lr": float("inf")}}, "is not a finite number"),
    ],
)
def test_a_config_writes_nowhere_else(merged, overlay, message):
    with pytest.raises(InputError, match=message):
        check_config(merged(overlay))


def test_an_array_file_with_an_object_is_refused_and_never_unpickled(tmp_path):
    """The object would leave a file behind if it were loaded."""

    class Leave:
        def __reduce__(self):
            return (open, (str(tmp_path / "left"), "w"))

    path = tmp_path / "bad.npz"
    np.savez(path, bad=np.array([Leave()], dtype=object))
    with pytest.raises(InputError, match=r"bad\.npz is damaged"):
        tables.read_arrays(path)
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    assert tables.read_arrays(tmp_path / "empty.npz") == {}
    assert not (tmp_path / "left").exists()


def test_nothing_in_the_library_loads_a_pickle():
    """Outside the data sets, whose own files are checked by their sums, and which come from torchvision."""
    for path in sorted((ROOT / "lfcore").rglob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if path.parent.name != "datasets":
            assert not {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"} & imported, path
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert name not in ("eval", "exec", "pd.read_pickle", "yaml.load", "yaml.unsafe_load"), path
            assert name != "torch.load" or options.get("weights_only") == "True", path
            assert options.get("allow_pickle", "False") == "False", path


def test_a_small_table_escapes_what_it_prints():
    page = Table([{"<script>alert(1)</script>": "<img src=x onerror=alert(1)>", "n": 1.0}])._repr_html_()
    assert "<script" not in page and "<img" not in page and "&lt;script&gt;" in page


def test_a_killed_or_failed_writer_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(OSError, match="full"), atomic(path) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]

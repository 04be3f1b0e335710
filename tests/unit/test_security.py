"""Harmful files are refused in one line, and the code in them does not run."""

import ast
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serflow.runtime.errors import UserError
from serflow.storage import open_array, read_json, read_row_groups, read_table


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def pwned(tmp_path):
    """Return the folder that a payload would create, and check that it does not exist in the end."""
    place = tmp_path / "pwned"
    yield place
    assert not place.exists()


def test_the_payload_is_one(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def refuse(read, path):
    with pytest.raises(UserError) as error:
        read(path)
    assert str(error.value).isprintable() and str(path) in str(error.value)


def test_pickled_arrays(tmp_path, pwned):
    objects = np.array([Payload(pwned)], dtype=object)
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    refuse(open_array, tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", x=objects, allow_pickle=True)
    (tmp_path / "x.npz").rename(tmp_path / "y.npy")
    refuse(open_array, tmp_path / "y.npy")
    (tmp_path / "z.npy").write_bytes(pickle.dumps(Payload(pwned)))
    refuse(open_array, tmp_path / "z.npy")
    code = f"__import__('os').mkdir({str(pwned)!r})"
    for header in (f"{{'descr': {code}, 'fortran_order': False, 'shape': (1,)}}", code):
        with (tmp_path / "w.npy").open("wb") as file:
            file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        refuse(open_array, tmp_path / "w.npy")


def test_a_table_with_a_pickled_type(tmp_path, pwned):
    metadata = {"ARROW:extension:name": "arrow.py_extension_type"}
    metadata["ARROW:extension:metadata"] = pickle.dumps(Payload(pwned))
    field = pa.field("clip", pa.string(), metadata=metadata)
    pq.write_table(pa.table([pa.array(["a"])], schema=pa.schema([field])), tmp_path / "x.parquet")
    refuse(read_table, tmp_path / "x.parquet")
    refuse(lambda path: list(read_row_groups(path)), tmp_path / "x.parquet")
    nested = pa.schema([pa.field("a", pa.struct([pa.field("b", pa.list_(field))]))])
    pq.write_table(nested.empty_table(), tmp_path / "y.parquet")
    refuse(read_table, tmp_path / "y.parquet")
    (tmp_path / "z.parquet").write_bytes(pickle.dumps(Payload(pwned)))
    refuse(read_table, tmp_path / "z.parquet")


def test_json_that_is_a_pickle(tmp_path, pwned):
    (tmp_path / "x.json").write_bytes(pickle.dumps(Payload(pwned)))
    refuse(read_json, tmp_path / "x.json")


def test_models_that_bring_code(tmp_path, pwned):
    """In another process, since the switches of Keras concern the whole process."""
    code = """
import io, json, pickle, sys, zipfile
from pathlib import Path
import keras
from serflow.runtime.errors import UserError
from serflow.models.keras_run import load_model, prepare
from serflow.storage import write_archive
prepare(0, 1)
folder, pwned = Path(sys.argv[1]), sys.argv[2]
good, bad = folder / "good.keras", folder / "bad.keras"
inputs = keras.Input((2,))
write_archive(good, keras.Model(inputs, keras.layers.Dense(1)(inputs)).save)
load_model(good)
harm = eval("lambda x: (__import__('os').mkdir(%r), x)[1]" % pwned)
model = keras.Sequential([keras.Input((2,)), keras.layers.Activation("relu")])
model.save(bad)
with zipfile.ZipFile(bad) as file:
    parts = {name: file.read(name) for name in file.namelist()}
plain = json.loads(parts["config.json"])
layers = plain["config"]["layers"]
serialized = keras.layers.Lambda(harm).get_config()
def named(module, name, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": name}
kinds = {
    "lambda": {"module": "keras.layers", "class_name": "Lambda", "config": serialized, "registered_name": None},
    "function": named("os", "mkdir", path=pwned),
    "builtin": named("builtins", "exec", source="import os"),
    "class": named("subprocess", "Popen", args=["mkdir", pwned]),
    "keras": named("keras.utils", "get_file", origin="file:///etc/passwd"),
    "inner": {"module": "keras.layers", "class_name": "Activation", "registered_name": None,
              "config": {"activation": named("os", "system", command="mkdir " + pwned)}},
    "wrapped": {"module": "keras.layers", "class_name": "TimeDistributed", "registered_name": None,
                "config": {"layer": named("os", "mkdir", path=pwned)}},
}
def write(text):
    # With a checksum that is right, so that Keras gets to see it.
    def pack(path):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in parts.items():
                file.writestr(name, text if name == "config.json" else content)
    write_archive(bad, pack)
def expect(kind):
    try:
        load_model(bad)
    except UserError as error:
        assert str(error).isprintable() and str(bad) in str(error), error
        print(kind)
for kind, layer in kinds.items():
    write(json.dumps({**plain, "config": {**plain["config"], "layers": [*layers[:1], layer]}}))
    expect(kind)
for kind, content in {
    "whole": json.dumps(named("os", "mkdir", path=pwned)), "no json": "{", "empty": "", "list": "[]", "null": "null"
}.items():
    write(content)
    expect(kind)
for kind, content in {
    "cut": good.read_bytes()[:-40],
    "flipped": good.read_bytes()[:-2000] + bytes([255] * 200) + good.read_bytes()[-1800:],
    "none": b"", "pickle": pickle.dumps(print), "hdf5": bytes.fromhex("894844460d0a1a0a") + bytes(200),
}.items():
    bad.write_bytes(content)
    expect(kind)
with zipfile.ZipFile(bad, "w") as file:
    for name, content in parts.items():
        if not name.endswith(".h5"):
            file.writestr(name, content)
expect("no weights")
with zipfile.ZipFile(bad, "w") as file:
    for name, content in parts.items():
        file.writestr(name, b"no weights" if name.endswith(".h5") else content)
expect("broken weights")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(pwned)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    kinds = "lambda,function,builtin,class,keras,inner,wrapped,whole,no json,empty,list,null,"
    kinds += "cut,flipped,none,pickle,hdf5,no weights,broken weights"
    assert done.stdout.splitlines() == kinds.split(",")


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def forbidden(tree):
    """List what no source of the workflow may use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            yield from FORBIDDEN_MODULES & {name.split(".")[0] for name in names}
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in FORBIDDEN_NAMES:
                yield called.id
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                full = f"{called.value.id}.{called.attr}"
                yield from {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"} & {full}
            for word in node.keywords:
                if isinstance(word.value, ast.Constant):
                    yield from {"shell=True", "allow_pickle=True", "safe_mode=False"} & {
                        f"{word.arg}={word.value.value}"
                    }


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "eval('1')", "yaml.load(x)", "f(shell=True)", "g(allow_pickle=True)"],
)
def test_the_search_finds(source):
    assert list(forbidden(ast.parse(source)))


def test_no_source_runs_what_it_reads(project):
    sources = [*project.glob("workflow/src/**/*.py"), *project.glob("tests/fuzz/*.py")]
    assert len(sources) > 50
    found = {str(path): names for path in sources if (names := list(forbidden(ast.parse(path.read_text()))))}
    assert not found
    rules = [project / "Snakefile", *project.glob("workflow/rules/*.smk")]
    words = r"\b(?:eval|exec|pickle|yaml\.(?:unsafe_|full_)?load)\b|shell=True|allow_pickle=True"
    assert not [path for path in rules if re.search(words, path.read_text())]


def test_what_comes_from_a_user_is_quoted_in_shell_commands(project):
    """What is not quoted is a number, one of few words, or a name that the schema or the package restricts."""
    plain = set()
    for path in project.glob("workflow/rules/*.smk"):
        for command in re.findall(r"shell:\n((?: +\"[^\n]*\n)+)", path.read_text()):
            plain |= set(re.findall(r"\{([\w.]+)\}", command))
    numbers = {"seed", "shard", "shards", "sampling_rate", "shown", "members"}
    words = {"corpus", "policy", "setting", "kind", "architecture"}
    quoted_already = {"metadata", "archive", "files", "encoder", "more", "epochs", "keep", "reason", "stated", "change"}
    texts = {f"params.{name}" for name in numbers | words | quoted_already} | {"resources.policy", "threads"}
    run = ("model", "protocol", "seed", "fold")
    wildcards = {
        f"wildcards.{name}" for name in (*run, "shard", "encoder", "search", "trial", "rung", "condition", "kind")
    }
    assert plain <= texts | wildcards
    assert {"params.kind", "params.sampling_rate", "threads"} <= plain

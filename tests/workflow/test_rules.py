"""The rules as they are read: `snakemake --list-target-rules` and `--list-rules`."""

import re
import subprocess
import sys

import pytest

from serflow.features import KINDS
from serflow.splits import PROTOCOLS
from workspace import TARGETS

SENTENCE = re.compile(r"[A-Z][^.]*(?:\.\w[^.]*)*\.")


@pytest.mark.parametrize("option", ["--list-target-rules", "--list-rules"])
def test_each_is_said_in_one_sentence(project, empty, option):
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(project / "Snakefile"), option]
    done = subprocess.run(command, cwd=empty.folder, capture_output=True, text=True, check=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(TARGETS) <= said.keys()
    assert not {name: text for name, text in said.items() if not SENTENCE.fullmatch(text[1:-1])}
    if option == "--list-rules":
        sources = [project / "Snakefile", *project.glob("workflow/rules/*.smk")]
        named = re.findall(r"^(?:rule|checkpoint) (\w+):", "".join(path.read_text() for path in sources), re.M)
        named += [f"extract_{kind}" for kind in KINDS] + [protocol.replace("-", "_") for protocol in PROTOCOLS]
        assert sorted(named) == sorted(said)


def test_the_source_of_an_encoder_chooses_the_rule(empty):
    for name in ("config.json", "model.safetensors"):
        (empty.folder / name).touch()
    encoders = {"a": {"transformers": "owner/name"}, "b": {"transformers": "."}, "a.b": {"onnx": "config.json"}}
    made = {name: empty.jobs(f"resources/encoders/{name}.onnx", encoders=encoders) for name in encoders}
    assert made == {"a": {"export_encoder": 1}, "b": {"export_encoder": 1}, "a.b": {"fetch_encoder": 1}}
    said = empty.run("--dry-run", "resources/encoders/b.json", encoders=encoders)
    assert "input: config.json, model.safetensors" in said

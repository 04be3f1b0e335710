"""Checkpoints of Hugging Face Transformers: where they come from, what is read of them, and what is refused.

None of this needs PyTorch; tests/unit/test_export_encoder.py has the export.
"""

import json
import struct
import sys

import numpy as np
import pytest
import safetensors.numpy

from hub import serving_models
from serflow.encoders.checkpoint import find_checkpoint, read_architecture, read_licence, read_normalize, record_commit
from serflow.encoders.export_encoder import export_encoder
from serflow.encoders.settings import encoder_files
from serflow.runtime.errors import UserError

WEIGHTS = safetensors.numpy.save({"layer.weight": np.ones((3, 4), np.float32)})
FILES = {"config.json": b'{"model_type": "wavlm"}', "model.safetensors": WEIGHTS, "pytorch_model.bin": b"not read"}
SECTION = "encoders.own"


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def find(folder, **settings):
    return find_checkpoint(settings, folder / "own.download.json", SECTION)


def record(folder, found, **settings):
    record_commit(settings, found, folder / "own.download.json", SECTION)


def test_a_folder_is_taken_as_it_is(folder):
    assert find(folder, transformers=str(folder)) == (folder, str(folder))
    record(folder, folder, transformers=str(folder))
    assert not (folder / "own.download.json").exists()
    assert read_architecture(folder, "it", SECTION) == "WavLMModel"
    with pytest.raises(UserError, match="is a folder, which has no revisions; leave it out"):
        find(folder, transformers=str(folder), revision="main")
    with pytest.raises(UserError, match="none: no such folder"):
        find(folder, transformers=str(folder / "none"))


def test_the_inputs_are_what_is_read_of_a_folder(folder, monkeypatch):
    wanted = [str(folder / name) for name in ("config.json", "model.safetensors")]
    assert encoder_files({"transformers": str(folder)}) == wanted
    (folder / "README.md").touch()
    assert encoder_files({"transformers": str(folder)}) == [*wanted, str(folder / "README.md")]
    assert encoder_files({"transformers": "owner/name"}) == []
    monkeypatch.chdir(folder.parent)
    assert len(encoder_files({"transformers": folder.name})) == 3


def test_whether_clips_are_normalised_is_read(folder, capsys):
    assert read_normalize(folder, "it", SECTION) == "none"
    assert "has no preprocessor_config.json, so clips are not normalised" in capsys.readouterr().err
    for text, wanted in (('{"do_normalize": false}', "none"), ("{}", "zero-mean-unit-variance")):
        (folder / "preprocessor_config.json").write_text(text)
        assert read_normalize(folder, "it", SECTION) == wanted
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true, "sampling_rate": 8000}')
    with pytest.raises(UserError, match="it: reads audio at 8000 Hz, not 16000"):
        read_normalize(folder, "it", SECTION)
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(UserError, match="not readable as JSON"):
        read_normalize(folder, "it", SECTION)


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        ("# A model", None),
        ("---\nlanguage: en\n---\n# A model", None),
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: my-terms\n---\n", "my-terms"),
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", "mit, cc-by-4.0"),
    ],
)
def test_the_licence_is_read_from_the_model_card(folder, card, wanted):
    (folder / "README.md").write_text(card)
    assert read_licence(folder, SECTION) == wanted


def test_a_model_card_that_cannot_be_read_is_one_line(folder):
    assert read_licence(folder, SECTION) is None
    (folder / "README.md").write_text("---\nlicense: [\n---\n")
    with pytest.raises(UserError, match=r"README.md: its metadata cannot be read; set encoders.own.licence"):
        read_licence(folder, SECTION)


def huge(values):
    """Return the start of a safetensors file that announces so many float16 values."""
    header = json.dumps({"a": {"dtype": "F16", "shape": [values], "data_offsets": [0, 2 * values]}}).encode()
    return struct.pack("<Q", len(header)) + header


def test_checkpoints_that_cannot_be_exported_are_one_line(folder):
    with (folder / "model.safetensors").open("wb") as file:
        start = huge(510_000_000)
        file.write(start)
        file.truncate(len(start) + 1_020_000_000)  # a hole, which takes no room
    refused(folder, "it: 2.0 GB of weights, more than the 2 GB of one ONNX file; use a smaller model")
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])
    refused(folder, "model.safetensors: not a readable safetensors file")
    (folder / "model.safetensors").unlink()
    refused(folder, r"other weights, which may hold code, are not loaded; .*from_pretrained\('it'\).*t.WavLMModel")
    (folder / "config.json").write_text('{"model_type": "whisper"}')
    refused(folder, "is 'whisper', not one of data2vec-audio, hubert, wav2vec2, wavlm; export it to ONNX yourself")
    (folder / "config.json").write_text("[]")
    refused(folder, "config.json: not an object of JSON")
    (folder / "config.json").unlink()
    refused(folder, "it: has no config.json")


def refused(folder, message):
    with pytest.raises(UserError, match=message) as error:
        read_architecture(folder, "it", SECTION)
    assert "\n" not in str(error.value)


def test_missing_packages_are_one_line(folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    paths = {"output": folder / "own.onnx", "description": folder / "own.json"}
    with pytest.raises(UserError, match=r"transformers needs torch.*pip install -r envs/requirements-encoders.txt"):
        export_encoder(encoder="own", settings={"transformers": str(folder)}, **paths)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub of models that is asked in place of Hugging Face."""
    from huggingface_hub import constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving_models() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield hub


def test_the_first_commit_is_recorded_and_used_afterwards(hub, tmp_path, capsys):
    first = hub.commit("owner/name", FILES)
    folder, source = find(tmp_path, transformers="owner/name")
    assert source == f"owner/name, commit {first}"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    record(tmp_path, folder, transformers="owner/name")
    assert f"main of owner/name is the commit {first}, which is used from now on" in capsys.readouterr().err
    later = hub.commit("owner/name", FILES | {"config.json": b'{"model_type": "hubert"}'})
    assert later != first and find(tmp_path, transformers="owner/name") == (folder, source)
    record(tmp_path, folder, transformers="owner/name")
    assert "from now on" not in capsys.readouterr().err
    changed, source = find(tmp_path, transformers="owner/name", revision=later)
    assert source.endswith(later) and read_architecture(changed, "it", SECTION) == "HubertModel"


def test_a_commit_that_could_not_be_exported_is_not_kept(hub, tmp_path):
    hub.commit("owner/name", {"config.json": FILES["config.json"]})
    with pytest.raises(UserError, match=r"has no model.safetensors"):
        read_architecture(find(tmp_path, transformers="owner/name")[0], "owner/name", SECTION)
    later = hub.commit("owner/name", FILES)
    assert find(tmp_path, transformers="owner/name")[1].endswith(later)


def test_branches_and_changes_that_are_proposed_are_revisions(hub, tmp_path):
    hub.commit("owner/name", {"config.json": b"{}"})
    proposed = hub.commit("owner/name", FILES, "refs%2Fpr%2F3")  # as its name is sent
    folder, source = find(tmp_path, transformers="owner/name", revision="refs/pr/3")
    assert source.endswith(proposed) and (folder / "model.safetensors").exists()


def test_what_is_in_the_cache_needs_no_network(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub.commit("owner/name", FILES)
    found = find(tmp_path, transformers="owner/name")
    record(tmp_path, found[0], transformers="owner/name")
    hub.asked.clear()
    assert find(tmp_path, transformers="owner/name") == found and not hub.asked
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be reached; is there a network\? Run again, or download it elsewhere"):
        find(tmp_path, transformers="owner/other")


def test_what_cannot_be_downloaded_is_one_line(hub, tmp_path):
    hub.commit("owner/name", FILES)
    hub.commit("owner/gated", FILES)
    hub.gated.add("owner/gated")
    cases = [
        ({"transformers": "owner/other"}, "owner/other: no folder, and no model on Hugging Face .* HF_TOKEN"),
        ({"transformers": "owner/name", "revision": "v9"}, "owner/name: has no revision 'v9'"),
        ({"transformers": "owner/gated"}, "owner/gated: asks for consent to its terms"),
        ({"transformers": "my models/name"}, "'my models/name' is neither a folder nor a model id: owner/name"),
    ]
    for settings, message in cases:
        with pytest.raises(UserError, match=message) as error:
            find(tmp_path, **settings)
        assert "\n" not in str(error.value)

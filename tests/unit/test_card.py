"""The model card: its sections, what the Hugging Face Hub reads of it, and its code, which runs as it is shown."""

import ast
import hashlib
import json
import zipfile

import numpy as np
import onnx
import pandas as pd
import pytest
import soundfile as sf
from huggingface_hub import ModelCard
from onnx import TensorProto, helper, numpy_helper

from card_code import blocks, run_alone
from own_encoder import WIDTH, model
from serflow import Bundle
from serflow.bundle.card import model_card
from serflow.encoders.fetch_encoder import fetch_encoder
from serflow.storage import read_json
from tiny_bundle import ABOUT, CLASSES, model_of, write_bundle
from voice import voice

SECTIONS = ["How to use", "Intended use", "Not for", "Training data", "Training procedure", "Factors", "Metrics"]
SECTIONS += ["Evaluation data", "Performance", "Groups", "Ethical considerations", "Caveats", "Citation"]
FOUND = {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95}
MEASURES = dict.fromkeys(("uar", "accuracy", "f1_weighted", "f1_macro"), FOUND)
LISTENERS = {"n_clips": 8, "n_test": 10} | {
    name: MEASURES | {"recall": dict(zip(CLASSES, (0.25, 0.35, 0.45), strict=True))}
    for name in ("listener", "majority")
}
TRAINED = {
    "fold_name": "fold 0",
    "architecture": "tiny",
    "refit": False,
    "date": "2026-01-31",
    "contact": None,
    "licence": None,
    "settings": {"C": 0.01},
    "training": {"parameters": 1234, "epochs": 7, "best_epoch": 5, "chosen": {"C": 0.01}},
    "metrics": {"recall": [0.7, 0.8, 0.9]},
    "clips": {
        "train": {"recordings": 30, "copies": {"pitch_shift": 4, "time_stretch": 5}},
        "valid": {"recordings": 10, "copies": {}},
        "test": {"recordings": 12, "copies": {}},
    },
}


def card_of(about=ABOUT | TRAINED, *, listeners=None, language=()):
    groups = {"sex": [{"group": "Female", "n_clips": 12, "n_speakers": 2, "uar": FOUND}]}
    data = {"corpus": [], "language": list(language)}
    return model_card(about, MEASURES, groups, 2, data, None, listeners=listeners, unknown_speakers=True)


def test_every_section_is_there():
    text = card_of()
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    for words in (
        "| date | 2026-01-31 |",
        "| contact | not stated |",
        "| licence | not stated: ask",
        "Trained on 30 recordings and 9 augmented copies of recordings (pitch_shift: 4, time_stretch: 5)",
        "validated on 10 recordings.",
        "12 recordings of 2 speakers",
        "has 1,234 parameters",
        "| sex | Female | 12 | 2 | 50.0 % (40.0 to 60.0) |",
        "No listeners' votes are known",
    ):
        assert words in text, words
    stated = card_of(ABOUT | TRAINED | {"contact": "me@example.org", "licence": "cc-by-4.0"})
    assert "| contact | me@example.org |" in stated and "| licence | cc-by-4.0 |" in stated


def tables(card):
    """Return the number of cells of each row of each table."""
    found = [[]]
    for line in card.splitlines():
        if line.startswith("|"):
            found[-1].append(line.count("|"))
        elif found[-1]:
            found.append([])
    return [rows for rows in found if rows]


@pytest.mark.parametrize("listeners", [None, LISTENERS])
def test_tables_are_whole(listeners):
    card = card_of(listeners=listeners)
    assert all(len(set(rows)) == 1 and len(rows) > 2 for rows in tables(card)) and len(tables(card)) == 4
    assert "\n\n\n" not in card
    if listeners:
        assert "| UAR | 50.0 % (40.0 to 60.0) | 50.0 % (40.0 to 60.0) | 50.0 % (40.0 to 60.0) |" in card
        assert "| HAP | 80.0 % | 35.0 % | 35.0 % |" in card and "on the 8 of 10 test clips" in card


def test_the_hub_reads_the_front_matter():
    card = ModelCard(card_of(ABOUT | TRAINED | {"licence": "cc-by-4.0"}, language=["en", "not a code"]))
    data = card.data
    assert (data.license, data.language, data.datasets) == ("cc-by-4.0", ["en"], ["sample"])
    assert data.pipeline_tag == "audio-classification" and "speech-emotion-recognition" in data.tags
    assert data.metrics == ["recall", "accuracy", "f1"] and data.model_name == "tiny"
    first = data.eval_results[0]
    assert (first.metric_type, first.metric_name, first.metric_value) == ("recall", "UAR", 0.5)
    assert (first.dataset_name, first.dataset_split, first.metric_args["low"]) == ("sample", "test", 0.4)
    assert ModelCard(card_of()).data.license == "other"


def test_the_card_of_a_bundle_is_without_front_matter(tmp_path):
    bundle = Bundle(write_bundle(tmp_path / "b.zip", card=card_of()))
    assert bundle.card.strip().startswith("# tiny on sample") and "pipeline_tag" not in bundle.card


def classifier(values, axes=()):
    """Return an ONNX model that takes the mean over axes of features, and gives probabilities by random weights."""
    weights = np.random.default_rng(1).normal(0, 3, (values, len(CLASSES))).astype(np.float32)
    shape = np.array([-1, values])
    nodes = [
        helper.make_node("ReduceMean", ["features", *(["axes"] if axes else [])], ["mean"], keepdims=1)
        if axes
        else helper.make_node("Identity", ["features"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(shape, "shape")]
    constants += [numpy_helper.from_array(np.array(axes), "axes")] if axes else []
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["clips", len(CLASSES)])],
        constants,
    )
    return model_of(graph)


@pytest.mark.parametrize("normalize", ["none", "zero-mean-unit-variance"])
@pytest.mark.parametrize("outputs", [("last_hidden_state",), ("hidden_states.0", "hidden_states.1")])
@pytest.mark.parametrize("pooling", [["mean", "std"], ["std"]])
@pytest.mark.parametrize("adapted", [False, True])
def test_an_embedding_model_opens_in_plain_onnxruntime(tmp_path, normalize, outputs, pooling, adapted):
    source = tmp_path / "own.onnx"
    onnx.save(model(outputs=outputs), source)
    settings = {"onnx": str(source), "normalize": normalize}
    fetch_encoder(
        encoder="own", settings=settings, output=tmp_path / "encoder.onnx", description=tmp_path / "encoder.json"
    )
    values = len(outputs) * len(pooling) * WIDTH
    about = ABOUT | TRAINED | {"features": "embedding", "encoder": read_json(tmp_path / "encoder.json")}
    about |= {"preprocessing": ABOUT["preprocessing"] | {"pooling": pooling}}
    files = {
        "model.onnx": classifier(values).SerializeToString(),
        "encoder.onnx": (tmp_path / "encoder.onnx").read_bytes(),
    }
    if adapted:
        about |= {"standardize": "corpus"}
        np.save(tmp_path / "moments.npy", np.full((2, values), [[0.1], [2]], np.float32))
        files["moments.npy"] = (tmp_path / "moments.npy").read_bytes()
    files |= {"bundle.json": json.dumps(about).encode(), "README.md": card_of(about).encode()}
    with zipfile.ZipFile(tmp_path / "bundle.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    assert about["encoder"]["sha256"] == hashlib.sha256(files["encoder.onnx"]).hexdigest()
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / "bundle.zip").extractall(folder)
    sf.write(folder / "talk.wav", voice(0.47), 16_000)
    bundle = Bundle(tmp_path / "bundle.zip")
    expected = bundle.predict(folder / "talk.wav")
    short, alone = blocks(bundle.card)
    assert len(short.splitlines()) == 3 and 8 <= len(alone.splitlines()) <= 11
    found = ast.literal_eval(run_alone(alone, folder))
    assert found == pytest.approx(dict(expected.probabilities), abs=1e-4)
    assert len({round(value, 3) for value in found.values()}) > 1  # no uniform answer


FORMS = {"mel": (1, 2), "frames": (1,), "logmel": (1, 2), "functionals": ()}


@pytest.mark.parametrize("kind", FORMS)
def test_other_models_open_with_a_file_of_features(tmp_path, kind):
    rng, about = np.random.default_rng(0), ABOUT | TRAINED | {"features": kind}
    if kind in ("frames", "functionals"):
        features = rng.normal(0, 1, (3, 5)).astype(np.float32)
        pd.DataFrame({"clip": list("abc")} | {f"f{n}": features[:, n] for n in range(5)}).to_parquet(
            tmp_path / "s00.parquet"
        )
        features = features[..., None]
    elif kind == "mel":
        features = rng.normal(0, 1, (3, 8, 6)).astype(np.float32)
        np.save(tmp_path / "s00.npy", features)
        features = features[..., None]
    else:
        frames = rng.normal(0, 1, (20, 8)).astype(np.float32)
        np.save(tmp_path / "s00.npy", frames)
        pd.DataFrame({"clip": ["a", "b"], "offset": [0, 12], "length": [12, 8]}).to_parquet(tmp_path / "s00.parquet")
        features = frames[:12].T[None, ..., None]
    network = classifier(features.shape[3] if features.ndim == 4 else 1 if kind == "frames" else 5, FORMS[kind])
    onnx.save(network, tmp_path / "model.onnx")
    (tmp_path / "bundle.json").write_text(json.dumps(about))
    _, alone = blocks(card_of(about))
    from serflow.inference.onnx_model import Network

    rows = Network(network.SerializeToString()).probabilities(features)
    assert ast.literal_eval(run_alone(alone, tmp_path)) == [CLASSES[code] for code in rows.argmax(1)]

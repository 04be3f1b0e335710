"""Embeddings of an encoder, the logistic regression over them, and the adaptation to speakers."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from own_encoder import model
from serflow import storage
from serflow.encoders.fetch_encoder import fetch_encoder
from serflow.encoders.run import open_encoder
from serflow.features import compute_features
from serflow.features.extract import extract_features
from serflow.models.architectures import logreg_embedding
from serflow.models.data import Features, read_split
from serflow.models.enrolment import evaluate_enrolment
from serflow.models.moments import Moments, moments_of, shrink
from serflow.models.predict import predict_test
from serflow.models.standardize import GroupStandardized, open_features
from serflow.models.train import train_model
from serflow.runtime.errors import UserError

CLASSES = ["ANG", "NEU", "SAD"]
SETTINGS = {"sampling_rate": 16_000, "pooling": ["mean", "std"]}
FIT = {"layers": "all", "C": [0.01, 0.1], "max_iter": 200, "class_weight": "none", "encoder": "own", "refit": True}


@pytest.fixture
def encoder(tmp_path):
    """ONNX file and description of a small encoder with an input and two blocks."""
    (tmp_path / "own.onnx").write_bytes(model(outputs=[f"hidden_states.{n}" for n in range(3)]).SerializeToString())
    paths = {"output": tmp_path / "encoder.onnx", "description": tmp_path / "encoder.json"}
    fetch_encoder(encoder="own", settings={"onnx": str(tmp_path / "own.onnx")}, **paths)
    return list(paths.values())


@pytest.fixture
def recordings(tmp_path):
    """An array of clips end to end, its index, and the clips; one of them is not usable."""
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=size).astype(np.float32) for size in (16_000, 0, 9_000, 25_111)]
    with storage.ArrayWriter(tmp_path / "s00.npy") as out:
        for clip in clips:
            out.write(clip)
    lengths = [len(clip) for clip in clips]
    offsets = np.cumsum([0, *lengths[:-1]])
    index = pa.table({"clip": list("abcd"), "offset": offsets, "length": lengths})
    storage.write_table(tmp_path / "s00.parquet", index)
    return (
        tmp_path / "s00.npy",
        tmp_path / "s00.parquet",
        {name: clip for name, clip in zip("abcd", clips, strict=True) if len(clip)},
    )


@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_clips_keep_their_length_and_threads_change_nothing(encoder, recordings, tmp_path, rate):
    samples, index, clips = recordings
    found = {}
    for threads in (1, 2):
        paths = {"output": tmp_path / f"{threads}.npy", "output_index": tmp_path / f"{threads}.parquet"}
        files = {"encoder": encoder[0], "description": encoder[1]}
        settings = SETTINGS | {"sampling_rate": rate}
        extract_features("embedding", samples, index=index, settings=settings, threads=threads, **files, **paths)
        found[threads] = paths["output"].read_bytes()
        assert storage.read_table(paths["output_index"])["clip"].to_pylist() == list(clips)
    assert found[1] == found[2]
    rows = storage.open_array(tmp_path / "1.npy")
    assert rows.shape == (3, 3, 8) and rows.dtype == np.float32
    opened = open_encoder(*encoder)
    if rate == 16_000:
        for row, clip in zip(rows, clips.values(), strict=True):
            states = opened.states(clip)
            np.testing.assert_allclose(
                row, np.concatenate([states.mean(1), states.std(1)], axis=1), rtol=1e-4, atol=1e-5
            )
    flat = compute_features("embedding", list(clips.values()), SETTINGS | {"sampling_rate": rate}, encoder=opened)
    np.testing.assert_array_equal(flat, rows.reshape(3, 24, 1))


def test_a_shard_without_clips(encoder, tmp_path):
    with storage.ArrayWriter(tmp_path / "s00.npy"):
        pass
    empty = pa.table(
        {"clip": pa.array([], pa.string()), "offset": pa.array([], pa.int64()), "length": pa.array([], pa.int64())}
    )
    storage.write_table(tmp_path / "s00.parquet", empty)
    paths = {"output": tmp_path / "x.npy", "output_index": tmp_path / "x.parquet"}
    files = {"encoder": encoder[0], "description": encoder[1], "index": tmp_path / "s00.parquet"}
    extract_features("embedding", tmp_path / "s00.npy", settings=SETTINGS, **files, **paths)
    assert storage.open_array(paths["output"]).shape == (0, 3, 8)


def corpus(folder, speakers=9, takes=8, seed=0):
    """Write embeddings (3 layers of 4 values) and a split of clips that differ by speaker more than by emotion."""
    rng = np.random.default_rng(seed)
    clips = [f"{speaker}_{label}{take}" for speaker in range(speakers) for label in CLASSES for take in range(takes)]
    of_class, of_speaker = rng.normal(size=(3, 3, 4)), 4 * rng.normal(size=(speakers, 3, 4))
    values = np.stack([
        of_class[CLASSES.index(clip[2:5])] + of_speaker[int(clip[0])] + rng.normal(size=(3, 4)) for clip in clips
    ])  # fmt: skip
    values[:, 0] = rng.normal(size=(len(clips), 4))  # the first layer knows nothing
    copies = [f"{clip}.time_stretch" for clip in clips[:3]]
    with storage.ArrayWriter(folder / "x.npy", (3, 4)) as out:
        out.write(np.concatenate([values, values[:3] + 100]))
    storage.write_table(folder / "x.parquet", pa.table({"clip": clips + copies}))
    parts = [("test", "valid", "train")[min(2, int(clip[0]) * 3 // speakers)] for clip in clips]
    rows = {"clip": clips + copies, "origin": clips + clips[:3], "fold": [0] * (len(clips) + 3)}
    rows |= {"part": parts + ["train"] * 3, "label": [clip[2:5] for clip in rows["origin"]]}
    storage.write_table(folder / "split.parquet", pa.table(rows))
    (folder / "encoder.json").write_text("{}")
    storage.write_json(folder / "encoder.json", {"layers": 3, "blocks": [1, 2]})
    return clips, values


def test_groups_are_standardised_by_their_recordings(tmp_path):
    clips, values = corpus(tmp_path)
    data = open_features("logreg_embedding", [tmp_path / "x.npy"], [tmp_path / "x.parquet"], {"standardize": "speaker"})
    assert isinstance(data, GroupStandardized) and data.shape == (12, 1)
    of_speaker = [row for row, clip in enumerate(clips) if clip[0] == "4"]
    found = data.take(data.places([clips[row] for row in of_speaker]))[..., 0]
    mine = values.reshape(len(values), 12)[of_speaker].astype(np.float32)
    np.testing.assert_allclose(found, (mine - mine.mean(0)) / mine.std(0), rtol=1e-3, atol=1e-4)
    # A copy is standardised by the recordings of its speaker.
    copy = data.take(data.places([f"{clips[0]}.time_stretch"]))
    first = values.reshape(len(values), 12)[: len(values) // 9]
    np.testing.assert_allclose(copy[0, :, 0], (values[0].ravel() + 100 - first.mean(0)) / first.std(0), rtol=1e-3)


def test_copies_are_used_if_a_model_wants_them(tmp_path):
    clips, _ = corpus(tmp_path)
    for copies, count in ((["time_stretch"], 3), (["pitch_shift"], 0), ([], 0)):
        _, parts = read_split(tmp_path / "split.parquet", 0, copies)
        assert sum("." in clip for clip in parts["train"]["clip"]) == count
        assert {clip for part in parts.values() for clip in part["clip"] if "." not in clip} == set(clips)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A function that trains a model and predicts with it, in this process, which may have used TensorFlow before."""
    for kind in ("intra", "inter"):
        monkeypatch.setattr(f"tensorflow.config.threading.set_{kind}_op_parallelism_threads", lambda threads: None)
    corpus(tmp_path)

    def train(name="run", **changes):
        settings = {**FIT, "standardize": "training", "copies": [], **changes}
        out = tmp_path / name
        out.mkdir()
        common = {"indices": [tmp_path / "x.parquet"], "settings": settings, "fold": 0, "threads": 1}
        common["before_refit"] = out / "before_refit.parquet"
        where = ("logreg_embedding", tmp_path / "split.parquet", [tmp_path / "x.npy"])
        files = {name: out / name for name in ("history", "summary", "training")}
        train_model(
            "mine", *where, encoder=tmp_path / "encoder.json", seed=0, output=out / "model.keras", **files, **common
        )
        predict_test(out / "model.keras", *where, output=out / "predictions.parquet", **common)
        return out, storage.read_json(out / "training"), storage.read_table(out / "predictions.parquet").to_pandas()

    return train


def accuracy(table, part):
    rows = table[table["part"] == part]
    predicted = np.array(CLASSES)[rows[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(axis=1)]
    return (predicted == rows["label"].to_numpy()).mean()


def test_the_choice_is_made_on_validation_clips_before_the_refit(trained, tmp_path):
    _, training, table = trained(refit=False)
    out, refitted, again = trained("refit")
    assert training["chosen"] == refitted["chosen"] and refitted["chosen"]["layers"] == [1, 2]
    assert (training["refit"], refitted["refit"]) == (False, True)
    valid, test = (
        [each[each["part"] == part].set_index("clip").sort_index() for each in (table, again)]
        for part in ("valid", "test")
    )
    columns = [f"p_{name}" for name in CLASSES]
    np.testing.assert_array_equal(*(each[columns] for each in valid))
    assert np.abs(test[0][columns] - test[1][columns]).to_numpy().max() > 0.01
    before = storage.read_table(out / "before_refit.parquet").to_pandas()
    assert set(before["part"]) == {"valid", "test"}
    # The refitted model is scikit-learn's on training and validation clips together.
    data = Features([tmp_path / "x.npy"], [tmp_path / "x.parquet"], flat=True)
    _, parts = read_split(tmp_path / "split.parquet", 0, [])
    arrays = {part: data.take(data.places(rows["clip"]))[:, 4:, 0] for part, rows in parts.items()}
    both = np.concatenate([arrays["train"], arrays["valid"]])
    labels = parts["train"]["label"] + parts["valid"]["label"]
    mean, sd = both.mean(0), both.std(0)
    solver = LogisticRegression(C=refitted["chosen"]["C"], max_iter=200).fit((both - mean) / sd, labels)
    expected = solver.predict_proba((arrays["test"] - mean) / sd)
    found = again.set_index("clip").loc[parts["test"]["clip"], columns].to_numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_classes_may_count_the_same(weight):
    """With a class of a tenth of the clips, the weights are those of scikit-learn."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [100, 100, 10])
    features = rng.normal(size=(210, 4)) + 0.8 * np.eye(3, 4)[labels]
    settings = FIT | {"C": 0.1, "class_weight": weight, "encoder_layers": 1, "encoder_blocks": [0]}
    network = logreg_embedding.build((4, 1), 3, settings)
    logreg_embedding.fit(network, (features, labels), (features, labels), settings, 0)
    solver = LogisticRegression(C=0.1, max_iter=200, class_weight=None if weight == "none" else weight)
    expected = solver.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(network.predict(features[..., None], verbose=0), expected, atol=1e-5)


def test_vectors_that_are_no_embeddings_are_one_layer():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    features = rng.normal(size=(90, 5)) + np.eye(3, 5)[labels]
    settings = {key: value for key, value in FIT.items() if key != "encoder"} | {"features": "functionals", "C": 0.1}
    network, again = (logreg_embedding.build((5, 1), 3, settings) for _ in range(2))
    chosen = logreg_embedding.fit(network, (features, labels), (features, labels), settings, 0)
    assert chosen["layers"] == [0] and chosen["C"] == 0.1
    expected = LogisticRegression(C=0.1, max_iter=200).fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(network.predict(features[..., None], verbose=0), expected, atol=1e-5)
    logreg_embedding.refit(again, (features, labels), chosen, settings, 0)
    np.testing.assert_allclose(again.predict(features[..., None], verbose=0), expected, atol=1e-5)
    with pytest.raises(UserError, match="layers has 1, but functionals has the layers 0 to 0"):
        part = features, labels
        logreg_embedding.fit(network, part, part, settings | {"layers": [1]}, 0)


def test_layers_that_the_encoder_has(trained):
    assert trained(layers="best")[1]["chosen"]["layers"] in ([1], [2])
    assert trained("listed", layers=[0, 2])[1]["chosen"]["layers"] == [0, 2]
    with pytest.raises(UserError, match="layers has 3, but own has the layers 0 to 2"):
        trained("none", layers=[3])


def test_adaptation_helps_and_its_curve_rises(trained, tmp_path):
    _, _, plain = trained()
    out, training, adapted = trained("adapted", standardize="speaker")
    assert accuracy(adapted, "test") > accuracy(plain, "test") + 0.1
    assert training["chosen"]["shrinkage"] in (1, 3, 10)
    run = {"protocol": "speaker-independent", "model": "mine", "seed": 0, "fold": 0}
    (tmp_path / "metrics.json").write_text("")
    storage.write_json(tmp_path / "metrics.json", run)
    evaluate_enrolment(
        out / "model.keras",
        "logreg_embedding",
        [tmp_path / "x.npy"],
        indices=[tmp_path / "x.parquet"],
        predictions=out / "predictions.parquet",
        metrics=tmp_path / "metrics.json",
        training=out / "training",
        settings={**FIT, "standardize": "speaker", "copies": []},
        threads=1,
        output=tmp_path / "enrolment.json",
    )
    found = storage.read_json(tmp_path / "enrolment.json")
    assert run.items() <= found.items()
    points = {}
    for test in found["tests"]:
        points.setdefault((test["enrolled"], test["clips"]), []).append(np.array(test["confusion"]))
    shares = {key: np.trace(sum(matrices)) / np.sum(matrices) for key, matrices in points.items()}
    assert shares["any", None] == pytest.approx(accuracy(adapted, "test"))
    assert shares["any", 0] < shares["any", 5] < shares["any", None] + 0.05
    # 24 clips of a speaker: enrolled clips are not tested, and eight neutral ones are too few for ten.
    assert {key: int(np.sum(matrices[0])) for key, matrices in points.items()} == {
        **{("any", count): 5 * (24 - count) if count else 24 for count in (0, 1, 3, 5, 10, 20)},
        ("any", None): 24,
        **{("neutral", count): 5 * (24 - count) if count else 24 for count in (0, 1, 3, 5)},
        **{("two classes", count): 5 * (24 - count) if count else 24 for count in (0, 1, 3, 5, 10)},
    }


def test_shrinking():
    training = Moments(np.zeros(2, np.float32), np.ones(2, np.float32))
    clips = np.array([[2, 4], [4, 8]], np.float32)
    known = moments_of([clips[:1], clips[1:]])
    np.testing.assert_allclose(known, [[3, 6], [1, 2]])
    mean, sd = shrink(known, 2, training, 2)
    np.testing.assert_allclose([mean, sd], [[1.5, 3], [1, 1.5]])
    mean, sd = shrink(moments_of([clips[:1]]), 1, training, 1)  # of a single clip the standard deviation is 0
    np.testing.assert_allclose([mean, sd], [[1, 2], [0.5, 0.5]])


def test_moments_of_bands_and_of_columns_in_frames():
    """A speaker's clips at prediction are standardised as in training: bands over time, a column over its frames."""
    values = np.random.default_rng(0).normal(size=(5, 3, 4, 1)).astype(np.float32)
    values[:, 2] = 7  # a constant stays finite
    moments = moments_of([values[:2], values[2:]])
    np.testing.assert_allclose(moments.mean, values.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    standard = moments.standardize(values)
    np.testing.assert_allclose(standard.std(axis=(0, 2, 3)), [1, 1, 0], atol=1e-5)
    rows = values[:, :2].reshape(5, 8, 1)
    names = [f"{name}_{frame:03d}" for name in ("zcr", "rms") for frame in range(4)]
    columns = moments_of([rows], names)
    np.testing.assert_allclose(columns.mean, np.repeat(moments.mean[:2], 4), rtol=1e-5)

"""Which wrong predictions are shown, and their clips."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile as sf
from PIL import Image

from made_up_runs import choose_mistakes_of
from serflow.corpus.crema_d_names import EMOTIONS
from serflow.evaluation.mistakes import NOT_EXPLAINED, choose_mistakes, wrong_predictions
from serflow.evaluation.predictions import EvaluatedRun, Predictions, RunKey, best_run
from serflow.models.keras_run import save_model
from serflow.report.clip_figure import show_clip
from serflow.report.clips import draw_clips
from serflow.report.mistakes import draw_mistakes, heard
from serflow.runtime.errors import UserError
from serflow.storage import ArrayWriter, read_json, read_table, write_json, write_table

MEL = {"n_mels": 32, "n_fft": 512, "hop_length": 128}
CLASSES = ["ANG", "HAP", "SAD"]


def chosen(found, count):
    mistakes = pd.DataFrame(found, columns=["clip", "fold", "truth", "predicted"])
    speakers = {clip: clip.split("_")[0] for clip in mistakes["clip"]}
    return choose_mistakes(mistakes, speakers, count)["clip"].tolist()


def test_folds_take_turns_then_speakers_then_confusions():
    found = [
        ("1_a", "fold 0", "ANG", "HAP"),
        ("1_b", "fold 0", "SAD", "HAP"),
        ("2_a", "fold 0", "ANG", "HAP"),
        ("2_b", "fold 0", "SAD", "HAP"),
        ("3_a", "fold 1", "ANG", "HAP"),
        ("3_b", "fold 1", "HAP", "SAD"),
    ]
    # Of fold 1 the second has a confusion that was not shown yet.
    assert chosen(found, 2) == ["1_a", "3_b"]
    # In fold 0 it is the other speaker's turn, with the confusion that was not shown yet.
    assert chosen(found, 3) == ["1_a", "3_b", "2_b"]
    assert sorted(chosen(found, 100)) == sorted(row[0] for row in found)
    assert chosen(found, 0) == chosen([], 3) == []


def test_wrong_predictions_are_those_on_recordings_the_most_confident_first():
    calibrated = np.array([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.0, 0.9, 0.1]])
    clips = np.array(["1_DFA_HAP", "1_TIE_SAD", "2_DFA_ANG", "1_DFA_ANG", "copy"])
    origins = np.array([*clips[:4], "1_DFA_ANG"])
    truth = np.array([1, 2, 0, 0, 0])
    both = Predictions(clips, origins, clips, truth, calibrated, calibrated, [1.0], [], [True])
    folds = [both.where(np.arange(5) < 2), both.where(np.arange(5) >= 2)]
    run = EvaluatedRun(RunKey("p", "m", 0), CLASSES, False, None, [{"fold": 0}, {"fold": 3}], folds, both)
    found = wrong_predictions(run)
    assert found["clip"].tolist() == ["1_DFA_ANG", "2_DFA_ANG", "1_DFA_HAP"]
    assert found["fold"].tolist() == ["fold 3", "fold 3", "fold 0"]
    last = found.iloc[2]
    assert (last["truth"], last["predicted"], last["confidence"]) == ("HAP", "ANG", 0.5)
    assert last["probabilities"] == {"ANG": 0.5, "HAP": 0.4, "SAD": 0.1}


def test_the_best_run_is_chosen_by_validation_among_those_that_are_not_leaky():
    def run(protocol, uar, unknown=False):
        return {
            "protocol": protocol,
            "leaky": protocol == "notebook",
            "adapted": None,
            "unknown_speakers": unknown,
            "valid_uar": uar,
        }

    leaky, known = [run("notebook", 0.7), run("notebook", 0.9)], [run("random", 0.6), run("custom", 0.5)]
    unknown = [run("speaker-independent", 0.3, True), run("custom", 0.4, True)]
    assert best_run([*leaky, *known, *unknown]) == unknown[1]
    assert best_run([*leaky, *known]) == known[0] and best_run(leaky) == leaky[1]


def test_what_listeners_heard():
    votes = {f"votes_{emotion}": count for emotion, count in zip(sorted(EMOTIONS), (3, 0, 0, 1, 0, 0), strict=True)}
    assert heard(votes)["votes"] == 4 and heard(votes)["shares"]["HAP"] == 0.25
    assert heard(dict.fromkeys(votes)) is None
    assert heard(dict.fromkeys(votes, 0)) is None


@pytest.fixture
def corpus(tmp_path):
    """Four clips, of which a run gets two wrong."""
    clips = ["1001_DFA_ANG_XX", "1001_TIE_HAP_XX", "1002_DFA_ANG_XX", "1002_TIE_SAD_XX"]
    rows, predictions, recordings = [], [], []
    for number, clip in enumerate(clips):
        speaker, sentence, emotion, level = clip.split("_")
        recordings.append(0.1 * np.sin(np.arange(8000 + number) / (3 + number)))
        rows.append({"clip": clip, "file": f"{clip}.wav", "speaker": speaker, "sentence": sentence, "emotion": emotion})
        rows[-1] |= {"level": level, "duration": 0.5} | {
            f"votes_{name}": 2 if number < 2 else None for name in sorted(EMOTIONS)
        }
        sure = {name: 0.8 if name == "ANG" else 0.1 for name in CLASSES}
        for part in ("train", "valid", "test"):
            row = {"clip": clip, "origin": clip, "part": part, "label": emotion}
            predictions.append(row | {f"p_{k}": v for k, v in sure.items()})
    write_table(tmp_path / "clips.parquet", pa.Table.from_pylist(rows))
    lengths = [len(samples) for samples in recordings]
    with ArrayWriter(tmp_path / "recordings.npy") as out:
        out.write(np.concatenate(recordings))
    places = {"clip": clips, "offset": np.cumsum([0, *lengths[:-1]]), "length": lengths}
    write_table(tmp_path / "recordings.parquet", pa.table(places))
    write_table(tmp_path / "predictions.parquet", pa.Table.from_pylist(predictions))
    known = {"protocol": "random", "model": "cnn1d", "seed": 0, "leaky": False}
    write_json(
        tmp_path / "metrics.json",
        known | {"standardize": "none", "fold": 0, "classes": CLASSES, "temperature": 1.25, "valid_uar": 0.5},
    )
    return tmp_path


def draw(corpus, count):
    recordings = {"samples": [corpus / "recordings.npy"], "indices": [corpus / "recordings.parquet"]}
    files = [corpus / "metrics.json"], [corpus / "predictions.parquet"]
    chosen = corpus / "explained_mistakes.json"
    choose_mistakes_of(*files, corpus / "clips.parquet", chosen, count, **recordings)
    return drawn(corpus)


def drawn(corpus):
    recordings = {"samples": [corpus / "recordings.npy"], "indices": [corpus / "recordings.parquet"]}
    run = {"protocol": "random", "model": "cnn1d", "seed": 0, "leaky": False}
    run["pooled"] = {"uar": {"value": 1 / 3, "low": None, "high": None}}
    write_json(
        corpus / "evaluation.json",
        {"runs": [run], "explanation": {"occlusion": read_json(corpus / "explained_mistakes.json")}},
    )
    draw_mistakes(
        corpus / "evaluation.json",
        catalog=corpus / "clips.parquet",
        **recordings,
        sampling_rate=16_000,
        mel=MEL,
        index=corpus / "report/mistakes.json",
        folder=corpus / "report/mistakes",
    )
    return read_json(corpus / "report/mistakes.json")


def test_the_clips_show_what_decides(corpus):
    """A model on the level of mel bands hears the clips that it got wrong, which are shorter than its input."""
    import keras

    network = keras.Sequential(
        [keras.Input((32, 126, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    )
    network.layers[-1].set_weights([np.array([[1.0, 0.0, -1.0]]) / 20, np.zeros(3)])
    save_model(corpus / "model.keras", network)
    write_json(corpus / "training.json", {"architecture": "cnn2d", "features": "mel", "encoder": None})
    write_json(corpus / "target.json", {"target_length": 16_000, "frame_size": 1000})
    files = {
        "metrics": "metrics.json",
        "predictions": "predictions.parquet",
        "explained": "metrics.json",
        "models": "model.keras",
        "trainings": "training.json",
        "catalog": "clips.parquet",
        "samples": "recordings.npy",
        "indices": "recordings.parquet",
        "length": "target.json",
    }
    options = [text for name, file in files.items() for text in (f"--{name}", corpus / file)]
    options += ["--preprocessing", json.dumps({"mel": {"sampling_rate": 16_000, **MEL}}), "--count", "8"]
    options += ["--encoders", "--descriptions", "--threads", "1", "--output", corpus / "explained_mistakes.json"]
    # In a process of its own, whose threads no other test has taken.
    command = [sys.executable, "-m", "serflow", "explain_mistakes", *map(str, options), "--log", str(corpus / "log")]
    subprocess.run(command, check=True)
    found = drawn(corpus)
    assert found["reason"] is None and len(found["clips"]) == 2
    for clip in read_json(corpus / "explained_mistakes.json")["clips"]:
        occlusion = {name: np.array(values) for name, values in clip["occlusion"].items()}
        assert occlusion["edges"][-1] == pytest.approx(0.5, abs=0.001) and len(occlusion["bands"]) == 9
        assert len(occlusion["parts"]) == len(occlusion["edges"]) - 1
        # A tone is the same in all parts, and lies in one band.
        assert np.abs(occlusion["parts"]).max() < np.abs(occlusion["levels"]).max()
    with Image.open(corpus / "report/mistakes/mistake00.png") as explained:
        size = explained.size
    assert draw(corpus, 8)["reason"] == NOT_EXPLAINED
    with Image.open(corpus / "report/mistakes/mistake00.png") as plain:
        assert plain.size[1] < size[1]


def test_fewer_mistakes_than_asked_for_are_no_error(corpus):
    found = draw(corpus, 8)
    assert found["run"]["model"] == "cnn1d" and (found["n_clips"], found["n_copies"], found["wrong"]) == (4, 0, 2)
    assert [clip["clip"] for clip in found["clips"]] == ["1001_TIE_HAP_XX", "1002_TIE_SAD_XX"]
    first, second = found["clips"]
    assert first["predicted"] == "ANG" and first["confidence"] == first["probabilities"]["ANG"]
    calibrated = np.array([0.8, 0.1, 0.1]) ** (1 / 1.25)
    assert first["confidence"] == pytest.approx(calibrated[0] / calibrated.sum())
    assert first["heard"] == {"votes": 12, "shares": dict.fromkeys(sorted(EMOTIONS), 1 / 6)}
    assert second["heard"] is None and second["text"] == "That is exactly what happened."
    for clip in found["clips"]:
        assert (corpus / "report/mistakes" / clip["figure"]).stat().st_size > 1000
        assert sf.info(corpus / "report/mistakes" / clip["audio"]).frames >= 8000
    draw(corpus, 1)
    assert sorted(path.name for path in (corpus / "report/mistakes").iterdir()) == ["mistake00.png", "mistake00.wav"]
    assert draw(corpus, 0)["clips"] == []
    json.dumps(found, allow_nan=False)


def test_no_more_clips_than_there_are(corpus):
    def draw_random(count):
        files = {kind: [corpus / f"drawn/{number}.{kind}" for number in range(count)] for kind in ("png", "wav")}
        draw_clips(
            corpus / "clips.parquet",
            samples=[corpus / "recordings.npy"],
            indices=[corpus / "recordings.parquet"],
            seed=0,
            sampling_rate=16_000,
            mel=MEL,
            figures=files["png"],
            recordings=files["wav"],
            index=corpus / "drawn/clips.json",
        )
        return files

    made = draw_random(4)
    clips = read_json(corpus / "drawn/clips.json")["clips"]
    assert len({clip["clip"] for clip in clips}) == 4
    lengths = [sf.info(path).frames for path in made["wav"]]
    known = read_table(corpus / "recordings.parquet").to_pylist()
    assert lengths == [next(row["length"] for row in known if row["clip"] == clip["clip"]) for clip in clips]
    assert all(path.stat().st_size > 1000 for path in made["png"])
    with pytest.raises(UserError, match=r"report\.clips is 5, but the corpus has only 4 clips"):
        draw_random(5)


@pytest.mark.parametrize("samples", [1, 160, 999, 16_000 * 120])
def test_a_clip_of_any_length_has_a_picture_of_the_same_bytes(tmp_path, samples):
    clip = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    made = []
    for name in ("a", "b"):
        show_clip(clip, MEL, 16_000, figure=tmp_path / f"{name}.png", audio=tmp_path / f"{name}.wav")
        made.append((tmp_path / f"{name}.png").read_bytes())
    assert made[0] == made[1] and len(made[0]) < 100_000
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (504, 300)

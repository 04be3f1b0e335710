"""The labels that are used: joined, left out, and counted before and after."""

import numpy as np
import pytest
import soundfile as sf

import steps
from serflow.configuration import configure
from serflow.corpus.ids import speaker_of
from serflow.corpus.labels import check_labels, used_label
from serflow.runtime.errors import UserError
from serflow.splits import count_folds
from serflow.storage import read_json, read_table

ALL = {"map": {}, "keep": None, "corpora": {}}
SPLIT = {"test": 0.5, "valid": 0.34, "random_state": 42, "folds": "published"}


@pytest.mark.parametrize(
    ("settings", "label", "corpus", "used"),
    [
        ({}, "CAL", None, "CAL"),
        ({"map": {"CAL": "NEU"}}, "CAL", None, "NEU"),
        ({"map": {"CAL": "NEU"}, "keep": ["NEU", "ANG"]}, "CAL", None, "NEU"),
        ({"map": {"NEU": "CAL"}, "keep": ["NEU", "ANG"]}, "NEU", None, None),
        ({"keep": ["NEU", "ANG"]}, "CAL", None, None),
        ({"map": {"a": "b", "b": "a"}}, "a", None, "b"),
        ({"corpora": {"x": {"map": {"CAL": "NEU"}}}}, "CAL", "x", "NEU"),
        ({"corpora": {"x": {"map": {"CAL": "NEU"}}}}, "CAL", "y", "CAL"),
        ({"map": {"CAL": "SAD"}, "corpora": {"x": {"map": {"CAL": "NEU"}}}}, "CAL", "x", "NEU"),
        ({"map": {"CAL": "SAD"}, "corpora": {"x": {"keep": ["ANG", "HAP"]}}}, "CAL", "x", None),
        ({"keep": ["SAD", "HAP"], "corpora": {"x": {"keep": ["ANG", "HAP"]}}}, "ANG", "x", None),
    ],
)
def test_what_a_label_is_used_as(settings, label, corpus, used):
    assert used_label(label, corpus, ALL | settings) == used


def test_words_for_known_emotions_mean_their_codes(project):
    given = {"map": {"excited": "happy", "calm": "Neutral"}, "corpora": {"x": {"keep": ["happiness", "rage"]}}}
    assert configure({"labels": given}, project)["labels"] == {
        "map": {"excited": "HAP", "CAL": "NEU"},
        "keep": None,
        "corpora": {"x": {"keep": ["HAP", "rage"]}},
    }


FOUND = [("x", "ANG"), ("x", "CAL"), ("y", "ANG"), ("y", "NEU")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map": {"CLA": "NEU"}}, "labels.map has 'CLA', but the labels are ANG, CAL, NEU; did you mean 'CAL'?"),
        ({"keep": ["ANG", "SAD"]}, "labels.keep has 'SAD', but the labels are ANG, CAL, NEU"),
        ({"map": {"CAL": "NEU"}, "keep": ["ANG", "CAL"]}, "labels.keep has 'CAL', but the labels are ANG, NEU"),
        ({"corpora": {"z": {}}}, "labels.corpora has 'z', but the corpora are: x, y"),
        ({"corpora": {"y": {"map": {"CAL": "NEU"}}}}, "labels.corpora.y.map has 'CAL', but the labels are ANG, NEU"),
        ({"corpora": {"y": {"keep": ["ANG", "CAL"]}}}, "labels.corpora.y.keep has 'CAL', but the labels are ANG, NEU"),
        ({"map": {"CAL": "ANG", "NEU": "ANG"}}, "labels leaves ANG; a model needs two labels"),
    ],
)
def test_settings_that_do_not_fit_the_corpus(settings, message):
    with pytest.raises(UserError) as error:
        check_labels(FOUND, ALL | settings)
    assert f"config: {message}" in str(error.value)


def test_settings_that_fit():
    check_labels(FOUND, ALL)
    check_labels([(None, "ANG")], ALL)  # one label alone is a fault of the corpus, which the split tells
    check_labels(
        FOUND, ALL | {"map": {"CAL": "NEU"}, "keep": ["ANG", "NEU"], "corpora": {"y": {"keep": ["ANG", "NEU"]}}}
    )


@pytest.fixture
def union(tmp_path):
    """Two corpora: one with calm and surprise, one with boredom, by two speakers each."""
    files = [
        f"a/Actor_{speaker}/03-01-{code}-01-01-01-{speaker}.wav"
        for speaker in ("01", "02")
        for code in ("01", "02", "05", "08")
    ]
    files += [
        f"b/wav/{speaker}{text}{code}a.wav" for speaker in ("03", "08") for text in ("a01", "a02") for code in "WLN"
    ]
    for seed, file in enumerate(files):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / file, 0.1 * np.random.default_rng(seed).standard_normal(16_000), 16_000)
    return {"ravdess": str(tmp_path / "a"), "emo-db": str(tmp_path / "b")}


def test_labels_are_counted_before_and_after_and_split(union, tmp_path, capsys):
    """Features do not depend on labels, so the recordings are those of the corpus, whatever is used."""
    labels = ALL | {"keep": ["ANG", "NEU"], "corpora": {"ravdess": {"map": {"CAL": "NEU"}}}}
    indices = steps.read_corpus(tmp_path, union, labels=labels)
    assert {row["emotion"] for row in steps.rows_of(indices)} == {"ANG", "BOR", "CAL", "NEU", "SUR"}
    formats = {name: name for name in union}
    paths = steps.catalog(indices, tmp_path / "out", labels=labels, formats=formats)
    counts = read_json(paths["audit"])
    assert counts["labels"] == [
        {"corpus": "emo-db", "label": "ANG", "used_as": "ANG", "clips": 4},
        {"corpus": "emo-db", "label": "BOR", "used_as": None, "clips": 4},
        {"corpus": "emo-db", "label": "NEU", "used_as": "NEU", "clips": 4},
        {"corpus": "ravdess", "label": "ANG", "used_as": "ANG", "clips": 2},
        {"corpus": "ravdess", "label": "CAL", "used_as": "NEU", "clips": 2},
        {"corpus": "ravdess", "label": "NEU", "used_as": "NEU", "clips": 2},
        {"corpus": "ravdess", "label": "SUR", "used_as": None, "clips": 2},
    ]
    assert capsys.readouterr().err == "labels: clips left out of everything: BOR 4, SUR 2\n"
    assert counts["clips"] == 14 and counts["emotions"] == {"ANG": 6, "NEU": 8}
    rows = read_table(paths["output"]).to_pylist()
    assert {(row["corpus_label"], row["emotion"]) for row in rows} == {("ANG", "ANG"), ("CAL", "NEU"), ("NEU", "NEU")}
    plans = sorted((tmp_path / "plan").iterdir())
    for protocol in ("notebook", "random", "speaker-independent"):
        options = {"labels": labels, "formats": formats}
        table = steps.split(indices, plans, tmp_path / "split", protocol, SPLIT, **options)
        label_of = {row["origin"]: row["label"] for row in table}
        assert label_of == {row["clip"]: row["emotion"] for row in rows}


def test_a_speaker_without_a_label_that_is_used_is_in_no_fold(tmp_path):
    """Anna, Ben and Cid say x and y, and Dan z alone."""
    rows = [(speaker, label) for speaker in ("anna", "ben", "cid") for label in "xyz"] + [("dan", "z")]
    lines = ["file,speaker,label"]
    for number, (speaker, label) in enumerate(rows):
        noise = 0.1 * np.random.default_rng(number).standard_normal(16_000)
        sf.write(tmp_path / f"{number}.wav", noise, 16_000)
        lines.append(f"{number}.wav,{speaker},{label}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    for labels, folds in ((ALL, ["anna", "ben", "cid", "dan"]), (ALL | {"keep": ["x", "y"]}, ["anna", "ben", "cid"])):
        options = {"format": "manifest", "labels": labels}
        opened = steps.list_corpus(tmp_path, tmp_path / "m.csv", **options)
        assert opened.speakers == folds and count_folds("speaker-independent", folds, {"": "manifest"}, SPLIT) == len(
            folds
        )
        indices = steps.read_corpus(tmp_path, tmp_path / "m.csv", **options)
        options = {"labels": labels, "formats": opened.formats}
        table = steps.split(
            indices, [tmp_path / "plan/s00.parquet"], tmp_path / "s", "speaker-independent", SPLIT, **options
        )
        tested = {row["fold"]: speaker_of(row["clip"]) for row in table if row["part"] == "test"}
        assert tested == dict(enumerate(folds))


def test_identical_audio_under_labels_that_are_joined_is_no_contradiction(union, tmp_path):
    calm, neutral = (tmp_path / f"a/Actor_01/03-01-{code}-01-01-01-01.wav" for code in ("02", "01"))
    calm.write_bytes(neutral.read_bytes())
    for labels, flagged in ((ALL, 2), (ALL | {"map": {"CAL": "NEU"}}, 0), (ALL | {"keep": ["ANG", "NEU"]}, 0)):
        indices = steps.read_corpus(tmp_path, tmp_path / "a", format="ravdess", labels=labels)
        paths = steps.catalog(indices, tmp_path / "out", labels=labels, formats={"": "ravdess"})
        assert read_json(paths["audit"])["rules"]["identical_audio"]["clips"] == flagged

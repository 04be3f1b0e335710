"""Other corpora, a manifest and several corpora as one, for real: the sample's clips under the names of others."""

import csv
import itertools
import shutil
from collections import Counter

import numpy as np
import pytest
from test_bad_input import lines

from serflow.corpus.ids import corpus_of, speaker_of
from serflow.storage import read_json, read_table
from workspace import SMALL, Workspace

# Names of each corpus, few speakers and labels of it.
NAMES = {
    "ravdess": [
        f"Actor_{speaker}/03-01-{emotion}-01-{statement}-01-{speaker}.wav"
        for speaker, emotion, statement in itertools.product(("01", "02", "03"), ("02", "03", "04", "05"), ("01", "02"))
    ],
    "savee": [
        f"{speaker}/{code}{number}.wav"
        for speaker, code, number in itertools.product(("DC", "JE", "JK"), ("a", "n", "su"), ("01", "02"))
    ],
    "tess": [
        f"{speaker}_{emotion}/{speaker}_{word}_{emotion}.wav"
        for speaker, emotion, word in itertools.product(("OAF", "YAF"), ("angry", "ps"), ("back", "bar", "base"))
    ],
    "emo-db": [
        f"{speaker}{text}{emotion}a.wav"
        for speaker, emotion, text in itertools.product(("03", "08", "09"), "WLN", ("a01", "b02"))
    ],
    "nemo": [
        f"samples/{speaker}_{emotion}_{sentence}.wav"
        for speaker, emotion, sentence in itertools.product(("EB0", "KS0", "WR0"), ("anger", "surprised"), (1, 2, 90))
    ],
    "urdu": [
        f"{folder}/{speaker}_F{number}_{folder[0]}0{number}.wav"
        for speaker, folder, number in itertools.product(("SM1", "SM6", "SF11"), ("Angry", "Sad"), (1, 2, 3))
    ],
}
LABELS = {
    "ravdess": {"ANG", "CAL", "HAP", "SAD"},
    "savee": {"ANG", "NEU", "SUR"},
    "tess": {"ANG", "SUR"},
    "emo-db": {"ANG", "BOR", "NEU"},
    "nemo": {"ANG", "SUR"},
    "urdu": {"ANG", "SAD"},
}
MODEL = [{"protocol": "speaker-independent", "models": ["svm_functionals"], "seeds": [0]}]
QUICK = {"runs": MODEL, "length": 20_000, "shards": 2, "report": {"clips": 2, "mistakes": 2}}


def put(sample, folder, names, first=0):
    """Copy a clip of the sample for each name, from the first on; no two have the same one."""
    clips = sorted((sample.folder / "resources/corpora/sample/AudioWAV").glob("*.wav"))
    for name, clip in zip(names, clips[first:], strict=False):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    return folder


@pytest.mark.parametrize("corpus", sorted(NAMES))
def test_a_corpus_by_its_name(sample, empty, corpus):
    put(sample, empty.folder / "audio", NAMES[corpus])
    empty.run("catalog", corpus=corpus, audio="audio", **QUICK)
    rows = read_table(empty.results(corpus) / "catalog/clips.parquet").to_pylist()
    assert {row["file"] for row in rows} == set(NAMES[corpus])
    assert {row["emotion"] for row in rows} == LABELS[corpus]
    assert None not in {row["sex"] for row in rows}
    split = read_table(empty.results(corpus) / "splits/speaker-independent.parquet").to_pylist()
    folds = {row["fold"] for row in split}
    assert len(folds) == len({row["speaker"] for row in rows})
    for fold in folds:
        of = {part: {speaker_of(row["clip"]) for row in split if (row["fold"], row["part"]) == (fold, part)}
              for part in ("train", "valid", "test")}  # fmt: skip
        assert all(of.values()) and not of["test"] & (of["train"] | of["valid"])


def features_of(audio):
    """Return the jobs up to the features after a change in so many shards."""
    rules = ("read_recordings", "augment_audio", "fix_length", "extract_frames", "extract_functionals")
    return Counter(dict.fromkeys(rules, audio), catalog_clips=1, split_clips=1)


def test_a_clip_more_concerns_one_shard(sample, empty):
    """Down to the features, also where a shard is empty: the speakers here are those of the other."""
    audio = put(
        sample, empty.folder / "audio", [name for name in NAMES["ravdess"] if name.startswith(("Actor_01", "Actor_03"))]
    )
    ravdess = Workspace(empty.folder, empty.project, {"corpus": "mine", "format": "ravdess", "audio": "audio", **QUICK})
    ravdess.run("features", "catalog")
    assert not ravdess.jobs("features", "catalog")
    for name in ("Actor_01/03-01-05-01-01-02-01.wav", "Actor_02/03-01-05-01-01-02-02.wav"):
        put(sample, audio, [name])
        assert ravdess.jobs("features", "catalog") == features_of(1)
        (audio / name).unlink()
    put(sample, audio, ["Actor_01/03-02-05-01-01-01-01.wav"])  # a song
    assert not ravdess.jobs("features", "catalog")


def write_manifest(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "speaker", "label", "start", "end"])
        writer.writerows(rows)


@pytest.fixture(scope="module")
def union(sample, make_once):
    """The finished target cross_corpus on three corpora. Not to be changed."""
    settings = SMALL | QUICK | {
        "corpus": "mix",
        "audio": {
            "crema-d": "crema",
            "ravdess": "ravdess",
            "mine": {"format": "manifest", "path": "mine/list 1.csv"},
        },
    }  # fmt: skip

    def fill(folder):
        emotions = ("ANG", "DIS", "HAP", "SAD")
        names = [f"{speaker}_{sentence}_{label}_XX.wav" for speaker in (1001, 1002, 1019) for sentence in ("DFA", "TIE")
                 for label in emotions]  # fmt: skip
        put(sample, folder / "crema", names)
        put(sample, folder / "ravdess", NAMES["ravdess"], first=24)
        clips = sorted((sample.folder / "resources/corpora/sample/AudioWAV").glob("*.wav"))[-24:]
        rows = []
        for number, clip in enumerate(clips):
            name = f'take {number} "🙂".wav'
            (folder / "mine").mkdir(exist_ok=True)
            shutil.copy(clip, folder / "mine" / name)
            rows.append([name, f"Dr. A_{number % 3}", ("ANG", "HAP", "SAD", "bored <b>")[number // 3 % 4], 0.1, 0.9])
        write_manifest(folder / "mine/list 1.csv", rows)
        workspace = Workspace(folder, sample.project, settings)
        workspace.run("cross_corpus")
        assert not workspace.jobs("cross_corpus")

    return Workspace(make_once("union", fill), sample.project, settings)


@pytest.mark.extended
def test_no_speaker_and_no_label_is_where_it_must_not_be(union):
    results = union.results("mix")
    split = read_table(results / "splits/cross-corpus.parquet").to_pylist()
    assert {row["label"] for row in split} == {"ANG", "HAP", "SAD"}
    for fold, tested in enumerate(("crema-d", "mine", "ravdess")):
        rows = [row for row in split if row["fold"] == fold]
        of = {part: [row["clip"] for row in rows if row["part"] == part] for part in ("train", "valid", "test")}
        assert {corpus_of(clip) for clip in of["test"]} == {tested}
        assert tested not in {corpus_of(clip) for clip in of["train"] + of["valid"]}
        assert not {*map(speaker_of, of["train"])} & {*map(speaker_of, of["valid"])}
        assert all(row["clip"] == row["origin"] for row in rows if row["part"] != "train")
        found = read_json(results / f"models/cross-corpus/svm_functionals/seed0/fold{fold}/metrics.json")
        assert found["classes"] == ["ANG", "HAP", "SAD"] and found["n_test"] == len(of["test"])
    clips = read_table(results / "catalog/clips.parquet").to_pylist()
    assert Counter(row["corpus"] for row in clips) == {"crema-d": 24, "mine": 24, "ravdess": 24}
    assert {row["duration"] for row in clips if row["corpus"] == "mine"} == {0.8}


@pytest.mark.extended
def test_the_report_across_corpora(union):
    folder = union.results("mix") / "report/cross-corpus"
    evaluation = read_json(folder / "evaluation.json")
    (run,) = evaluation["runs"]
    assert (run["protocol"], len(run["folds"])) == ("cross-corpus", 3)
    assert [fold["name"] for fold in run["folds"]] == ["tested on crema-d", "tested on mine", "tested on ravdess"]
    mean = np.mean([fold["uar"]["value"] for fold in run["folds"]])
    assert run["pooled"]["uar"]["value"] == pytest.approx(mean)
    assert [group["group"] for group in run["groups"]["corpus"]] == ["crema-d", "mine", "ravdess"]
    page = (folder / "index.html").read_text()
    assert "each fold tests on one corpus with a model trained on the others" in page
    assert "Tested on ravdess:" in page
    assert "bored &lt;b&gt;" in page and "bored <b>" not in page


@pytest.mark.extended
def test_a_changed_row_concerns_its_shard(union, tmp_path):
    changed = Workspace(shutil.copytree(union.folder, tmp_path / "changed"), union.project, union.settings)
    path = changed.folder / "mine/list 1.csv"
    text = path.read_text()
    path.write_text(text.replace("0.9\n", "0.8\n", 1).replace("0.9\r\n", "0.8\r\n", 1))
    assert path.read_text() != text
    jobs = changed.jobs("cross_corpus")
    assert (jobs["read_recordings"], jobs["augment_audio"], jobs["split_clips"]) == (1, 1, 1)


def test_one_corpus_is_none_across(empty, sample):
    put(sample, empty.folder / "audio", NAMES["tess"])
    done = empty.snakemake("--dry-run", "cross_corpus", corpus="tess", audio="audio")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    (line,) = lines(done)
    assert "protocol cross-corpus: needs several corpora, found one" in line

"""Corpora of odd shapes: many classes and speakers, one clip of each class, constant recordings, broken features."""

import re

import numpy as np
import pytest
import soundfile as sf

import steps
from own_encoder import model as own_encoder
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table
from workspace import Workspace, lines

SPLIT = {"test": 0.3, "valid": 0.05, "random_state": 42, "folds": "published"}


def corpus(folder, speakers, classes, clips_of_each, samples=8000, constant=False, step=0):
    """Write a manifest with a recording for each clip; return the indices of the recordings and the plan.

    Recordings may be constant, each by a ``step`` more than the one before.
    """
    rng, rows = np.random.default_rng(0), []
    for speaker in range(speakers):
        for number in range(clips_of_each):
            name = f"{speaker}_{number}.wav"
            values = np.full(samples, 0.25 + step * len(rows)) if constant else 0.1 * rng.normal(size=samples)
            sf.write(folder / name, values, 16_000)
            rows.append(f"{name},{speaker},class {(speaker * clips_of_each + number) % classes}\n")
    (folder / "m.csv").write_text("file,speaker,label\n" + "".join(rows))
    indices = steps.read_corpus(folder, folder / "m.csv", format="manifest")
    return indices, [folder / "plan/s00.parquet"]


def split(folder, indices, plans, protocol, **options):
    options |= {"formats": {"": "manifest"}}
    return steps.split(indices, plans, folder / "split.parquet", protocol, SPLIT, **options)


def test_thirty_classes_and_a_thousand_speakers(tmp_path):
    indices, plans = corpus(tmp_path, speakers=1000, classes=30, clips_of_each=3)
    paths = steps.catalog(indices, tmp_path / "catalog", formats={"": "manifest"})
    counts = read_json(paths["audit"])
    assert counts["speakers"] == 1000 and counts["clips"] == 3000 and len(counts["emotions"]) == 30
    for protocol in ("random", "speaker-independent"):
        rows = split(tmp_path, indices, plans, protocol)
        parts = {(row["fold"], row["part"]): set() for row in rows}
        for row in rows:
            parts[row["fold"], row["part"]].add(row["label"])
        assert {part for _, part in parts} == {"train", "valid", "test"}
        assert all(len(labels) == 30 for (_, part), labels in parts.items() if part != "valid")


@pytest.mark.parametrize("protocol", ["notebook", "random"])
def test_one_clip_of_each_class(tmp_path, protocol):
    indices, plans = corpus(tmp_path, speakers=6, classes=6, clips_of_each=1)
    with pytest.raises(UserError, match="too few to stratify"):
        split(tmp_path, indices, plans, protocol)


@pytest.mark.parametrize("protocol", ["random", "speaker-independent"])
def test_an_audit_that_leaves_nothing(tmp_path, protocol):
    indices, plans = corpus(tmp_path, speakers=6, classes=2, clips_of_each=2, samples=1600)
    strict = steps.default_config()["catalog"]["audit"] | {"exclude": ["too_short"]}
    with pytest.raises(UserError, match=r"the audit leaves out 12 of 12 clips \(too_short 12\); take the rule out"):
        split(tmp_path, indices, plans, protocol, audit=strict)


def test_constant_recordings(tmp_path):
    indices, _ = corpus(tmp_path, speakers=4, classes=2, clips_of_each=2, constant=True)
    paths = steps.catalog(indices, tmp_path / "catalog", formats={"": "manifest"})
    assert [(row["file"], row["rule"]) for row in steps.read_tsv(paths["flagged"])] == [("all 8 clips", "dc_offset")]
    excluded = steps.read_tsv(paths["excluded"])
    assert {row["rule"] for row in excluded} == {"identical_audio"} and len({row["file"] for row in excluded}) == 8


MODELS = {
    "cnn1d": {"epochs": 1, "blocks": [{"filters": [8], "kernel": 3, "pool": 3}], "dense": 8},
    "logreg_embedding": {"encoder": "own"},
    "logreg_embedding_speaker": {"architecture": "logreg_embedding", "encoder": "own", "standardize": "speaker"},
    "svm_functionals": {},
}


def whole_run(project, folder, models=tuple(MODELS), targets=("all",), **settings):
    """Run everything on a corpus that :func:`corpus` wrote; of six speakers one is tested and one validates."""
    rows = [path.stem for path in sorted(folder.glob("*.wav"))]
    parts = ["test" if row[0] in "05" else "valid" if row[0] == "1" else "train" for row in rows]
    listed = [f"{row.partition('_')[0]}_{row},{part}\n" for row, part in zip(rows, parts, strict=True)]
    (folder / "parts.csv").write_text("clip,part\n" + "".join(listed))
    (folder / "own.onnx").write_bytes(own_encoder().SerializeToString())
    given = {"corpus": "odd", "format": "manifest", "audio": "m.csv", "shards": 1, "models": MODELS}
    given |= {"runs": [{"protocol": "custom", "models": list(models), "seeds": [0]}], "split": {"table": "parts.csv"}}
    given |= {"augment": {kind: {"clips": 0} for kind in ("time_stretch", "pitch_shift")}}
    given |= {"encoders": {"own": {"onnx": "own.onnx"}}, "report": {"clips": 2, "mistakes": 2}}
    given |= {"evaluation": {"resamples": 200}}
    workspace = Workspace(folder, project, given | settings)
    return workspace, workspace.snakemake("--cores", "2", "--keep-going", *targets)


def finished(workspace, done, classes):
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr[-3000:]
    found = sorted(workspace.results("odd").glob("models/**/predictions.parquet"))
    assert found
    for path in found:
        table = read_table(path)
        shares = np.column_stack([table[name] for name in table.column_names if name.startswith("p_")])
        assert shares.shape[1] == classes and np.isfinite(shares).all()
    page = (workspace.results("odd") / "report/all/index.html").read_text()
    assert page.rstrip().endswith("</html>") and "nan" not in re.sub("<[^>]*>", " ", page).lower().split()


def test_a_run_of_thirty_classes(project, tmp_path):
    corpus(tmp_path, speakers=6, classes=30, clips_of_each=30)
    workspace, done = whole_run(project, tmp_path, targets=("all", "bundles"))
    finished(workspace, done, classes=30)
    assert len(list(workspace.results("odd").glob("bundles/**/*.zip"))) == len(MODELS)


def test_a_run_of_a_thousand_speakers(project, tmp_path):
    corpus(tmp_path, speakers=1000, classes=4, clips_of_each=1)
    finished(*whole_run(project, tmp_path, models=["svm_functionals", "logreg_embedding_speaker"]), classes=4)


def test_a_run_of_one_clip_of_each_class(project, tmp_path):
    """Each speaker has a class of his own, so that no class that is tested was trained on."""
    corpus(tmp_path, speakers=6, classes=6, clips_of_each=1)
    finished(*whole_run(project, tmp_path), classes=6)


EXCLUDE_NOTHING = {"audit": {"exclude": []}}


def test_a_run_of_constant_recordings(project, tmp_path):
    """Most features are constant, within rounding, if the audit is told to leave such recordings in."""
    corpus(tmp_path, speakers=6, classes=2, clips_of_each=4, constant=True, step=0.01)
    finished(*whole_run(project, tmp_path, catalog=EXCLUDE_NOTHING), classes=2)


def test_a_run_of_equal_recordings(project, tmp_path):
    corpus(tmp_path, speakers=6, classes=2, clips_of_each=4, constant=True)
    _, done = whole_run(project, tmp_path, catalog=EXCLUDE_NOTHING)
    assert done.returncode and "Traceback" not in done.stderr, done.stderr[-3000:]
    (said,) = set(lines(done))
    assert said.startswith("serflow split_clips: split custom: fold 0: identical audio is in more than one part: ")


def test_a_run_of_one_class(project, tmp_path):
    """The split says so, before any features are made."""
    corpus(tmp_path, speakers=6, classes=1, clips_of_each=2)
    _, done = whole_run(project, tmp_path)
    assert done.returncode and "Traceback" not in done.stderr, done.stderr[-3000:]
    assert set(lines(done)) == {
        "serflow split_clips: split custom: fold 0 has clips of class 0 only to train on; a model needs two labels"
    }
    assert not list((tmp_path / "results/odd/models").rglob("*.json"))

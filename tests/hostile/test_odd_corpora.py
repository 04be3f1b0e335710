"""Corpora of odd shapes: many classes and speakers, one clip of each class, constant recordings."""

import numpy as np
import pytest
import soundfile as sf

import steps
from serflow.runtime.errors import UserError
from serflow.storage import read_json

SPLIT = {"test": 0.3, "valid": 0.05, "random_state": 42}


def corpus(folder, speakers, classes, clips_of_each, samples=8000, constant=False):
    """Write a manifest with a recording for each clip; return the indices of the recordings and the plan."""
    rng, rows = np.random.default_rng(0), []
    for speaker in range(speakers):
        for number in range(clips_of_each):
            name = f"{speaker}_{number}.wav"
            values = np.full(samples, 0.25) if constant else 0.1 * rng.normal(size=samples)
            sf.write(folder / name, values, 16_000)
            rows.append(f"{name},{speaker},class {(speaker * clips_of_each + number) % classes}\n")
    (folder / "m.csv").write_text("file,speaker,label\n" + "".join(rows))
    indices = steps.read_corpus(folder, folder / "m.csv", format="manifest")
    return indices, [folder / "plan/s00.parquet"]


def split(folder, indices, plans, protocol):
    options = {"formats": {"": "manifest"}}
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
    with pytest.raises(UserError, match="the audit leaves no clip to split"):
        split(tmp_path, indices, plans, protocol)


def test_constant_recordings(tmp_path):
    indices, _ = corpus(tmp_path, speakers=4, classes=2, clips_of_each=2, constant=True)
    paths = steps.catalog(indices, tmp_path / "catalog", formats={"": "manifest"})
    flagged = steps.read_tsv(paths["flagged"]) + steps.read_tsv(paths["excluded"])
    assert {row["rule"] for row in flagged} >= {"dc_offset", "identical_audio"}
    assert len({row["file"] for row in flagged}) == 8

"""A corpus of long recordings cut into segments of speech, through the engine."""

import numpy as np
import pytest
import soundfile as sf

from serflow.storage import read_table
from voice import voice
from workspace import SMALL, Workspace

COPIES = {"time_stretch": {"clips": 1.0}, "pitch_shift": {"clips": 0.5}}


@pytest.fixture
def talks(project, tmp_path):
    """Four speakers, each with a recording of an emotion in which they speak twice."""
    lines, pause, draws = ["file,speaker,label"], np.zeros(12_000), np.random.default_rng(0)
    for number, speaker in enumerate("abcd"):
        for label in ("ANG", "SAD"):
            spoken = [voice(1 + 0.1 * number), pause, voice(0.8, level=0.2), pause]
            samples = np.concatenate(spoken)
            samples += 0.005 * draws.standard_normal(len(samples))
            sf.write(tmp_path / f"{speaker}{label}.wav", samples, 16_000)
            lines.append(f"{speaker}{label}.wav,{speaker},{label}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    settings = {"format": "manifest", "audio": "list.csv", "segments": "speech", "augment": COPIES, "shards": 2}
    settings["runs"] = [{"protocol": "random", "models": ["cnn1d"], "seeds": [0]}]
    return Workspace(tmp_path, project, SMALL | settings)


def test_segments_are_clips_with_copies(talks):
    wanted = "results/mine/splits/random.parquet", *(f"results/mine/augmented/s{shard:02d}.npy" for shard in (0, 1))
    jobs = talks.jobs(*wanted)
    assert jobs == {"read_recordings": 2, "plan_segments": 1, "augment_audio": 2, "split_clips": 1}
    assert "plan_segments" not in talks.jobs(*wanted, segments="recordings")
    talks.run(*wanted)
    assert not talks.jobs(*wanted)
    results = talks.results("mine")
    read = [row for index in sorted(results.glob("recordings/*.parquet")) for row in read_table(index).to_pylist()]
    assert len(read) == 16 and len({row["recording"] for row in read}) == 8
    clips = {row["clip"] for row in read}
    made = [row for index in results.glob("augmented/*.parquet") for row in read_table(index).to_pylist()]
    assert {row["origin"] for row in made} == clips and 16 < len(made) < 32
    rows = read_table(results / "splits/random.parquet").to_pylist()
    assert {row["origin"] for row in rows} == clips and {row["label"] for row in rows} == {"ANG", "SAD"}
    # What a clip is decides over everything.
    assert talks.jobs(*wanted, segments="recordings")["read_recordings"] == 2

"""Manifests and recordings for tests."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import soundfile as sf

from serflow.corpus.formats.manifest import list_recordings
from steps import read_corpus, rows_of

RATE = 16_000


def sound(path, seconds=2.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    sf.write(path, samples, RATE, subtype="PCM_16")
    return path


def write(path, **columns):
    table = pa.table(columns)
    pyarrow.csv.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    return path


def read(path, folder, policy="fail"):
    return rows_of(read_corpus(folder / "results", path, policy, format="manifest"))


def speakers_of(tmp_path, names, labels=None, suffix=".csv", **more):
    """Return the entries of a manifest of one recording for each name."""
    files = [f"{number}.wav" for number in range(len(names))]
    labels = labels or ["x"] * len(names)
    return list_recordings(write(tmp_path / f"list{suffix}", file=files, speaker=names, label=labels, **more))

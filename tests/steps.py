"""The first steps of the workflow on a small corpus, without Snakemake."""

from pathlib import Path

import yaml

from serflow.audio.read_recordings import read_recordings
from serflow.corpus.catalog import catalog_clips
from serflow.corpus.shards import shard_names
from serflow.corpus.source import Corpus, open_corpus
from serflow.splits.split_clips import split_clips
from serflow.storage import read_csv, read_table

PROJECT = Path(__file__).resolve().parent.parent
AS_RECORDED = {"remove_dc": False, "loudness": None}


def default_config() -> dict:
    return yaml.safe_load((PROJECT / "config.yaml").read_text())


def list_corpus(results: Path, audio, **changes) -> Corpus:
    """Open a corpus of one shard; keyword arguments are settings."""
    config = default_config() | {"corpus": "mine", "audio": audio if isinstance(audio, dict) else str(audio)}
    return open_corpus(config | {"shards": 1} | changes, results)


def read_shard(results: Path, shard: str, policy: str = "fail", segments: str = "recordings", **reading) -> Path:
    """Read the recordings of a shard and return their index; further keyword arguments are settings of the level."""
    index = results / f"recordings/{shard}.parquet"
    paths = {"output": index.with_suffix(".npy"), "index": index}
    how = {"sampling_rate": 16_000, "reading": AS_RECORDED | reading, "policy": policy, "segments": segments}
    read_recordings(results / f"listing/{shard}.parquet", **how, **paths)
    return index


def read_corpus(results: Path, audio, policy: str = "fail", **changes) -> list[Path]:
    """Open a corpus, read its recordings and return the indices."""
    list_corpus(results, audio, **changes)
    segments = changes.get("segments", "recordings")
    return [read_shard(results, shard, policy, segments) for shard in shard_names(changes.get("shards", 1))]


def rows_of(indices: list[Path]) -> list[dict]:
    return [row for index in indices for row in read_table(index).to_pylist()]


def catalog(indices: list[Path], folder: Path, **options) -> dict[str, Path]:
    """Write the catalogue into a folder and return its files."""
    names = {"output": "clips.parquet", "excluded": "excluded.tsv", "flagged": "flagged.tsv", "audit": "audit.json"}
    paths = {option: folder / name for option, name in names.items()}
    config = default_config()
    usual = {"policy": "fail", "formats": {"": "crema-d"}, "labels": config["labels"]}
    usual["audit_settings"] = config["catalog"]["audit"]
    usual["groups"] = indices[0].parents[1] / "listing/groups.parquet"
    catalog_clips(indices, **usual | options, **paths)
    return paths


def split(indices: list[Path], plans: list[Path], output: Path, protocol: str, settings: dict, **options) -> list[dict]:
    """Write the split table of a protocol and return its rows."""
    config = default_config()
    usual = {"formats": {"": "crema-d"}, "audit": config["catalog"]["audit"], "labels": config["labels"]}
    settings = config["split"] | settings
    split_clips(indices, plans, protocol=protocol, settings=settings, output=output, **usual | options)
    return read_table(output).to_pylist()


def read_tsv(path: Path) -> list[dict]:
    return read_csv(path)

"""The audit finds what was planted, and what is known of the official recordings."""

import csv
import hashlib
import zlib

import numpy as np
import pytest
import soundfile as sf
import yaml
from serflow.audio.scan import scan_recordings

from serflow.corpus import audit, catalog
from serflow.splits import split_clips as splits
from serflow.storage import read_json, read_table

AUGMENT = {kind: {"clips": 0.5, "low": 1, "high": 1.1} for kind in ("time_stretch", "pitch_shift")} | {"seed": 0}
RATE = 16_000


@pytest.fixture(scope="module")
def settings(project):
    return yaml.safe_load((project / "config.yaml").read_text())["catalog"]["audit"]


def speech(name, seconds=2.0, channels=1):
    samples = np.random.default_rng(zlib.crc32(name.encode())).normal(size=(int(seconds * RATE), channels))
    return 0.05 * samples


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for speaker in (1001, 1002, 1019, 1020, 1037, 1038):
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"):
            clip = f"{speaker}_DFA_{emotion}_XX"
            sf.write(folder / f"{clip}.wav", speech(clip), RATE)
    return folder


def catalogue(folder, settings, policy="fail", output="catalog"):
    where = folder.parent / output
    scan_recordings(folder, shard=0, shards=1, policy=policy, output=where / "scan.parquet")
    paths = {name: where / file for name, file in catalog_files.items()}
    catalog.catalog_clips(
        [where / "scan.parquet"],
        demographics=None,
        votes=None,
        policy=policy,
        augment=AUGMENT,
        audit_settings=settings,
        **paths,
    )
    with paths["excluded"].open(newline="") as file:
        return where, list(csv.DictReader(file, delimiter="\t"))


catalog_files = {
    "output": "clips.parquet",
    "excluded": "excluded.tsv",
    "audit": "audit.json",
    "copies": "copies.parquet",
}


def test_sound_recordings_are_not_flagged(recordings, settings):
    where, found = catalogue(recordings, settings)
    assert not found
    counts = read_json(where / "audit.json")
    assert counts["left_out"] == 0 and {rule["clips"] for rule in counts["rules"].values()} == {0}


def plant(folder, rule):
    path = folder / "1001_DFA_ANG_XX.wav"
    samples, rate = speech("x"), RATE
    match rule:
        case "silence":
            samples[:] = 0
        case "clipping":
            samples = np.clip(samples * 60, -1, 1)
        case "dc_offset":
            samples += 0.05
        case "rate":
            rate = 22_050
        case "channels":
            samples = speech("x", channels=2)
        case "too_short":
            samples = samples[: RATE // 4]
        case "too_long":
            samples = speech("x", seconds=11)
        case "identical_audio":
            path.write_bytes((folder / "1001_DFA_DIS_XX.wav").read_bytes())
            return {"1001_DFA_ANG_XX.wav", "1001_DFA_DIS_XX.wav"}
        case "name":
            path.rename(folder / "holiday.wav")
            return {"holiday.wav"}
    sf.write(path, samples, rate)
    return {path.name}


@pytest.mark.parametrize("rule", [*audit.RULES, "name"])
def test_each_planted_defect_is_found_and_nothing_else(recordings, settings, rule):
    planted = plant(recordings, rule)
    where, found = catalogue(recordings, settings, policy="exclude")
    assert {(row["file"], row["rule"]) for row in found} == {(file, rule) for file in planted}
    assert read_json(where / "audit.json")["rules"][rule]["clips"] == len(planted)
    table = read_table(where / "clips.parquet").to_pylist()
    left_out = {row["file"] for row in table if row["left_out"]}
    assert left_out == (planted if rule in settings["exclude"] else set())


def test_the_notebook_keeps_what_the_policy_leaves_out(recordings, settings):
    plant(recordings, "silence")
    where, _ = catalogue(recordings, settings)
    options = {"test": 0.5, "valid": 0.34, "random_state": 42}
    clips = {}
    for protocol in ("notebook", "speaker-independent"):
        output = where / f"{protocol}.parquet"
        splits.split_clips([where / "scan.parquet"], AUGMENT, settings, protocol, options, output)
        clips[protocol] = set(read_table(output)["origin"].to_pylist())
    assert clips["notebook"] - clips["speaker-independent"] == {"1001_DFA_ANG_XX"}
    lenient = settings | {"exclude": []}
    splits.split_clips([where / "scan.parquet"], AUGMENT, lenient, "speaker-independent", options, output)
    assert "1001_DFA_ANG_XX" in read_table(output)["origin"].to_pylist()


def test_identical_audio_under_one_label_is_no_contradiction(settings):
    row = {"sha256": "a", "rms": 0.1, "clipped": 0, "dc_offset": 0, "rate": RATE, "channels": 1, "duration": 2}
    rows = [row | {"clip": f"1001_{sentence}_ANG_XX", "emotion": "ANG"} for sentence in ("DFA", "IEO")]
    assert audit.audit_clips(rows, settings) == []


def test_the_official_defects_come_out_by_themselves(crema_d, settings, tmp_path):
    """Among the shared speakers: one byte-identical pair; 1076's silence is not shared, so its like is planted."""
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for path in (crema_d / "AudioWAV").glob("*.wav"):
        (folder / path.name).symlink_to(path)
    silent = folder / "1076_MTI_SAD_XX.wav"
    if not silent.exists():
        sf.write(silent, np.zeros(2 * RATE), RATE)
    where, found = catalogue(folder, settings)
    by_rule = {rule: {row["file"] for row in found if row["rule"] == rule} for rule in audit.RULES}
    assert {"1006_TIE_HAP_XX.wav", "1006_TIE_NEU_XX.wav"} <= by_rule["identical_audio"]
    same = hashlib.sha256((folder / "1006_TIE_HAP_XX.wav").read_bytes()).hexdigest()
    assert same == hashlib.sha256((folder / "1006_TIE_NEU_XX.wav").read_bytes()).hexdigest()
    assert by_rule["silence"] == {silent.name}
    clips = read_json(where / "audit.json")["clips"]
    assert len(found) < max(5, clips / 200), {rule: len(files) for rule, files in by_rule.items()}

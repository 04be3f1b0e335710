"""The audit finds what was planted, and what is known of the official recordings."""

import hashlib
import zlib

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.meter import loudest_second
from serflow.corpus import audit
from serflow.runtime.errors import UserError
from serflow.storage import read_json, read_table
from steps import catalog, default_config, read_corpus, read_tsv, split

RATE = 16_000
SETTINGS = default_config()["catalog"]["audit"]


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


def catalogue(folder, policy="fail"):
    """Catalogue a folder; return the files of the catalogue, and what was left out or flagged."""
    where = folder.parent
    paths = catalog(read_corpus(where, folder, policy=policy), where, policy=policy)
    return paths, read_tsv(paths["excluded"]), read_tsv(paths["flagged"])


def test_sound_recordings_are_not_flagged(recordings):
    paths, excluded, flagged = catalogue(recordings)
    assert not excluded and not flagged
    counts = read_json(paths["audit"])
    assert counts["left_out"] == 0 and {rule["clips"] for rule in counts["rules"].values()} == {0}


def plant(folder, rule):
    path = folder / "1001_DFA_ANG_XX.wav"
    samples, rate = speech("x"), RATE
    match rule:
        case "digital_silence":  # nothing is left once the channels are mixed
            samples = np.column_stack([samples, -samples])
        case "silence":
            samples *= 0.01
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
            # The same samples in another container: the files differ.
            path.unlink()
            path = path.with_suffix(".flac")
            sf.write(path, *sf.read(folder / "1001_DFA_DIS_XX.wav", dtype="int16"))
            return {path.name, "1001_DFA_DIS_XX.wav"}
        case "name":
            path.rename(folder / "holiday.wav")
            return {"holiday.wav"}
    sf.write(path, samples, rate)
    return {path.name}


@pytest.mark.parametrize("rule", [*audit.RULES, "name"])
def test_each_planted_defect_is_found_and_nothing_else(recordings, rule):
    planted = plant(recordings, rule)
    paths, excluded, flagged = catalogue(recordings, policy="exclude")
    left_out = rule in SETTINGS["exclude"]
    found, empty = (excluded, flagged) if left_out or rule == "name" else (flagged, excluded)
    if rule == "digital_silence":
        assert [row["rule"] for row in empty] == ["channels"]
        empty = []
    assert {(row["file"], row["rule"]) for row in found} == {(file, rule) for file in planted} and not empty
    assert read_json(paths["audit"])["rules"][rule]["clips"] == len(planted)
    table = read_table(paths["output"]).to_pylist()
    assert {row["file"] for row in table if row["left_out"]} == (planted if left_out else set())


def test_the_notebook_keeps_what_the_policy_leaves_out(recordings):
    plant(recordings, "digital_silence")
    where = recordings.parent
    indices, plans = read_corpus(where, recordings), [where / "plan/s00.parquet"]
    options = {"test": 0.5, "valid": 0.34, "random_state": 42, "folds": "published"}

    def clips(protocol, audit):
        return {row["origin"] for row in split(indices, plans, where / "split", protocol, options, audit=audit)}

    kept = clips("notebook", {})
    assert kept - clips("speaker-independent", SETTINGS) == {"1001_DFA_ANG_XX"}
    assert clips("speaker-independent", SETTINGS | {"exclude": []}) == kept


@pytest.mark.parametrize("seconds", [0.5, 1, 2.04])
def test_the_level_is_that_of_the_loudest_second(seconds):
    """Silence around a clip does not make it quieter; a clip of less than a second is measured as a whole."""
    clip = speech("x", seconds)[:, 0]
    loud = loudest_second(clip, RATE)
    assert loud == pytest.approx(0.05, rel=0.05)
    if seconds >= 1:
        padded = np.concatenate([np.zeros(3 * RATE), clip, np.zeros(5 * RATE)])
        assert loudest_second(padded, RATE) == pytest.approx(loud, rel=0.01)
    assert loudest_second(np.zeros(5 * RATE), RATE) == 0
    end = np.zeros(2 * RATE + 1)
    end[-1] = 1e-6
    assert loudest_second(end, RATE) > 0


def test_what_concerns_all_clips_is_one_line(recordings, capsys):
    for path in recordings.iterdir():
        sf.write(path, sf.read(path)[0] + (0.05 if path.name == "1001_DFA_ANG_XX.wav" else 0), 8000)
    _, excluded, flagged = catalogue(recordings)
    assert not excluded
    assert [(row["file"], row["rule"], row["reason"]) for row in flagged[:1]] == [
        ("all 36 clips", "rate", "8000 Hz, not 16000")
    ]
    assert [(row["file"], row["rule"]) for row in flagged[1:]] == [("1001_DFA_ANG_XX.wav", "dc_offset")]
    assert capsys.readouterr().err.splitlines()[-1] == (
        "audit: clips flagged and used: dc_offset 1, rate 36; catalog/flagged.tsv lists them"
    )


def test_what_is_left_out_is_said_by_rule_and_label(recordings, capsys):
    plant(recordings, "digital_silence")
    sf.write(recordings / "1019_DFA_SAD_XX.wav", np.zeros(RATE), RATE)
    paths, _, _ = catalogue(recordings)
    line = "audit: clips left out of protocols that are not leaky: digital_silence 2 (ANG 1, SAD 1)"
    assert line in capsys.readouterr().err.splitlines()
    counts = read_json(paths["audit"])
    assert counts["rules"]["digital_silence"]["emotions"] == {"ANG": 1, "SAD": 1}
    assert (counts["clips"], counts["used"]["clips"]) == (36, 34)
    assert counts["used"]["emotions"] == {"ANG": 5, "DIS": 6, "FEA": 6, "HAP": 6, "NEU": 6, "SAD": 5}


def test_an_audit_that_takes_most_of_a_label_is_refused(recordings):
    """As a limit on the DC offset did with 88 of 100 neutral clips of URDU."""
    for speaker in (1001, 1002, 1019, 1020):
        path = recordings / f"{speaker}_DFA_NEU_XX.wav"
        sf.write(path, speech(path.stem) + 0.05, RATE)
    where = recordings.parent
    indices, plans = read_corpus(where, recordings), [where / "plan/s00.parquet"]
    options = {"test": 0.5, "valid": 0.34, "random_state": 42, "folds": "published"}
    assert len({row["origin"] for row in split(indices, plans, where / "s", "random", options)}) == 36
    strict = SETTINGS | {"exclude": ["dc_offset"]}
    with pytest.raises(
        UserError, match=r"leaves out 4 of 6 clips of NEU \(dc_offset 4\); take the rule out of catalog"
    ):
        split(indices, plans, where / "split", "random", options, audit=strict)
    assert split(indices, plans, where / "split", "random", options, audit=strict | {"dc_offset": 0.1})


def test_what_is_too_little_to_split_says_what_could_not_be_read(recordings):
    for path in recordings.glob("10[23]*"):
        path.write_bytes(b"no audio") if path.name[:4] in ("1037", "1038") else path.unlink()
    where = recordings.parent
    for path in recordings.glob("1019*"):
        path.unlink()
    indices, plans = read_corpus(where, recordings, policy="exclude"), [where / "plan/s00.parquet"]
    keep = {"map": {}, "keep": ["ANG", "HAP"], "corpora": {}}
    message = r"fold 0 has no clips to train on; add speakers; 12 recordings cannot be used; labels leaves 8 clips out$"
    with pytest.raises(UserError, match=message):
        split(indices, plans, where / "split", "speaker-independent", {"folds": "published"}, labels=keep)


def test_what_is_too_little_to_split_says_what_was_left_out(recordings):
    for path in recordings.glob("10[0-3]*"):
        if path.name[:4] in ("1037", "1038"):
            sf.write(path, np.zeros(RATE), RATE)
        elif path.name[:4] in ("1019", "1020"):
            path.unlink()
    where = recordings.parent
    indices, plans = read_corpus(where, recordings), [where / "plan/s00.parquet"]
    message = (
        r"fold 0 has no clips to train on; add speakers; the audit leaves 12 of 24 clips out \(digital_silence 12\)"
    )
    with pytest.raises(UserError, match=message):
        split(
            indices,
            plans,
            where / "split",
            "speaker-independent",
            {"valid": 0.3, "random_state": 0, "folds": "published"},
        )


def test_identical_audio_under_one_label_is_no_contradiction():
    row = {
        "audio_sha256": "a",
        "loudest_rms": 0.1,
        "clipped": 0,
        "dc_offset": 0,
        "rate": RATE,
        "channels": 1,
        "duration": 2,
    }
    row["corpus"] = None
    rows = [row | {"clip": f"1001_{sentence}_ANG_XX", "emotion": "ANG"} for sentence in ("DFA", "IEO")]
    assert audit.audit_clips(rows, SETTINGS) == []


def test_the_official_defects_come_out_by_themselves(crema_d, tmp_path):
    """Among the shared speakers is one byte-identical pair; the silent clip of 1076 is not, so one like it is added."""
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for path in (crema_d / "AudioWAV").glob("*.wav"):
        (folder / path.name).symlink_to(path)
    silent = folder / "1076_MTI_SAD_XX.wav"
    if not silent.exists():
        sf.write(silent, np.zeros(2 * RATE), RATE)
    paths, excluded, flagged = catalogue(folder)
    found = excluded + flagged
    by_rule = {rule: {row["file"] for row in found if row["rule"] == rule} for rule in audit.RULES}
    twins = ("1006_TIE_HAP_XX.wav", "1006_TIE_NEU_XX.wav")
    assert set(twins) <= by_rule["identical_audio"]
    assert len({hashlib.sha256((folder / twin).read_bytes()).hexdigest() for twin in twins}) == 1
    assert by_rule["digital_silence"] == {silent.name}
    clips = read_json(paths["audit"])["clips"]
    assert len(found) < max(5, clips / 200), {rule: len(files) for rule, files in by_rule.items()}

"""A mistake gets one clear line, an exit code, and nothing half-written."""

import shutil

import pytest

from serflow.storage import read_table
from workspace import lines


@pytest.fixture
def recordings(sample, tmp_path):
    """A folder of some speakers' recordings, of two blocks."""
    folder = tmp_path / "AudioWAV"
    folder.mkdir()
    for clip in (sample.folder / "resources/corpora/sample/AudioWAV").glob("10[02]?_*.wav"):
        shutil.copy(clip, folder)
    return folder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": {"cnn2d": {"epoks": 3}}}, "models.cnn2d.epoks is not a setting; did you mean 'epochs'?"),
        ({"mel": {"n_mels": "many"}}, "mel.n_mels: 'many' is not of type 'integer'"),
        ({"shards": 0}, "shards: 0 is less than the minimum of 1"),
        ({"length": "longest"}, "length is 'longest', but must be \"average\", or a whole number of samples"),
        ({"augment": {"time_stretch": {"low": 2}}}, "augment.time_stretch.low is 2, above"),
        ({"augment": {"pitch_shift": {"clips": 1.5}}}, "augment.pitch_shift.clips is 1.5, but must be a whole number"),
        (
            {"runs": [{"protocol": "notebok", "models": ["cnn1d"], "seeds": [0]}]},
            "runs.0.protocol: 'notebok' is not one of",
        ),
        ({"runs": [{"protocol": "random", "models": ["cnn3d"], "seeds": [0]}]}, "names 'cnn3d', but models has"),
        ({"runs": [{"protocol": "custom", "models": ["cnn1d"], "seeds": [0]}]}, "is 'custom', which needs split.table"),
        (
            {"runs": [{"protocol": "custom", "models": ["cnn1d"], "seeds": [0]}], "split": {"table": "none.csv"}},
            "split.table: none.csv: no such file",
        ),
        ({"corpus": "mine"}, "corpus 'mine' (CREMA-D) needs its recordings: set audio"),
        (
            {"fetch": {"mirrors": ["http://example.org/x.zip"]}},
            "must be official, gitlab, kaggle, or the https address",
        ),
        ({"fetch": {"mirrors": []}}, "fetch.mirrors: [] should be non-empty"),
        ({"fetch": {"mirrors": ["https://me:secret@example.org/x.zip"]}}, "without a user name in it"),
        ({"fetch": {"pointers": "http://example.org/x.zip"}}, "must be null, the path of an archive"),
        ({"corpus": "crema-d", "audio": "nowhere"}, "audio: nowhere: no such file or folder"),
        ({"audio": "."}, "audio is set, but corpus is 'sample'"),
        ({"corpus": "mine", "audio": "2024"}, "audio: 2024: no such file or folder"),
        ({"corpus": "mine", "audio": "a" * 300}, "audio is too long for the name of a file"),
        ({"input": "recordings/" + "a" * 300}, "input is too long for the name of a file"),
        ({"audio": "a" * 5000}, "audio has 5000 bytes; at most 4000"),
    ],
)
def test_settings(empty, settings, message):
    done = empty.snakemake("--dry-run", **settings)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    found = lines(done)
    assert len(found) == 1 and message in found[0]


@pytest.mark.parametrize("text", ["mel: {n_mels: 3\nfoo: [", "mel:\n\tn_mels: 3\n"])
def test_a_settings_file_that_snakemake_cannot_read(empty, text):
    """Snakemake reads it before the Snakefile, so that the words are its own; the README says how the line is found."""
    (empty.folder / "my.yaml").write_text(text)
    done = empty.snakemake("--cores", "1", "--configfile", "my.yaml")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "Config file is not valid JSON or YAML" in done.stderr
    assert not (empty.folder / "results").exists()


def test_an_empty_folder(empty, tmp_path):
    (tmp_path / "none").mkdir()
    done = empty.snakemake("--dry-run", corpus="mine", audio=str(tmp_path / "none"))
    assert done.returncode != 0 and "holds no .wav or .flac files" in lines(done)[0]


@pytest.mark.extended
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1001_DFA_ANG_XX.wav", b"not audio at all, just text", "not a readable audio file"),
        ("1001_DFA_ANG_XX.wav", b"", "the file is empty"),
        (
            "1001_DFA_ANG_XX.wav",
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer, not the recording",
        ),
        ("holiday.wav", None, "'holiday' is not a CREMA-D name"),
        ("1001_$(touch pwned)_ANG_XX.wav", None, "is not a CREMA-D name"),
    ],
)
def test_a_bad_recording(empty, recordings, name, content, message):
    content = next(recordings.iterdir()).read_bytes() if content is None else content
    (recordings / "1001_DFA_ANG_XX.wav").unlink(missing_ok=True)
    (recordings / name).write_bytes(content)
    done = empty.snakemake("--cores", "2", "catalog", corpus="mine", audio=str(recordings))
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    said = set(lines(done))
    assert len(said) == 1 and message in (line := said.pop()) and name in line
    assert not (empty.folder / "pwned").exists()
    assert not list(empty.results("mine").glob("catalog/*"))
    assert not [path for path in empty.results("mine").rglob("*") if ".part" in path.name]
    empty.run("catalog", corpus="mine", audio=str(recordings), catalog={"policy": "exclude"})
    excluded = (empty.results("mine") / "catalog/excluded.tsv").read_text()
    assert name in excluded and message in excluded


def test_a_class_with_too_few_clips(empty, recordings):
    for clip in sorted(recordings.glob("*_SAD_*"))[1:]:
        clip.unlink()
    done = empty.snakemake(
        "--cores",
        "2",
        "catalog",
        corpus="mine",
        audio=str(recordings),
        runs=[{"protocol": "notebook", "models": ["cnn1d"], "seeds": [0]}],
        augment={"time_stretch": {"clips": 0}, "pitch_shift": {"clips": 0}},
    )
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    assert "1 of them of class SAD, are too few to stratify" in lines(done)[0]
    assert not list(empty.results("mine").glob("splits/*"))


def test_a_folder_whose_path_the_shell_would_break_up(empty, recordings, sample):
    """No mistake at all, and neither is its metadata beside it."""
    folder = empty.folder / "my $(touch pwned) corpus; 'x'"
    folder.mkdir()
    recordings.rename(folder / "AudioWAV")
    shutil.copytree(sample.folder / "resources/corpora/sample/metadata", folder / "metadata")
    empty.run("catalog", corpus="mine", audio=str(folder / "AudioWAV"))
    assert not list(empty.folder.rglob("pwned"))
    clips = read_table(empty.results("mine") / "catalog/clips.parquet")
    assert None not in clips["sex"].to_pylist()

"""What corpus, format and audio may be together, and each mistake in one line."""

import os
from pathlib import Path

import pytest

from serflow.configuration import configure
from serflow.corpus.locations import Location, configured_locations, recording_path
from serflow.corpus.source import open_corpus
from serflow.runs import runs_on
from serflow.runtime.errors import UserError


@pytest.fixture
def opened(project, tmp_path, monkeypatch):
    """Return a function that opens the corpus of some settings, in a folder with a corpus of three files."""
    monkeypatch.chdir(tmp_path)
    for name in ("OAF_back_angry", "YAF_back_angry", "OAF_back_ps"):
        (tmp_path / "audio/below").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"audio/below/{name}.wav").touch()

    (tmp_path / "crema").mkdir()
    (tmp_path / "crema/1001_DFA_ANG_XX.wav").touch()

    return lambda **settings: open_corpus(configure(settings, project), tmp_path / "results")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"corpus": "ravdess"},
            "corpus 'ravdess' (RAVDESS) needs its recordings: set audio to their folder or archive",
        ),
        ({"corpus": "manifest"}, "corpus 'manifest' (manifest) needs its recordings: set audio to their table"),
        ({"format": "ravdess"}, "format is set, but corpus is 'sample'"),
        ({"corpus": "x", "format": "ravdes", "audio": "audio"}, "config: format: unknown corpus format 'ravdes'"),
        ({"corpus": "x", "format": 3, "audio": "audio"}, "config: format: unknown corpus format '3'"),
        ({"corpus": "x", "audio": {"mine": {"path": "audio"}}}, "config: audio"),
        ({"corpus": "x", "audio": {"a b": "audio"}}, "config: audio"),
        ({"corpus": "x", "audio": {}}, "config: audio"),
        ({"corpus": "x", "audio": {"mine": "audio"}}, "audio.mine: the name is not a format"),
        (
            {"corpus": "x", "audio": {"mine": {"format": "x", "path": "audio"}}},
            "audio.mine.format: unknown corpus format 'x'",
        ),
        ({"corpus": "x", "format": "tess", "audio": {"tess": "audio"}}, "audio names several corpora"),
        ({"corpus": "tess", "audio": "audio", "metadata": "audio"}, "metadata is set, but only"),
        ({"corpus": "manifest", "audio": "none.csv"}, "none.csv: no such file"),
        ({"corpus": "x", "audio": {"tess": "audio", "savee": "none"}}, "none: no such file or folder"),
    ],
)
def test_settings_that_do_not_fit(opened, settings, message):
    with pytest.raises(UserError) as error:
        opened(**settings)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_folder_whose_path_is_not_utf_8(opened, tmp_path):
    folder = tmp_path / os.fsdecode(b"rec\xff")
    folder.mkdir()
    (folder / "1001_DFA_ANG_XX.wav").touch()
    with pytest.raises(UserError, match=r"^audio: .*rec\\xff: the path is not UTF-8; rename"):
        opened(corpus="x", audio=str(folder))


def test_the_corpus_name_is_its_format(opened):
    by_name, set_ = opened(corpus="tess", audio="audio"), opened(corpus="mine", format="tess", audio="audio")
    assert by_name == set_ and by_name.formats == {"": "tess"} and by_name.speakers == ["OAF", "YAF"]
    assert opened(corpus="mine", audio="crema").formats == {"": "crema-d"}


def test_a_union_keeps_its_corpora_apart(opened):
    source = opened(corpus="mix", audio={"tess": "audio", "other": {"format": "tess", "path": "audio"}})
    assert source.speakers == ["other:OAF", "other:YAF", "tess:OAF", "tess:YAF"]
    assert source.formats == {"other": "tess", "tess": "tess"}
    locations = [Location(name, "tess", Path("audio", name)) for name in ("other", "tess")]
    assert recording_path(locations, "tess/below/x.wav").as_posix() == "audio/tess/below/x.wav"


def test_the_home_folder_may_be_written_as_a_tilde():
    (location,) = configured_locations({"corpus": "tess", "format": None, "audio": "~/tess"})
    assert location == Location("", "tess", Path.home() / "tess")


def test_only_song_where_speech_is_wanted(opened, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs/03-02-05-01-01-01-01.wav").touch()
    with pytest.raises(UserError, match="left out 1 recordings of song; another format reads them"):
        opened(corpus="ravdess", audio="songs")
    assert opened(corpus="ravdess-song", audio="songs").speakers == ["01"]
    (tmp_path / "songs/03-01-05-01-01-01-02.wav").touch()
    speech = opened(corpus="ravdess", audio="songs")
    assert speech.speakers == ["02"] and "left out 1 recordings of song" in speech.notes[0]


def test_runs_across_corpora_are_added_to_those_of_several():
    listed = [{"protocol": "random", "models": ["cnn1d"], "seeds": [0]}]
    assert runs_on(listed, ["tess"]) == listed
    added = {"protocol": "cross-corpus", "models": ["cnn1d"], "seeds": [0]}
    assert runs_on(listed, ["savee", "tess"]) == [*listed, added]
    assert runs_on([added], ["savee", "tess"]) == [added]


def test_a_corpus_whose_name_is_like_that_of_a_format(opened):
    said = "corpus: 'crema' is not a format, so its files are read as named in CREMA-D; did you mean 'crema-d'?"
    assert opened(corpus="crema", audio="crema").notes == [said]
    for settings in ({"corpus": "pilot"}, {"corpus": "crema", "format": "crema-d"}, {"corpus": "crema-d"}):
        assert opened(**settings, audio="crema").notes == []

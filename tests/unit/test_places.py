"""What corpus, format and audio may be together, and each mistake in one line."""

import pytest
import yaml

from serflow.corpus.locations import configured_places, places_of, read_source, recording_path, write_source
from serflow.corpus.source import open_source
from serflow.runtime.errors import UserError
from serflow.runtime.settings import check_settings, runs_on


@pytest.fixture
def opened(project, tmp_path, monkeypatch):
    """Check settings and open their corpus, in a folder with a corpus of three files."""
    monkeypatch.chdir(tmp_path)
    for name in ("OAF_back_angry", "YAF_back_angry", "OAF_back_ps"):
        (tmp_path / "audio/below").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"audio/below/{name}.wav").touch()

    (tmp_path / "crema").mkdir()
    (tmp_path / "crema/1001_DFA_ANG_XX.wav").touch()

    def check(**settings):
        config = yaml.safe_load((project / "config.yaml").read_text()) | settings
        check_settings(config, project / "workflow/schemas/config.schema.yaml")
        return open_source(config)

    return check


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corpus": "ravdess"}, "corpus 'ravdess' needs its recordings: set audio"),
        ({"format": "ravdess"}, "format is set, but corpus is 'sample'"),
        ({"corpus": "x", "format": "ravdes", "audio": "audio"}, 'format is "ravdes", but must be one of crema-d'),
        ({"corpus": "x", "format": 3, "audio": "audio"}, "format is 3, but must be"),
        ({"corpus": "x", "audio": {"mine": "audio"}}, "audio.mine: the name is no format"),
        ({"corpus": "x", "audio": {"mine": {"format": "x", "path": "audio"}}}, 'audio.mine.format is "x", but must be'),
        ({"corpus": "x", "audio": {"mine": {"path": "audio"}}}, "config: audio"),
        ({"corpus": "x", "audio": {"a b": "audio"}}, "config: audio"),
        ({"corpus": "x", "audio": {}}, "config: audio"),
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


def test_the_corpus_name_is_its_format(opened):
    by_name, set_ = opened(corpus="tess", audio="audio"), opened(corpus="mine", format="tess", audio="audio")
    assert by_name.formats == set_.formats == {"": "tess"} and by_name.speakers == ["OAF", "YAF"]
    assert by_name.listings == set_.listings and by_name.plans == set_.plans and by_name.text == set_.text
    assert opened(corpus="mine", audio="crema").formats == {"": "crema-d"}


def test_a_union_keeps_its_corpora_apart(opened):
    source = opened(corpus="mix", audio={"tess": "audio", "other": {"format": "tess", "path": "audio"}})
    assert source.speakers == ["other:OAF", "other:YAF", "tess:OAF", "tess:YAF"]
    assert source.formats == {"other": "tess", "tess": "tess"}
    assert recording_path(places_of(read_source(source.text)), "tess/below/x.wav").as_posix() == "audio/below/x.wav"


@pytest.mark.parametrize("path", ["/data/AudioWAV", "{odd}", "my $(touch x); 'corpus'", "🙂"])
def test_a_source_goes_through_a_command(path):
    for settings in ({"corpus": "mine"}, {"corpus": "tess"}):
        places = configured_places({"audio": path, "format": None, **settings})
        assert places_of(read_source(write_source(places))) == places


def test_only_song_where_speech_is_wanted(opened, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs/03-02-05-01-01-01-01.wav").touch()
    with pytest.raises(UserError, match="recordings of song that are left out: 1"):
        opened(corpus="ravdess", audio="songs")
    assert opened(corpus="ravdess-song", audio="songs").speakers == ["01"]
    (tmp_path / "songs/03-01-05-01-01-01-02.wav").touch()
    speech = opened(corpus="ravdess", audio="songs")
    assert speech.speakers == ["02"] and "of song that are left out: 1" in speech.notes[0]


def test_runs_across_are_added_to_those_of_several_corpora():
    listed = [{"protocol": "random", "models": ["cnn1d"], "seeds": [0]}]
    assert runs_on({"runs": listed}, ["tess"]) == listed
    added = {"protocol": "cross-corpus", "models": ["cnn1d"], "seeds": [0]}
    assert runs_on({"runs": listed}, ["savee", "tess"]) == [*listed, added]
    assert runs_on({"runs": [added]}, ["savee", "tess"]) == [added]

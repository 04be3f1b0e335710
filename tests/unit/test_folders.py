"""Corpora and `predict` find the same files in a folder, and say which they leave out."""

import os
import tempfile
import zipfile
from pathlib import Path

import pytest

from serflow.corpus.folders import list_files
from serflow.corpus.formats import FORMATS
from serflow.corpus.listing import list_entries
from serflow.inference.recordings import list_recordings
from serflow.runtime.errors import UserError
from steps import list_corpus

NAME = "OAF_back_angry.wav"


def names(folder, **options):
    return sorted(file for file, _ in list_files(folder, [".wav"], **options))


@pytest.fixture
def folder(tmp_path):
    """A folder with everything that a lister may stumble over."""
    top = tmp_path / "recordings"
    for below in ("a", "a/b", ".hidden", "__MACOSX"):
        (top / below).mkdir(parents=True)
        (top / below / NAME).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "YAF_bite_sad.WAV").touch()
    for link, place in (("link", "../elsewhere"), ("second", "../elsewhere"), ("loop", "."), ("a/up", "..")):
        (top / link).symlink_to(place)
    (top / "._a.wav").touch()
    (top / "nowhere.wav").symlink_to("missing")
    os.mkfifo(top / "pipe.wav")
    return top


def test_links_are_followed_once_and_hidden_names_are_skipped(folder):
    found = [f"a/{NAME}", f"a/b/{NAME}", "link/YAF_bite_sad.WAV", "nowhere.wav", "pipe.wav"]
    assert names(folder) == found
    assert names(folder, nested=False) == ["nowhere.wav", "pipe.wav"]
    assert [source.name for source in list_recordings([str(folder)])] == [str(folder / file) for file in found]


@pytest.mark.parametrize("format_", ["crema-d", "tess"])
def test_flat_and_nested_formats_skip_the_hidden_files_of_macos(tmp_path, format_):
    for file in ("1001_DFA_ANG_XX.wav", "._1001_DFA_ANG_XX.wav"):
        (tmp_path / file).touch()
    assert [entry.file for entry in list_entries(FORMATS[format_].load(), tmp_path)] == ["1001_DFA_ANG_XX.wav"]


def test_a_folder_that_cannot_be_read_is_named():
    if os.geteuid():
        pytest.skip("needs root, which gives its rights away for the test")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / NAME).touch()
        (folder / "closed").mkdir(mode=0)
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            with pytest.raises(UserError, match=r"audio: .*/closed: Permission denied"):
                list_entries(FORMATS["tess"].load(), folder)
            with pytest.raises(UserError, match=r"/closed: cannot be read \(Permission denied\)"):
                list(list_recordings([place]))
        finally:
            os.seteuid(0)


def test_files_that_are_left_out_by_their_suffix_are_counted(tmp_path):
    for file in ("a.mp3", "b.MP3", "c.m4a", "notes.txt", "VideoDemographics.csv"):
        (tmp_path / file).touch()
    unread = "are not read; convert them to WAV or FLAC"
    with pytest.raises(UserError) as error:
        list_corpus(tmp_path / "results", tmp_path)
    assert str(error.value) == f"audio: {tmp_path} holds no .wav or .flac files; it has 1 .m4a, 2 .mp3, which {unread}"
    (tmp_path / "1001_DFA_ANG_XX.wav").touch()
    notes = list_corpus(tmp_path / "results", tmp_path, corpus="crema-d").notes
    assert sorted(notes) == [f"audio: left out {kind} files, which {unread}" for kind in ("1 .m4a", "2 .mp3")]


def test_an_archive_counts_what_is_not_read_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as archive:
        for file in (
            "a/1001_DFA_ANG_XX.wav",
            "a/1001_DFA_HAP_XX.wav",
            "a/x.m4a",
            "b/x.m4a",
            "b/y.MP3",
            "._z.m4a",
            "z.txt",
        ):
            archive.writestr(file, b"")
    notes = list_corpus(tmp_path / "results", tmp_path / "corpus.zip", corpus="crema-d").notes
    unread = "files, which are not read; convert them to WAV or FLAC"
    assert sorted(notes) == [f"audio: left out {kind} {unread}" for kind in ("1 .mp3", "2 .m4a")]


def test_predict_counts_what_it_cannot_read_and_reads_the_rest(tmp_path):
    (tmp_path / "a.m4a").touch()
    with pytest.raises(UserError, match=r"holds no recordings \(.*\); convert the 1 \.m4a files with ffmpeg"):
        list(list_recordings([str(tmp_path)]))
    for file in ("b.M4A", "c.amr", "d.mp3", "notes.txt"):
        (tmp_path / file).touch()
    said = []
    assert [Path(source.name).name for source in list_recordings([str(tmp_path)], note=said.append)] == ["d.mp3"]
    assert said == [f"{tmp_path}: left out 1 .amr, 2 .m4a files, which cannot be read; convert them with ffmpeg"]

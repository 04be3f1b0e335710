"""Recordings that are only odd are read right, whatever their name says; some of them with a warning."""

import numpy as np
import pytest

from serflow.audio.io import decode, mono, read_clip
from steps import read_corpus
from wav_bytes import RATE, TONE, audio, chunk, wav

CLIP = "1001_DFA_ANG_XX.wav"


def without_end_flag(content: bytes) -> bytes:
    """Return an Ogg file whose last page is not marked as such (CRC-32 of RFC 3533, which is not zlib's)."""
    start = content.rindex(b"OggS")
    page = bytearray(content[start:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ (0x104C11DB7 if crc >> 31 else 0)
    page[22:26] = crc.to_bytes(4, "little")
    return content[:start] + bytes(page)


LIST = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"program"))
ODD = {
    "8 bits": (audio(subtype="PCM_U8"), 1 / 100),
    "24 bits": (audio(subtype="PCM_24"), 1e-6),
    "32 bits": (audio(subtype="PCM_32"), 1e-6),
    "float": (audio(subtype="FLOAT"), 1e-6),
    "double": (audio(subtype="DOUBLE"), 1e-6),
    "mu-law": (audio(subtype="ULAW"), 0.02),
    "ADPCM": (audio(subtype="IMA_ADPCM"), 0.05),
    "extensible": (audio(form="WAVEX"), 1e-4),
    "RF64": (audio(form="RF64"), 1e-4),
    "W64": (audio(form="W64", subtype="PCM_24"), 1e-6),
    "FLAC": (audio(form="FLAC"), 1e-4),
    "Ogg": (audio(form="OGG", subtype="VORBIS"), 0.05),
    "MP3": (audio(form="MP3", subtype=None), 0.05),
    "chunks before": (wav(LIST, chunk(b"junk", b"abc"), chunk(b"bext", bytes(602))), 1e-4),
    "chunks after": (wav(after=LIST + chunk(b"id3 ", b"xyz")), 1e-4),
    "bytes after": (wav(after=b"\0\0\0"), 1e-4),
    "zeros after": (wav(after=bytes(5000)), 1e-4),
    "ID3v1 after": (wav(after=b"TAG" + b"title".ljust(125, b"\0")), 1e-4),
    "ID3v1 without a title after": (wav(after=b"TAG" + bytes(125)), 1e-4),
    "zeros and ID3v1 after": (wav(after=bytes(44) + b"TAG" + b"title".ljust(125, b" ")), 1e-4),
    "Ogg without an end flag": (without_end_flag(audio(form="OGG", subtype="VORBIS")), 0.05),
    "whole shorter": (wav(riff_size=100), 1e-4),
    "whole of none": (wav(riff_size=0), 1e-4),
    "the header counted twice": (wav(riff_size=16_044), 1e-4),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_recording_is_read_right_under_a_wav_name(tmp_path, case):
    content, tolerance = ODD[case]
    (tmp_path / CLIP).write_bytes(content)
    samples = read_clip(tmp_path / CLIP, RATE)
    assert samples.dtype == np.float32 and abs(len(samples) - len(TONE)) < 600
    # A lossy format needs some samples to begin and to end.
    np.testing.assert_allclose(samples[: len(TONE)][400:-1100], TONE[400:-1100], atol=tolerance)


@pytest.mark.parametrize(
    "case", [case for case in ODD if case.endswith((" after", " flag")) and not case.startswith(("chunks", "bytes"))]
)
def test_a_file_of_an_odd_length_is_read_with_a_warning(tmp_path, case, capsys):
    content, _ = ODD[case]
    kind = "last page is not marked" if "flag" in case else "an ID3v1 tag" if "ID3v1" in case else "zeros"
    assert [kind in warning for warning in decode("x", content).warnings] == [True]
    for name in (CLIP, CLIP.replace("DFA", "IEO")):
        (tmp_path / name).write_bytes(content)
    read_corpus(tmp_path / "results", tmp_path)
    (said,) = capsys.readouterr().err.splitlines()
    assert f"{CLIP}: " in said and kind in said and said.endswith("(and 1 more recordings of this shard are odd)")


@pytest.mark.parametrize("channels", [2, 6, 8])
def test_channels_are_mixed_down(channels):
    found = mono(decode("x", audio(np.outer(TONE, np.arange(channels)) / channels, form="WAVEX")), RATE)
    np.testing.assert_allclose(found, TONE * np.arange(channels).mean() / channels, atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_is_brought_to_one(rate):
    time = np.arange(rate) / rate
    found = mono(decode("x", audio(0.5 * np.sin(2 * np.pi * 440 * time), rate)), RATE)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert len(found) == RATE
    np.testing.assert_allclose(found[500:-500], expected[500:-500], atol=2e-3)

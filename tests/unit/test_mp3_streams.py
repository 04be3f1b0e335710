"""MP3 streams without a Xing or Info tag, as encoders write them to a pipe, are read to their last frame."""

import io

import numpy as np
import pytest
import soundfile as sf

from serflow.audio.io import decode, read_content
from serflow.audio.mpeg import find_uncounted
from serflow.audio.pieces import decode_piece
from serflow.bundle.demo.result import count_samples
from serflow.inference.recordings import RecordingToLabel
from serflow.inference.windows import cut
from serflow.runtime.errors import UserError
from steps import AS_RECORDED

DELAY = 576  # samples of an encoder that has a tag to say so
HOW = {"sampling_rate": 16_000, "target_length": 4000, "longest": 8000} | AS_RECORDED


def encoded(rate, mode, channels=1, seconds=4):
    """Encode a second that is nearly silent, whose frames are small at a variable bit rate, and then noise."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((seconds * rate, channels))
    samples[:rate] *= 1e-3
    file = io.BytesIO()
    sf.write(file, samples, rate, "MPEG_LAYER_III", format="MP3", bitrate_mode=mode, compression_level=0.8)
    return file.getvalue()


def without_tag(content):
    """Return the stream without its first frame if that is a tag."""
    if not (b"Xing" in content[:60] or b"Info" in content[:60]):
        return content
    second = content.index(content[:2], 60)
    while find_uncounted(content[second:]).fault:  # bytes of the tag that look like a frame
        second = content.index(content[:2], second + 1)
    return content[second:]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
def test_a_stream_without_a_tag_has_the_samples_of_the_one_with_it(rate, mode, channels):
    content = encoded(rate, mode, channels)
    stream = without_tag(content)
    found, seconds = decode("x.mp3", stream).samples, 4
    assert len(found) >= seconds * rate + DELAY and found.shape[1] == channels
    assert len(found) < seconds * rate + DELAY + 3 * 1152
    if stream is not content:
        whole = decode("x.mp3", content).samples
        assert len(whole) == seconds * rate
        np.testing.assert_allclose(found[DELAY : DELAY + len(whole)], whole, atol=1e-4)
    assert found[-1500 - 3 * 1152 : -3 * 1152].std() > 0.05  # sound up to its end


def test_every_reader_counts_the_frames(tmp_path):
    path = tmp_path / "x.mp3"
    path.write_bytes(without_tag(encoded(16_000, "VARIABLE")))
    estimate, whole = sf.info(path).frames, decode(path).samples
    assert estimate > 1.3 * len(whole)  # what libsndfile makes of it
    found = decode_piece(path, 2.5, None).samples
    assert len(found) == len(whole) - 40_000
    # A frame depends on the one before, which is not decoded.
    np.testing.assert_allclose(found[100:], whole[40_100:], atol=2e-3)
    with pytest.raises(UserError, match=r"column end: 4\.5 is beyond the end of .* which has 4\.[01]"):
        decode_piece(path, 1, 4.5)
    source = RecordingToLabel(str(path))
    assert count_samples(source, 16_000) == len(whole)
    for given in (source, RecordingToLabel("standard input", path.read_bytes())):
        windows = list(cut(given, HOW))
        assert windows[-1].end == len(whole) / 16_000
        np.testing.assert_array_equal(windows[-1].samples, whole[-4000:, 0])


def test_tags_around_the_frames_are_not_counted():
    stream = without_tag(encoded(22_050, "VARIABLE"))
    expected = decode("x.mp3", stream).samples
    id3v2 = b"ID3\x04\0\0" + bytes([0, 0, 1, 2]) + bytes(130)
    for content in (id3v2 + stream, stream + b"TAG" + bytes(125), id3v2 + id3v2 + stream + b"APETAGEX" + bytes(40)):
        np.testing.assert_array_equal(decode("x.mp3", content).samples, expected)


def test_a_tag_without_the_number_of_frames():
    content = encoded(44_100, "VARIABLE")
    place = content.index(b"Xing") + 4
    flags = bytes([*content[place : place + 3], content[place + 3] & ~1])
    found = decode("x.mp3", content[:place] + flags + content[place + 4 :]).samples
    np.testing.assert_array_equal(found, decode("x.mp3", without_tag(content)).samples)


def test_a_stream_that_is_cut_or_damaged_is_refused():
    stream = without_tag(encoded(44_100, "VARIABLE"))
    with pytest.raises(UserError, match=r"^x\.mp3: truncated: its last frame is incomplete; copy it again"):
        decode("x.mp3", stream[:-10])
    middle = find_uncounted(stream + b"noise").stop
    for content in (stream + b"noise " * 9, stream[:middle] + b"RIFF" + stream):
        with pytest.raises(UserError, match=rf"^x\.mp3: byte {middle} is not the beginning of a frame; rewrite it"):
            decode("x.mp3", content)


def test_files_that_say_how_many_frames_they_have_are_left_to_the_decoder(tmp_path):
    sf.write(tmp_path / "x.wav", np.zeros(100), 16_000)
    for content in (
        encoded(16_000, "CONSTANT"),
        encoded(44_100, "VARIABLE"),
        read_content(tmp_path / "x.wav"),
        b"",
        b"\xff",
    ):
        assert find_uncounted(content) is None

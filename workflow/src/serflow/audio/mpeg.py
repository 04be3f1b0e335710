"""Counting the frames of MP3 streams that do not say how many they have.

Encoders that write to a pipe leave out the Xing or Info tag, which has the number of frames. libsndfile then estimates
it from the first frame and the size of the file, and reads a stream of variable bit rate too short, or past its end.

Sources: ISO/IEC 11172-3, 1993, and 13818-3, 1995 (the header of a frame); LAME project, "Mp3 Info Tag rev 1
specifications".
"""

from mmap import mmap
from typing import NamedTuple

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # of MPEG 1, 2 and 2.5
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_3, _MONO, _MPEG_1 = 1, 3, 3
_TAGS = (b"Xing", b"Info")
_HAS_FRAMES = 1  # flag of a tag
_BEHIND = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # tags that follow the last frame


class Mp3Stream(NamedTuple):
    """The frames of a stream lie in bytes ``start`` to ``stop``; ``tag`` is a first frame that says how many they are.

    ``fault`` says why the stream is not complete.
    """

    tag: bytes
    start: int
    stop: int
    fault: str | None = None


class _Frame(NamedTuple):
    size: int  # in bytes
    kind: tuple[int, int]  # version and sampling rate, which all frames of a stream share
    side: int  # bytes from the end of the header to a tag


def _frame(header: bytes) -> _Frame | None:
    """Read the four bytes of a header; None if they are not the header of an MP3 frame."""
    bits = int.from_bytes(header, "big")
    version, layer, bitrate, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    if len(header) < 4 or bits >> 21 != 0x7FF or version not in _RATES or layer != _LAYER_3:
        return None
    if not 0 < bitrate < 15 or rate == 3:  # 0: a bit rate of one's own, which is not read
        return None
    first, mono = version == _MPEG_1, bits >> 6 & 3 == _MONO
    bits_a_second = 1000 * (_KBITS_1 if first else _KBITS_2)[bitrate]
    size = (144 if first else 72) * bits_a_second // _RATES[version][rate] + (bits >> 9 & 1)
    return _Frame(size, (version, rate), (17 if mono else 32) if first else (9 if mono else 17))


def find_uncounted(content: bytes | mmap) -> Mp3Stream | None:
    """Return the frames of an MP3 file that does not say how many they are; None for any other file.

    Parameters
    ----------
    content
        The bytes of the file, or a memory map of it.
    """
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        size = content[position + 6 : position + 10]
        position += 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(size)))
    header = bytes(content[position : position + 4])
    if not (frame := _frame(header)):
        return None
    place = position + 4 + frame.side
    if content[place : place + 4] in _TAGS:
        flags, frames = (int.from_bytes(content[place + at : place + at + 4], "big") for at in (4, 8))
        if flags & _HAS_FRAMES and frames:
            return None
        position += frame.size
    start, kind, count = position, frame.kind, 0
    while (frame := _frame(content[position : position + 4])) and frame.kind == kind:
        position += frame.size
        count += 1
    fault = None
    if position > len(content):
        fault = "truncated: its last frame is incomplete; copy it again from its source"
    elif not _is_end(content, position):
        fault = f"byte {position} is not the beginning of a frame; rewrite it with ffmpeg or sox"
    return Mp3Stream(_tag(header, count), start, position, fault)


def _is_end(content: bytes | mmap, position: int) -> bool:
    """Return whether nothing but tags or zeros follows the frames."""
    return content[position : position + 11].startswith(_BEHIND) or not content[position:].strip(b"\0")


def _tag(header: bytes, count: int) -> bytes:
    """Return a frame of the kind of another, with an Info tag that has the number of frames."""
    # Without a checksum, at a bit rate at which it is long enough, and without the byte of padding.
    header = bytes([header[0], header[1] | 1, 9 << 4 | header[2] & 0b1100, header[3]])
    frame = _frame(header)
    text = header + bytes(frame.side) + b"Info" + _HAS_FRAMES.to_bytes(4, "big") + count.to_bytes(4, "big")
    return text.ljust(frame.size, b"\0")

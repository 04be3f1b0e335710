"""Whether a WAV, AIFF or Ogg file is as long as it says, which decoders do not ask, and the plainest kind of WAV.

A decoder takes what is there: of a copy that broke off it gives the first half without a word. Chunks of a WAV that do
not bear on its samples may be wrong; many programs write them so.

Sources: Microsoft & IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991 (RIFF);
Apple, "Audio Interchange File Format", 1989; EBU Tech 3306, 2009 (RF64); RFC 3533, 2003 (Ogg).
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_HEADER = 8  # of a chunk: its name and its size
_PLAIN = struct.Struct("<4sI4s4sIHHIIHH4sI")  # the header of a WAV that has nothing but samples
_NO_SAMPLES = (b"OggS", b"wvpk")  # what a WAV holds that a program wrote around other audio
_PCM, _FORMAT_SIZE, _MOST_CHANNELS = 1, 16, 8
_PAGE = 27  # bytes before the segment table of an Ogg page
_UNKNOWN = 0xFFFFFFFF  # a size that RF64 holds elsewhere, and that a program writes which cannot go back
_MEND = "copy it again from its source, or have ffmpeg or sox write it anew"
# What the Wave64 format has in place of the names RIFF.
_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")


class OnDisk:
    """A file as if it were its bytes, of which only those are read that are asked for."""

    def __init__(self, file: BinaryIO):
        self._file, self._size = file, file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self[place : place + 1][0]
        start, stop, _ = place.indices(self._size)
        self._file.seek(start)
        return self._file.read(max(0, stop - start))


class PlainWav(NamedTuple):
    """What the header of a WAV of 16-bit integers says; the names are those of ``soundfile.SoundFile``."""

    samplerate: int
    channels: int
    frames: int
    format: str = "WAV"
    subtype: str = "PCM_16"
    start: int = _PLAIN.size


def plain_wav(content: bytes) -> PlainWav | None:
    """Read the header of a WAV as most programs write it; what :func:`length_fault` says of it comes first.

    Its samples lie ready in the file, which a decoder takes ten times as long to give.

    Returns
    -------
    PlainWav or None
        None where the file is of any other kind, has no samples or more than samples, or its header contradicts itself.
    """
    if len(content) <= _PLAIN.size:
        return None
    riff, _, wave, fmt, fmt_size, kind, channels, rate, bytes_a_second, step, bits, data, size = _PLAIN.unpack(
        content[: _PLAIN.size]
    )
    plain = (
        (riff, wave, fmt, data) == (b"RIFF", b"WAVE", b"fmt ", b"data")
        and (fmt_size, kind, bits) == (_FORMAT_SIZE, _PCM, 16)
        and 0 < channels <= _MOST_CHANNELS
        and step == 2 * channels
        and bytes_a_second == rate * step > 0
        and size == len(content) - _PLAIN.size  # of what may follow, a decoder knows what makes a file unreadable
        and size % step == 0
        and content[_PLAIN.size : _PLAIN.size + 4] not in _NO_SAMPLES
    )
    return PlainWav(rate, channels, size // step) if plain else None


def length_fault(content: bytes | OnDisk) -> str | None:
    """Find where what a file says of its length and its length contradict each other.

    Parameters
    ----------
    content
        A file. What is neither WAV (RIFF, RF64 or Wave64), AIFF nor Ogg is not looked at.

    Returns
    -------
    str or None
        What is wrong and what to do, or None.
    """
    if content[:4] == b"OggS":
        return _ogg_fault(content)
    if content[:16] == _W64 and len(content) >= 24:
        return _shorter(content, struct.unpack("<Q", content[16:24])[0])
    if content[:4] == b"FORM" and content[8:12] in (b"AIFF", b"AIFC"):
        return _shorter(content, struct.unpack(">I", content[4:8])[0])
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        return None
    announced, samples, data = struct.unpack("<I", content[4:8])[0], None, None
    for name, start, size in _chunks(content):
        if data is not None:
            if not _is_name(name) or start + size > len(content) + 1:
                return (
                    f"its header is wrong: {data} bytes of samples announced, and what follows them, "
                    f"{len(content) - start + _HEADER} bytes, is nothing else; {_MEND}"
                )
        elif name == b"data":
            data = samples if size == _UNKNOWN and samples is not None else size
            if data > len(content) - start:
                held = len(content) - start
                return f"truncated, or its header is wrong: {data} bytes of samples announced, {held} there; {_MEND}"
        elif name == b"ds64" and content[:4] == b"RF64" and min(size, len(content) - start) >= 16:
            announced, samples = struct.unpack("<QQ", content[start : start + 16])
        elif not _is_name(name):
            return None  # the decoder will say what that is
    # Some programs count the header of the whole as well, so this much too much is no sign of a loss.
    return _shorter(content, announced)


def _chunks(content: bytes | OnDisk) -> Iterator[tuple[bytes, int, int]]:
    """Walk the chunks of a file: name, where its content starts, and the size that it gives."""
    position = 12
    while position + _HEADER <= len(content):
        name, size = struct.unpack("<4sI", content[position : position + _HEADER])
        yield name, position + _HEADER, size
        position += _HEADER + size
        # A chunk of odd size is followed by a byte that it does not count. Some programs leave that byte out.
        if size % 2 and not (_is_name(content[position : position + 4]) and content[position] != 0):
            position += 1


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _shorter(content: bytes | OnDisk, announced: int) -> str | None:
    if announced > len(content):
        return f"truncated, or its header is wrong: {announced} bytes announced, {len(content)} there; {_MEND}"
    return None


def _ogg_fault(content: bytes | OnDisk) -> str | None:
    """Walk the pages of an Ogg file: the last one must be whole, and say that it is the last."""
    position, last = 0, False
    while content[position : position + 4] == b"OggS" and position + _PAGE <= len(content):
        last = bool(content[position + 5] & 4)
        segments = content[position + _PAGE : position + _PAGE + content[position + _PAGE - 1]]
        position += _PAGE + len(segments) + sum(segments)
    if position > len(content) or not last:
        return "truncated: its last page is not there or not whole; copy it again from its source"
    return None

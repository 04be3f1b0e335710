"""Files of sound written by hand, right and wrong."""

import io
import struct

import numpy as np
import soundfile as sf

RATE = 16_000
TONE = 0.5 * np.sin(np.arange(8000) / 9)


def audio(samples=TONE, rate=RATE, subtype="PCM_16", form="WAV") -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, subtype, format=form)
    return file.getvalue()


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(*before, samples=TONE, data_size=None, riff_size=None, rate=RATE, after=b"", channels=1) -> bytes:
    """Write a 16-bit WAV by hand, with sizes that may be wrong."""
    content = (samples * 32767).astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels & 0xFFFFFFFF, 2 * channels, 16)
    body = b"WAVE" + chunk(b"fmt ", form) + b"".join(before) + chunk(b"data", content, data_size) + after
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body

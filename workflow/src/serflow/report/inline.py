"""Pictures, recordings and scripts that a page holds itself, so that it needs no other file."""

import base64
import hashlib
import io
import re
from pathlib import Path

from markupsafe import Markup

# Long recordings would make a page of a hundred megabytes.
PLAYED_SECONDS = 12


def picture(path: Path) -> str:
    """Return a PNG file as a ``data:`` address."""
    return _address("image/png", path.read_bytes())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def player(path: Path) -> str:
    """Return the first :data:`PLAYED_SECONDS` of a recording as a ``data:`` address, in FLAC: half the size of WAV."""
    import soundfile as sf

    with sf.SoundFile(path) as file:
        samples, rate = file.read(PLAYED_SECONDS * file.samplerate, dtype="int16"), file.samplerate
    packed = io.BytesIO()
    sf.write(packed, samples, rate, format="FLAC", subtype="PCM_16")
    return _address("audio/flac", packed.getvalue())


def script(text: str) -> Markup:
    """Return a script with the sequences escaped that would end its element in the page."""
    return Markup(re.sub(r"<(?=/script|!--)", r"\\x3C", text, flags=re.IGNORECASE))


def source_digest(text: str) -> str:
    """Return the digest by which the Content-Security-Policy of a page allows a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

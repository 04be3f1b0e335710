"""What a page holds within itself: pictures, recordings and scripts."""

import base64
import hashlib
import io
import re
from pathlib import Path

from markupsafe import Markup

# Of a recording at most so much is played, so that long ones do not make a page of a hundred megabytes.
PLAYED_SECONDS = 12
_MEDIA = {".png": "image/png"}


def data_address(path: Path) -> str:
    """Give a file as a ``data:`` address."""
    return _address(_MEDIA[path.suffix], path.read_bytes())


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def player(path: Path) -> str:
    """Give the first :data:`PLAYED_SECONDS` of a recording as a ``data:`` address, FLAC: half the size of WAV."""
    import soundfile as sf

    with sf.SoundFile(path) as file:
        samples, rate = file.read(PLAYED_SECONDS * file.samplerate, dtype="int16"), file.samplerate
    packed = io.BytesIO()
    sf.write(packed, samples, rate, format="FLAC", subtype="PCM_16")
    return _address("audio/flac", packed.getvalue())


def script(text: str) -> Markup:
    """Make a script that can stand in a page: what would end its element is written as JavaScript allows it."""
    return Markup(re.sub(r"<(?=/script|!--)", r"\\x3C", text, flags=re.IGNORECASE))


def source_digest(text: str) -> str:
    """Give the digest by which a page's Content-Security-Policy allows a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

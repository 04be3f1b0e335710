"""Download files over HTTPS, as RFC 9110 defines it. Interrupted downloads resume on the next run."""

import contextlib
import hashlib
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from serflow import __version__, storage
from serflow.runtime.errors import UserError
from serflow.runtime.progress import progress, tell

SCHEMES = ("https://",)  # tests add a server on this machine; no setting changes it
ATTEMPTS = 5  # in a row without new bytes
TIMEOUT = (15, 60)  # seconds: for a connection, for the next bytes
LARGEST_FILE = 64 << 30  # bytes
LONGEST_WAIT = 600  # seconds; a server that asks for more is given up
_HEAD, _PIECE = 512, 1 << 18  # bytes


class NoRoom(UserError):
    """The disk is too full; the download itself is fine."""


class _Transient(Exception):
    """An error that may pass."""

    wait: float | None = None  # seconds that the server asks for


def shown(url: str) -> str:
    """Return an address without query and user, which may hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an invalid address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def need_room(folder: Path, wanted: int) -> None:
    """Raise :class:`NoRoom` if the disk has fewer than ``wanted`` bytes free."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise NoRoom(f"{folder}: needs {wanted / 1e9:,.1f} GB of free space and has {free / 1e9:,.1f} GB; make room")


def fetch(
    url: str, path: Path, *, sha256: str | None = None, check: Callable[[bytes], object] = bool, room: int = 0
) -> None:
    """Download a file from an https address. An incomplete one stays beside ``path``, and the next call resumes it.

    Parameters
    ----------
    url, path
        If the path exists, nothing is done.
    sha256
        Of the file, if known.
    check
        Receives the first bytes, at most 512; raises ``UserError`` if they are not of the expected file.
    room
        Bytes that must stay free on the disk.

    Raises
    ------
    UserError
        If the file cannot be downloaded, or is not the expected one.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, note = (path.with_name(path.name + suffix) for suffix in (".part", ".json"))
    largest, failures = _size(partial), 0
    while True:
        try:
            with _explained(url):
                _download(url, partial, note, check, room)
            break
        except _Transient as error:
            failures = 1 if _size(partial) > largest else failures + 1
            largest = max(largest, _size(partial))
            if failures >= ATTEMPTS:
                raise UserError(f"{shown(url)}: {error}; gave up after {failures} attempts without progress") from error
            wait = 2 ** (failures - 1) * (0.5 + random.random()) if error.wait is None else error.wait
            tell(f"{shown(url)}: {error}; trying again in {wait:.0f} s")
            time.sleep(wait)
    if sha256:
        with partial.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            _remove(partial, note)
            raise UserError(f"{shown(url)}: not the expected file: its sha256 is {found}, not {sha256}")
    partial.replace(path)
    _remove(note)


def _download(url: str, partial: Path, note: Path, check: Callable[[bytes], object], room: int) -> None:
    """Download what is missing of ``partial``; ``note`` says which version of the file that is."""
    offset, kept = _size(partial), {}
    with contextlib.suppress(UserError, OSError):
        kept = storage.read_json(note)
    known = kept.get("validator") if offset and kept.get("url") == url else None
    if known and offset == kept["total"]:
        return  # the process was killed between the last byte and the renaming
    resume = {"Range": f"bytes={offset}-", "If-Range": known} if known else {}
    with _session() as session, session.get(url, headers=resume, stream=True, timeout=TIMEOUT) as answer:
        tag = answer.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")  # W/"…" is a weak one
        part = re.fullmatch(rf"bytes {offset}-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if known and answer.status_code in (206, 416):
            if answer.status_code == 416 or not part or validator not in (None, known):
                _remove(partial, note)
                raise _Transient("the file on the server has changed")
            total = int(part[1])
        elif answer.status_code == 200:
            offset, length = 0, answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        else:
            raise _refusal(answer)
        if (total or 0) > LARGEST_FILE:
            raise UserError(f"{total / 1e9:,.1f} GB, more than the {LARGEST_FILE / 1e9:,.1f} GB allowed")
        need_room(partial.parent, (total or 0) - offset + room)
        piece = answer.raw.read1(_PIECE) if offset else answer.raw.read(_HEAD)
        if not offset:
            _remove(partial, note)
            if piece.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
                raise UserError("the server sent a web page instead of the file")
            check(piece)
        storage.write_json(note, {"url": url, "validator": validator or known, "total": total})
        with partial.open("ab") as file, progress(shown(url), offset, total) as advance:
            while piece:
                offset += len(piece)
                if offset > (total or LARGEST_FILE):
                    _remove(partial, note)
                    raise UserError(f"the server sent more bytes than {'announced' if total else 'allowed'}")
                file.write(piece)
                file.flush()
                advance(len(piece))
                piece = answer.raw.read1(_PIECE)  # what has arrived, so that a broken connection loses nothing
    if total and offset < total:
        raise _Transient(f"ended after {offset:,} of {total:,} bytes")


def _session():
    import requests

    session = requests.Session()
    session.adapters.clear()  # so that no address or redirect leads to anything else
    for scheme in SCHEMES:
        session.mount(scheme, requests.adapters.HTTPAdapter())
    session.max_redirects = 5
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": f"serflow/{__version__}"})
    return session


def _refusal(answer) -> Exception:
    """Return the error for a status that is not the file: one that may pass, or not."""
    import urllib3

    status = f"{answer.status_code} {answer.reason}"
    if answer.status_code not in (408, 425, 429, *range(500, 600)):
        return UserError(status)
    error = _Transient(status)
    with contextlib.suppress(urllib3.exceptions.InvalidHeader):
        error.wait = urllib3.Retry().get_retry_after(answer)
    if (error.wait or 0) > LONGEST_WAIT:
        return UserError(f"{status}; the server asks to wait for {error.wait / 60:.0f} minutes")
    return error


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Put the address before errors, and translate those of requests, whose texts have the address with its secrets."""
    import requests
    import urllib3

    try:
        yield
    except NoRoom:
        raise
    except UserError as error:
        raise UserError(f"{shown(url)}: {error}") from error
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise UserError(f"{shown(url)}: the certificate of the server is not valid here") from error
        timed_out = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
        unknown = "NameResolutionError" in str(error)
        reason = "the name of the host is unknown; is there a network?" if unknown else "the connection broke"
        raise _Transient("no answer in time" if timed_out else reason) from error
    except (requests.RequestException, ValueError) as error:
        loop = isinstance(error, requests.TooManyRedirects)
        reason = "too many redirects" if loop else "neither it nor what it redirects to may be anything but https"
        raise UserError(f"{shown(url)}: {reason}") from error


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

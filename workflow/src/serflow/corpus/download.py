"""Fetching a file over HTTPS: gone on with after a break, tried again, and refused where it is not what was asked.

RFC 9110 is the source for ranges (14), ``If-Range`` (13.1.5), validators (8.8) and ``Retry-After`` (10.2.3).
"""

import contextlib
import email.utils
import ipaddress
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from serflow import __version__, storage
from serflow.runtime.errors import UserError
from serflow.runtime.progress import Progress, tell

_REDIRECTS = 5
_PIECE = 1 << 18
_HEAD = 512  # bytes that show what a file is
_LONGEST_WAIT = 600.0  # seconds; who asks for more is left alone
_TRANSIENT = {408, 425, 429}


class _TryAgain(Exception):
    """What went wrong may have passed; ``wait`` is the number of seconds that the server asked for."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class _StartAgain(_TryAgain):
    """What is here is of another version of the file."""


class NoRoom(UserError):
    """The disk is too full, for which what was fetched is not to blame."""


class _NotIt(UserError):
    """What was sent is not the file wanted, so that there is nothing to go on with."""


def shown(url: str) -> str:
    """Give an address without its query and user, in which secrets may stand."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass
class Downloader:
    """How files are fetched.

    Attributes
    ----------
    attempts
        How often in a row without getting any farther; ten times as many in all.
    timeout
        Seconds to wait for a connection, and for the next bytes.
    most
        Bytes of the largest file that is taken.
    loopback
        Whether plain http is allowed to this machine. Nothing that a user can set changes it.
    sleep, draw
        Wait, and draw from [0, 1).
    """

    attempts: int = 5
    timeout: tuple[float, float] = (15, 60)
    most: int = 64 << 30
    loopback: bool = False
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random

    def fetch(self, url: str, path: Path, *, check: Callable[[bytes], None], room: int = 0) -> None:
        """Fetch a file; what a broken attempt has got stays beside ``path`` and is gone on with the next time.

        Parameters
        ----------
        url
            Its address.
        path
            Where to put it. If it is there, nothing is done.
        check
            Called with the first bytes, at most 512; raises :class:`UserError` if that is not the file wanted.
        room
            Bytes that must stay free beside the file.

        Raises
        ------
        UserError
            If it cannot be had.
        """
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, note = (path.with_name(path.name + suffix) for suffix in (".part", ".json"))
        farthest, failures = _size(partial), 0
        for attempt in range(10 * self.attempts):
            try:
                self._attempt(url, partial, note, check, room)
                partial.replace(path)
                note.unlink()
                return
            except _TryAgain as error:
                if isinstance(error, _StartAgain):
                    _remove(partial, note)
                failures = 1 if _size(partial) > farthest else failures + 1
                farthest = max(farthest, _size(partial))
                if failures >= self.attempts or attempt + 1 == 10 * self.attempts:
                    raise UserError(f"{shown(url)}: {error}; gave up after {attempt + 1} attempts") from error
                delay = min(60.0, 2.0 ** (failures - 1)) * (0.5 + self.draw()) if error.wait is None else error.wait
                tell(f"fetch_corpus: {shown(url)}: {error}; trying again in {delay:.0f} s")
                self.sleep(delay)
            except _NotIt:
                _remove(partial, note)
                raise

    def _attempt(self, url: str, partial: Path, note: Path, check, room: int) -> None:
        offset, headers = _size(partial), {"Accept-Encoding": "identity", "User-Agent": f"serflow/{__version__}"}
        kept = _read_note(note, url)
        if offset and offset == kept.get("total"):
            return  # killed after the last byte
        if offset and kept.get("validator"):
            headers |= {"Range": f"bytes={offset}-", "If-Range": kept["validator"]}
        with self._open(url, headers) as answer:
            total, offset = self._judge(answer, offset if "Range" in headers else 0, kept, url)
            if total is not None and total > self.most:
                raise UserError(f"{shown(url)}: {total / 1e9:,.1f} GB, more than the {self.most / 1e9:,.1f} GB allowed")
            need_room(partial.parent, (total or 0) - offset + room)
            with partial.open("r+b" if offset else "wb") as file:
                file.truncate(offset)
                storage.write_json(note, {"url": url, "validator": _validator(answer), "total": total})
                file.seek(offset)
                self._receive(answer, file, offset, total, check, url)

    def _judge(self, answer, offset: int, kept: dict, url: str) -> tuple[int | None, int]:
        """Give the size of the whole file, where it is said, and the byte that the answer begins with."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise UserError(f"{shown(url)}: sent {answer.headers['Content-Encoding']}-encoded, which was not asked for")
        length = answer.headers.get("Content-Length", "")
        length = int(length) if length.isdecimal() else None
        if answer.status_code == HTTPStatus.OK:
            return length, 0
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT and offset:
            range_ = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", ""))
            same = _validator(answer) in (None, kept["validator"])
            if not range_ or int(range_[1]) != offset or not same:
                raise _StartAgain("the server's piece does not continue what is here")
            total = int(range_[2]) + 1 if range_[3] == "*" else int(range_[3])
            return total, offset
        raise UserError(f"{shown(url)}: {answer.status_code} {answer.reason}, which is no answer to what was asked")

    def _receive(self, answer, file, offset: int, total: int | None, check, url: str) -> None:
        progress, done, unseen = Progress(shown(url)), offset, offset < _HEAD
        try:
            # Whatever is there, so that a break costs nothing that has come.
            while piece := answer.raw.read1(_PIECE, decode_content=False):
                if done + len(piece) > (self.most if total is None else total):
                    raise _NotIt(f"{shown(url)}: sent more bytes than it {'may' if total is None else 'announced'}")
                file.write(piece)
                file.flush()
                done += len(piece)
                if unseen and done >= _HEAD:
                    unseen = False
                    _check_head(file, check, url)
                progress.update(done, total)
            if total is not None and done < total:
                raise _TryAgain(f"ended after {done} of {total} bytes")
            if unseen:
                _check_head(file, check, url)
        finally:
            progress.close()

    @contextlib.contextmanager
    def _open(self, url: str, headers: dict) -> Iterator:
        """Request an address and follow its redirects; give the answer, if there is one to take bytes from."""
        import requests

        with requests.Session() as session, _explained(url):
            for _ in range(_REDIRECTS + 1):
                self._check_address(url)
                answer = session.get(url, headers=headers, stream=True, timeout=self.timeout, allow_redirects=False)
                with answer:
                    if not answer.is_redirect:
                        _check_status(answer, url)
                        yield answer
                        return
                    target = urljoin(url, answer.headers["Location"])
                if not self._allowed(target):
                    raise UserError(f"{shown(url)}: redirects to {shown(target)}; only https is followed")
                url = target
            raise UserError(f"{shown(url)}: redirected more than {_REDIRECTS} times")

    def _check_address(self, url: str) -> None:
        if not self._allowed(url):
            raise UserError(f"{shown(url)}: only https addresses are fetched from")

    def _allowed(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            return True
        if self.loopback and parts.scheme == "http":
            with contextlib.suppress(ValueError):
                return ipaddress.ip_address(parts.hostname or "").is_loopback
        return False


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Tell what may pass from what will not, in a line each."""
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            raise _TryAgain("the connection broke") from error
        reason = str(error).rpartition(" (_ssl")[0].rpartition("] ")[2]
        raise UserError(f"{shown(url)}: {reason}") from error
    except requests.Timeout as error:
        raise _TryAgain("no answer in time") from error
    except requests.ConnectionError as error:
        cause = getattr(error.args[0] if error.args else None, "reason", error.args[0] if error.args else None)
        if isinstance(cause, urllib3.exceptions.NameResolutionError):
            raise _TryAgain("the host's name is unknown here; is there a network?") from error
        raise _TryAgain("the connection broke") from error
    except urllib3.exceptions.HTTPError as error:
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        raise _TryAgain("no bytes in time" if timed_out else "the connection broke") from error
    except (requests.RequestException, ValueError) as error:
        raise UserError(f"{shown(url)}: {error}") from error


def _check_status(answer, url: str) -> None:
    status = answer.status_code
    if status in _TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = _retry_after(answer.headers.get("Retry-After"))
        if wait is not None and wait > _LONGEST_WAIT:
            raise UserError(f"{shown(url)}: {status} {answer.reason}; asks to come back in {wait / 60:.0f} minutes")
        raise _TryAgain(f"{status} {answer.reason}", wait)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        raise _StartAgain("the file there is shorter than what is here")
    if status >= HTTPStatus.BAD_REQUEST:
        raise UserError(f"{shown(url)}: {status} {answer.reason}")


def _retry_after(value: str | None) -> float | None:
    """Read a number of seconds or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None


def _validator(answer) -> str | None:
    """Give what tells this version of the file from others: a strong ETag, or else the time of its last change."""
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified")


def _read_note(note: Path, url: str) -> dict:
    try:
        kept = storage.read_json(note)
    except (UserError, OSError):
        return {}
    return kept if isinstance(kept, dict) and kept.get("url") == url else {}


def _check_head(file, check, url: str) -> None:
    with Path(file.name).open("rb") as written:
        head = written.read(_HEAD)
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _NotIt(f"{shown(url)}: sent a web page in place of the file")
    try:
        check(head)
    except UserError as error:
        raise _NotIt(f"{shown(url)}: {error}") from error


def need_room(folder: Path, wanted: int) -> None:
    """Refuse to begin what the disk has no room for."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise NoRoom(f"{folder}: needs {wanted / 1e9:,.1f} GB of free space and has {free / 1e9:,.1f} GB; make room")


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

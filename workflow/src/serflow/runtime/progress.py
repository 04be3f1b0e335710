"""What a long step says while it works: a bar on the user's terminal, plain lines in its log."""

import shutil
import sys
import time
from typing import TextIO

_BETWEEN_LINES, _BETWEEN_BARS = 10.0, 0.2  # seconds
_screen: TextIO | None = None  # what the user sees, where standard error goes to a log


def show_on(screen: TextIO) -> None:
    """Name the stream that the user sees, when standard error goes to a log."""
    global _screen
    _screen = screen


def tell(line: str) -> None:
    """Print a line that the user is to see at once, to the log and to the user's stream."""
    for stream in filter(None, (sys.stderr, _screen)):
        print(line, file=stream, flush=True)


class Progress:
    """How far a step is, in bytes.

    Parameters
    ----------
    what
        What is being done, as the beginning of each line.
    """

    def __init__(self, what: str):
        self.what = what
        self._bar = _screen or sys.stderr
        self._started = self._told = self._drawn = time.monotonic()
        self._first: int | None = None

    def update(self, done: int, total: int | None) -> None:
        """Say how many bytes are done, of how many where that is known; at most every now and then."""
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if self._bar.isatty() and now - self._drawn >= _BETWEEN_BARS:
            self._drawn = now
            self._draw(done, total, now)
        if not sys.stderr.isatty() and now - self._told >= _BETWEEN_LINES:
            self._told = now
            print(self._line(done, total, now), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar.isatty():
            print("\r\033[K", end="", file=self._bar, flush=True)

    def _line(self, done: int, total: int | None, now: float) -> str:
        speed = (done - (self._first or 0)) / max(now - self._started, 1e-3)
        share = f" of {total / 1e6:,.0f} MB ({done / total:.0%})" if total else " MB"
        return f"{self.what}: {done / 1e6:,.1f}{share}, {speed / 1e6:.1f} MB/s"

    def _draw(self, done: int, total: int | None, now: float) -> None:
        columns = shutil.get_terminal_size().columns
        bar = ""
        if total:
            filled = round(20 * min(done / total, 1))
            bar = f"[{'#' * filled}{'.' * (20 - filled)}] "
        print("\r\033[K" + (bar + self._line(done, total, now))[: columns - 1], end="", file=self._bar, flush=True)

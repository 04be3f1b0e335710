"""What a long step shows while it works: a bar on the user's terminal, plain lines in its log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

_BAR_SECONDS, _LINE_SECONDS = 0.2, 10.0  # between two updates
# A file that stands for the user's terminal, where a display of all jobs is on it.
SCREEN_VARIABLE = "SERFLOW_SCREEN"
RESULT = "serflow: the report is "  # the beginning of the last lines of a run
_screen: TextIO | None = None  # the user's terminal, where standard error goes to a log
_told: float | None = None  # when a line was last shown there


def show_on(screen: TextIO) -> None:
    """Set the stream that the user sees when standard error goes to a log."""
    global _screen
    _screen = screen


def tell(line: str, *, every: float = 0) -> None:
    """Print a line to the log and, if the last one is at least ``every`` seconds ago, to the user's terminal."""
    global _told
    now = time.monotonic()
    due = _told is None or now - _told >= every
    for stream in filter(None, (sys.stderr, _screen if due else None)):
        print(line, file=stream, flush=True)
    _told = now if due else _told


def duration(seconds: float) -> str:
    """Return seconds as hours, minutes and seconds, such as ``02:10``."""
    from tqdm import tqdm

    return tqdm.format_interval(seconds)


class _LogLines:
    """A file for tqdm that writes each state of a bar as a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr, flush=True)

    def flush(self) -> None:
        pass


@contextlib.contextmanager
def progress(what: str, done: int = 0, total: int | None = None, unit: str = "B") -> Iterator[Callable[[int], object]]:
    """Show how far a transfer or a long step is; yields a function that takes the number of new bytes or other units.

    Parameters
    ----------
    what
        Name of the transfer or step.
    done
        Units that are there already.
    total
        Number of all units, if known.
    unit
        Name of the unit, bytes by default.
    """
    from tqdm import tqdm

    options = {"desc": what, "initial": done, "total": total, "unit": unit, "unit_scale": unit == "B"}
    options |= {"miniters": 1, "leave": False, "position": 0}
    screen = _screen or sys.stderr
    with contextlib.ExitStack() as stack:
        bars = []
        if screen.isatty():
            bars.append(tqdm(file=screen, mininterval=_BAR_SECONDS, dynamic_ncols=True, **options))
        if not sys.stderr.isatty():
            bars.append(tqdm(file=_LogLines(), mininterval=_LINE_SECONDS, delay=_LINE_SECONDS, ncols=0, **options))
        for bar in bars:
            stack.enter_context(bar)
        yield lambda count: [bar.update(count) for bar in bars]

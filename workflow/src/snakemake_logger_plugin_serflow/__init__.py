"""What a run shows on a terminal: a line for each rule, with counts and the time left, and the epochs of what trains.

Snakemake finds this plug-in by the name of the module; the default profile turns it on. Where the output is no
terminal, or more or less of it is asked for (``--verbose``, ``--printshellcmds``, ``--quiet``, ``--dry-run``),
Snakemake shows its own lines. Its log in ``.snakemake/log`` always has them.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

# As in serflow.runtime.progress. Nothing of serflow is imported here, before the Snakefile says which checkout's
# package a run uses.
SCREEN_VARIABLE = "SERFLOW_SCREEN"
RESULT = "serflow: the report is "
_REFRESH_SECONDS = 0.25
_EPOCH = re.compile(r"^(.+): epoch \d+/\d+ ")
# What only the log has. Other messages of Snakemake are shown before the first job and after the last one.
_ONLY_LOGGED = {LogEvent.WORKFLOW_STARTED, LogEvent.RESOURCES_INFO, LogEvent.RUN_INFO, LogEvent.SHELLCMD}
_ONLY_LOGGED |= {LogEvent.GROUP_INFO, LogEvent.DEBUG_DAG, LogEvent.RULEGRAPH}


@dataclass
class Rule:
    """The jobs of a rule: how many there are, how long each took in seconds, and when those that run began."""

    total: int
    seconds: list[float] = field(default_factory=list)
    running: dict[int, float] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Number of jobs that are not finished."""
        return max(self.total - len(self.seconds), len(self.running))


class LogHandler(LogHandlerBase):
    """The display. Snakemake's thread changes what is to be shown; a thread of its own shows it."""

    def __post_init__(self) -> None:
        asked = self.common_settings
        more = asked.dryrun or asked.verbose or asked.printshellcmds or asked.quiet or asked.debug_dag
        self.shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not more
        self.rules: dict[str, Rule] = {}
        self.rule_of: dict[int, str] = {}
        self.epochs: dict[str, str] = {}
        self.texts: deque[str] = deque()
        self.results: list[str] = []
        self.started, self.finished, self.most_at_once = None, False, 1
        if self.shown:
            # Jobs write what they tell the user to this file, since lines between those of the display would break it.
            number, name = tempfile.mkstemp(prefix="serflow-screen-")
            os.close(number)
            os.environ[SCREEN_VARIABLE] = name
            self.screen = Path(name).open(encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            self.ended = threading.Event()
            self.thread = threading.Thread(target=self._work, daemon=True)
            self.thread.start()

    @property
    def writes_to_stream(self) -> bool:
        """Whether Snakemake's own lines are replaced."""
        return self.shown

    writes_to_file = has_filter = has_formatter = needs_rulegraph = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take in an event."""
        if not self.shown:
            return
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.started = self.started or time.monotonic()
            for name, count in record.stats.items():
                if name != "total":
                    self.rules.setdefault(name, Rule(0)).total = count
        elif event == LogEvent.JOB_INFO:
            self.rule_of[record.jobid] = record.rule_name
            rule = self.rules.setdefault(record.rule_name, Rule(1))
            rule.running[record.jobid] = time.monotonic()
            self.most_at_once = max(self.most_at_once, sum(len(each.running) for each in self.rules.values()))
        elif event == LogEvent.JOB_FINISHED:
            rule = self.rules[self.rule_of[record.job_id]]
            rule.seconds.append(time.monotonic() - rule.running.pop(record.job_id, time.monotonic()))
            if not rule.running:
                self.epochs.clear()
        elif event == LogEvent.PROGRESS:
            self.finished = record.done == record.total
        elif event == LogEvent.JOB_ERROR:
            if name := self.rule_of.get(record.jobid):
                self.rules[name].running.pop(record.jobid, None)
            self.texts.append(self.format(record))
        elif event not in _ONLY_LOGGED and (record.levelno >= logging.WARNING or self.started is None or self.finished):
            self.texts.append(self.format(record))

    def close(self) -> None:
        """End the display, and leave what it showed last."""
        if self.shown and not self.ended.is_set():
            self.ended.set()
            self.thread.join()
            self.screen.close()
            Path(self.screen.name).unlink(missing_ok=True)
        super().close()

    def _work(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False)
        live, last = None, False
        with contextlib.ExitStack() as stack:
            while not last:
                last = self.ended.wait(_REFRESH_SECONDS)
                if live is None and self.started is not None:
                    live = stack.enter_context(Live(console=console, auto_refresh=False))
                self._read_screen()
                while self.texts:
                    self._print(console, self.texts.popleft())
                if live:
                    live.update(self._table(console.height), refresh=True)
        for result in self.results:  # below the display
            self._print(console, result)

    @staticmethod
    def _print(console, text: str) -> None:
        console.print(text.rstrip("\n"), markup=False, soft_wrap=True)

    def _read_screen(self) -> None:
        for line in self.screen:
            if epoch := _EPOCH.match(line):
                self.epochs[epoch[1]] = line.strip()
            elif line.startswith(RESULT):
                self.results.append(line)
            else:
                self.texts.append(line)

    def _table(self, height: int):
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        rules = {name: rule for name, rule in list(self.rules.items()) if rule.total}
        if len(rules) > height - 6:  # of a low terminal
            rules = {name: rule for name, rule in rules.items() if rule.left}
        table = Table.grid(padding=(0, 2))
        for name, rule in list(rules.items())[: height - 6]:
            done, total = len(rule.seconds), len(rule.seconds) + rule.left
            style = "bold" if rule.running else "dim" if done else ""
            bar = ProgressBar(total=total, completed=done, width=20)
            table.add_row(name, bar, f"{done}/{total}", self._note(rule), style=style)
        for line in list(self.epochs.values())[-self.most_at_once :]:
            table.add_row("", "", "", line)
        done, left = (
            sum(count) for count in zip(*((len(r.seconds), r.left) for r in self.rules.values()), strict=True)
        )
        passed = _clock(time.monotonic() - self.started)
        bar = ProgressBar(total=done + left, completed=done, width=20)
        table.add_row("all jobs", bar, f"{done}/{done + left}", f"{passed}{self._seconds_left(left)}")
        return table

    def _note(self, rule: Rule) -> str:
        if rule.running:
            return f"{len(rule.running)} running"
        return "" if rule.left else f"took {_clock(sum(rule.seconds))}"

    def _seconds_left(self, left: int) -> str:
        """Return the time left, by the mean time of a rule's jobs; of a rule without any, by that of all jobs."""
        known = [seconds for rule in self.rules.values() for seconds in rule.seconds]
        if not left or not known:
            return ""
        mean = sum(known) / len(known)
        seconds = sum(
            rule.left * (sum(rule.seconds) / len(rule.seconds) if rule.seconds else mean)
            for rule in self.rules.values()
        )
        return f", about {_clock(seconds / self.most_at_once)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

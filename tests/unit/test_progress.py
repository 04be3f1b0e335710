import os
import pty
import select

import pytest

from serflow.runtime import progress


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "_BETWEEN_LINES", 0)
    monkeypatch.setattr(progress, "_BETWEEN_BARS", 0)


def report():
    shown = progress.Progress("fetching")
    shown.update(0, 100_000_000)
    shown.update(50_000_000, 100_000_000)
    shown.close()


def test_a_bar_on_a_terminal_and_plain_lines_in_the_log(monkeypatch, capsys, at_once):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(progress, "_screen", screen)
        report()
        progress.tell("a line")
        # A terminal passes on what was written in pieces, each when it comes to it.
        drawn = ""
        while "a line" not in drawn and select.select([ours], [], [], 10)[0]:
            drawn += os.read(ours, 10_000).decode()
    os.close(ours)
    assert "[.........." in drawn and "[##########..........] fetching: 50.0 of 100 MB (50%)" in drawn
    assert "\r\033[Ka line" in drawn
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[1].startswith("fetching: 50.0 of 100 MB (50%), ")
        and lines[2:] == ["a line"]
        and "\r" not in "".join(lines)
    )


def test_plain_lines_where_there_is_no_terminal(capsys, at_once):
    report()
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_lines_are_few(capsys):
    for _ in range(1000):
        report()
    assert not capsys.readouterr().err

import io
import os
import pty
import select
import termios

import pytest

from serflow.runtime import progress


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "_BAR_SECONDS", 0)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0)


def transfer():
    with progress.progress("fetching", total=100_000_000) as advance:
        advance(50_000_000)


def test_a_bar_on_a_terminal_and_plain_lines_in_the_log(monkeypatch, capsys, at_once):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with os.fdopen(theirs, "w") as screen:
        monkeypatch.setattr(progress, "_screen", screen)
        transfer()
        progress.tell("a line")
        # A terminal passes on what was written in pieces.
        drawn = ""
        while "a line" not in drawn and select.select([ours], [], [], 10)[0]:
            drawn += os.read(ours, 10_000).decode()
    os.close(ours)
    assert "fetching:  50%|" in drawn and "50.0M/100M" in drawn
    assert drawn.endswith("\ra line\r\n")  # the bar is gone
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith("fetching:  50% 50.0M/100M [") and lines[-1] == "a line"
    assert "\r" not in "".join(lines) and "|" not in "".join(lines)


def test_plain_lines_without_a_terminal(capsys, at_once):
    transfer()
    assert capsys.readouterr().err.splitlines()[-1].startswith("fetching:  50%")


def test_lines_are_few(capsys):
    for _ in range(100):
        transfer()
    assert not capsys.readouterr().err


def test_lines_that_come_often_are_all_in_the_log_and_few_on_the_terminal(monkeypatch, capsys):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "_screen", screen)
    monkeypatch.setattr(progress, "_told", None)
    for epoch in range(5):
        progress.tell(f"epoch {epoch}", every=3600)
    assert screen.getvalue() == "epoch 0\n"
    progress.tell("the end")
    assert screen.getvalue() == "epoch 0\nthe end\n"
    assert capsys.readouterr().err.split("\n")[:6] == [*(f"epoch {epoch}" for epoch in range(5)), "the end"]
    assert (progress.duration(65), progress.duration(3 * 3600)) == ("01:05", "3:00:00")

"""Progress is silent for short work, tells how far long work has come, and stops whatever happens."""

import io
import threading
import time

import pytest
from rich.console import Console

from keras_slim import progress_display
from keras_slim.progress_display import progress


@pytest.fixture
def impatient(monkeypatch):
    """Work of 50 ms counts as long."""
    monkeypatch.setattr(progress_display, "SILENT_SECONDS", 0.05)


@pytest.fixture
def terminal(monkeypatch):
    """A terminal, and what is written to it."""
    file = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda: Console(file=file, force_terminal=True, width=100))
    return file


def work(count, seconds, iterable=None, **options):
    with progress("Scores", "batches", **options) as counted:
        for _ in counted(range(count) if iterable is None else iterable):
            time.sleep(seconds)


def test_what_is_iterated_over_comes_through_in_each_pass():
    for verbose in (0, 1):
        with progress("Scores", "batches", verbose) as counted:
            assert list(counted("abc")) == ["a", "b", "c"]
            assert list(counted(iter("de"), 2)) == ["d", "e"]


def test_short_work_shows_nothing(capsys, terminal):
    work(3, 0.01)
    assert capsys.readouterr().out == terminal.getvalue() == ""


def test_long_work_shows_nothing_where_nobody_wants_it(capsys, impatient):
    work(3, 0.05, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_log_is_given_few_lines_with_what_is_left(capsys, impatient):
    work(40, 0.02)
    lines = capsys.readouterr().out.splitlines()
    assert 2 <= len(lines) <= 6  # after 0.05, 0.1, 0.2, 0.4 s: 40 steps, not 40 lines
    assert lines[-1].startswith("Scores: ")
    assert "of 40 batches in " in lines[-1]
    assert lines[-1].endswith(" s left")


def test_a_log_is_told_before_the_first_step_is_done(capsys, impatient):
    work(1, 0.2)
    assert capsys.readouterr().out.splitlines()[0] == "Scores: 0 of 1 batches in 0 s"


def test_of_an_unknown_number_only_what_is_done_is_told(capsys, impatient):
    work(None, 0.05, (step for step in range(6)))
    last = capsys.readouterr().out.splitlines()[-1]
    assert " batches in " in last
    assert " of " not in last
    assert "left" not in last


def test_a_terminal_is_given_a_bar_that_goes_away(terminal, impatient):
    work(10, 0.05)
    shown = terminal.getvalue()
    assert "Scores" in shown
    assert "/10" in shown
    assert "left:" in shown
    assert "\x1b[2K" in shown.rpartition("left:")[2]  # the line is erased after it was written for the last time


def test_a_bar_stops_when_the_work_fails(terminal, impatient):
    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises(MemoryError) as error:  # whoever keeps the error keeps the iterator too
        work(3, 0.1, (_fail_late(step) for step in range(3)))
    written = terminal.getvalue()
    time.sleep(0.3)
    assert terminal.getvalue() == written != ""
    assert {thread.ident for thread in threading.enumerate()} <= before
    assert error.value.args == ("late",)


def _fail_late(step):
    if step == 2:
        raise MemoryError("late")

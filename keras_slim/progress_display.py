"""Showing how far long work has come, and how long it will still take."""

import contextlib
import operator
import threading
from collections.abc import Callable, Iterable, Iterator

SILENT_SECONDS = 5.0
"""Work that takes less shows nothing."""

LONGEST_WAIT = 300.0
"""Where lines are printed, the time between two grows up to this, in seconds."""


@contextlib.contextmanager
def progress(title: str, unit: str, verbose: int = 1) -> Iterator[Callable[..., Iterator]]:
    """Shows how far iterations have come, once the work takes more than five seconds.

    On a terminal that is a bar, which goes away in the end. Elsewhere, in a log or a notebook, it is a line now and
    then: the time between two doubles. What is left is estimated without the first step, which often compiles.

    Args:
        title: What is done, e.g. `"Scores"`.
        unit: What is counted, in the plural, e.g. `"batches"`.
        verbose: 0 shows nothing.

    Yields:
        Function from an iterable, and its length where `len` does not know it, to an iterator over it that counts the
        steps. It may be called for several passes, one after the other.

    Example:

    >>> with progress("Scores", "batches") as counted:
    ...     sum(counted([1, 2, 3]))
    6
    """
    if not verbose:
        yield lambda iterable, total=None: iter(iterable)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TextColumn(unit),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    ]
    console = Console()
    bar = Progress(*columns, console=console, transient=True)
    ended = threading.Event()
    show = _show_bar if console.is_terminal else _print_lines
    display = threading.Thread(target=show, args=(bar, unit, ended), daemon=True)

    def counted(iterable: Iterable, total: int | None = None) -> Iterator:
        task = bar.add_task(title, total=total or operator.length_hint(iterable) or None)
        try:
            for item in iterable:
                yield item
                bar.advance(task)
        finally:
            bar.remove_task(task)

    display.start()
    try:
        yield counted
    finally:
        ended.set()
        display.join()


def _show_bar(bar, unit, ended):
    if not ended.wait(SILENT_SECONDS):
        with bar:
            ended.wait()


def _print_lines(bar, unit, ended):
    wait = SILENT_SECONDS
    while not ended.wait(wait):
        for task in bar.tasks:
            print(_line(task, unit), flush=True)
            wait = min(max(wait, task.elapsed), LONGEST_WAIT)


def _line(task, unit):
    """Returns in words how far a task of rich has come."""
    of = "" if task.total is None else f" of {task.total:.0f}"
    left = task.time_remaining
    estimate = "" if left is None or task.total is None else f", about {left:.0f} s left"
    return f"{task.description}: {task.completed:.0f}{of} {unit} in {task.elapsed:.0f} s{estimate}"

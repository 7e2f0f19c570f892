"""Showing that a training goes on: a bar on a terminal, a line every few epochs elsewhere."""

import contextlib

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EPOCHS_PER_LINE = 6


@contextlib.contextmanager
def show_progress(console, title, epochs):
    """Gives a callback that shows the progress of a `fit`.

    Args:
        console: Console of rich.
        title: What is trained.
        epochs: Number of epochs.

    Yields:
        The callback.
    """
    console.print(f"\n[bold]{title}[/bold], {epochs} epochs")
    if not console.is_terminal:
        yield _Lines(console, epochs)
        return
    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress, progress.add_task(title, total=epochs, state="starting"))


class _Bar(keras.callbacks.Callback):
    """Moves a bar."""

    def __init__(self, progress, task):
        super().__init__()
        self._progress = progress
        self._task = task

    def on_epoch_end(self, epoch, logs=None):
        self._progress.update(self._task, advance=1, state=_state(logs))


class _Lines(keras.callbacks.Callback):
    """Prints a line every few epochs."""

    def __init__(self, console, epochs):
        super().__init__()
        self._console = console
        self._epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % EPOCHS_PER_LINE == 0 or epoch + 1 == self._epochs:
            self._console.print(f"epoch {epoch + 1}/{self._epochs}  {_state(logs)}")


def _state(logs):
    size = f"  {logs['macs'] / 1e6:.2f} M multiply-accumulates" if "macs" in logs else ""
    return f"validation accuracy {logs['val_accuracy']:.1%}{size}"

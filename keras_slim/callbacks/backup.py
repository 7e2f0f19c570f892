"""What a callback must know, beside the weights, when Keras's `BackupAndRestore` takes up a `fit` that was killed.

`BackupAndRestore` saves weights and the optimizer's state at the end of each epoch, and the number of the epoch that
comes next. What a callback knows beside them lies in the same folder, under that number. It is written before the epoch
ends, so that whichever weights are found, what belongs to them is there; the last two are kept.
"""

import os

import keras

from keras_slim.callbacks.companions import beside
from keras_slim.sparsity.arrays_file import read_arrays, write_arrays


class Backup:
    """The folder in which a callback keeps what it must know, if `BackupAndRestore` is beside it in the same `fit`.

    Args:
        callback: The callback, in a `fit` that has begun.
    """

    def __init__(self, callback: keras.callbacks.Callback):
        fellows = [each for each in beside(callback) if isinstance(each, keras.callbacks.BackupAndRestore)]
        self._folder = str(fellows[0].backup_dir) if fellows else ""
        self._owner = type(callback).__name__

    @property
    def is_needed(self) -> bool:
        return bool(self._folder)

    def write(self, epoch: int, arrays: dict) -> None:
        """Keeps what belongs to the weights with which an epoch begins."""
        os.makedirs(self._folder, exist_ok=True)
        write_arrays(self._path(epoch), {"epoch": epoch, **arrays}, self._owner)
        if os.path.exists(self._path(epoch - 2)):
            os.remove(self._path(epoch - 2))

    def read(self, epoch: int) -> dict | None:
        """Returns what was kept for the beginning of an epoch, or `None` if nothing was."""
        if not self._folder or not os.path.exists(self._path(epoch)):
            return None
        return read_arrays(self._path(epoch), "epoch", self._owner)

    def _path(self, epoch):
        return os.path.join(self._folder, f"keras_slim-{self._owner}-{epoch}.npz")

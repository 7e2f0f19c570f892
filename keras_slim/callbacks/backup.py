"""What a callback must know, beside the weights, when Keras's `BackupAndRestore` takes up a `fit` that was killed.

`BackupAndRestore` saves weights and the optimizer's state at the end of each epoch, and the number of the epoch that
comes next. What a callback knows beside them lies in the same folder, under that number. It is written before the epoch
ends, so that whichever weights are found, what belongs to them is there; the last two are kept.

The names of the two files that `BackupAndRestore` writes, and the entry `epoch` of the second, are not documented by
Keras. Checked on Keras 3.15.1; `tests/callbacks/test_resuming.py` fails when they are others.
"""

import glob
import json
import os

import keras

from keras_slim.callbacks.companions import beside
from keras_slim.callbacks.saying import warn
from keras_slim.distribution import of_first_process, sum_over_processes
from keras_slim.sparsity.arrays_file import read_arrays, write_arrays

WEIGHTS = "latest.weights.h5"
METADATA = "training_metadata.json"


class Backup:
    """The folder in which a callback keeps what it must know, if `BackupAndRestore` is beside it in the same `fit`.

    Args:
        callback: The callback, in a `fit` that has begun.
    """

    def __init__(self, callback: keras.callbacks.Callback):
        self._fellows = [each for each in beside(callback) if isinstance(each, keras.callbacks.BackupAndRestore)]
        self._folder = str(self._fellows[0].backup_dir) if self._fellows else ""
        self._owner = type(callback).__name__

    @property
    def is_needed(self) -> bool:
        return bool(self._folder)

    def check_by_epoch(self) -> None:
        """Raises `ValueError` if backups are made within epochs, from which a `fit` cannot go on as it was."""
        if any(each.save_freq != "epoch" for each in self._fellows):
            received = [each.save_freq for each in self._fellows]
            raise ValueError(
                f"`{self._owner}` can be taken up at the beginning of an epoch only. Expected "
                f"`BackupAndRestore(save_freq='epoch')`. Received: save_freq={received[0]!r}."
            )

    def check_alike(self) -> None:
        """Raises `RuntimeError`, in all processes that train together, if they are in different epochs."""
        if not self.is_needed:
            return
        mine = self._next_epoch() or 0
        if sum_over_processes(int(mine != of_first_process(mine))):
            raise RuntimeError(
                f"`{self._owner}` cannot go on with a `fit` that was killed: not all of its processes were in the same "
                f"epoch. Expected that of the first in the folder of each. Received {mine} in {self._folder}. Copy the "
                "folder of one process over those of the others: they hold the same."
            )

    def warn_if_unknown(self) -> None:
        """Warns if `BackupAndRestore` has loaded weights, and nothing that belongs to them is known."""
        if self.weights:
            warn(
                f"`{self._owner}` begins anew with weights out of {self._folder}, where nothing of its own is noted. "
                "Expected a folder that it has been written to beside `BackupAndRestore`. Begin with an empty one."
            )

    @property
    def weights(self) -> str | None:
        """Path of the weights with which `fit` goes on; `None` if it begins anew."""
        path = os.path.join(self._folder, WEIGHTS)
        return path if self._folder and os.path.exists(path) else None

    @property
    def epochs(self) -> list[int]:
        """The epochs for which something was kept: first the one with which `fit` goes on, then the others in order."""
        start, end = self._path("").removesuffix(".npz") + "-", ".npz"
        numbers = [path.removeprefix(start).removesuffix(end) for path in glob.glob(f"{glob.escape(start)}*{end}")]
        next_epoch = self._next_epoch()
        return sorted((int(each) for each in numbers if each.isdecimal()), key=lambda each: (each != next_epoch, each))

    def write(self, epoch: int, arrays: dict, part: str = "") -> None:
        """Keeps what belongs to the weights with which an epoch begins.

        Args:
            epoch: Number of the epoch.
            arrays: What to keep.
            part: Name of a part that is kept by itself, since it changes less often; then the number may be any that
                counts its changes.
        """
        os.makedirs(self._folder, exist_ok=True)
        write_arrays(self._path(epoch, part), {"epoch": epoch, **arrays}, self._owner)
        if os.path.exists(self._path(epoch - 2, part)):
            os.remove(self._path(epoch - 2, part))

    def read(self, epoch: int, part: str = "") -> dict | None:
        """Returns what was kept for the beginning of an epoch, or `None` if nothing was."""
        if not self._folder or not os.path.exists(self._path(epoch, part)):
            return None
        return read_arrays(self._path(epoch, part), "epoch", self._owner)

    def _path(self, epoch, part=""):
        name = "-".join(each for each in ("keras_slim", self._owner, part, str(epoch)) if each)
        return os.path.join(self._folder, f"{name}.npz")

    def _next_epoch(self):
        path = os.path.join(self._folder, METADATA)
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as file:
            return json.load(file)["epoch"]

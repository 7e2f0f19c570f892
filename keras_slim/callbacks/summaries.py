"""Showing in TensorBoard what becomes of a model while it trains."""

import io
import os
from typing import Any

import keras
import numpy as np

from keras_slim.callbacks.announcing import Announcing
from keras_slim.callbacks.companions import beside
from keras_slim.callbacks.event_file import EventFile
from keras_slim.errors import invalid_argument
from keras_slim.reports import plot_pruning, plot_trajectory
from keras_slim.reports.kernel_values import nonzero, shared_values
from keras_slim.reports.pictures import widths
from keras_slim.sparsity.kernels import by_path
from keras_slim.validation import check_count

RUN = "keras_slim"
BINS = 60
SHOWN = ("kernel", "embeddings")
"""How the names of weights end that are shown."""


class Summaries(keras.callbacks.Callback):
    """Shows in TensorBoard what becomes of a model: widths, weights, scores, pictures.

    It stands anywhere in the list, beside Keras's `TensorBoard` with the same `log_dir` or without it, and changes
    nothing of the training. It writes the run `keras_slim` in that folder, by epoch:

    - Scalars: `widths/LAYER`, the units of each layer; `sparsity/WEIGHT`, the share of zeros in each kernel and
      table. Where no `TensorBoard` is beside it, also the logs: `epoch_loss`, `epoch_units`, ...
    - Histograms: `weights/WEIGHT`, of what is not zero; `centroids/WEIGHT`, where weights share up to 256 values, with
      one bucket for each; `scores/LAYER`, of the units by which a cut was made, in the epoch that begins with it.
    - Images: `trajectory`, a search as it goes; `pruning`, quality and size of a network that was cut, when `fit` ends.

    To look at them, `pip install tensorboard`, which no longer comes with TensorFlow, and `tensorboard --logdir
    log_dir`. To write them, it is not needed.

    Args:
        log_dir: Folder of the runs that TensorBoard shows side by side.
        update_freq: Epochs from one writing of scalars, weights and centroids to the next; the last epoch is always
            written. Defaults to 1.
        images: Whether to draw images.

    Raises:
        TypeError: If `log_dir` is no path.
        ValueError: If `update_freq` is no positive integer; in `fit`, if nothing can be written in `log_dir`.

    Example:

    >>> import keras, keras_slim as slim, numpy as np, os, tempfile
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> log_dir = tempfile.mkdtemp()
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[slim.callbacks.Summaries(log_dir)])
    >>> os.listdir(log_dir)
    ['keras_slim']
    """

    def __init__(self, log_dir: str | os.PathLike, update_freq: int = 1, images: bool = True):
        super().__init__()
        owner = type(self).__name__
        if not isinstance(log_dir, str | os.PathLike):
            raise TypeError(invalid_argument("log_dir", owner, expected="the path of a folder", received=log_dir))
        self.log_dir = os.fspath(log_dir)
        self.update_freq = check_count(update_freq, "update_freq", owner)
        self.images = images
        self._file: EventFile | None = None

    def on_train_begin(self, logs=None):
        self._close()  # after a `fit` that was interrupted
        self._file = EventFile(os.path.join(self.log_dir, RUN))
        fellows = beside(self)
        self._ours = [each for each in fellows if isinstance(each, Announcing)]
        self._writes_logs = not any(isinstance(each, keras.callbacks.TensorBoard) for each in fellows)
        self._seen: dict[str, Any] = {}
        self._history = next((each for each in fellows if isinstance(each, keras.callbacks.History)), None)
        self._epoch = self._written = None

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch
        if epoch % self.update_freq == 0 or epoch + 1 == self.params.get("epochs"):
            self._write(epoch, logs or {})
        self._write_scores(epoch)
        self._draw_trajectory()
        self._file.flush()

    def on_train_end(self, logs=None):
        if self._epoch is not None:
            if self._written != self._epoch:  # as when `EarlyStopping` has ended it
                self._write(self._epoch, logs or {})
            self._draw_trajectory()
            self._draw_pruning(self._epoch)
        self._close()

    def get_config(self) -> dict:
        """Returns the arguments as plain values."""
        return {"log_dir": self.log_dir, "update_freq": self.update_freq, "images": self.images}

    @classmethod
    def from_config(cls, config: dict) -> "Summaries":
        """Returns a callback made with the arguments of `get_config`."""
        return cls(**config)

    def _close(self):
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, epoch, logs):
        self._written = epoch
        self._write_logs(epoch, logs)
        self._write_widths(epoch)
        self._write_weights(epoch)

    def _write_logs(self, epoch, logs):
        if self._writes_logs:
            for name, value in logs.items():
                if np.ndim(value) == 0:
                    self._file.scalar(f"epoch_{name}", value, epoch)

    def _write_widths(self, epoch):
        for name, units in widths(self.model).items():
            self._file.scalar(f"widths/{name}", units, epoch)

    def _write_weights(self, epoch):
        for path, weight in by_path(each for each in self.model.weights if each.name.endswith(SHOWN)).items():
            values = keras.ops.convert_to_numpy(weight)
            self._file.scalar(f"sparsity/{path}", 1 - np.count_nonzero(values) / values.size, epoch)
            kept = nonzero(values)
            self._write_histogram(f"weights/{path}", kept, epoch)
            centroids, counts = shared_values(kept)
            if len(centroids):
                self._file.histogram(f"centroids/{path}", _around(centroids, counts), epoch)

    def _write_scores(self, epoch):
        """Writes the scores of a cut that was made since the last epoch."""
        for each in self._ours:
            scores = each._scores()
            if scores is not None and scores is not self._seen.get("scores"):
                self._seen["scores"] = scores
                for name, of_units in scores.items():
                    self._write_histogram(f"scores/{name}", of_units[np.isfinite(of_units)], epoch)

    def _write_histogram(self, tag, values, epoch):
        if values.size:
            counts, edges = np.histogram(values, BINS)
            self._file.histogram(tag, np.stack([edges[:-1], edges[1:], counts], axis=1), epoch)

    def _draw_trajectory(self):
        """Draws a search, if it has come further."""
        for each in self._ours:
            trajectory = getattr(each, "trajectory", None)
            if trajectory is not None and trajectory != self._seen.get("trajectory"):
                self._seen["trajectory"] = trajectory
                self._draw("trajectory", trajectory.points[-1].epoch, plot_trajectory, trajectory)

    def _draw_pruning(self, epoch):
        """Draws a `fit` in which something was cut."""
        for each in self._ours if self._history else ():
            if each._scores() is not None:
                self._draw("pruning", epoch, plot_pruning, self._history, each.rounds_done)

    def _draw(self, tag, epoch, plot, *drawn):
        if self.images:
            png = io.BytesIO()
            plot(*drawn).savefig(png, format="png")
            self._file.image(tag, png.getvalue(), epoch)


def _around(centroids, counts):
    """Returns a histogram with a narrow bucket around each of some ascending values."""
    gaps = np.diff(centroids) if len(centroids) > 1 else np.abs(centroids)
    margin = gaps.min() / 8
    return np.stack([centroids - margin, centroids + margin, counts], axis=1)

"""Writing what TensorBoard reads.

TensorFlow writes event files by itself; only its functions `tf.summary.scalar`, `histogram` and `image` want
TensorBoard installed. So the tensors that these would write are written here, as TensorBoard's plugins read them.
Checked with TensorFlow 2.21 and TensorBoard 2.21, which reads them in `tests/callbacks/test_summaries.py` where it is
installed.
"""

import struct

import numpy as np

from keras_slim.errors import invalid_argument

SCALAR, TENSOR, BLOBS = 1, 2, 3
"""Kinds of data in `SummaryMetadata.data_class`."""


class EventFile:
    """A new file of events for TensorBoard.

    Args:
        folder: The folder, which is a run in TensorBoard. It is made if it is missing.

    Raises:
        ValueError: If no file can be written there.
    """

    def __init__(self, folder: str):
        import tensorflow as tf

        self._tf = tf
        try:
            self._writer = tf.summary.create_file_writer(folder)
        except tf.errors.OpError as error:
            expected = "a folder in which files can be written"
            raise ValueError(invalid_argument("log_dir", "Summaries", expected=expected, received=folder)) from error

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Writes a number."""
        self._write("scalars", SCALAR, tag, np.float32(value), step)

    def histogram(self, tag: str, buckets: np.ndarray, step: int) -> None:
        """Writes a histogram: an array of shape `(buckets, 3)`, left edges, right edges and counts."""
        self._write("histograms", TENSOR, tag, np.asarray(buckets, "float64"), step)

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Writes a picture, the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])
        self._write("images", BLOBS, tag, [str(width).encode(), str(height).encode(), png], step)

    def flush(self) -> None:
        """Lets a TensorBoard that is open see what was written."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _write(self, plugin, kind, tag, tensor, step):
        metadata = self._tf.compat.v1.SummaryMetadata(data_class=kind)
        metadata.plugin_data.plugin_name = plugin
        # Keras's `TensorBoard` may have said for the whole `fit` that only some batches are recorded.
        with self._writer.as_default(), self._tf.summary.record_if(True), self._tf.device("cpu:0"):
            self._tf.summary.write(tag, self._tf.convert_to_tensor(tensor), step=step, metadata=metadata)

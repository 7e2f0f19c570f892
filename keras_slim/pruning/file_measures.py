"""Bytes and latency of the exported file: what cannot be counted is exported and measured."""

from keras_slim.export.conversion import QUANTIZATIONS
from keras_slim.export.exporting import load_unproved
from keras_slim.export.latency import relative_time, time_file
from keras_slim.pruning.costs import unknown_cost
from keras_slim.pruning.measures import Measure, measures
from keras_slim.validation import check_choice, check_count


@measures.register("bytes")
class FileBytes(Measure):
    """Weighs the file that `keras_slim.export_tflite` writes.

    Each candidate is exported, which takes a second or more; two to five are needed for most cuts.

    Args:
        quantize: As in `export_tflite`. Defaults to `None`, float32.
        weigh: Power of the parameters saved by which a score is divided, as in `Params`.

    Example:

    >>> import keras_slim as slim
    >>> small = slim.prune(model, 0.5, of=slim.pruning.FileBytes("int8"))  # doctest: +SKIP
    """

    counted = "params"
    tolerance = 0.02

    def __init__(self, quantize: str | None = None, weigh: float = 0.0):
        super().__init__(weigh)
        self.quantize = check_choice(quantize, "quantize", "FileBytes", QUANTIZATIONS)

    def meter(self, model):
        def size(smaller):
            return _exported(smaller, self).size

        return size(model), size


@measures.register("latency")
class FileLatency(Measure):
    """Times the file that `keras_slim.export_tflite` writes, on this machine.

    Each candidate is exported and timed in turns with the file of the model before the cut, so that what else the
    machine does slows both. Milliseconds on a computer are not those of a phone, nor is their ratio.

    Args:
        quantize: As in `export_tflite`. Defaults to `None`, float32.
        threads: Number of threads the runtime may use.
        weigh: Power of the multiply-accumulates saved by which a score is divided, as in `Macs`.

    Example:

    >>> import keras_slim as slim
    >>> small = slim.prune(model, 0.5, of=slim.pruning.FileLatency("int8", threads=2))  # doctest: +SKIP
    """

    counted = "macs"
    tolerance = 0.06

    def __init__(self, quantize: str | None = None, threads: int = 1, weigh: float = 0.0):
        super().__init__(weigh)
        self.quantize = check_choice(quantize, "quantize", "FileLatency", QUANTIZATIONS)
        self.threads = check_count(threads, "threads", "FileLatency")

    def meter(self, model):
        original = _exported(model, self, self.threads)
        milliseconds = time_file(original, self.threads, runs=50, warmup=5).median_ms

        def latency(smaller):
            return milliseconds * relative_time(_exported(smaller, self, self.threads), original)

        return milliseconds, latency


def _exported(model, measure, threads=1):
    """Returns the `TfliteFile` of a model."""
    if any(None in tensor.shape[1:] for tensor in model.inputs):
        raise unknown_cost(measure.alias)
    return load_unproved(model, measure.quantize, type(measure).__name__, threads)

"""Bytes and latency of the exported file: what cannot be counted is exported and measured."""

import dataclasses
import pathlib
import tempfile

from keras_slim.errors import invalid_argument
from keras_slim.export.checked_conversion import load_unproved, write_unproved
from keras_slim.export.conversion import QUANTIZATIONS
from keras_slim.export.latency import relative_time, time_file
from keras_slim.pruning.costs import unknown_cost
from keras_slim.pruning.measures import Measure, measures
from keras_slim.validation import check_choice, check_count, check_positive


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


class PhoneLatency(Measure):
    """Times the file that `export_tflite` writes, on a phone, in its browser.

    Each candidate is sent to the phone together with the file of the model before the cut, so that what slows the phone
    down slows both: some ten seconds, for two to nine candidates. Milliseconds in the browser are not those of an app;
    a ratio of both is nearer to that of an app than one from a computer. Of several phones the slowest counts.

    Args:
        server: A `keras_slim.phone.PhoneServer` with `stays=True`, started, whose page is open on the phone.
        quantize: As in `export_tflite`. Defaults to `None`, float32.
        timeout: Seconds to wait for the phone, for each candidate.
        weigh: Power of the multiply-accumulates saved by which a score is divided, as in `Macs`.

    Example:

    >>> import keras_slim as slim
    >>> with slim.phone.PhoneServer(stays=True) as server:  # doctest: +SKIP
    ...     print("Open", server.url)
    ...     small = slim.prune(model, 0.5, of=slim.pruning.PhoneLatency(server, "int8"))
    """

    alias = "phone_latency"
    counted = "macs"
    tolerance = 0.06

    def __init__(self, server, quantize: str | None = None, timeout: float = 300.0, weigh: float = 0.0):
        super().__init__(weigh)
        if not getattr(server, "stays", False):
            hint = "Make one with `PhoneServer(stays=True)`, and start it."
            expected = "a `keras_slim.phone.PhoneServer` whose pages stay"
            raise ValueError(invalid_argument("server", "PhoneLatency", expected=expected, received=server, hint=hint))
        self.server = server
        self.quantize = check_choice(quantize, "quantize", "PhoneLatency", QUANTIZATIONS)
        self.timeout = check_positive(timeout, "timeout", "PhoneLatency")

    def meter(self, model):
        original = self._content(model)  # now: `fit` goes on with the same model, cut
        milliseconds, _ = self._times(original, original)

        def latency(smaller):
            before, now = self._times(original, self._content(smaller))
            return milliseconds * now / before

        return milliseconds, latency

    def get_config(self):
        raise ValueError("A PhoneLatency cannot be written down: it holds a server, which ends with this program.")

    def _content(self, model):
        """Returns the bytes of the file of a model."""
        _check_sizes(model, self)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "model.tflite")
            write_unproved(model, path, self.quantize, "PhoneLatency")
            return path.read_bytes()

    def _times(self, *contents):
        """Returns the milliseconds that two files take on the phone."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder, name) for name in ("original.tflite", "candidate.tflite")]
            for path, content in zip(paths, contents, strict=True):
                path.write_bytes(content)
            report = self.server.run(paths, timeout=self.timeout)
        timed = dataclasses.replace(report, phones=tuple(map(_on_processor, report.phones))).check()
        return max([file.latency.median_ms for file in phone.files] for phone in timed.finished)


def _on_processor(phone):
    """Returns a phone with what it has said of WebAssembly alone: where it has WebGPU, files run there, too."""
    files = tuple(file for file in phone.files if file.engine == "WebAssembly")
    return dataclasses.replace(phone, files=files)


def _check_sizes(model, measure):
    if any(None in tensor.shape[1:] for tensor in model.inputs):
        raise unknown_cost(measure.alias)


def _exported(model, measure, threads=1):
    """Returns the `TfliteFile` of a model."""
    _check_sizes(model, measure)
    return load_unproved(model, measure.quantize, type(measure).__name__, threads)

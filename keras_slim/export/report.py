"""What an export made: the file's size, speed and agreement with the model, as numbers first and a table second."""

import dataclasses
import gzip
import os
import warnings

from keras_slim.errors import SlimWarning
from keras_slim.export.agreement import Agreement
from keras_slim.export.file_tensor import FileTensor
from keras_slim.export.islands import FloatIsland
from keras_slim.export.latency import Latency
from keras_slim.export.microcontroller import MicroReport
from keras_slim.export.operations import bytes_in_float32

_LEAST_SAME_CLASS = 0.9
_CLEARLY = 1.05
"""How many times larger a file is than another of which the size is known to some per cent."""


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """The file that `export_tflite` made.

    Args:
        path: Path of the file.
        quantize: None for float32, `"float16"`, `"dynamic"` or `"int8"`.
        parameters: Number of weights of the model.
        bytes: Size of the file.
        gzip_bytes: Its size when compressed, as it travels to the phone.
        sparsity: Share of zeros in the weights that are matrices or more.
        dense_gzip_bytes: What it would have when compressed without these zeros; `None` where there are few.
        random_samples: Whether the check ran on random samples, for want of the user's.
        agreement: The file beside the model.
        latency: Milliseconds for one sample on this machine.
        left_real: Paths of the layers that `max_drop` has left in floats.
        float_islands: What computes with floats in a file with integers: a `FloatIsland` for each layer, with its
            operations and why. Each costs a way to floats and back.
        inputs: What goes into the file, a `FileTensor` each, in the order in which an app counts them.
        outputs: What comes out of it, likewise.
        float32_bytes: About how large the file would be in float32, where that is clearly smaller than in int8, as for
            networks of few weights; None elsewhere.
        least_runtime: The version of TensorFlow Lite that the file needs, such as `"2.2.0"`; older ones may refuse it.
        micro: What a microcontroller says of the file, where that is the target.
    """

    path: str
    quantize: str | None
    parameters: int
    bytes: int
    gzip_bytes: int
    sparsity: float
    dense_gzip_bytes: int | None
    random_samples: bool
    agreement: Agreement
    latency: Latency
    left_real: tuple[str, ...] = ()
    float_islands: tuple[FloatIsland, ...] = ()
    inputs: tuple[FileTensor, ...] = ()
    outputs: tuple[FileTensor, ...] = ()
    least_runtime: str | None = None
    float32_bytes: int | None = None
    micro: MicroReport | None = None

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        islands = [dataclasses.asdict(island) for island in self.float_islands]
        of_parts = {"agreement": self.agreement.to_dict(), "latency": self.latency.to_dict(), "float_islands": islands}
        tensors = {name: [tensor.to_dict() for tensor in getattr(self, name)] for name in ("inputs", "outputs")}
        return plain | of_parts | tensors | {"micro": self.micro.to_dict() if self.micro else None}

    def __str__(self) -> str:
        rows = [
            ("file", self.path),
            ("precision", self._precision()),
            ("size", f"{self.bytes:,} bytes, {self.gzip_bytes:,} after gzip, {self.parameters:,} parameters"),
            *self._zeros(),
            *([("in floats", ", ".join(self.left_real))] if self.left_real else []),
            *(("input", str(tensor)) for tensor in self.inputs),
            *(("output", str(tensor)) for tensor in self.outputs),
            *([("runtime", f"TFLite {self.least_runtime} or later")] if self.least_runtime else []),
            ("latency", str(self.latency)),
            *self.agreement.rows(),
            *(self.micro.rows() if self.micro else []),
            *self._islands(),
        ]
        if self.random_samples:
            rows.append(("samples", "random, as no data was given"))
        return "\n".join(f"{label:<12}{value}" for label, value in rows)

    def _zeros(self):
        if self.dense_gzip_bytes is None:
            return []
        dense = f"{self.dense_gzip_bytes:,} bytes after gzip without them"
        return [("zeros", f"{self.sparsity:.1%} of the kernels; {dense}")]

    def _islands(self):
        if self.quantize != "int8":
            return []
        return [("floats", "; ".join(map(str, self.float_islands)) or "none: integers from end to end")]

    def _precision(self):
        if self.quantize == "dynamic" and self.agreement.quantize is None:
            return "dynamic, stored as float32 as every weight is too small to gain from int8"
        return self.quantize or "float32"


def weigh(path):
    """Returns the size of a file in bytes, as it is and compressed with gzip."""
    with open(path, "rb") as file:
        content = file.read()
    return len(content), len(gzip.compress(content, mtime=0))


def weigh_in_float32(path, parameters):
    """Returns about how large an int8 file would be in float32 if that is clearly smaller, or else `None`.

    Args:
        path: Path of the file.
        parameters: Number of weights of the model: where they alone are larger in float32, it is not looked at.
    """
    size = os.path.getsize(path)
    if size <= 4 * parameters:
        return None
    with open(path, "rb") as file:
        in_float32 = bytes_in_float32(file.read())
    return in_float32 if size > _CLEARLY * in_float32 else None


def warn_of_weaknesses(report):
    """Warns, with `SlimWarning`, if the file may be slow on a phone, changes many classes, or is hardly proved."""
    for weakness in weaknesses(report):
        warnings.warn(weakness, SlimWarning, stacklevel=3)


def weaknesses(report):
    """Returns what is to be said against a file that passed its check, a list of sentences."""
    agreement, found = report.agreement, []
    if agreement.partitions not in (1, None) and report.micro is None:
        found.append(
            f"XNNPACK runs {report.path} in {agreement.partitions} partitions instead of one, so it may be slow on a "
            f"phone. Its operations: {', '.join(agreement.operations)}."
        )
    if report.float32_bytes is not None:
        found.append(
            f"{report.path} has {report.bytes:,} bytes in int8, and would have about {report.float32_bytes:,} in "
            "float32: in so small a network scales and zero points take more than the weights save. For size alone, "
            "leave `quantize` out."
        )
    unread = dict.fromkeys(f"'{island.layer}': {island.why}" for island in report.float_islands if island.is_avoidable)
    if unread:
        found.append(
            f"Layers with few bits compute with floats in {report.path}: {'; '.join(unread)}. "
            "`keras_slim.quantize(model, 'int', 'int', skip=())` makes ranges that phones can read."
        )
    if not report.random_samples and agreement.same_class is not None and agreement.same_class < _LEAST_SAME_CLASS:
        found.append(
            f"{report.path} puts only {agreement.same_class:.0%} of the samples in the same class as Keras. More and "
            "more typical samples in `data` may help, or a milder `quantize`, with a larger file."
        )
    if agreement.samples > 1 and not any(output.is_telling for output in agreement.outputs):
        found.append(
            f"The answers of the model hardly differ from sample to sample, so their agreement with {report.path} "
            "proves little. Export a trained model, and give typical samples as `data`."
        )
    return found

"""What an export made: the file's size, speed and agreement with the model, as numbers first and a table second."""

import dataclasses
import gzip
import warnings

from keras_slim.errors import SlimWarning
from keras_slim.export.agreement import Agreement
from keras_slim.export.latency import Latency

_LEAST_SAME_CLASS = 0.9


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

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return plain | {"agreement": self.agreement.to_dict(), "latency": self.latency.to_dict()}

    def __str__(self) -> str:
        rows = [
            ("file", self.path),
            ("precision", self._precision()),
            ("size", f"{self.bytes:,} bytes, {self.gzip_bytes:,} after gzip, {self.parameters:,} parameters"),
            *self._zeros(),
            *([("in floats", ", ".join(self.left_real))] if self.left_real else []),
            ("latency", str(self.latency)),
            *self.agreement.rows(),
        ]
        if self.random_samples:
            rows.append(("samples", "random, as no data was given"))
        return "\n".join(f"{label:<12}{value}" for label, value in rows)

    def _zeros(self):
        if self.dense_gzip_bytes is None:
            return []
        dense = f"{self.dense_gzip_bytes:,} bytes after gzip without them"
        return [("zeros", f"{self.sparsity:.1%} of the kernels; {dense}")]

    def _precision(self):
        if self.quantize == "dynamic" and self.agreement.quantize is None:
            return "dynamic, stored as float32 as every weight is too small to gain from int8"
        return self.quantize or "float32"


def weigh(path):
    """Returns the size of a file in bytes, as it is and compressed with gzip."""
    with open(path, "rb") as file:
        content = file.read()
    return len(content), len(gzip.compress(content, mtime=0))


def warn_of_weaknesses(report):
    """Warns, with `SlimWarning`, if the file may be slow on a phone, changes many classes, or is hardly proved."""
    for weakness in weaknesses(report):
        warnings.warn(weakness, SlimWarning, stacklevel=3)


def weaknesses(report):
    """Returns what is to be said against a file that passed its check, a list of sentences."""
    agreement, found = report.agreement, []
    if agreement.partitions != 1:
        found.append(
            f"XNNPACK runs {report.path} in {agreement.partitions} partitions instead of one, so it may be slow on a "
            f"phone. Its operations: {', '.join(agreement.operations)}."
        )
    if not report.random_samples and agreement.same_class is not None and agreement.same_class < _LEAST_SAME_CLASS:
        found.append(
            f"{report.path} puts only {agreement.same_class:.0%} of the samples in the same class as Keras. More and "
            "more typical samples in `data`, or a milder `quantize`, may help."
        )
    if agreement.samples > 1 and not any(output.is_telling for output in agreement.outputs):
        found.append(
            f"The answers of the model hardly differ from sample to sample, so their agreement with {report.path} "
            "proves little. Export a trained model, and give typical samples as `data`."
        )
    return found

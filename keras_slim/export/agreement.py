"""How far the answers of a file are from those of the model: the numbers, and the least they must reach.

The measure is the signal-to-quantization-noise ratio in decibels, `10 log10(sum(expected**2) / sum(error**2))`: 20 dB
more is a tenth of the error. One number serves every precision; only how much of it is enough differs.
"""

import dataclasses
import math

import numpy as np

from keras_slim.errors import ExportError

# Exact in float32: no more can be told apart.
MOST_DB = 150.0

# What a sound file of each kind is well above, and one that lies is not: a trained ResNet-20 reaches 132, 65, 44, 32.
LEAST_DB = {None: 60.0, "float16": 40.0, "dynamic": 20.0, "int8": 10.0}

# A model of half precision rounds its own answers: bfloat16 keeps eight bits, some 48 dB for each operation.
LEAST_DB_OF_HALF_PRECISION = 20.0


@dataclasses.dataclass(frozen=True)
class OutputAgreement:
    """One output of a file beside the same output of the model.

    Args:
        name: Name of the output.
        rms: Root mean square of the model's answers.
        variation: Root mean square of the model's answers about their mean over the samples.
        rms_error: Root mean square of the differences.
        max_abs: Largest absolute answer of the model.
        max_abs_error: Largest absolute difference.
        step: Smallest difference the output can express when it is int8; 0 when it is float.
        same_class: Share of samples whose largest score stands at the same place (a tie counts as the same); None
            unless the output has one row of several scores for each sample.
    """

    name: str
    rms: float
    variation: float
    rms_error: float
    max_abs: float
    max_abs_error: float
    step: float
    same_class: float | None

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio in decibels, between -150 and 150; 150 is exact."""
        if self.rms_error == 0:
            return MOST_DB
        if self.rms == 0 or not math.isfinite(self.rms_error):
            return -MOST_DB
        return float(np.clip(20 * math.log10(self.rms / self.rms_error), -MOST_DB, MOST_DB))

    @property
    def relative_error(self) -> float:
        """Largest absolute difference as a share of the largest absolute answer."""
        return self.max_abs_error / self.max_abs if self.max_abs else float(self.max_abs_error > 0)

    @property
    def is_telling(self) -> bool:
        """Whether the answers differ from sample to sample by more than the error; if not, agreement proves little."""
        return self.variation > max(self.rms_error, 1e-6 * self.rms)

    def is_within(self, least_db: float) -> bool:
        """Returns whether the error is no more than `least_db` allows, beside the rounding of the output itself.

        An int8 output rounds by up to half a step, `step**2 / 12` in the mean square, however good the file is.
        """
        allowed = self.rms**2 * 10 ** (-least_db / 10) + self.step**2 / 12
        return self.rms_error**2 <= allowed


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A file beside the model it stands for, measured on samples.

    Args:
        samples: Number of samples.
        outputs: One `OutputAgreement` for each output.
        quantize: What the file holds: None for float32, `"float16"`, `"dynamic"` or `"int8"`.
        operations: How often each operation occurs in the file.
        partitions: Number of parts of the file that XNNPACK runs.
        delegated: How often each operation occurs in these parts; the others run on LiteRT's own, slower kernels.
    """

    samples: int
    outputs: tuple[OutputAgreement, ...]
    quantize: str | None
    operations: dict[str, int]
    partitions: int
    delegated: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio of the worst output, in decibels."""
        return min(output.sqnr_db for output in self.outputs)

    @property
    def max_abs_error(self) -> float:
        """Largest absolute difference in any output."""
        return max(output.max_abs_error for output in self.outputs)

    @property
    def relative_error(self) -> float:
        """Largest difference as a share of the largest answer, of the worst output."""
        return max(output.relative_error for output in self.outputs)

    @property
    def same_class(self) -> float | None:
        """Share of samples put in the same class, of the worst output; None where no output holds scores."""
        return min((output.same_class for output in self.outputs if output.same_class is not None), default=None)

    def check(self, least_db: float) -> "Agreement":
        """Returns itself, or raises `ExportError` naming the outputs that agree by less than `least_db` decibels."""
        failing = [output for output in self.outputs if not output.is_within(least_db)]
        if not failing:
            return self
        listed = "; ".join(
            f"'{output.name}' reaches {output.sqnr_db:.1f} dB, its largest error is {output.max_abs_error:.3g} where "
            f"the largest answer is {output.max_abs:.3g}"
            for output in failing
        )
        raise ExportError(
            f"The file does not answer like the model. Expected at least {least_db:g} dB of signal to error on "
            f"{self.samples} samples. Received: {listed}. Check that the file was made from this model; after "
            "quantization, give more and typical samples as `data`, or choose a milder `quantize`."
        )

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values."""
        return {
            "samples": self.samples,
            "sqnr_db": self.sqnr_db,
            "max_abs_error": self.max_abs_error,
            "relative_error": self.relative_error,
            "same_class": self.same_class,
            "quantize": self.quantize,
            "operations": dict(self.operations),
            "partitions": self.partitions,
            "delegated": dict(self.delegated),
            "outputs": [dataclasses.asdict(output) | {"sqnr_db": output.sqnr_db} for output in self.outputs],
        }

    def __str__(self) -> str:
        return "\n".join(f"{label:<12}{value}" for label, value in self.rows())

    def rows(self) -> list[tuple[str, str]]:
        """Returns what a table shows, pairs of a label and a value."""
        error = f"{self.max_abs_error:.3g} ({self.relative_error:.2%} of the largest answer)"
        rows = [
            ("agreement", f"{self.sqnr_db:.1f} dB on {self.samples} samples"),
            ("worst error", error),
            ("operations", _listed(self.operations)),
            ("XNNPACK", self._delegation()),
        ]
        if self.same_class is not None:
            rows.insert(1, ("same class", f"{self.same_class:.1%} of the samples"))
        return rows

    def _delegation(self):
        left = {name: count - self.delegated.get(name, 0) for name, count in self.operations.items()}
        left = {name: count for name, count in left.items() if count > 0}
        parts = f"{self.partitions} {'partition' if self.partitions == 1 else 'partitions'}"
        runs = f"{sum(self.delegated.values())} of {sum(self.operations.values())} operations"
        return f"{parts}, {runs}{f', all but {_listed(left)}' if left else ''}"


def _listed(operations):
    return ", ".join(f"{count} {name}" for name, count in operations.items())


def compare(name, expected, received, step=0.0):
    """Returns the `OutputAgreement` of two arrays of shape `(samples, ...)`."""
    expected, received = (np.asarray(array, "float64") for array in (expected, received))
    differ = ~((expected == received) | (np.isnan(expected) & np.isnan(received)))
    error = np.subtract(expected, received, out=np.zeros_like(expected), where=differ)
    finite = np.where(np.isfinite(expected), expected, 0)
    return OutputAgreement(
        name=name,
        rms=_root_mean_square(finite),
        variation=_root_mean_square(finite - finite.mean(axis=0)),
        rms_error=_or_infinity(_root_mean_square(error)),
        max_abs=float(np.abs(finite).max()),
        max_abs_error=_or_infinity(np.abs(error).max()),
        step=float(step),
        same_class=_share_of_same_class(expected, received),
    )


def _root_mean_square(values):
    return float(np.sqrt(np.mean(values**2)))


def _or_infinity(value):
    return math.inf if math.isnan(value) else float(value)


def _share_of_same_class(expected, received):
    if expected.ndim != 2 or expected.shape[1] < 2:
        return None
    chosen = expected.argmax(axis=1)
    return float(np.mean(received[np.arange(len(received)), chosen] == received.max(axis=1)))

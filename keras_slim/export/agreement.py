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

# What a sound file of each kind reaches; `tests/export/test_exporting.py` holds one of each to it. Between the two, a
# file is accepted, as deep networks and untypical samples may cost that much, but it is worth a look.
SOUND_DB = {None: 100.0, "float16": 50.0, "dynamic": 30.0, "int8": 20.0}

# A model of half precision rounds its own answers: bfloat16 keeps eight bits, some 48 dB for each operation.
LEAST_DB_OF_HALF_PRECISION = 20.0

# Decibels say little of numbers of classes: 3 in place of 7 is no larger an error than 6. Where scores are rounded, as
# they are in files of which no more than this many decibels are asked, at least half of the numbers must be the same.
_DB_OF_ROUNDED, _LEAST_SAME = 20.0, 0.5
# A row of no more numbers may hold them in another order: that of nearly equal scores changes.
_LONGEST_ROW = 64


def least_for(quantize: str | None, half_precision: bool) -> float:
    """Returns the least agreement to accept, in decibels.

    Args:
        quantize: What the file holds.
        half_precision: Whether the model computes in half precision.
    """
    least = LEAST_DB[quantize]
    return min(least, LEAST_DB_OF_HALF_PRECISION) if half_precision else least


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
        same_class: Share of samples whose largest score stands at the same place (a tie counts as the same), where the
            output has one row of several scores for each sample. Where it has whole numbers, such as those of classes,
            the share of them that are the same, in a row of up to 64 different ones in any order. None elsewhere.
        is_whole: Whether the file puts out whole numbers that stand for themselves.
    """

    name: str
    rms: float
    variation: float
    rms_error: float
    max_abs: float
    max_abs_error: float
    step: float
    same_class: float | None
    is_whole: bool = False

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

        An int8 output rounds by up to half a step, `step**2 / 12` in the mean square, however good the file is. Of
        whole numbers, half may be others where so few decibels are asked that scores are rounded.
        """
        if self.is_whole and least_db <= _DB_OF_ROUNDED and (self.same_class or 0) >= _LEAST_SAME:
            return True
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
        partitions: Number of parts of the file that XNNPACK runs; None where it is not known, as of one of several
            signatures.
        delegated: How often each operation occurs in these parts; the others run on LiteRT's own, slower kernels.
        half_precision: Whether the model itself computes in half precision, and rounds its own answers.
    """

    samples: int
    outputs: tuple[OutputAgreement, ...]
    quantize: str | None
    operations: dict[str, int]
    partitions: int | None
    delegated: dict[str, int] = dataclasses.field(default_factory=dict)
    half_precision: bool = False

    @property
    def sqnr_db(self) -> float:
        """Signal-to-quantization-noise ratio of the worst output, in decibels."""
        return min(output.sqnr_db for output in self.outputs)

    @property
    def error_share(self) -> float:
        """Root mean square of the error as a share of that of the answers, of the worst output: 20 dB are 0.1."""
        return 10 ** (-self.sqnr_db / 20)

    @property
    def verdict(self) -> str:
        """What these decibels mean for a file of this kind, a phrase."""
        worst = min(self.outputs, key=lambda output: output.sqnr_db)
        kind, sound = self.quantize or "float32", SOUND_DB[self.quantize]
        least = least_for(self.quantize, self.half_precision)
        if worst.sqnr_db == MOST_DB:
            return "exact"
        if worst.is_whole:
            return "numbers of classes, of which decibels say little"
        if worst.sqnr_db >= sound:
            return f"sound for {kind} ({sound:g} dB or more)"
        if worst.is_within(least) and least < LEAST_DB[self.quantize]:
            return f"accepted for {kind} ({least:g} dB or more), as the model itself computes in half precision"
        if worst.is_within(least):
            return f"accepted for {kind} ({least:g} dB or more), but sound files reach {sound:g}"
        return f"too little for {kind} (at least {least:g} dB)"

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
            "quantization, give more and typical samples as `data`, or choose a milder `quantize`, with a larger file."
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
            ("agreement", f"{self.sqnr_db:.1f} dB on {self.samples} samples: {self._in_words()}"),
            ("worst error", error),
            ("operations", _listed(self.operations)),
            ("XNNPACK", self._delegation()),
        ]
        if self.same_class is not None:
            rows.insert(1, ("same class", f"{self.same_class:.1%} of the samples"))
        return rows

    def _in_words(self):
        if self.sqnr_db == MOST_DB:
            return self.verdict
        share = f"{self.error_share:.2%}" if self.error_share >= 1e-4 else "under 0.01%"
        return f"an error of {share} of the answers, {self.verdict}"

    def _delegation(self):
        if self.partitions is None:
            return "not known where a file has several signatures"
        left = {name: count - self.delegated.get(name, 0) for name, count in self.operations.items()}
        left = {name: count for name, count in left.items() if count > 0}
        parts = f"{self.partitions} {'partition' if self.partitions == 1 else 'partitions'}"
        runs = f"{sum(self.delegated.values())} of {sum(self.operations.values())} operations"
        return f"{parts}, {runs}{f', all but {_listed(left)}' if left else ''}"


def _listed(operations):
    return ", ".join(f"{count} {name}" for name, count in operations.items())


class RunningComparison:
    """One output of a file beside that of the model, batch after batch: what is kept does not grow with the batches.

    Args:
        name: Name of the output.
        step: As for `OutputAgreement`.
    """

    def __init__(self, name, step=0.0):
        self._name, self._step = name, float(step)
        self._samples = self._numbers = 0
        self._squares = self._errors = self._max_abs = self._max_error = self._about_first = self._same = 0.0
        self._first = self._sums = None
        self._counted, self._has_classes, self._is_whole = 0, True, True

    def add(self, expected, received):
        """Takes two arrays of shape `(samples, ...)`."""
        self._is_whole &= np.asarray(received).dtype.kind in "iub"
        expected, received = (np.asarray(array, "float64") for array in (expected, received))
        differ = ~((expected == received) | (np.isnan(expected) & np.isnan(received)))
        error = np.subtract(expected, received, out=np.zeros_like(expected), where=differ)
        finite = np.where(np.isfinite(expected), expected, 0)
        self._samples += len(finite)
        self._numbers += finite.size
        self._squares += np.sum(finite**2)
        self._errors += np.sum(error**2)
        self._max_abs = max(self._max_abs, np.abs(finite).max())
        self._max_error = np.maximum(self._max_error, np.abs(error).max())  # which keeps NaN
        self._add_variation(finite)
        self._has_classes &= self._is_whole or (expected.ndim == 2 and expected.shape[1] > 1)
        if self._has_classes:
            same = _same_numbers(expected, received) if self._is_whole else _same_places(expected, received)
            self._same += np.sum(same)
            self._counted += same.size

    def _add_variation(self, finite):
        # About the first sample, as the difference of two large sums of squares would hide a small variation.
        if self._first is None:
            self._first, self._sums = finite[0], np.zeros_like(finite[0])
        shifted = finite - self._first
        self._sums = self._sums + shifted.sum(axis=0)
        self._about_first += np.sum(shifted**2)

    def result(self) -> OutputAgreement:
        """Returns how far the two are apart over all that was added."""
        about_mean = max(self._about_first - np.sum(self._sums**2) / self._samples, 0.0)
        return OutputAgreement(
            name=self._name,
            rms=math.sqrt(self._squares / self._numbers),
            variation=math.sqrt(about_mean / self._numbers),
            rms_error=_or_infinity(np.sqrt(self._errors / self._numbers)),
            max_abs=float(self._max_abs),
            max_abs_error=_or_infinity(self._max_error),
            step=self._step,
            same_class=float(self._same / self._counted) if self._has_classes else None,
            is_whole=bool(self._is_whole),
        )


def compare(name, expected, received, step=0.0):
    """Returns the `OutputAgreement` of two arrays of shape `(samples, ...)`."""
    comparison = RunningComparison(name, step)
    comparison.add(expected, received)
    return comparison.result()


def _same_places(expected, received):
    """Returns for each row of scores whether the largest is the same; a tie counts as the same."""
    return received[np.arange(len(received)), expected.argmax(axis=1)] == received.max(axis=1)


def _same_numbers(expected, received):
    """Returns for each whole number whether it is the same, in a short row without repetition whether it is there."""
    same = expected == received
    if expected.ndim != 2 or expected.shape[1] > _LONGEST_ROW:
        return same
    are_classes = _are_distinct(expected) & _are_distinct(received)  # yes and no for each label are not
    is_there = np.any(expected[:, :, None] == received[:, None, :], axis=2)
    return np.where(are_classes[:, None], is_there, same)


def _are_distinct(rows):
    return np.diff(np.sort(rows, axis=1), axis=1).all(axis=1)


def _or_infinity(value):
    return math.inf if math.isnan(value) else float(value)

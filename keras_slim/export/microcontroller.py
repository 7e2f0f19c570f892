"""What a microcontroller says of a file: whether its runtime has the operations, how it answers, the memory it takes.

The runtime of microcontrollers, TensorFlow Lite Micro, has its own, fewer operations, and one piece of memory for all
that is computed, the arena, whose size the app fixes. `tflite-micro` is that runtime for a computer.
"""

import dataclasses
import os

import numpy as np

from keras_slim.errors import ExportError, invalid_argument, one_of
from keras_slim.export.agreement import OutputAgreement, compare
from keras_slim.export.learned_ranges import spread
from keras_slim.export.micro_runtime import answer_apart
from keras_slim.export.samples import draw_samples, read_samples
from keras_slim.export.signature import Signature, inputs_of_file
from keras_slim.export.tflite_file import dequantize, load_single, match_names, quantize, step_of
from keras_slim.export.verification import file_answers
from keras_slim.validation import check_choice, check_extra

TARGETS = (None, "phone", "microcontroller")

_OWNER = "check_micro"
_PRECISIONS = (None, "int8")
_NUM_RANDOM_SAMPLES = 16
_MOST_SAMPLES = 32  # the runtime takes many times as long as LiteRT
# Floats differ by their order of summation alone. Integers are rounded otherwise, by up to 8 of 256 steps and 22 dB in
# the models of the tests; a file that lies is near 0.
_LEAST_DB, _LEAST_DB_INT8 = 60.0, 15.0


@dataclasses.dataclass(frozen=True)
class MicroReport:
    """A file in the runtime of microcontrollers, as measured on a 64-bit computer.

    Args:
        path: Path of the file.
        bytes: Its size, which it takes in flash memory, beside the code of the runtime.
        arena_bytes: Memory that the runtime takes for all that it computes: with that many bytes it runs, with fewer it
            does not start. At the start it may take more than the two parts that are left.
        activation_bytes: The part of the arena that holds activations, the same on a microcontroller.
        structure_bytes: The part for what the runtime knows of tensors and operations. Pointers of 32 bits make it
            smaller on a microcontroller; kernels of its vendor may want buffers of their own.
        operations: How often each operation occurs: the ones to register.
        samples: Number of samples that both runtimes answered.
        random_samples: Whether these were random, for want of the user's.
        outputs: One `OutputAgreement` for each output, beside LiteRT.
    """

    path: str
    bytes: int
    arena_bytes: int
    activation_bytes: int
    structure_bytes: int
    operations: dict[str, int]
    samples: int
    random_samples: bool
    outputs: tuple[OutputAgreement, ...]

    @property
    def steps(self) -> int | None:
        """Largest difference from LiteRT in steps of an int8 output; None if no output is int8."""
        return max((round(output.max_abs_error / output.step) for output in self.outputs if output.step), default=None)

    @property
    def relative_error(self) -> float | None:
        """Largest difference from LiteRT as a share of the largest answer, in all outputs but int8; None if none is."""
        return max((output.relative_error for output in self.outputs if not output.step), default=None)

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values, as JSON can hold them."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        outputs = [dataclasses.asdict(output) for output in self.outputs]
        return plain | {"steps": self.steps, "relative_error": self.relative_error, "outputs": outputs}

    def __str__(self) -> str:
        rows = [("file", self.path), ("flash", f"{self.bytes:,} bytes for the file"), *self.rows()]
        rows.append(("operations", ", ".join(f"{count} {name}" for name, count in self.operations.items())))
        if self.random_samples:
            rows.append(("samples", "random, as no data was given"))
        return "\n".join(f"{label:<12}{value}" for label, value in rows)

    def rows(self) -> list[tuple[str, str]]:
        """Returns what only a microcontroller tells, pairs of a label and a value."""
        parts = f"{self.activation_bytes:,} hold activations, {self.structure_bytes:,} the structure"
        return [
            ("arena", f"{self.arena_bytes:,} bytes, of which {parts} (less with 32-bit pointers)"),
            ("off LiteRT", f"{' and '.join(self._differences())}, on {self.samples} samples"),
        ]

    def _differences(self):
        if self.steps is not None:
            yield f"at most {self.steps} {'step' if self.steps == 1 else 'steps'} of an int8 output"
        if self.relative_error is not None:
            yield f"at most {self.relative_error:.2g} of the largest answer"


def check_micro(path: str | os.PathLike, data: object = None) -> MicroReport:
    """Runs a LiteRT file as a microcontroller would, and tells the memory it takes.

    The runtime of microcontrollers is run beside LiteRT on the same samples. It has kernels of its own, which round
    int8 values otherwise at times, and it needs no phone's operations.

    Args:
        path: Path of a `.tflite` file, in float32 or int8.
        data: Samples, of which the first 32 are run: an array, a list of arrays in the order of the file's inputs, or a
            dictionary of them by name; real numbers, as the Keras model takes them. None runs 16 random ones.

    Returns:
        A `MicroReport`: arena in bytes, operations, and the difference from LiteRT.

    Raises:
        ExportError: If it is no LiteRT file, or none of one sample at a time; it holds a loop, as recurrent layers do;
            the runtime lacks operations, which the message names, or refuses or does not survive the file; or the
            answers differ by more than 60 dB allow, 15 dB in an int8 output.
        MissingExtraError: If `tflite-micro` is not installed: `pip install 'keras_slim[micro]'`, for Linux on x86-64.
        FileNotFoundError: If there is no such file.
        ValueError: If the samples do not fit the file, or it has several signatures.

    Example:

    >>> report = check_micro("digits.tflite", x[:32])  # doctest: +SKIP
    >>> report.arena_bytes  # doctest: +SKIP
    10144
    """
    check_installed(_OWNER)
    file = load_single(path, _OWNER)
    signature = Signature([*inputs_of_file(file).values()])
    if data is None:
        samples = spread(file, draw_samples(signature, _NUM_RANDOM_SAMPLES))
    else:
        samples = read_samples(data, signature, "data", _OWNER)
    return run_beside_litert(file, samples, file.path, random_samples=data is None)


def check_target(target, quantize, owner):
    """Raises before any work is done if files of one precision are not for a target, or its runtime is not there.

    Args:
        target: One of `TARGETS`.
        quantize: The precision of the file.
        owner: Name of the function that was given both, for error messages.

    Raises:
        ValueError: If the target is none, or a microcontroller does not run such files.
        MissingExtraError: If `tflite-micro` is not installed.
    """
    check_choice(target, "target", owner, TARGETS)
    if target != "microcontroller":
        return
    if quantize not in _PRECISIONS:
        raise ValueError(
            invalid_argument(
                "quantize",
                owner,
                expected=f"{one_of(_PRECISIONS)} with target='microcontroller', whose runtime runs no other files",
                received=quantize,
            )
        )
    check_installed(owner)


def check_installed(owner):
    """Raises `MissingExtraError` if the runtime of microcontrollers is not installed."""
    check_extra("tflite_micro", extra="micro", feature=f"`{owner}` for microcontrollers")


def run_beside_litert(file, samples, path, random_samples) -> MicroReport:
    """Returns the `MicroReport` of a file.

    Args:
        file: A `TfliteFile`.
        samples: Dictionary of arrays of real numbers by name of the input, the model's or the file's.
        path: Path under which the file is reported.
        random_samples: Whether the samples are random.

    Raises:
        ExportError: If the file does not run on a microcontroller, or answers otherwise there.
    """
    _check_loops(file)
    _check_batch(file)
    samples = {name: array[:_MOST_SAMPLES] for name, array in samples.items()}
    expected = file_answers(file, samples)
    received, arena = _micro_answers(file, samples)
    outputs = tuple(
        compare(name, expected[name], received[name], step_of(details)) for name, details in file.outputs.items()
    )
    return MicroReport(
        path=path,
        bytes=file.size,
        arena_bytes=arena.least,
        activation_bytes=arena.head,
        structure_bytes=arena.tail,
        operations=file.operations,
        samples=len(next(iter(samples.values()))),
        random_samples=random_samples,
        outputs=_check_answers(outputs),
    )


def _check_loops(file):
    if "WHILE" in file.operations:
        raise ExportError(
            "The file holds a loop (WHILE), as recurrent layers make. The runtime of microcontrollers takes loops, and "
            "then answers wrong numbers without an error, or never. Build LSTM and GRU with unroll=True, which stores "
            "every step by itself, or take causal Conv1D layers in their place."
        )


def _check_batch(file):
    if file.batch_size != 1:
        raise ExportError(
            f"The file takes {file.batch_size} samples at a time. Expected one that takes a single sample, as "
            "export_tflite writes it."
        )


def _micro_answers(file, samples):
    """Returns the answers by name as real numbers, and the `Arena`."""
    names = match_names(list(samples), list(file.inputs))
    arrays = {names[name]: array for name, array in samples.items()}
    inputs = [quantize(arrays[name], details)[:, np.newaxis] for name, details in file.inputs.items()]
    outputs, arena = answer_apart(file, inputs)
    named = zip(file.outputs.items(), outputs, strict=True)
    return {name: dequantize(np.concatenate(output), details) for (name, details), output in named}, arena


def _check_answers(outputs):
    failing = [output for output in outputs if not output.is_within(_LEAST_DB_INT8 if output.step else _LEAST_DB)]
    if not failing:
        return outputs
    listed = "; ".join(
        f"'{output.name}' reaches {output.sqnr_db:.1f} dB, its largest error is {output.max_abs_error:.3g} where the "
        f"largest answer is {output.max_abs:.3g}"
        for output in failing
    )
    raise ExportError(
        f"The file answers otherwise on a microcontroller than in LiteRT. Expected at least {_LEAST_DB:g} dB of signal "
        f"to error, {_LEAST_DB_INT8:g} dB in an int8 output. Received: {listed}. Check shorter parts of the model in "
        "the same way to find the layer that differs, and replace it."
    )

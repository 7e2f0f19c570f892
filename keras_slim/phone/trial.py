"""What a phone is asked to do with a file, and what its answers are worth.

The inputs go out as the bytes that the file reads, in its own type; the outputs come back as the bytes that it wrote.
All arithmetic on them is done here, by the code that checks every export.
"""

import math
import os

import numpy as np

from keras_slim.errors import ExportError
from keras_slim.export.agreement import LEAST_DB
from keras_slim.export.samples import draw_samples, read_samples
from keras_slim.export.signature import ModelInput, Signature, read_signature
from keras_slim.export.tflite_file import TfliteFile, dequantize, describe, is_quantized, match_names, quantize
from keras_slim.export.verification import compare_answers, file_answers, least_db, right_answers

MOST_SAMPLES = 128
MOST_BYTES = 16 * 2**20
"""Of the inputs, and of the outputs, of all samples together; a single sample may have more."""
_RANDOM_SAMPLES = 16
_SIDES, _DIGITS = (8, 28), 10
_FULL = (1, 16, 255)
"""What a pixel full of ink may be, in samples of digits."""
_READ_BY_PADS = {"float32", "int8", "uint8"}


class Trial:
    """One file, the inputs it is given on the phone, and the answers it should give.

    Args:
        path: Path of the file.
        model: The Keras model whose answers are the right ones; None takes those of LiteRT on this computer.
        data: Samples, as for `export_tflite`; None draws random ones.
        tolerance: Least agreement in decibels; None takes that of the file's kind.
        owner: Name of the function that was given them.

    Raises:
        FileNotFoundError: If there is no such file.
        ExportError: If it is no LiteRT file, has several signatures, or has other inputs or outputs than the model.
        ValueError: If the samples do not fit.
    """

    def __init__(self, path, model, data, tolerance, owner):
        self.path = os.fspath(path)
        self.name = os.path.basename(self.path)
        self.file = TfliteFile(path)
        _check_readable(self.file, self.path)
        with open(path, "rb") as file:
            self.content = file.read()
        self.input_sizes = {name: _size(details) for name, details in self.file.inputs.items()}
        self.output_sizes = {name: _size(details) for name, details in self.file.outputs.items()}
        signature = _signature_of(self.file) if model is None else read_signature(model, owner)
        samples = self._choose(signature, data, owner)
        self._largest = 1 if data is None else max(array.max() for array in samples.values())
        self.num_samples = len(next(iter(samples.values())))
        self._answers_here = file_answers(self.file, samples)  # checks shapes, too
        self.inputs = self._as_bytes(samples)
        self.least_db = LEAST_DB[self.file.quantize] if tolerance is None else tolerance
        self.take_answers_of_litert()
        if model is not None:
            self.reference = "Keras"
            self.least_db = least_db(model, self.file.quantize, tolerance)
            self._expected = right_answers(model, self.file, signature, samples)
        self.here = compare_answers(self._expected, self._answers_here, self.file)

    def take_answers_of_litert(self):
        """Takes what LiteRT answers on this computer for right: for a file of another model than the one given."""
        self.reference = "LiteRT here"
        self._expected = self._answers_here

    @property
    def agrees_here(self):
        """Whether the file answers like the model on this computer."""
        return all(output.is_within(self.least_db) for output in self.here.outputs)

    @property
    def answer_size(self):
        """Bytes of all outputs of all samples."""
        return self.num_samples * sum(self.output_sizes.values())

    @property
    def runs_on_gpu(self):
        """Whether it is worth trying on WebGPU: what computes with integers is not."""
        everything = (*self.file.inputs.values(), *self.file.outputs.values())
        return all(details["dtype"] is np.float32 for details in everything) and self.file.quantize != "dynamic"

    @property
    def pad(self):
        """What a drawing pad for the file must know; `None` unless it reads digits, of 8x8 or 28x28 pixels."""
        (first, *others), outputs = describe(self.file.inputs), describe(self.file.outputs)
        shapes = {side: ((side, side), (side, side, 1), (side**2,)) for side in _SIDES}
        side = next((side for side, usual in shapes.items() if first.shape[1:] in usual), None)
        is_other = others or len(outputs) > 1 or outputs[0].size != _DIGITS
        if side is None or is_other or not {first.dtype, outputs[0].dtype} <= _READ_BY_PADS:
            return None
        full = next((full for full in _FULL if full >= self._largest), _FULL[-1])
        return {"side": side, "full": full, "input": first.to_dict(), "output": outputs[0].to_dict()}

    def judge(self, answers):
        """Returns the `Agreement` of a phone's answers with the right ones.

        Args:
            answers: Bytes of all outputs, sample after sample, each in the order of `output_sizes`.
        """
        return compare_answers(self._expected, self._read(answers), self.file)

    def _choose(self, signature, data, owner):
        count = self._most_samples()
        if data is None:
            return draw_samples(signature, min(count, _RANDOM_SAMPLES))
        samples = read_samples(data, signature, "data", owner)
        return {name: array[:count] for name, array in samples.items()}

    def _most_samples(self):
        largest = max(sum(self.input_sizes.values()), sum(self.output_sizes.values()))
        return max(1, min(MOST_SAMPLES, MOST_BYTES // largest))

    def _as_bytes(self, samples):
        """Returns all inputs, sample after sample, each in the order of the file's inputs."""
        names = {file: name for name, file in match_names(list(samples), list(self.file.inputs)).items()}
        columns = [
            _rows_of_bytes(quantize(samples[names[name]], details), self.num_samples)
            for name, details in self.file.inputs.items()
        ]
        return np.concatenate(columns, axis=1).tobytes()

    def _read(self, answers):
        """Returns what the phone has sent as real numbers by output name."""
        rows = np.frombuffer(answers, np.uint8).reshape(self.num_samples, -1)
        columns = np.split(rows, np.cumsum(list(self.output_sizes.values()))[:-1], axis=1)
        return {
            name: dequantize(_as_tensor(column, details), details)
            for column, (name, details) in zip(columns, self.file.outputs.items(), strict=True)
        }


def _check_readable(file, path):
    tensors = {**file.inputs, **file.outputs}
    texts = [name for name, details in tensors.items() if np.dtype(details["dtype"]).itemsize == 0]
    if texts:
        raise ExportError(f"{path} reads or writes texts: {texts}. Expected inputs and outputs of numbers.")
    names = list(file.interpreter.get_signature_list())
    if len(names) > 1:
        raise ExportError(
            f"{path} has several signatures: {names}. Expected one, or none. Export each as a file of its own."
        )


def _signature_of(file):
    """Returns the `Signature` of a file, as if of a model with real inputs."""
    inputs = [
        ModelInput(
            name,
            tuple(int(size) for size in details["shape"][1:]),
            "float32" if is_quantized(details) else np.dtype(details["dtype"]).name,
        )
        for name, details in file.inputs.items()
    ]
    return Signature(inputs[0] if len(inputs) == 1 else inputs)


def _size(details):
    return math.prod(int(size) for size in details["shape"]) * np.dtype(details["dtype"]).itemsize


def _rows_of_bytes(array, count):
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8).reshape(count, -1)


def _as_tensor(column, details):
    values = np.frombuffer(column.tobytes(), details["dtype"])
    return values.reshape(-1, *details["shape"][1:])

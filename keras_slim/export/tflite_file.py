"""A LiteRT file in the runtime: its inputs and outputs by name, and its answers in plain numbers."""

import os
import re

import numpy as np

from keras_slim.errors import ExportError
from keras_slim.export.operations import FileContents, count_partitions
from keras_slim.export.quiet import quiet

_VARIABLE_OPERATIONS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")


class TfliteFile:
    """A file, loaded and ready to answer.

    Args:
        path: Path of the `.tflite` file.
        threads: Number of threads the interpreter may use.

    Raises:
        FileNotFoundError: If there is no such file.
        ExportError: If it is no LiteRT file, or needs operations that a phone's runtime has not.
    """

    def __init__(self, path, threads=1):
        self.path = os.fspath(path)
        with open(path, "rb") as file:
            content = file.read()
        self.interpreter = self._load(content, threads)
        contents = FileContents(content)
        self.operations = contents.operations()
        self.float_operations = contents.float_operations()
        self._check_operations()
        self._allocate()
        self.size = len(content)
        self.partitions = count_partitions(self.interpreter)
        self.inputs, self.outputs = _tensors_by_name(self.interpreter)
        self.quantize = self._read_quantization(contents.weight_types())

    def answer(self, sample):
        """Returns the outputs for one sample, with the file's own quantization undone.

        Args:
            sample: Dictionary by input name of arrays with a batch of one.

        Returns:
            Dictionary of arrays by output name.
        """
        for name, details in self.inputs.items():
            self.interpreter.set_tensor(details["index"], quantize(sample[name], details))
        self.interpreter.invoke()
        return {
            name: dequantize(self.interpreter.get_tensor(details["index"]), details)
            for name, details in self.outputs.items()
        }

    def _load(self, content, threads):
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet():
                return Interpreter(model_content=content, num_threads=threads)
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{self.path} is not a LiteRT file: {error}") from error

    def _allocate(self):
        try:
            with quiet():
                self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"The runtime refuses the file: {error}") from error

    def _check_operations(self):
        foreign = [name for name in self.operations if name.startswith("custom ")]
        if foreign:
            raise ExportError(
                f"The file needs operations that a phone's runtime has not: {', '.join(foreign)}. Export it with "
                "built-in operations only, as export_tflite does."
            )
        if any(name in _VARIABLE_OPERATIONS for name in self.operations):
            raise ExportError(
                "The file keeps variables from one call to the next, so its answers depend on what it saw before. "
                "Build recurrent layers with stateful=False, and pass the state as an input."
            )

    def _read_quantization(self, weight_types):
        if any(is_quantized(details) for details in self.outputs.values()):
            return "int8"
        if weight_types & {"INT8", "INT4"}:
            return "dynamic"
        return "float16" if "FLOAT16" in weight_types else None


def is_quantized(details):
    """Returns whether a tensor holds integers that stand for real numbers."""
    return details["quantization"][0] != 0 and np.issubdtype(details["dtype"], np.integer)


def step(details):
    """Returns the smallest difference that a tensor of integers expresses; 0 for floats."""
    return details["quantization"][0] if is_quantized(details) else 0.0


def quantize(values, details):
    """Returns real values as the tensor stores them: `round(values / scale) + zero point`, clipped to its type."""
    if not is_quantized(details):
        return np.asarray(values, details["dtype"])
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def dequantize(values, details):
    """Returns the real numbers that stored ones stand for: `(values - zero point) * scale`."""
    if not is_quantized(details):
        return values
    scale, zero_point = details["quantization"]
    return (values.astype("float32") - zero_point) * np.float32(scale)


def match_names(wanted, available):
    """Returns which of a file's names stands for each of a model's.

    By name where the names are the same; else, as other exporters number them (`args_0`, `args_0_1`), by order.

    Args:
        wanted: The model's names, in order.
        available: The file's names.

    Returns:
        A dictionary from the model's name to the file's.

    Raises:
        ExportError: If there are not equally many.
    """
    if set(wanted) == set(available):
        return {name: name for name in wanted}
    if len(wanted) != len(available):
        raise ExportError(f"The model has {sorted(wanted)} where the file has {sorted(available)}.")
    return dict(zip(wanted, sorted(available, key=_by_number), strict=True))


def _by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _tensors_by_name(interpreter):
    """Returns the inputs and the outputs as dictionaries by name, in the order in which they are stored."""
    stored = interpreter.get_input_details(), interpreter.get_output_details()
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        named = runner.get_input_details(), runner.get_output_details()
        return tuple(map(_in_order, named, stored))
    return tuple({details["name"]: details for details in tensors} for tensors in stored)


def _in_order(named, stored):
    left, ordered = dict(named), {}
    for place in (details["index"] for details in stored):
        name = next(name for name, details in left.items() if details["index"] == place)
        ordered[name] = left.pop(name)  # one tensor may have several names
    return ordered

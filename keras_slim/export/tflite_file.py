"""A LiteRT file in the runtime: its inputs and outputs by name, and its answers in plain numbers."""

import os
import re

import numpy as np

from keras_slim.errors import ExportError, did_you_mean, invalid_argument, one_of
from keras_slim.export.file_tensor import FileTensor
from keras_slim.export.operations import FileContents, count_partitions, delegated_operations
from keras_slim.export.quiet import quiet

_VARIABLE_OPERATIONS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")


class TfliteFile:
    """A file, loaded and ready to answer.

    Args:
        path: Path of the `.tflite` file.
        threads: Number of threads the interpreter may use.
        signature: Which of the file's signatures is meant, where it has several.

    Raises:
        FileNotFoundError: If there is no such file.
        ExportError: If it is no LiteRT file, or needs operations that a phone's runtime has not.
        ValueError: If it has no such signature, or several and none is named.
    """

    def __init__(self, path, threads=1, signature=None):
        self.path = os.fspath(path)
        with open(path, "rb") as file:
            content = file.read()
        self.interpreter = self._load(content, threads)
        contents = FileContents(content)
        self.operations = contents.operations()
        self.float_operations = contents.float_operations()
        self.least_runtime = contents.least_runtime()
        self._check_operations()
        self._check_operands(contents.severed_operations())
        self._allocate()
        self.size = len(content)
        self._runner = self._runner_of(signature)
        # Of several signatures, the runtime tells what it delegates of the first alone.
        self.partitions = count_partitions(self.interpreter) if self._runner is None else None
        self.delegated = delegated_operations(self.interpreter) if self._runner is None else {}
        self.inputs, self.outputs = _tensors_by_name(self.interpreter, self._runner)
        self.quantize = self._read_quantization(contents.weight_types())

    @property
    def batch_size(self):
        """How many samples it takes at a time; one where any number goes."""
        sizes = {int(details["shape"][0]) if len(details["shape"]) else 1 for details in self.inputs.values()}
        return sizes.pop() if len(sizes) == 1 else 1

    def answer(self, batch):
        """Returns the outputs for one batch, with the file's own quantization undone.

        Args:
            batch: Dictionary by input name of arrays of `batch_size` samples.

        Returns:
            Dictionary of arrays by output name.
        """
        self.put({name: quantize(batch[name], details) for name, details in self.inputs.items()})
        self.run()
        return {name: dequantize(array, self.outputs[name]) for name, array in self.take().items()}

    def put(self, stored):
        """Gives the file its inputs: a dictionary by name of arrays as it stores them."""
        if self._runner is not None:
            self._stored = stored
            return
        for name, array in stored.items():
            self.interpreter.set_tensor(self.inputs[name]["index"], array)

    def run(self):
        """Computes the outputs for the inputs that were put."""
        if self._runner is None:
            self.interpreter.invoke()
        else:
            self._taken = self._runner(**self._stored)

    def take(self):
        """Returns the outputs, a dictionary by name of arrays as the file stores them."""
        if self._runner is not None:
            return self._taken
        return {name: self.interpreter.get_tensor(details["index"]) for name, details in self.outputs.items()}

    def _runner_of(self, signature):
        """Returns what runs one of several signatures; `None` where there is but one."""
        names = sorted(self.interpreter.get_signature_list())
        if signature is not None and signature not in names:
            hint = did_you_mean(signature, names)
            expected = one_of(names) if names else "none, as the file has no names for its signature"
            raise ValueError(invalid_argument("signature", self.path, expected=expected, received=signature, hint=hint))
        if len(names) < 2:
            return None
        if signature is None:
            raise ValueError(f"{self.path} has several signatures. Expected `signature` to be {one_of(names)}.")
        return self.interpreter.get_signature_runner(signature)

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

    def _check_operands(self, severed):
        if severed:  # the runtime may crash on them
            raise ExportError(
                f"The file is broken: {', '.join(sorted(severed))} has lost what it reads. The converter does so where "
                "an input of a model is read by layers that round it and by others. Expected an input that is rounded "
                "for all of them: put a `keras_slim.layers.Quantize('int')` behind it, let that learn its range, and "
                "export again."
            )

    def _read_quantization(self, weight_types):
        if any(is_quantized(details) for details in self.outputs.values()):
            return "int8"
        if weight_types & {"INT8", "INT4"}:
            return "dynamic"
        return "float16" if "FLOAT16" in weight_types else None


def load_single(path, owner):
    """Returns a `TfliteFile` for what takes files of one model, or raises `ValueError` if it has several signatures.

    Args:
        path: Path of the file.
        owner: Name of the function that was given it.
    """
    try:
        return TfliteFile(path)
    except ValueError as error:
        raise ValueError(
            f"{os.fspath(path)} has several signatures. Expected, in `{owner}`, a file with one signature alone: "
            "export each model to a file of its own."
        ) from error


def is_quantized(details):
    """Returns whether a tensor holds integers that stand for real numbers."""
    return details["quantization"][0] != 0 and np.issubdtype(details["dtype"], np.integer)


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


def step_of(details):
    """Returns the smallest difference that a tensor can express; 0 where numbers stand for themselves."""
    return details["quantization"][0] if is_quantized(details) else 0.0


def describe(tensors) -> tuple[FileTensor, ...]:
    """Returns the inputs or the outputs of a `TfliteFile` as an app has to know them.

    Args:
        tensors: Its dictionary of details by name.
    """
    return tuple(_describe(name, details) for name, details in tensors.items())


def _describe(name, details):
    shape = tuple(None if free < 0 else int(size) for size, free in zip(*_shapes(details), strict=True))
    dtype = np.dtype(details["dtype"]).name
    if not is_quantized(details):
        return FileTensor(name, shape, dtype)
    scale, zero_point = details["quantization"]
    return FileTensor(name, shape, dtype, float(scale), int(zero_point))


def _shapes(details):
    """Returns the shape as it is, and as it is in the file, where -1 stands for any size."""
    return details["shape"].tolist(), details.get("shape_signature", details["shape"]).tolist()


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
    return dict(zip(wanted, in_number_order(available), strict=True))


def in_number_order(names):
    """Returns names sorted so that `output_10` comes after `output_9`."""
    return sorted(names, key=_by_number)


def _by_number(name):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _tensors_by_name(interpreter, runner):
    """Returns the details of inputs and of outputs by name, both in the order in which an app counts them."""
    if runner is not None:
        return runner.get_input_details(), runner.get_output_details()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        return _in_order(runner.get_input_details(), inputs), _in_order(runner.get_output_details(), outputs)
    return {details["name"]: details for details in inputs}, {details["name"]: details for details in outputs}


def _in_order(named, ordered):
    places = {details["index"]: place for place, details in enumerate(ordered)}
    return dict(sorted(named.items(), key=lambda item: places[item[1]["index"]]))

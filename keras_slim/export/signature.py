"""What a model takes: the name, shape and type of every input, in the structure its call expects."""

import dataclasses
import inspect
import keyword
import re

import keras

from keras_slim.errors import invalid_argument
from keras_slim.export.tflite_file import describe

_KEPT = {*keyword.kwlist, "self"}
_NAME_GIVEN_BY_KERAS = re.compile(r"(keras_tensor|input_layer)(_\d+)*")


@dataclasses.dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Args:
        name: Name it has in the exported file, made of letters, digits and underscores.
        shape: Shape of one sample, without the batch; None where any size goes.
        dtype: Type of its elements in the file: float32 for every float, else as in the model.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Signature:
    """All inputs of a model.

    Args:
        structure: A `ModelInput`, or a list, tuple or dictionary of them, as the model's call takes it.
    """

    structure: object

    @property
    def inputs(self):
        """The inputs as a flat list; those of a dictionary as `keras.tree.flatten` has them."""
        return keras.tree.flatten(self.structure)

    def pack(self, arrays):
        """Returns a dictionary of arrays by input name in the structure that the model's call takes."""
        return keras.tree.map_structure(lambda model_input: arrays[model_input.name], self.structure)

    def with_shapes(self, shapes):
        """Returns the same signature with other shapes, a dictionary by input name."""
        return Signature(
            keras.tree.map_structure(
                lambda model_input: dataclasses.replace(model_input, shape=tuple(shapes[model_input.name])),
                self.structure,
            )
        )

    def tensor_specs(self):
        """Returns a `tf.TensorSpec` for each input, with a batch of one, in the structure of the call."""
        import tensorflow as tf

        return keras.tree.map_structure(
            lambda model_input: tf.TensorSpec((1, *model_input.shape), model_input.dtype, name=model_input.name),
            self.structure,
        )


def inputs_of_file(file) -> dict[str, ModelInput]:
    """Returns the inputs of a `TfliteFile` by name, as its model took them: floats where integers stand for them."""
    return {
        tensor.name: ModelInput(tensor.name, tensor.shape[1:], tensor.dtype if tensor.scale is None else "float32")
        for tensor in describe(file.inputs)
    }


def read_signature(model, owner):
    """Returns the signature of a model that is built.

    Args:
        model: A Functional or Sequential model, or a subclassed one whose call takes one argument.
        owner: Name of the function that was given the model.

    Returns:
        A `Signature`.

    Raises:
        TypeError: If it is not a Keras model.
        ValueError: If it is not built, or its inputs cannot be known.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a keras.Model", received=model))
    if not model.built:
        raise ValueError(
            f"The model '{model.name}' given to `{owner}` is not built, so the shape of its input is not known. "
            "Call it once on a sample, or begin it with keras.Input(shape)."
        )
    leaves = _symbolic_inputs(model) if hasattr(model, "inputs") else _inputs_of_first_call(model, owner)
    return _name_inputs(leaves)


def valid_name(name):
    """Returns `name` with all that a signature cannot hold replaced by underscores; no word kept for Python."""
    name = re.sub(r"\W", "_", str(name), flags=re.ASCII)
    return name if re.match("[A-Za-z]", name) and name not in _KEPT else f"input_{name}"


def _symbolic_inputs(model):
    structure = model.input if not isinstance(model, keras.Sequential) else model.inputs
    if isinstance(structure, list) and len(structure) == 1:
        structure = structure[0]
    return keras.tree.map_structure(
        lambda tensor: ModelInput(tensor.name, tuple(tensor.shape[1:]), _file_dtype(tensor.dtype)), structure
    )


def _inputs_of_first_call(model, owner):
    shapes = (model.get_build_config() or {}).get("input_shape")
    if not shapes or _num_required_arguments(model) != 1:
        raise ValueError(
            f"The inputs of the subclassed model '{model.name}' given to `{owner}` cannot be known. Expected a call "
            "that takes one argument, a tensor or a list or dictionary of them, and code that Keras could follow when "
            "it was built. Make it a functional model: `keras_slim.functional(model, inputs=batch)` does, or names the "
            "line that cannot be read."
        )
    return _shapes_to_inputs(shapes, model.input_dtype)


def _shapes_to_inputs(shapes, dtype):
    if isinstance(shapes, dict):
        return {key: _shapes_to_inputs(shape, dtype) for key, shape in shapes.items()}
    if all(size is None or isinstance(size, int) for size in shapes):
        return ModelInput("keras_tensor", tuple(shapes[1:]), _file_dtype(dtype))
    return type(shapes)(_shapes_to_inputs(shape, dtype) for shape in shapes)


def _num_required_arguments(model):
    parameters = inspect.signature(model.call).parameters.values()
    return sum(
        parameter.default is parameter.empty and parameter.kind != parameter.VAR_KEYWORD for parameter in parameters
    )


def _file_dtype(dtype):
    return "float32" if keras.backend.is_float_dtype(dtype) else dtype


def _name_inputs(structure):
    paths = keras.tree.flatten_with_path(structure)
    names = [_input_name(path, leaf.name, index, len(paths)) for index, (path, leaf) in enumerate(paths)]
    named = [
        dataclasses.replace(leaf, name=name if names.count(name) == 1 else f"{name}_{index}")
        for index, (name, (_, leaf)) in enumerate(zip(names, paths, strict=True))
    ]
    return Signature(keras.tree.pack_sequence_as(structure, named))


def _input_name(path, name, index, count):
    if path and isinstance(path[-1], str):
        return valid_name(path[-1])
    if _NAME_GIVEN_BY_KERAS.fullmatch(name):
        return "input" if count == 1 else f"input_{index}"
    return valid_name(name)

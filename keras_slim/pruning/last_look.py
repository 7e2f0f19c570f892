"""A last look before anything is replaced: does a network that was made anew, with nothing cut, answer like the model?

Layers are made anew from their configs, and their weights copied. What a layer computes with and keeps in neither would
be lost without a sound. So each call of the model is made by the new layer too, on the very same values: what differs
then differs at this layer, and by more than float noise, since nothing adds up.
"""

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError, first_sentence
from keras_slim.graph.masks import masks_kept
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.pruning.calibration import calibration_inputs
from keras_slim.pruning.lock_step import last_uses

SAMPLES = 4
LENGTH = 32
"""Of the axes of guessed inputs that may have any length."""

STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}
"""From one number to the next one, as a share; of all other types it is that of float32."""


@without_gradients()
def check_rebuilt(model: keras.Model, rebuilt: keras.Model, data=None, steps=None, owner="check_rebuilt") -> None:
    """Raises an error if a model that was made anew, with nothing cut, does not answer like the one it was made from.

    What a layer answers differently when it is asked twice is left out: it is random.

    Args:
        model: The model. Its states are as they were afterwards.
        rebuilt: What `rebuild` made of it, with all of its units.
        data: Where the inputs come from, in any form `model.fit` takes. A generator is not drawn from. Without data
            they are random floats, zeros of other types, and empty texts. Where the model does not run on those, shapes
            and weights are compared from there on.
        steps: Number of batches of the data, as for `shrink`.
        owner: Name of the function or callback, for error messages.

    Raises:
        UnsupportedLayerError: If they differ; it names the first layer that does.
    """
    programs = Program(model), Program(rebuilt)
    for call, other in zip(*(program.calls for program in programs), strict=True):
        _check_symbols(call, other, programs, owner)
    inputs = _few(data, model, steps, owner) or _guessed(model)
    if inputs is not None:
        with KeptState(model):
            _check_values(programs, inputs, owner)


def _few(data, model, steps, owner):
    """Returns some samples of the data as a flat list of the model's inputs, or `None`."""
    if data is None or hasattr(data, "__next__"):
        return None
    inputs = next(calibration_inputs(data, model, steps, owner, SAMPLES)())
    may_be_fewer = all(tensor.shape[0] is None for tensor in model.inputs)
    return [each[:SAMPLES] for each in inputs] if may_be_fewer else inputs


def _guessed(model):
    """Returns inputs of a model: random where they are floats, else zeros and empty texts, which any table can take.

    `None` if some are sparse or ragged.
    """
    if any(tensor.sparse or tensor.ragged for tensor in model.inputs):
        return None
    rng = np.random.default_rng(0)
    return [_guess(tensor, rng) for tensor in model.inputs]


def _guess(tensor, rng):
    shape = (tensor.shape[0] or SAMPLES, *(size or LENGTH for size in tensor.shape[1:]))
    if tensor.dtype == "string":
        return keras.ops.convert_to_tensor(np.full(shape, ""), "string")
    value = rng.normal(size=shape) if "float" in tensor.dtype else np.zeros(shape)
    return keras.ops.convert_to_tensor(value, tensor.dtype)


def _check_symbols(call, other, programs, owner):
    """Compares what one call puts out by shape and type, and the weights of the layer."""
    symbols = [[(str(each.tensors[n].dtype), each.tensors[n].shape) for n in call.outputs] for each in programs]
    if symbols[0] != symbols[1]:
        raise _differs(call.operation, owner, f"{symbols[0]}, types and shapes", symbols[1])
    weights = [getattr(each.operation, "variables", ()) for each in (call, other)]
    for old, new in zip(*weights, strict=True):
        if not is_same(old, new):
            raise _differs(call.operation, owner, "its weights", f"others in '{new.path}'")


def _check_values(programs, inputs, owner):
    """Compares what each call puts out on the values of the model."""
    values = dict(zip(programs[0].inputs, inputs, strict=True))
    uses = last_uses(programs[0])

    def answer(call):
        with masks_kept(values.values()):
            return call(values)

    for index, (call, other) in enumerate(zip(*(program.calls for program in programs), strict=True)):
        try:
            expected = answer(call)
        except Exception:  # the model takes other inputs than these, or does not run step by step
            return
        try:
            received = answer(other)
        except Exception as error:
            raise _differs(call.operation, owner, "an answer", first_sentence(error)) from error
        if not _all_same(expected, received) and _all_same(expected, answer(call)):
            found = max(map(_distance, expected.values(), received.values()))
            raise _differs(call.operation, owner, "what it answers", f"values that differ by up to {found:.3g}")
        values.update(expected)
        for number in uses[index]:
            del values[number]


def _differs(operation, owner, expected, received):
    name = type(operation).__name__
    return UnsupportedLayerError(
        f"Layer '{operation.name}' is another one when it is made anew, with nothing cut, so `{owner}` changes "
        f"nothing. Expected {expected}. Received {received}. `{name}` computes with something that is neither in its "
        "config nor in its weights: let `get_config` return all arguments of its constructor, and keep what it learns "
        "or counts in `add_weight`."
    )


def _all_same(expected, received):
    return all(map(is_same, expected.values(), received.values()))


def is_same(one, other) -> bool:
    """Tells whether two arrays are the same but for float noise, NaN the same as NaN."""
    step = STEPS.get(keras.backend.standardize_dtype(one.dtype), 2.0**-23)
    one, other = _plain(one), _plain(other)
    if one.shape != other.shape or one.dtype.kind not in "fc":
        return np.array_equal(one, other)
    size = np.max(np.abs(one), initial=0.0, where=np.isfinite(one))
    return np.allclose(other, one, rtol=0, atol=step**0.7 * size, equal_nan=True)


def _distance(one, other):
    one, other = _plain(one), _plain(other)
    if one.shape != other.shape or one.dtype.kind not in "fc":
        return np.inf
    return np.max(np.abs(one - other), initial=0.0, where=np.isfinite(one - other))


def _plain(value):
    """Returns an array; floats of float64."""
    if hasattr(value, "to_tensor"):  # ragged
        value = value.to_tensor()
    array = keras.ops.convert_to_numpy(value)
    is_float = array.dtype.kind in "fV" or "float" in array.dtype.name
    return array.astype(float) if is_float else array

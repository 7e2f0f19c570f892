"""Derivatives by a `tf.GradientTape`, in a graph."""

import keras
import tensorflow as tf

from keras_slim.errors import UnsupportedLayerError, in_short
from keras_slim.graph.running import way_out


class compiled:  # noqa: N801
    """A function from a batch to tensors, traced for batches of any size: a smaller last one costs nothing."""

    def __init__(self, function):
        self._function = function
        self._steps = {}  # by the ranks of what is in a batch: traced for several, it would be traced for any

    def __call__(self, model, scale, *batch):
        batch = _mapped(lambda part: part if tf.is_tensor(part) else tf.convert_to_tensor(part), batch)
        step = self._function if model.run_eagerly else self._traced(model, batch)
        try:
            return step(tf.constant(scale), *batch)
        except tf.errors.OpError as error:
            raise UnsupportedLayerError(
                f"Model '{model.name}' fails on this data: {in_short(error)}. Expected a model that runs as in "
                f"`model(batch)`, and targets that its loss takes. {way_out(error)}"
            ) from error

    def _traced(self, model, batch):
        """Returns the function that is traced for batches like one."""
        ranks = tuple(part.shape.rank for part in keras.tree.flatten(batch) if part is not None)
        if ranks not in self._steps:
            self._steps[ranks] = tf.function(self._function, reduce_retracing=True, autograph=False)
            if all(tensor.shape[0] is None for tensor in model.inputs):
                self._steps[ranks].get_concrete_function(tf.TensorSpec((), "float32"), *_of_any_size(batch))
        return self._steps[ranks]


def sums_of(model, scaled_loss, finished, weights):
    """Returns the function from a batch to what `finished` makes of activations and slopes, to be compiled."""

    def sums(scale, x, y, sample_weight):
        with tf.GradientTape() as tape:
            # Watched one by one, so that gradients pass frozen layers too.
            tape.watch([part for variable in model.weights for part in _parts(model, variable)])
            tape.watch([tensor for tensor in keras.tree.flatten(x) if tensor.dtype.is_floating])
            loss, observed = scaled_loss(None, scale, x, y, sample_weight)
        sources = observed, [_parts(model, weight)[0] for weight in weights]
        slopes = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return finished(observed, slopes, scale, x)

    return sums


def _parts(model, variable):
    """Returns the variables of all devices; within the scope of a strategy, only these can be followed."""
    return model.distribute_strategy.experimental_local_results(variable.value)


def step_of_descent(objective, variable, optimizer):
    """Returns the compiled step."""

    @tf.function
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variable.value)
            value = objective(tf.convert_to_tensor(variable.value))
        optimizer.apply([tape.gradient(value, variable.value)], [variable])
        return value

    return step


def _of_any_size(batch):
    """Returns the shapes and types of a batch, its first axes of any size; what is ragged or sparse as it is."""

    def spec(part):
        known = tf.type_spec_from_value(part)
        is_array = isinstance(known, tf.TensorSpec) and known.shape.rank
        return tf.TensorSpec([None, *known.shape[1:]], known.dtype) if is_array else known

    return _mapped(spec, batch)


def _mapped(function, batch):
    """Returns a batch with a function applied to each part that is there."""
    return keras.tree.map_structure(function, batch, none_is_leaf=False)

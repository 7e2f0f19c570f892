"""Derivatives by activations and by pixels: the one place where scoring needs to know the backend."""

import functools

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError, in_short
from keras_slim.graph.running import way_out
from keras_slim.scoring.losses import loss_function


class StepWithGradients:
    """A compiled step from one batch to sums over what is made of activations and their gradients.

    It is traced for batches of any size, so that a last one that is smaller costs nothing. Between calls it holds
    neither the model nor what it is called with. A model that is compiled with `run_eagerly=True` is run so here too.

    Raises:
        NotImplementedError: On another backend than TensorFlow.
    """

    def __init__(self):
        tf = check_gradients()
        self._sums = None
        self._function = functools.partial(tf.function, reduce_retracing=True, autograph=False)
        self._steps = {}  # by the ranks of what is in a batch: traced for several, it would be traced for any

    def __call__(self, model, forward, weights, sum_all, batch):
        """Returns what `sum_all` makes of a batch.

        Args:
            model: The compiled model, for its loss.
            forward: Function from a batch of inputs to the model's outputs and a dictionary of lists of observed
                activations.
            weights: Weights whose gradients are wanted too.
            sum_all: Function from the observed activations, the slopes of each sample's loss by them in the same
                structure, the slopes of the mean loss by the weights, and the number of samples, to nested tensors.
            batch: `(x, y, sample_weight)`. The other arguments only count in the first call, which traces them.
        """
        import tensorflow as tf

        batch = _mapped(lambda part: part if tf.is_tensor(part) else tf.convert_to_tensor(part), batch)
        # Scaled, so that small slopes do not vanish in float16; by less where large ones overflow.
        is_half = any("float16" in layer.compute_dtype for layer in model.layers)
        scale = 2.0**15 if is_half else 1.0
        self._sums = _sums_of(model, forward, weights, sum_all)
        try:
            step = self._sums if model.run_eagerly else self._traced(model, batch)
            while True:
                values = _run(step, model, (*batch, tf.constant(scale)))
                if scale <= 1 or all(np.isfinite(value.numpy()).all() for value in keras.tree.flatten(values)):
                    return values
                scale /= 2.0**5
        finally:
            self._sums = None

    def _traced(self, model, batch):
        """Returns the function that is traced for batches like one."""
        import tensorflow as tf

        ranks = tuple(part.shape.rank for part in keras.tree.flatten(batch) if part is not None)
        if ranks not in self._steps:
            self._steps[ranks] = self._function(lambda *batch: self._sums(*batch))
            if all(tensor.shape[0] is None for tensor in model.inputs):
                self._steps[ranks].get_concrete_function(*_of_any_size(batch), tf.TensorSpec((), "float32"))
        return self._steps[ranks]


def _run(step, model, batch):
    """Returns what a step makes of a batch; what fails only when it runs is told of the model."""
    import tensorflow as tf

    try:
        return step(*batch)
    except tf.errors.OpError as error:
        raise UnsupportedLayerError(
            f"Model '{model.name}' fails on this data: {in_short(error)}. Expected a model that runs as in "
            f"`model(batch)`, and targets that its loss takes. {way_out(error)}"
        ) from error


def _sums_of(model, forward, weights, sum_all):
    """Returns the function that is traced."""
    import tensorflow as tf

    loss_of = loss_function(model)

    def sums(x, y, sample_weight, scale):
        inputs = keras.tree.flatten(x)
        with tf.GradientTape() as tape:
            # Watched one by one, so that gradients pass frozen layers too.
            tape.watch([variable.value for variable in model.weights])
            tape.watch([tensor for tensor in inputs if tensor.dtype.is_floating])
            predicted, observed = forward(x)
            loss = loss_of(x, y, predicted, sample_weight)
            scaled = loss * tf.cast(scale, loss.dtype)
        sources = observed, [weight.value for weight in weights]
        slopes = tape.gradient(scaled, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        slopes, weight_slopes = keras.tree.map_structure(lambda slope: tf.cast(slope, "float32") / scale, slopes)
        # The loss is a mean over the batch: times its size, each sample has the slope of its own loss.
        size = tf.cast(tf.shape(inputs[0])[0], "float32")
        return sum_all(observed, keras.tree.map_structure(lambda slope: slope * size, slopes), weight_slopes, size)

    return sums


def _of_any_size(batch):
    """Returns the shapes and types of a batch, its first axes of any size; what is ragged or sparse as it is."""
    import tensorflow as tf

    def spec(part):
        known = tf.type_spec_from_value(part)
        is_array = isinstance(known, tf.TensorSpec) and known.shape.rank
        return tf.TensorSpec([None, *known.shape[1:]], known.dtype) if is_array else known

    return _mapped(spec, batch)


def _mapped(function, batch):
    """Returns a batch with a function applied to each part that is there."""
    return keras.tree.map_structure(function, batch, none_is_leaf=False)


def step_of_descent(objective, variable, optimizer):
    """Returns the compiled function that moves a variable one step down, and returns the objective before it.

    Args:
        objective: Function from the variable's value to a scalar tensor.
        variable: A `keras.Variable`.
        optimizer: A Keras optimizer.

    Raises:
        NotImplementedError: On another backend than TensorFlow.
    """
    tf = _tensorflow("Feature maps are inverted on the TensorFlow backend; this is '{}'. Set `KERAS_BACKEND` to it.")
    optimizer.build([variable])

    @tf.function
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variable.value)
            value = objective(tf.convert_to_tensor(variable.value))
        optimizer.apply([tape.gradient(value, variable.value)], [variable])
        return value

    return step


def check_gradients():
    """Returns TensorFlow, or raises `NotImplementedError` where no derivatives by activations are taken."""
    return _tensorflow(
        "Gradient criteria ('taylor', 'fisher', and products with them) run on the TensorFlow backend; this is '{}'. "
        "Choose a criterion that needs no targets, e.g. 'l2' or 'mean_activation'."
    )


def _tensorflow(complaint):
    """Returns TensorFlow, or raises `NotImplementedError` if it is not the backend."""
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(complaint.format(keras.backend.backend()))
    import tensorflow as tf

    return tf

"""Derivatives by activations and by pixels: the one place where scoring needs to know the backend."""

import keras
import numpy as np

from keras_slim.scoring.losses import loss_function


def step_with_gradients(model, forward, weights, sum_all):
    """Returns the compiled function from one batch to sums over what is made of activations and their gradients.

    Args:
        model: The compiled model, for its loss.
        forward: Function from a batch of inputs to the model's outputs and a dictionary of lists of observed
            activations.
        weights: Weights whose gradients are wanted too.
        sum_all: Function from the observed activations, the slopes of each sample's loss by them in the same
            structure, the slopes of the mean loss by the weights, and the number of samples, to nested tensors.

    Returns:
        Function of `(x, y, sample_weight)`.

    Raises:
        NotImplementedError: On another backend than TensorFlow.
    """
    tf = _tensorflow(
        "Gradient criteria run on the TensorFlow backend; this is '{}'. "
        "Choose a criterion that needs no targets, e.g. 'l2' or 'mean_activation'."
    )

    loss_of = loss_function(model)

    @tf.function(reduce_retracing=True)
    def step(x, y, sample_weight, scale):
        x = keras.tree.map_structure(tf.convert_to_tensor, x)
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

    def step_without_overflow(x, y, sample_weight):
        # Scaled, so that small slopes do not vanish in float16; by less where large ones overflow.
        is_half = any("float16" in layer.compute_dtype for layer in model.layers)
        scale = 2.0**15 if is_half else 1.0
        while True:
            values = step(x, y, sample_weight, tf.constant(scale))
            if scale <= 1 or all(np.isfinite(value.numpy()).all() for value in keras.tree.flatten(values)):
                return values
            scale /= 2.0**5

    return step_without_overflow


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


def _tensorflow(complaint):
    """Returns TensorFlow, or raises `NotImplementedError` if it is not the backend."""
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(complaint.format(keras.backend.backend()))
    import tensorflow as tf

    return tf

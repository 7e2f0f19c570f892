"""Derivatives of the loss by activations: the one place where scoring needs to know the backend."""

import inspect

import keras


def step_with_gradients(model, probe, measure_all):
    """Returns the compiled function from one batch to the measures of activations and their gradients.

    Args:
        model: The compiled model, for its loss.
        probe: Model with the same inputs whose outputs are the list of observed activations and the model's outputs.
        measure_all: Function from lists of activations and gradients to a list of tensors.

    Returns:
        Function of `(x, y, sample_weight)`.

    Raises:
        NotImplementedError: On another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            f"Gradient criteria run on the TensorFlow backend; this is '{keras.backend.backend()}'. "
            "Choose a criterion that needs no targets, e.g. 'l2' or 'mean_activation'."
        )
    import tensorflow as tf

    # Keras allows a model's own `compute_loss` to have no `training`.
    scale_loss = model.optimizer.scale_loss if model.optimizer is not None else lambda loss: loss
    at_inference = {"training": False} if "training" in inspect.signature(model.compute_loss).parameters else {}

    @tf.function(reduce_retracing=True)
    def step(x, y, sample_weight):
        x = keras.tree.map_structure(tf.convert_to_tensor, x)
        inputs = keras.tree.flatten(x)
        with tf.GradientTape() as tape:
            # Watched one by one, so that gradients pass frozen layers too.
            tape.watch([variable.value for variable in model.weights])
            tape.watch([tensor for tensor in inputs if tensor.dtype.is_floating])
            activations, predicted = probe(x, training=False)
            loss = model.compute_loss(x, y, predicted, sample_weight, **at_inference)
            # Scaled as in training, so that small slopes do not vanish in float16.
            scaled = scale_loss(loss)
        slopes = tape.gradient(scaled, activations, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # The loss is a mean over the batch: times its size, each sample has the slope of its own loss.
        factor = tf.cast(tf.shape(inputs[0])[0], "float32") / scale_loss(1.0)
        return measure_all(activations, [tf.cast(slope, "float32") * factor for slope in slopes])

    return step

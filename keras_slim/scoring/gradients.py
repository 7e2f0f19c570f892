"""Derivatives of the loss by activations: the one place where scoring needs to know the backend."""

import keras


def step_with_gradients(model, forward, weights, measure_all):
    """Returns the compiled function from one batch to the measures of activations and their gradients.

    Args:
        model: The compiled model, for its loss.
        forward: Function from a batch of inputs to the model's outputs and a dictionary of lists of observed
            activations.
        weights: Weights whose gradients are wanted too.
        measure_all: Function from the observed activations, their gradients in the same structure, and the weights'
            gradients to a list of tensors.

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

    @tf.function(reduce_retracing=True)
    def step(x, y, sample_weight):
        x = keras.tree.map_structure(tf.convert_to_tensor, x)
        inputs = keras.tree.flatten(x)
        with tf.GradientTape() as tape:
            # Watched one by one, so that gradients pass frozen layers too.
            tape.watch([variable.value for variable in model.weights])
            tape.watch([tensor for tensor in inputs if tensor.dtype.is_floating])
            predicted, observed = forward(x)
            loss = model.compute_loss(x, y, predicted, sample_weight, training=False)
            # The loss is a mean over the batch: times its size, each sample has the gradient of its own loss.
            loss *= tf.cast(tf.shape(inputs[0])[0], loss.dtype)
        sources = observed, [weight.value for weight in weights]
        slopes = tape.gradient(loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return measure_all(observed, *slopes)

    return step

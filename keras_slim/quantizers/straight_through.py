"""Functions with a gradient that is not their own, on every backend."""

from keras import ops


def with_gradient(values, gradients, *tensors):
    """Returns what a function makes of tensors, with other gradients behind it.

    Args:
        values: Function of the tensors.
        gradients: Function of the gradient that comes from above and of the tensors, that returns a gradient for each:
            a tuple, or one tensor if there is but one.
        *tensors: The tensors.
    """

    @ops.custom_gradient
    def function(*tensors):
        def gradient(*args, upstream=None):
            if upstream is None:
                (upstream,) = args
            return gradients(upstream, *tensors)

        return values(*map(ops.stop_gradient, tensors)), gradient

    return function(*map(_tensor, tensors))


def _tensor(value):
    """Returns a tensor that is no variable: TensorFlow asks for the gradients of these in another way."""
    return ops.reshape(value, value.shape) if None not in value.shape else ops.convert_to_tensor(value)


def signs(x):
    """Returns 1 where a tensor is 0 or more, else -1."""
    return ops.where(x >= 0, ops.ones_like(x), -ops.ones_like(x))


def summed_as(value, like):
    """Returns a tensor summed over the axes along which another has one element."""
    return ops.sum(value, axis=[axis for axis, size in enumerate(like.shape) if size == 1], keepdims=True)

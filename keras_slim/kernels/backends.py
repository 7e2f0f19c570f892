"""What each backend does in its own way: compiling a function, its gradient, and doing without gradients."""

import contextlib

import keras


def compiled(function):
    """Returns a function of tensors, compiled by XLA on TensorFlow even where the model around it is not.

    On a processor, a whole convolutional network is slower under XLA than in TensorFlow's own graph, so that only what
    TensorFlow has no operation for should be compiled. JAX compiles whole training steps; PyTorch has `torch_adder`.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def gradient(function, at, upstream):
    """Returns the gradient of a function of one tensor, given the gradient of what it returns."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(at)
            result = function(at)
        return tape.gradient(result, at, upstream)
    if keras.backend.backend() == "jax":
        import jax

        return jax.vjp(function, at)[1](upstream)[0]
    import torch

    with torch.enable_grad():
        at = at.detach().requires_grad_()
        return torch.autograd.grad(function(at), at, upstream)[0]


@contextlib.contextmanager
def without_gradients():
    """A context, and a decorator, for looking at a model: PyTorch keeps no activations for gradients that nobody takes.

    TensorFlow and JAX keep them only where they are told to.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.no_grad():
        yield

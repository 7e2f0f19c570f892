"""The side of one backend in `adder.py`: milliseconds of adder convolutions beside ordinary ones, in turns.

KERAS_BACKEND=BACKEND python adder_shapes.py RUNS
"""

import functools
import json
import os
import statistics
import sys
import time

import keras
import numpy as np
from keras import ops

from keras_slim.kernels import adder_convolution

SHAPES = [
    # images, filters, size of the kernel, stride
    ((64, 32, 32, 16), 16, 3, 1),
    ((64, 16, 16, 32), 32, 3, 1),
    ((64, 8, 8, 64), 64, 3, 1),
    ((32, 8, 8, 128), 256, 3, 1),
    ((64, 16, 16, 32), 64, 1, 1),
    ((64, 32, 32, 16), 32, 3, 2),
    ((64, 32, 32, 16), 32, 1, 2),
]


def published(x, w, stride):
    """The formulation of the published code (Chen et al. 2020): all differences of patches and filters at once."""
    patches = ops.image.extract_patches(x, tuple(w.shape[:2]), stride, padding="same")
    patches, filters = ops.reshape(patches, (-1, patches.shape[-1])), ops.reshape(w, (-1, w.shape[-1]))
    return -ops.sum(ops.abs(patches[:, :, None] - filters[None]), axis=1)


def cdist(x, w, stride):
    """`torch.cdist` between patches and filters."""
    import torch

    patches = ops.image.extract_patches(x, tuple(w.shape[:2]), stride, padding="same")
    return -torch.cdist(ops.reshape(patches, (-1, patches.shape[-1])), ops.reshape(w, (-1, w.shape[-1])).T, p=1)


def ways():
    """Returns the functions of images, kernel and stride to be timed, and whether their gradients are too."""
    found = {
        "convolution": (lambda x, w, stride: ops.conv(x, w, stride, "same", "channels_last"), True),
        "adder": (lambda x, w, stride: adder_convolution(x, w, (stride, stride), "same"), True),
        "published": (published, False),
    }
    return {**found, "cdist": (cdist, True)} if keras.backend.backend() == "torch" else found


def compiled(function):
    """Returns a function that computes what another one does, as its backend does it in training."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        graph = tf.function(function)
        return lambda *args: [each.numpy() for each in keras.tree.flatten(graph(*args))]
    if backend == "jax":
        import jax

        jitted = jax.jit(function)
        return lambda *args: jax.block_until_ready(jitted(*args))
    return function


def with_gradients(function):
    """Returns the function from images, kernel and the gradient of the result to all that a training step computes."""
    backend = keras.backend.backend()

    def step(x, w, upstream):
        if backend == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch((x, w))
                y = function(x, w)
            return y, *tape.gradient(y, (x, w), upstream)
        if backend == "jax":
            import jax

            y, back = jax.vjp(function, x, w)
            return y, *back(upstream)
        import torch

        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = function(x, w)
        return y, *torch.autograd.grad(y, (x, w), upstream)

    return step


def processor_time():
    """Returns the seconds that this process has computed, and the compilers that it has called."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def seconds(functions, runs):
    """Returns the seconds of each run of each function, in turns after one that compiles, and those of that one.

    They are seconds of the processor, of all its cores: others that use the machine count little.
    """
    first, found = {}, {name: [] for name in functions}
    for number in range(-1, runs):
        for name, function in functions.items():
            start = processor_time()
            function()
            if number < 0:
                first[name] = processor_time() - start
            else:
                found[name].append(processor_time() - start)
    return found, first


def examine(shape, filters, size, stride, runs):
    """Returns the milliseconds of every way for one shape, forward, and forward and backward."""
    rng = np.random.default_rng(0)
    x, w = (
        ops.convert_to_tensor(rng.normal(size=each).astype("float32"))
        for each in (shape, (size, size, shape[-1], filters))
    )
    forward, both = {}, {}
    for name, (function, has_gradient) in ways().items():
        of_shape = functools.partial(function, stride=stride)
        forward[name] = functools.partial(compiled(of_shape), x, w)
        if has_gradient:
            upstream = ops.ones_like(of_shape(x, w))
            both[name] = functools.partial(compiled(with_gradients(of_shape)), x, w, upstream)
    found = {}
    for direction, functions in (("forward", forward), ("forward and backward", both)):
        slow = {name: functions.pop(name) for name in ("published",) if name in functions}
        times, first = seconds(functions, runs)
        few, few_first = seconds(slow, min(runs, 3))
        found[direction] = {
            name: {"milliseconds": [1000 * each for each in values], "first": {**first, **few_first}[name]}
            for name, values in {**times, **few}.items()
        }
    return found


def ratio(measured, name):
    """Returns how many times as long as a convolution something takes, medians of both."""
    return statistics.median(measured[name]["milliseconds"]) / statistics.median(
        measured["convolution"]["milliseconds"]
    )


def measured(runs):
    """Returns the milliseconds of every way for each shape; on PyTorch of one thread: more count while waiting."""
    if keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(1)
    return [examine(*shape, runs) for shape in SHAPES]


if __name__ == "__main__":
    print(json.dumps(measured(int(sys.argv[1]))))

"""What a model gives to the functions in its layers, so that those of which nothing is known are tried on it."""

import contextlib

import keras

from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.nodes import operations
from keras_slim.graph.running import KeptState, observed_run
from keras_slim.graph.trying import try_on, was_tried
from keras_slim.held import layers_within
from keras_slim.kernels.backends import without_gradients

ATTRIBUTES = ("activation", "recurrent_activation", "function")
"""Where layers of Keras, and of ours, hold functions."""


def speak_against_functions(model, batch) -> bool:
    """Tries functions that were tried on random numbers on what the model gives them.

    Args:
        model: A Functional or built Sequential model. Its states stay as they are.
        batch: Function of no argument that returns its inputs, flat, or `None`; asked only if there is such a function.

    Returns:
        Whether something was found that speaks against one of them. It is remembered of the function.
    """
    layers = dict.fromkeys(layer for operation in operations(model) for layer in layers_within(operation))
    places = [(layer, name) for layer in layers for name in ATTRIBUTES if was_tried(vars(layer).get(name))]
    inputs = batch() if places else None
    if inputs is None:
        return False
    with KeptState(model), _watched(places) as seen, without_gradients(), clear_about_channels_first(model):
        observed_run(model, inputs, wanted=())
    return True in {try_on(function, values) for function, values in seen}


@contextlib.contextmanager
def _watched(places):
    """Puts in the place of functions others that note what they are given, as pairs of the function and an array."""
    seen, before = [], [(layer, name, vars(layer)[name]) for layer, name in places]
    try:
        for layer, name, function in before:
            vars(layer)[name] = _Watching(function, seen)
        yield seen
    finally:
        for layer, name, function in before:
            vars(layer)[name] = function


class _Watching:
    """Computes what a function does, and notes what it is given where that has a value."""

    def __init__(self, function, seen):
        self._function, self._seen = function, seen

    def __call__(self, inputs, **options):
        with contextlib.suppress(Exception):  # in a loop that is compiled, or a list
            self._seen.append((self._function, keras.ops.convert_to_numpy(inputs)))
        return self._function(inputs, **options)

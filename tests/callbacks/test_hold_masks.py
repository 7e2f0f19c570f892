"""Training on with given zeros, or those that are there."""

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.errors import PlanMismatchError
from keras_slim.graph import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.surgery import rebuild
from keras_slim.sparsity import Masks, kernels, magnitude_masks


def momentum():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def test_the_zeros_that_are_there_stay(build, x, y):
    model = build(momentum())
    masks = magnitude_masks(kernels(model), 0.7)
    masks.apply(model)
    callback = slim.callbacks.HoldMasks()
    history = model.fit(batches(x, y, 24), epochs=2, verbose=0, callbacks=[callback]).history
    assert Masks.nonzero(model) == masks
    assert callback.masks == masks
    assert history["sparsity"] == pytest.approx([masks.sparsity] * 2)


def test_given_masks_are_applied_before_the_first_step(build, watch, x, y):
    model = build(momentum())
    masks = magnitude_masks(kernels(model), {path: 0.25 * (1 + n) for n, path in enumerate(kernels(model))})
    seen = watch(lambda model: Masks.nonzero(model))
    model.fit(batches(x, y, 24), epochs=2, verbose=0, callbacks=[slim.callbacks.HoldMasks(masks), seen])
    assert seen.after == seen.at_end == [masks, masks]


def test_masks_of_some_kernels_leave_the_others_free(build, x, y):
    model = build(momentum())
    path = "sequential/first/kernel"
    masks = Masks({path: np.eye(4, 16, dtype=bool)})
    model.fit(batches(x, y, 24), verbose=0, callbacks=[slim.callbacks.HoldMasks(masks)])
    assert Masks.nonzero(model, [path]) == masks
    assert np.all(model.get_layer("second").kernel.numpy() != 0)


def test_masks_of_another_model_are_refused(build, x, y):
    model = build(momentum())
    callback = slim.callbacks.HoldMasks(Masks({"sequential/first/kernel": np.ones((4, 15), bool)}))
    with pytest.raises(PlanMismatchError, match=r"sequential/first/kernel: \(4, 15\) against \(4, 16\)"):
        model.fit(batches(x, y, 24), verbose=0, callbacks=[callback])
    assert all(weight.constraint is None for weight in model.weights)


def test_something_else_than_masks_is_refused():
    with pytest.raises(TypeError, match=r"Expected `keras_slim.sparsity.Masks`.*Received: masks=0.5"):
        slim.callbacks.HoldMasks(0.5)


def test_a_model_that_is_not_built_is_refused():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    callback = slim.callbacks.HoldMasks(Masks({"sequential/dense/kernel": np.eye(4, 2)}))
    callback.set_model(model)
    with pytest.raises(ValueError, match="Expected a built model"):
        callback.on_train_begin()


def test_layers_that_another_callback_exchanges_are_noticed(build, x, y):
    model = build(momentum())

    def exchange(epoch, logs):
        if epoch == 1:
            graph = analyse(model)
            adopt(model, *rebuild(graph, np.arange(graph.num_units) % 2 == 0))

    exchanging = keras.callbacks.LambdaCallback(on_epoch_begin=exchange)
    with pytest.raises(RuntimeError, match="`HoldMasks` holds weights that are no longer those of model"):
        model.fit(batches(x, y, 24), epochs=4, verbose=0, callbacks=[exchanging, slim.callbacks.HoldMasks()])
    model.fit(batches(x, y, 24), verbose=0)
    assert all(weight.constraint is None for weight in model.weights)

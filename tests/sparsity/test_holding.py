"""Zeros stay zero after every step: of every optimizer, in every layer with a kernel, however the step is compiled."""

import keras
import numpy as np
import pytest
from batching import batches
from every_optimizer import VARIANTS, dense_model, mode
from keras import layers

from keras_slim.optimizer_slots import average_of
from keras_slim.sparsity import Masks, kernels, magnitude_masks, release
from keras_slim.sparsity.holding import MaskHolder, Masking

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")


class Zeros(keras.callbacks.Callback):
    """Notes the largest weight that should be zero whenever Keras says that steps were made."""

    def __init__(self, masks):
        super().__init__()
        self.masks = masks
        self.largest = []

    def on_train_batch_end(self, batch, logs=None):
        self.largest.append(largest_masked(self.model, self.masks))


def largest_masked(model, masks):
    return max(
        float(np.abs(weight.numpy()[~masks[path]]).max(initial=0)) for path, weight in masks.weights(model).items()
    )


def held(model, sparsity=0.5):
    """Returns what holds the model's smallest weights at zero, and the masks."""
    holder, masks = MaskHolder(model, kernels(model)), magnitude_masks(kernels(model), sparsity)
    holder.hold(masks)
    return holder, masks


def check_zeros(model, x=X, y=Y, batch_size=12, **options):
    """Trains a model whose masks are held, and checks them after every step and after `fit`."""
    before = [weight.numpy().copy() for weight in model.trainable_weights]
    holder, masks = held(model)
    seen = Zeros(masks)
    model.fit(batches(x, y, batch_size), epochs=2, verbose=0, callbacks=[seen], **options)
    assert seen.largest
    assert max(seen.largest) == 0
    assert largest_masked(model, masks) == 0
    for path, weight in masks.weights(model).items():
        assert np.count_nonzero(weight.numpy()) > 0, path
    assert any(not np.array_equal(old, new.numpy()) for old, new in zip(before, model.trainable_weights, strict=True))
    holder.release()
    return masks


@pytest.mark.parametrize("name", VARIANTS)
def test_every_optimizer(name):
    model = dense_model(VARIANTS[name](), **mode(name, steps_per_execution=2))
    check_zeros(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_optimizer_under_xla(name):
    model = dense_model(VARIANTS[name](), steps_per_execution=2, jit_compile=True)
    check_zeros(model)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 3}], ids=str)
def test_every_way_to_compile(options):
    check_zeros(dense_model("adamw", **options), batch_size=6)


LAYERS = {
    "Dense": ((6,), lambda: layers.Dense(4)),
    "EinsumDense": ((6,), lambda: layers.EinsumDense("ab,bc->ac", output_shape=4)),
    "Conv1D": ((8, 3), lambda: layers.Conv1D(4, 3)),
    "Conv2D": ((6, 6, 3), lambda: layers.Conv2D(4, 3)),
    "Conv2D grouped": ((6, 6, 4), lambda: layers.Conv2D(4, 3, groups=2)),
    "Conv3D": ((4, 4, 4, 2), lambda: layers.Conv3D(3, 2)),
    "Conv2DTranspose": ((4, 4, 3), lambda: layers.Conv2DTranspose(4, 3)),
    "DepthwiseConv2D": ((6, 6, 4), lambda: layers.DepthwiseConv2D(3)),
    "SeparableConv2D": ((6, 6, 4), lambda: layers.SeparableConv2D(5, 3)),
    "LSTM": ((5, 4), lambda: layers.LSTM(6)),
    "GRU": ((5, 4), lambda: layers.GRU(6)),
    "SimpleRNN": ((5, 4), lambda: layers.SimpleRNN(6)),
    "Bidirectional": ((5, 4), lambda: layers.Bidirectional(layers.LSTM(3))),
    "RNN of cells": ((5, 4), lambda: layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])),
    "ConvLSTM1D": ((3, 6, 2), lambda: layers.ConvLSTM1D(3, 2)),
    "TimeDistributed": ((3, 4), lambda: layers.TimeDistributed(layers.Dense(5))),
    "nested model": ((6,), lambda: keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.Dense(3)])),
}
KERNELS = {
    "SeparableConv2D": 2, "LSTM": 2, "GRU": 2, "SimpleRNN": 2, "Bidirectional": 4, "RNN of cells": 4, "ConvLSTM1D": 2,
    "nested model": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_with_a_kernel(name):
    shape, make = LAYERS[name]
    model = keras.Sequential([keras.Input(shape), make(), layers.Flatten(), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    masks = check_zeros(model, RNG.normal(size=(12, *shape)).astype("float32"), Y[:12])
    assert len(masks) == KERNELS.get(name, 1) + 1


def test_attention():
    inputs = keras.Input((5, 8))
    attended = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attended)))
    model.compile("adam", "mse", jit_compile=False)
    assert len(check_zeros(model, RNG.normal(size=(12, 5, 8)).astype("float32"), Y[:12])) == 5


def test_a_subclassed_model():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.head = layers.Dense(5, "tanh"), layers.Dense(2)

        def call(self, x):
            return self.head(self.hidden(x))

    model = Net()
    model(X[:1])
    model.compile("adam", "mse", jit_compile=False)
    assert len(check_zeros(model)) == 2


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_every_precision(policy):
    try:
        keras.config.set_dtype_policy(policy)
        check_zeros(dense_model("adam"))
    finally:
        keras.config.set_dtype_policy("float32")


def test_channels_first_and_shared_layers():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(shared(shared(inputs))))
    model.compile("adam", "mse", jit_compile=False)
    assert len(check_zeros(model)) == 2


def test_the_models_own_constraint_goes_on_being_applied():
    model = dense_model("sgd", constraint=keras.constraints.UnitNorm(axis=0))
    own = model.get_layer("hidden").kernel.constraint
    holder, masks = held(model)
    model.fit(batches(X, Y), epochs=2, verbose=0)
    norms = np.linalg.norm(model.get_layer("hidden").kernel.numpy(), axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)  # of what the mask keeps
    assert largest_masked(model, masks) == 0
    holder.release()
    assert model.get_layer("hidden").kernel.constraint is own


def test_averages_are_masked_along():
    model = dense_model(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    _, masks = held(model)
    model.fit(batches(X, Y, 6), epochs=2, verbose=0)
    averages = [each for each in model.optimizer.variables if each.name.endswith("average")]
    assert len(averages) == 4
    for path, weight in masks.weights(model).items():
        average = next(each for each in averages if tuple(each.shape) == tuple(weight.shape))
        np.testing.assert_array_equal(average.numpy()[~masks[path]], 0)
        np.testing.assert_array_equal(average.numpy(), weight.numpy())  # what `fit` leaves


class ByItself(keras.Model):
    """Has an optimizer of its own, which is built in its first step."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = layers.Dense(5, "tanh"), layers.Dense(2)
        self.own = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)

    def call(self, x):
        return self.head(self.hidden(x))

    def train_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - y) ** 2)
        self.own.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_averages_of_an_optimizer_of_the_models_own_are_masked_along(run_eagerly):
    model = ByItself()
    model(X[:1])
    model.compile(run_eagerly=run_eagerly, jit_compile=False)
    _, masks = held(model)
    model.fit(batches(X, Y, 6), epochs=2, verbose=0)
    before = model.get_weights()
    model.own.finalize_variable_values(model.trainable_variables)
    assert any((one != two).any() for one, two in zip(before, model.get_weights(), strict=True))
    assert largest_masked(model, masks) == 0


def test_averages_are_masked_with_the_weights_at_once():
    """As the two may change places before the next step."""
    model = dense_model(keras.optimizers.SGD(0.1, use_ema=True))
    model.fit(batches(X, Y), verbose=0)
    held(model)
    for weight in kernels(model).values():
        average = average_of(weight, [model.optimizer])
        np.testing.assert_array_equal(average.numpy() == 0, weight.numpy() == 0)


def test_other_masks_need_no_new_compilation():
    model = dense_model("adam")
    holder, masks = held(model)
    model.fit(batches(X, Y), verbose=0)
    step = model.train_function
    everything = Masks({path: np.ones(mask.shape) for path, mask in masks.items()})
    holder.hold(everything)
    assert model.train_function is step
    freed = ~masks[model.get_layer("hidden").kernel.path]
    np.testing.assert_array_equal(model.get_layer("hidden").kernel.numpy()[freed], 0)
    model.fit(batches(X, Y), epochs=3, verbose=0)  # a unit that nothing reads has no gradient in the first step
    assert np.all(model.get_layer("hidden").kernel.numpy()[freed] != 0)


def test_what_is_released_is_free():
    model = dense_model("adam")
    holder, masks = held(model)
    model.fit(batches(X, Y), verbose=0)
    holder.release()
    assert all(weight.constraint is None for weight in model.weights)
    assert largest_masked(model, masks) == 0
    model.fit(batches(X, Y), verbose=0)
    assert largest_masked(model, masks) > 0


def test_release_after_an_interrupted_fit_changes_no_value():
    model = dense_model("adam")
    _, masks = held(model)
    values = model.get_weights()
    assert isinstance(model.get_layer("head").kernel.constraint, Masking)
    release(model)
    for old, new in zip(values, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(batches(X, Y), verbose=0)
    assert largest_masked(model, masks) > 0


def test_no_zero_is_negative():
    model = dense_model("sgd")
    holder, _ = held(model)
    model.fit(batches(X, Y), verbose=0)
    holder.release()
    for weight in kernels(model).values():
        assert not np.signbit(weight.numpy()[weight.numpy() == 0]).any()


def test_a_holder_takes_over_from_one_that_was_interrupted():
    model = dense_model("sgd", constraint=keras.constraints.NonNeg())
    own = model.get_layer("hidden").kernel.constraint
    held(model)
    holder, _ = held(model)
    assert model.get_layer("hidden").kernel.constraint.own is own
    holder.release()
    assert model.get_layer("hidden").kernel.constraint is own


def test_a_saved_model_knows_nothing_of_masks(tmp_path):
    model = dense_model("adam")
    held(model)
    model.fit(batches(X, Y), verbose=0)
    model.save(tmp_path / "model.keras")
    assert "keras_slim" not in model.to_json()
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.get_layer("hidden").kernel.constraint is None


def test_release_finds_layers_that_have_been_frozen_since():
    model = dense_model("adam")
    held(model)
    model.get_layer("hidden").trainable = False
    release(model)
    assert all(weight.constraint is None for weight in model.weights)

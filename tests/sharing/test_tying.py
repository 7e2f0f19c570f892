"""Weights that share a value are the same after every step, and the value learns as one parameter would."""

import keras
import numpy as np
import pytest
from batching import batches
from every_optimizer import VARIANTS, dense_model, mode
from keras import layers

from keras_slim.layers import AdderConv2D, AdderDense
from keras_slim.sharing.share_weights import share, weights_to_share
from keras_slim.sharing.tying import Tying, TyingHolder
from keras_slim.sparsity import kernels, magnitude_masks, release

RNG = np.random.default_rng(3)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")


def tied(model, bits=2, sparsity=0.25, of_gradients="mean"):
    """Returns what ties the weights of a model, some of them zero, and the codes."""
    magnitude_masks(kernels(model), sparsity).apply(model)
    weights, bits = weights_to_share(model, bits, (), "test")
    codes = share(weights, bits, dict.fromkeys(weights, (1, 1)), "linear", 0)
    return TyingHolder(model, weights, codes, of_gradients), codes


def check_tied(weight, codes):
    """Checks that all weights of a code are the same, bit for bit, and those of code 0 zero."""
    value = keras.ops.convert_to_numpy(weight)
    for code in np.unique(codes):
        assert len({each.tobytes() for each in value[codes == code]}) == 1
    assert not value[codes == 0].any()
    assert not np.signbit(value[codes == 0].astype("float32")).any()


class Ties(keras.callbacks.Callback):
    """Checks the ties whenever Keras says that steps were made."""

    def __init__(self, codes):
        super().__init__()
        self.codes = codes
        self.checked = 0

    def on_train_batch_end(self, batch, logs=None):
        for path, weight in weights_to_share(self.model, 2, (), "test")[0].items():
            check_tied(weight, self.codes[path])
            self.checked += 1


def check_ties(model, x=X, y=Y, batch_size=12, **options):
    """Trains a model whose weights are tied, and checks them after every step and after `fit`; returns the codes."""
    holder, codes = tied(model, **options)
    before = {path: weight.numpy().copy() for path, weight in kernels(model).items()}
    seen = Ties(codes)
    model.fit(batches(x, y, batch_size), epochs=2, verbose=0, callbacks=[seen])
    seen.on_train_batch_end(0)
    assert seen.checked > len(codes)
    holder.release()
    seen.on_train_batch_end(0)
    for path, weight in kernels(model).items():
        assert np.isfinite(weight.numpy()).all()
        assert np.any(weight.numpy() != before[path]), path
    assert all(weight.constraint is None for weight in model.weights)
    assert "apply" not in vars(model.optimizer)
    return codes


@pytest.mark.parametrize("name", VARIANTS)
def test_every_optimizer(name):
    of_gradients = ["mean", "sum"][list(VARIANTS).index(name) % 2]  # in turns: what it is is added up before
    check_ties(dense_model(VARIANTS[name](), **mode(name, steps_per_execution=2)), of_gradients=of_gradients)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_optimizer_under_xla(name):
    check_ties(dense_model(VARIANTS[name](), steps_per_execution=2, jit_compile=True))


SPARSITIES = (0.25, 0.75)  # above a half, only what is not zero is looked at


@pytest.mark.parametrize(
    ("options", "sparsity"),
    [
        ({"run_eagerly": True}, 0.25),
        ({"jit_compile": True}, 0.25),
        ({"jit_compile": True}, 0.75),
        ({"steps_per_execution": 3}, 0.75),
    ],
    ids=str,
)
def test_every_way_to_compile(options, sparsity):
    check_ties(dense_model("adamw", **options), sparsity=sparsity, batch_size=6)


def test_a_kernel_of_zeros_stays_so():
    model = dense_model("adamw")
    tied(model, sparsity=1)
    model.fit(batches(X, Y), verbose=0)
    assert not any(np.asarray(kernel).any() for kernel in kernels(model).values())


LAYERS = {
    "Dense": ((6,), lambda: layers.Dense(4)),
    "EinsumDense": ((6,), lambda: layers.EinsumDense("ab,bc->ac", output_shape=4)),
    "Embedding": ((5,), lambda: layers.Embedding(9, 4)),
    "Conv1D": ((8, 3), lambda: layers.Conv1D(4, 3)),
    "Conv2D grouped": ((6, 6, 4), lambda: layers.Conv2D(4, 3, groups=2)),
    "Conv3D": ((4, 4, 4, 2), lambda: layers.Conv3D(3, 2)),
    "Conv2DTranspose": ((4, 4, 3), lambda: layers.Conv2DTranspose(4, 3)),
    "DepthwiseConv2D": ((6, 6, 4), lambda: layers.DepthwiseConv2D(3)),
    "SeparableConv2D": ((6, 6, 4), lambda: layers.SeparableConv2D(5, 3)),
    "LSTM": ((5, 4), lambda: layers.LSTM(6)),
    "Bidirectional": ((5, 4), lambda: layers.Bidirectional(layers.GRU(3))),
    "ConvLSTM1D": ((3, 6, 2), lambda: layers.ConvLSTM1D(3, 2)),
    "AdderDense": ((6,), lambda: AdderDense(4)),
    "AdderConv2D": ((5, 5, 2), lambda: AdderConv2D(3, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_with_a_kernel(name, uncompiled_adder_layers):
    shape, make = LAYERS[name]
    sparsity = SPARSITIES[list(LAYERS).index(name) % 2]
    is_embedding = name == "Embedding"
    model = keras.Sequential(
        [keras.Input(shape, dtype="int32" if is_embedding else None), make(), layers.Flatten(), layers.Dense(2)]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    x = RNG.integers(0, 9, (12, *shape)) if is_embedding else RNG.normal(size=(12, *shape)).astype("float32")
    check_ties(model, x, Y[:12], sparsity=sparsity)


def test_attention():
    inputs = keras.Input((5, 8))
    attended = layers.MultiHeadAttention(2, 4)(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(attended)))
    model.compile("adam", "mse", jit_compile=False)
    assert len(check_ties(model, RNG.normal(size=(12, 5, 8)).astype("float32"), Y[:12])) == 5


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_every_precision(policy):
    try:
        keras.config.set_dtype_policy(policy)
        check_ties(dense_model(keras.optimizers.SGD(0.5)))  # in bfloat16, Adam moves nothing, tied or not
    finally:
        keras.config.set_dtype_policy("float32")


def reference(model, codes, of_gradients, momentum, steps):
    """Trains the values of the first layer of a network by gradient descent, in NumPy and double precision.

    Returns the weights after as many steps on all data, with learning rate 0.1.
    """
    kernel, bias, head, head_bias = (value.astype("float64") for value in model.get_weights())
    parts = [codes["net/hidden/kernel"], codes["net/head/kernel"]]
    velocity = [np.zeros_like(each) for each in (kernel, bias, head, head_bias)]
    for _ in range(steps):
        hidden = np.tanh(X @ kernel + bias)
        error = 2 * (hidden @ head + head_bias - Y) / Y.size
        inner = (error @ head.T) * (1 - hidden**2)
        gradients = [X.T @ inner, inner.sum(0), hidden.T @ error, error.sum(0)]
        for place, part in zip((0, 2), parts, strict=True):
            gradient = np.zeros_like(gradients[place])
            for code in range(1, part.max() + 1):
                members = gradients[place][part == code]
                gradient[part == code] = members.mean() if of_gradients == "mean" else members.sum()
            gradients[place] = gradient
        velocity = [momentum * v - 0.1 * g for v, g in zip(velocity, gradients, strict=True)]
        kernel, bias, head, head_bias = (w + v for w, v in zip((kernel, bias, head, head_bias), velocity, strict=True))
    return kernel, bias, head, head_bias


@pytest.mark.parametrize("of_gradients", ["mean", "sum"])
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_gradient_descent_trains_the_values(sparsity, of_gradients):
    momentum = 0.9
    model = dense_model(keras.optimizers.SGD(0.1, momentum=momentum))
    _, codes = tied(model, sparsity=sparsity, of_gradients=of_gradients)
    expected = reference(model, codes, of_gradients, momentum, steps=5)
    model.fit(batches(X, Y, 24), epochs=5, verbose=0)
    for mine, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_the_sum_is_the_gradient_of_the_loss_by_the_value():
    """One weight for all: the slope of the loss is measured, not computed."""
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(2, use_bias=False, kernel_initializer="ones")], name="net"
    )
    model.compile(keras.optimizers.SGD(0.001), "mse", jit_compile=False)
    _, codes = tied(model, sparsity=0, of_gradients="sum")
    assert (codes["net/dense/kernel"] == 1).all()

    def loss(value):
        return np.square(X.astype("float64").sum(1, keepdims=True) * value - Y).mean()

    model.fit(batches(X, Y, 24), verbose=0)
    slope = (loss(1 + 1e-6) - loss(1 - 1e-6)) / 2e-6
    np.testing.assert_allclose(model.get_weights()[0], 1 - 0.001 * slope, rtol=1e-5)


def test_adam_moves_a_value_as_it_moves_one_parameter():
    """The first step of Adam is as long as the learning rate, whatever the gradient."""
    model = dense_model(keras.optimizers.Adam(0.01, epsilon=1e-12))
    tied(model)
    before = model.get_layer("hidden").kernel.numpy()
    model.fit(batches(X, Y, 24), verbose=0)
    moved = np.abs(model.get_layer("hidden").kernel.numpy() - before)
    np.testing.assert_allclose(moved[before != 0], 0.01, rtol=1e-3)


def test_a_mean_over_many_does_not_drift():
    """Of half a million equal weights that a sum in single precision would lose."""
    model = keras.Sequential([keras.Input((1000,)), layers.Dense(500, use_bias=False)])
    model.layers[0].kernel.assign(np.full((1000, 500), 0.1))
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    tied(model, sparsity=0)
    model.fit(np.zeros((4, 1000)), np.zeros((4, 500)), verbose=0, batch_size=1, epochs=5)
    assert (model.layers[0].kernel.numpy() == np.float32(0.1)).all()


def test_the_models_own_constraint_goes_on_being_applied():
    model = dense_model("sgd", constraint=keras.constraints.NonNeg())
    own = model.get_layer("hidden").kernel.constraint
    holder, codes = tied(model)
    model.fit(batches(X, Y), epochs=2, verbose=0)
    kernel = model.get_layer("hidden").kernel
    assert kernel.numpy().min() >= 0
    check_tied(kernel, codes["net/hidden/kernel"])
    holder.release()
    assert kernel.constraint is own


def test_averages_are_tied_along():
    model = dense_model(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    _, codes = tied(model)
    model.fit(batches(X, Y, 6), epochs=2, verbose=0)
    averages = [each for each in model.optimizer.variables if each.name.endswith("average")]
    for path, weight in kernels(model).items():
        average = next(each for each in averages if tuple(each.shape) == tuple(weight.shape))
        check_tied(average, codes[path])
        np.testing.assert_array_equal(average.numpy(), weight.numpy())  # what `fit` leaves


def test_what_is_tied_already_stays_bit_for_bit():
    model = dense_model("sgd")
    holder, _ = tied(model)
    before = model.get_weights()
    holder.tidy()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_tidying_ties_what_something_else_has_changed():
    model = dense_model("sgd")
    holder, codes = tied(model, sparsity=0)
    kernel, codes = model.get_layer("hidden").kernel, codes["net/hidden/kernel"]
    changed = np.random.default_rng(5).normal(size=kernel.shape)  # the same whichever tests ran before in this process
    kernel.assign(changed)
    holder.tidy()
    for code in range(1, codes.max() + 1):  # means of a few float32 numbers around 1, which may cancel out
        np.testing.assert_allclose(kernel.numpy()[codes == code], changed[codes == code].mean(), rtol=1e-5, atol=1e-6)


def test_what_is_released_is_free():
    model = dense_model("adam")
    holder, _ = tied(model)
    model.fit(batches(X, Y), verbose=0)
    holder.release()
    model.fit(batches(X, Y), verbose=0)
    assert len(np.unique(model.get_layer("hidden").kernel)) > 24


def test_release_after_an_interrupted_fit_changes_no_value():
    model = dense_model("adam")
    tied(model)
    values = model.get_weights()
    assert isinstance(model.get_layer("head").kernel.constraint, Tying)
    release(model)
    for old, new in zip(values, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(weight.constraint is None for weight in model.weights)
    assert "apply" not in vars(model.optimizer)


def test_a_holder_takes_over_from_one_that_was_interrupted():
    model = dense_model("sgd", constraint=keras.constraints.NonNeg())
    own = model.get_layer("hidden").kernel.constraint
    tied(model)
    tied(model)
    assert model.get_layer("hidden").kernel.constraint.own is own
    release(model)
    assert model.get_layer("hidden").kernel.constraint is own
    assert "apply" not in vars(model.optimizer)


def test_a_saved_model_knows_nothing_of_ties(tmp_path):
    model = dense_model("adam")
    tied(model)
    model.fit(batches(X, Y), verbose=0)
    model.save(tmp_path / "model.keras")
    assert "keras_slim" not in model.to_json()
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(X), model(X))
    assert again.get_layer("hidden").kernel.constraint is None

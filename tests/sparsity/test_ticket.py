"""Tickets: applied, saved, and set against their controls."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import PlanMismatchError, UnsupportedLayerError
from keras_slim.sparsity import Masks, Ticket, kernels, magnitude_masks

X = np.random.default_rng(3).normal(size=(32, 4)).astype("float32")
Y = np.tanh(X[:, :2])


def build(units=8, **options):
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(units, "relu", name="first"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dropout(0.1, seed=1),
        keras.layers.Dense(2, name="head", **options),
    ]
    model = keras.Sequential(layers, name="net")
    model.compile("adam", "mse", jit_compile=False)
    return model


@pytest.fixture
def model():
    return build()


@pytest.fixture
def ticket(model):
    return Ticket.of(model, magnitude_masks(kernels(model), 0.5))


def test_it_brings_back_all_weights_with_the_zeros_of_the_masks(model, ticket):
    first = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    ticket.apply(model)
    expected = {weight.path: value for weight, value in zip(model.weights, first, strict=True)}
    for path, mask in ticket.masks.items():
        expected[path] = expected[path] * mask
    for weight in model.weights:  # moving averages and biases too
        np.testing.assert_array_equal(weight.numpy(), expected[weight.path])
    assert len(ticket.weights) == 8


def test_it_trains_on_its_own(model, ticket):
    ticket.apply(model)
    start = model.evaluate(X, Y, verbose=0)
    model.fit(X, Y, epochs=5, verbose=0, callbacks=[slim.callbacks.HoldMasks(ticket.masks)])
    assert model.evaluate(X, Y, verbose=0) < start
    assert Masks.nonzero(model) == ticket.masks


def test_it_is_a_copy(model, ticket):
    before = {path: value.copy() for path, value in ticket.weights.items()}
    model.fit(X, Y, epochs=1, verbose=0)
    for path, value in ticket.weights.items():
        np.testing.assert_array_equal(value, before[path])


def test_a_ticket_of_another_model_changes_nothing(ticket):
    other = build(units=6)
    before = other.get_weights()
    with pytest.raises(PlanMismatchError, match=r"net/first/kernel: \(4, 8\) against \(4, 6\)"):
        ticket.apply(other)
    with pytest.raises(PlanMismatchError):
        ticket.random_reinit(other, 0)
    bare = Ticket(ticket.masks, {path: value for path, value in ticket.weights.items() if "norm" not in path})
    with pytest.raises(PlanMismatchError, match="net/norm/gamma: no value"):
        bare.apply(build())
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_saved_and_loaded_is_the_identity(ticket, tmp_path):
    ticket.save(tmp_path / "ticket.npz")
    again = Ticket.load(tmp_path / "ticket.npz")
    assert again.masks == ticket.masks
    assert list(again.weights) == list(ticket.weights)
    for path, value in ticket.weights.items():
        np.testing.assert_array_equal(again.weights[path], value)
        assert again.weights[path].dtype == value.dtype


def test_weights_of_bfloat16_survive_a_file(tmp_path):
    model = build(dtype=keras.DTypePolicy("bfloat16"))
    Ticket.of(model, Masks({})).save(tmp_path / "ticket.npz")
    first = [np.asarray(value, "float32") for value in model.get_weights()]
    model.set_weights([np.ones(value.shape) for value in first])
    Ticket.load(tmp_path / "ticket.npz").apply(model)
    for old, new in zip(first, model.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(new, "float32"), old)


def test_another_file_is_refused(ticket, tmp_path):
    ticket.masks.save(tmp_path / "masks.npz")
    with pytest.raises(ValueError, match=r"not a file of `Ticket`"):
        Ticket.load(tmp_path / "masks.npz")


def test_random_mask_keeps_weights_and_counts(ticket):
    control = ticket.random_mask(1)
    assert control.weights.keys() == ticket.weights.keys()
    assert {path: mask.sum() for path, mask in control.masks.items()} == {"net/first/kernel": 16, "net/head/kernel": 8}
    assert control.masks != ticket.masks
    assert control.masks == ticket.random_mask(1).masks
    assert control.masks != ticket.random_mask(2).masks


def test_random_reinit_keeps_masks_and_draws_weights(model, ticket):
    before = model.get_weights()
    one, same, two = (ticket.random_reinit(model, seed) for seed in (1, 1, 2))
    assert one.masks == ticket.masks
    kernel = "net/first/kernel"
    np.testing.assert_array_equal(one.weights[kernel], same.weights[kernel])
    assert np.abs(one.weights[kernel]).max() <= np.sqrt(6 / (4 + 8))  # Glorot's uniform distribution
    for other in (ticket, two):
        assert (one.weights[kernel] != other.weights[kernel]).all()
    np.testing.assert_array_equal(one.weights["net/norm/gamma"], np.ones(8))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_random_reinit_leaves_layers_that_are_not_trained(model):
    model.get_layer("first").trainable = False
    ticket = Ticket.of(model, Masks.nonzero(model))
    control = ticket.random_reinit(model, 1)
    np.testing.assert_array_equal(control.weights["net/first/kernel"], ticket.weights["net/first/kernel"])
    assert (control.weights["net/head/kernel"] != ticket.weights["net/head/kernel"]).any()


def test_a_normalization_layer_computes_with_what_is_brought_back():
    def adapted(data):
        layer = keras.layers.Normalization(name="scale")
        layer.adapt(data)
        return keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(2, name="head")], name="net")

    one, two = adapted(X), adapted(3 * X + 1)
    Ticket.of(one, Masks({})).apply(two)
    np.testing.assert_array_equal(two(X), one(X))


def test_a_subclassed_model_has_no_random_reinit():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.head = keras.layers.Dense(2)

        def call(self, inputs):
            return self.head(inputs)

    model = Own()
    model(X)
    ticket = Ticket.of(model, Masks.nonzero(model))
    ticket.apply(model)
    with pytest.raises(UnsupportedLayerError, match="'own' cannot be drawn anew"):
        ticket.random_reinit(model, 0)


def test_what_are_no_masks_is_refused(ticket):
    with pytest.raises(TypeError, match="Expected `keras_slim.sparsity.Masks`"):
        Ticket({"net/first/kernel": [1]}, ticket.weights)


def test_a_model_that_was_built_again_without_names_is_told_to_name_its_layers():
    def build(units=4):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(2)])

    ticket = Ticket.of(first := build(), Masks.nonzero(first))
    for use in (ticket.apply, ticket.masks.apply):
        with pytest.raises(PlanMismatchError, match=r"only the names are not.*`Dense\(8, name='hidden'\)`"):
            use(build())
        with pytest.raises(PlanMismatchError, match="Build the model in the same way"):
            use(build(5))

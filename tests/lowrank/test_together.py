"""Layers as products beside everything else: pruned before and behind, quantized, in a file, compressed."""

import keras
import numpy as np
import pytest
from keras import layers
from watching import watch

import keras_slim as slim
from keras_slim.layers import AdderConv2D

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 8, 8, 3)).astype("float32")


@pytest.fixture
def net():
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input((8, 8, 3))
    for name, filters in (("first", 16), ("second", 24)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))
    y = layers.Conv2D(24, 3, padding="same", name="third")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Dense(32, "relu", name="fourth")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(5, name="head")(x))
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape, scale=0.3))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size=layer.moving_variance.shape))
    return model


def answer(model, x=X):
    return model.predict(x, verbose=0)


def factorized(model, **options):
    return slim.factorize(model, data=X, verbose=0, **({"ratio": 0.4} | options))


def test_pruned_and_then_as_products(net):
    pruned = slim.prune(net, 0.4, verbose=0)
    small = factorized(pruned)
    assert slim.profile(small).macs <= 0.6 * slim.profile(pruned).macs


def test_as_products_and_then_pruned_is_the_network_with_masked_units(net):
    products = factorized(net)
    plan = slim.plan_pruning(products, 0.5, debias="rank")
    small = slim.shrink(products, plan)
    cut = {name for each in plan.groups if len(each.kept_channels) < each.size for name in each.layers}
    assert any("_factor_" in name for name in cut)  # the places between factors are units, too
    np.testing.assert_allclose(answer(small), answer(slim.mask(products, plan)), atol=1e-5)


def test_integers_from_end_to_end_after_training_and_with_ranges_in_training(net, tmp_path):
    small = factorized(net)
    assert any("_factor_" in layer.name for layer in small.layers)
    report = slim.export_tflite(small, tmp_path / "after.tflite", "int8", data=X, tolerance=15, verbose=0)
    assert report.float_islands == ()
    twin = slim.quantize(small, "int", "int", skip=())
    watch(twin, X)
    report = slim.export_tflite(twin, tmp_path / "in.tflite", "int8", verbose=0)
    assert report.float_islands == ()
    assert report.agreement.sqnr_db > 25


def test_a_file_answers_as_the_products(net, tmp_path):
    report = slim.export_tflite(factorized(net), tmp_path / "net.tflite", data=X[:8], verbose=0)
    assert report.agreement.sqnr_db > 100


def test_a_compressed_file_comes_back_the_same_and_smaller(net, tmp_path):
    small = factorized(net, ratio=0.5)
    slim.save_compressed(net, tmp_path / "net.slim.h5")
    slim.save_compressed(small, tmp_path / "small.slim.h5")
    np.testing.assert_array_equal(answer(slim.load_compressed(tmp_path / "small.slim.h5")), answer(small))
    assert (tmp_path / "small.slim.h5").stat().st_size < (tmp_path / "net.slim.h5").stat().st_size


def test_products_share_values_and_hold_zeros_in_training(net):
    small = factorized(net)
    small.compile("adam", "mse")
    held = slim.callbacks.GradualPruning(0.5, window=(0.0, 0.5), frequency=1, verbose=0)
    small.fit(X, np.zeros((64, 5)), epochs=2, batch_size=16, verbose=0, callbacks=[held])
    kernels = [np.asarray(layer.kernel) for layer in small.layers if "_factor_" in layer.name]
    assert kernels
    assert np.mean([np.mean(kernel == 0) for kernel in kernels]) > 0.1
    slim.share_weights(small, bits=2)
    assert all(len(np.unique(layer.kernel)) <= 5 for layer in small.layers if "_factor_" in layer.name)


def test_adder_layers_stay_whole_and_are_told():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(16, 3, name="real"), AdderConv2D(16, 3, name="adds")], name="net"
    )
    plan = slim.plan_factorization(model, 0.2)
    (left,) = [each for each in plan.whole if each.path == "adds"]
    assert "AdderConv2D" in left.reason
    assert [each.path for each in plan.layers] == ["real"]
    small = slim.factorize(model, plan)
    np.testing.assert_array_equal(small.get_layer("adds").get_weights()[0], model.get_layer("adds").get_weights()[0])


def test_hashed_layers_stay_whole_and_are_told():
    model = keras.Sequential([keras.Input((32,)), layers.Dense(64, name="hashed"), layers.Dense(64, name="real")])
    plan = slim.plan_factorization(slim.hash(model, 0.8, skip=["real"]), ranks=4)
    assert [each.path for each in plan.layers] == ["real"]
    reasons = {each.path: each.reason for each in plan.whole}
    assert reasons == {"hashed": "its kernel repeats the few numbers that it has"}

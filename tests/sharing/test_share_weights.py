"""Kernels of every layer get few values, zeros stay zeros, and nothing else changes."""

import keras
import numpy as np
import pytest
import zoo
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.sharing import Codes
from keras_slim.sharing.share_weights import weights_to_share
from keras_slim.sparsity import kernels, magnitude_masks


def network():
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, "tanh", name="hidden"), layers.Dense(3, name="head")], name="net"
    )


PATHS = ["net/hidden/kernel", "net/head/kernel"]


def num_values(weight):
    return len(set(np.asarray(weight)[np.asarray(weight) != 0].tolist()))


def test_weights_get_the_values_of_k_means():
    """By hand: of -4, -2, 1, 3 in two clusters, the means are -3 and 2; zeros have no part in them."""
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="head")], name="net")
    model.layers[0].kernel.assign([[-4, 0], [-2, 1], [3, -0.0]])
    codes = slim.share_weights(model, bits=1)
    kernel = model.layers[0].kernel.numpy()
    assert kernel.tolist() == [[-3, 0], [-3, 2], [2, 0]]
    assert not np.signbit(kernel[kernel == 0]).any()
    assert codes == Codes({"net/head/kernel": [[1, 0], [1, 2], [2, 0]]})


def test_biases_stay_as_they_are():
    model = network()
    model.layers[0].bias.assign(np.arange(8))
    slim.share_weights(model, bits=1)
    assert model.layers[0].bias.numpy().tolist() == list(range(8))


def test_biases_share_values_too_if_asked():
    model = network()
    model.layers[0].bias.assign([0, 1, 1.5, 2, 7, 7.5, 8, 0])
    model.layers[1].bias.assign([1, 2, 3])
    codes = slim.share_weights(model, {"hidden": 2}, bias_bits=1)
    assert model.layers[0].bias.numpy().tolist() == [0, 1.5, 1.5, 1.5, 7.5, 7.5, 7.5, 0]
    assert model.layers[1].bias.numpy().tolist() == [1, 2, 3]
    assert list(codes) == ["net/hidden/kernel", "net/hidden/bias"]


@pytest.mark.parametrize(
    ("bits", "error"), [(0, ValueError), (9, ValueError), (1.5, TypeError), ({"hidden": 2}, TypeError)]
)
def test_bits_of_biases_are_checked(bits, error):
    for share in (
        lambda: slim.share_weights(network(), bias_bits=bits),
        lambda: slim.callbacks.WeightSharing(bias_bits=bits),
    ):
        with pytest.raises(error, match="`bias_bits` of"):
            share()


@pytest.mark.parametrize("builder", zoo.BUILDERS, ids=lambda builder: builder.__name__)
def test_every_model_of_the_zoo(builder):
    model = builder()
    before = {path: weight.numpy() for path, weight in kernels(model, trained_only=False).items()}
    codes = slim.share_weights(model, bits=3)
    assert before.keys() <= codes.keys()
    for path, weight in kernels(model, trained_only=False).items():
        assert min(4, num_values(before[path])) <= num_values(weight) <= 8, path  # what is nearest to none is dropped
        assert np.square(weight - before[path]).mean() <= before[path].var() / 8


@pytest.mark.parametrize("init", ["linear", "density", "kmeans++"])
def test_every_beginning(init):
    model = network()
    slim.share_weights(model, 2, init)
    assert [num_values(weight) for weight in kernels(model).values()] == [4, 4]


def test_embeddings_and_frozen_layers_are_shared():
    ids = keras.Input((5,), dtype="int32")
    frozen = layers.Dense(4, trainable=False, name="frozen")
    model = keras.Model(ids, frozen(layers.Embedding(30, 4, name="vectors")(ids)))
    assert list(slim.share_weights(model)) == ["vectors/embeddings", "frozen/kernel"]
    assert 16 < num_values(model.get_layer("vectors").embeddings) <= 32
    assert num_values(frozen.kernel) == 16


def test_zeros_stay():
    model = network()
    masks = magnitude_masks(kernels(model), 0.5)
    masks.apply(model)
    slim.share_weights(model, bits=2)
    assert slim.sparsity.Masks.nonzero(model) == masks


def test_a_kernel_of_few_values_stays_bit_for_bit():
    model = network()
    slim.share_weights(model, bits=3)
    weights = model.get_weights()
    codes = slim.share_weights(model, bits=4)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
    assert slim.share_weights(model, bits=3) == codes


@pytest.mark.parametrize("value", [0.0, 0.25], ids=["zeros", "one value"])
def test_kernels_without_anything_to_share(value):
    model = network()
    model.layers[0].kernel.assign(np.full((6, 8), value))
    assert (slim.share_weights(model)[PATHS[0]] == (value != 0)).all()
    assert (model.layers[0].kernel.numpy() == value).all()


@given(st.lists(st.floats(-9, 9, width=32), min_size=6, max_size=6), st.integers(1, 3))
def test_codes_and_values_agree(weights, bits):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="head")], name="net")
    model.layers[0].kernel.assign(np.reshape(weights, (3, 2)))
    codes = slim.share_weights(model, bits)["net/head/kernel"]
    kernel = model.layers[0].kernel.numpy()
    assert ((kernel == 0) >= (codes == 0)).all()
    for code in set(codes.ravel().tolist()):
        assert len(set(kernel[codes == code].tolist())) == 1
    assert codes.max() <= 2**bits


def test_bits_by_layer_leave_the_others():
    model = network()
    before = model.layers[1].kernel.numpy()
    assert list(slim.share_weights(model, {"hidden": 1})) == PATHS[:1]
    assert num_values(model.layers[0].kernel) == 2
    np.testing.assert_array_equal(model.layers[1].kernel, before)
    assert slim.share_weights(network(), {"net": 3, PATHS[1]: 2}).describe().splitlines() == [
        "net/hidden/kernel: 8 values of 48 weights, 0 zeros",
        "net/head/kernel: 4 values of 24 weights, 0 zeros",
    ]


def test_layers_can_be_ignored():
    assert list(slim.share_weights(network(), ignore=["hidden"])) == PATHS[1:]


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_float16", "float64"])
def test_every_precision(policy):
    layer = layers.Dense(30, dtype=policy)
    slim.share_weights(keras.Sequential([keras.Input((20,)), layer]), 3)
    assert num_values(keras.ops.convert_to_numpy(layer.kernel).astype("float64")) == 8


def test_a_quantized_layer_is_left_alone():
    model = network()
    model.layers[0].quantize("int8")
    assert list(slim.share_weights(model)) == PATHS[1:]


def test_what_is_no_model_or_has_nothing_to_share_is_refused():
    with pytest.raises(TypeError, match="`model` of `share_weights`.*Expected a Keras model"):
        slim.share_weights("net")
    with pytest.raises(UnsupportedLayerError, match="(?s)finds nothing to share in model 'net'.*'net/hidden/kernel'"):
        slim.share_weights(network(), ignore=["net"])
    with pytest.raises(UnsupportedLayerError, match="Expected a trainable weight"):
        weights_to_share(keras.Sequential([keras.Input((3,)), layers.LayerNormalization()]), 5, (), "WeightSharing")


@pytest.mark.parametrize("bits", [0, 9, {"hidden": 9}])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match="`bits` of `share_weights`"):
        slim.share_weights(network(), bits)


def test_names_that_are_not_found_are_answered_with_the_nearest():
    for options in ({"bits": {"hiden": 2}}, {"ignore": ["hiden"]}):
        with pytest.raises(ValueError, match=r"Did you mean 'hidden'\?"):
            slim.share_weights(network(), **options)


def test_weights_that_are_not_finite_are_refused_before_anything_changes():
    model = network()
    kernel = model.layers[1].kernel.numpy()
    kernel[0, 0] = np.nan
    model.layers[1].kernel.assign(kernel)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"Received NaN or infinity in \['net/head/kernel'\]"):
        slim.share_weights(model, 1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_shared_model_is_saved_and_loaded(tmp_path):
    model = network()
    slim.share_weights(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for old, new in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_codes_go_to_arrays_and_back():
    codes = Codes({"a": np.arange(300).reshape(3, 100), "b": [[0, 0]], "c": np.zeros((0, 2), int)})
    assert Codes.from_arrays({**codes.to_arrays(), "other": 1}) == codes
    assert [each.dtype for each in codes.values()] == ["uint16", "uint8", "uint8"]
    assert Codes({"a": [1]}) != Codes({"a": [2]})

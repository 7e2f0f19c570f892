"""What a builder refuses, and what it says then; weights by path."""

import keras
import numpy as np
import pytest

from keras_slim import models


def lenet(**options):
    return models.LeNet5(input_shape=(16, 16, 1), **options)


def images(channels):
    return keras.Input((4, 4, channels))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lenet(include_top="yes"), TypeError, "`include_top` of `LeNet5`. Expected True or False"),
        (lambda: lenet(classes=0), ValueError, "`classes` of `LeNet5`. Expected an integer of at least 1"),
        (lambda: lenet(classes="ten"), TypeError, "`classes` of `LeNet5`"),
        (lambda: lenet(classifier_activation="sofmax"), ValueError, "`classifier_activation` of `LeNet5`.*logits"),
        (lambda: lenet(weights="imagenet"), ValueError, r"`weights` of `LeNet5`.*\.npz.*No weights come with"),
        (lambda: lenet(weights="a.pt"), ValueError, r"`weights` of `LeNet5`.*'.weights.h5', '.keras' or '.npz'"),
        (lambda: lenet(weights="none.npz"), ValueError, "`weights` of `LeNet5`. Expected a file that exists"),
        (lambda: lenet(weights=3), TypeError, "`weights` of `LeNet5`. Expected None, or the path"),
        (lambda: models.LeNet5(input_shape=(15, 16, 1)), ValueError, "at least 16 rows and columns"),
        (lambda: models.LeNet5(input_shape=(16, 16)), ValueError, r"three integers \(rows, columns, channels\)"),
        (lambda: models.LeNet5(input_shape=16), TypeError, "three integers"),
        (lambda: models.LeNet5(input_shape=(16, None, 1)), TypeError, "three integers"),
        (lambda: models.CIFARResNet(18), ValueError, "6 \\* blocks \\+ 2.*The nearest are 14 and 20"),
        (lambda: models.CIFARResNet(2), ValueError, "`depth` of `CIFARResNet`"),
        (lambda: models.CIFARResNet(shortcut="zeros"), ValueError, "'padded', 'projection'"),
        (lambda: models.SqueezeNet("1.2"), ValueError, "`version` of `SqueezeNet`. Expected one of '1.0', '1.1'"),
        (lambda: models.ShuffleNet(5), ValueError, "`groups` of `ShuffleNet`. Expected one of 1, 2, 3, 4, 8"),
        (lambda: models.ShuffleNet(scale=0), ValueError, "`scale` of `ShuffleNet`"),
        (lambda: models.ShuffleNetV2(0.7), ValueError, "`scale` of `ShuffleNetV2`. Expected one of 0.5, 1.0"),
        (lambda: models.VGGSmall(hidden=(0,)), ValueError, "`hidden` of `VGGSmall`"),
        (lambda: models.VGGSmall(1024), TypeError, r"`hidden` of `VGGSmall`. Expected numbers .* \(1024, 1024\), or"),
        (lambda: lenet(include_top=False, pooling="mean"), ValueError, "`pooling` of `LeNet5`.*None, 'avg', 'max'"),
        (lambda: models.shuffle_channels(images(6), 0), ValueError, "`groups` of `shuffle_channels`.*at least 1"),
        (lambda: models.shuffle_channels(images(6), 2.0), TypeError, "`groups` of `shuffle_channels`"),
        (lambda: models.residual(images(6), 12, 2, "projected"), ValueError, "`shortcut` of `residual`.*'projection'"),
        (lambda: models.residual(images(6), 4), ValueError, "at least the 6 channels of `x`, or shortcut='projection'"),
        (lambda: models.residual(images(6), "12"), TypeError, "`filters` of `residual`. Expected an integer"),
        (lambda: models.shuffle_unit(images(6), 24), ValueError, "a multiple of 12, as many as the 6 channels"),
        (lambda: models.shuffle_unit(images(12), 12, 2), ValueError, "a multiple of 12, more than the 12 channels"),
        (lambda: models.shuffle_unit(images(12), 30, 2), ValueError, "`filters` of `shuffle_unit`"),
        (
            lambda: models.shuffle_unit_v2(images(6), 13, 2),
            ValueError,
            "`filters` of `shuffle_unit_v2`.*an even number",
        ),
        (lambda: models.shuffle_unit_v2(images(6), 12), ValueError, "an even number, as many as the 6 channels"),
        (lambda: models.shuffle_channels(images(6), 4), ValueError, "a divisor of the 6 channels"),
        (lambda: models.shuffle_channels(keras.Input((None, 4, 6)), 2), ValueError, "images of known size"),
    ],
)
def test_a_wrong_argument_is_told_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()


def arrays_of(model):
    """Values that are all different, by `layer/variable`."""
    rng = np.random.default_rng(0)
    names = {f"{layer.name}/{each.name}": each.shape for layer in model.layers for each in layer.weights}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in names.items()}


@pytest.fixture
def file(tmp_path):
    """A file with arrays for a network of ten classes, and the arrays."""
    arrays = arrays_of(lenet())
    np.savez(tmp_path / "lenet.npz", **arrays)
    return tmp_path / "lenet.npz", arrays


def test_arrays_are_found_by_name_whatever_their_order(file, tmp_path):
    path, arrays = file
    np.savez(tmp_path / "turned.npz", **dict(reversed(arrays.items())))
    for each in (path, str(tmp_path / "turned.npz")):
        model = lenet(weights=each)
        np.testing.assert_array_equal(model.get_layer("conv2").kernel, arrays["conv2/kernel"])
        np.testing.assert_array_equal(model.get_layer("predictions").bias, arrays["predictions/bias"])


def test_a_file_of_the_whole_network_serves_its_features(file):
    path, arrays = file
    features = lenet(include_top=False, weights=path)
    np.testing.assert_array_equal(features.get_layer("conv1").kernel, arrays["conv1/kernel"])


def test_a_file_that_does_not_fit_is_refused_with_what_is_wrong(file, tmp_path):
    path, _ = file
    with pytest.raises(ValueError, match=r"`weights` of `LeNet5`.*'predictions/kernel' has the shape \(500, 10\)"):
        lenet(weights=path, classes=5)
    with pytest.raises(ValueError, match="`weights` of `ConvTwo`.*2 arrays are missing, the first is 'dense2/kernel'"):
        models.ConvTwo(weights=path, input_shape=(16, 16, 1))
    lenet().save_weights(tmp_path / "lenet.weights.h5")
    with pytest.raises(ValueError, match="`weights` of `LeNet5`.*It does not fit"):
        lenet(weights=tmp_path / "lenet.weights.h5", classes=5)
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="`weights` of `LeNet5`.*It does not fit"):
        lenet(weights=tmp_path / "broken.npz")


def test_pooled_features_are_the_mean_or_the_largest_of_all_positions():
    features = lenet(include_top=False)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype("float32")
    for pooling, expected in (("avg", np.mean(features(x), axis=(1, 2))), ("max", np.max(features(x), axis=(1, 2)))):
        pooled = lenet(include_top=False, pooling=pooling)
        pooled.set_weights(features.get_weights())
        np.testing.assert_allclose(pooled(x), expected, rtol=1e-6, atol=1e-6)


def test_a_network_with_its_top_is_not_pooled_once_more():
    assert lenet(pooling="max").output_shape == (None, 10)
    assert not any("Global" in type(layer).__name__ for layer in lenet(pooling="max").layers)


NAMES = [
    "stem",
    *(f"b{block}_{part}" for block in range(16) for part in ("expand", "dw", "project") if block or part != "expand"),
    "head",
]


def test_efficientnet_lite0_has_the_names_of_published_weights():
    """`stem`, `b0_dw` and so on, each with `_bn`; `logits`. They are 247 arrays."""
    with keras.StatelessScope():
        model = models.EfficientNetLite0(input_shape=(32, 32, 3))
    layers = [layer for layer in model.layers if layer.weights]
    assert [layer.name for layer in layers] == [*(f"{n}{bn}" for n in NAMES for bn in ("", "_bn")), "logits"]
    assert {weight.name for layer in layers if not layer.name.endswith("_bn") for weight in layer.weights} == {
        "kernel",
        "bias",
    }
    assert sum(len(layer.weights) for layer in layers) == 247


def test_padded_shortcuts_take_every_second_pixel_and_put_zeros_around_the_channels():
    inputs = keras.Input((4, 4, 2))
    block = keras.Model(inputs, models.residual(inputs, 6, strides=2, name="block"))
    block.get_layer("block_conv2_bn").gamma.assign(np.zeros(6))  # leaves the shortcut alone
    x = np.arange(1.0, 33.0).reshape(1, 4, 4, 2)
    expected = np.zeros((1, 2, 2, 6))
    expected[..., 2:4] = x[:, ::2, ::2]
    np.testing.assert_array_equal(block(x), expected)


def test_squeezenet_pools_as_caffe_does_with_the_last_window_standing_over():
    """Sizes of 224: 109, 54, 27, 13 rounded up; of 1.1: 111, 55, 27, 13."""
    for version, sizes in (("1.0", [54, 27, 13]), ("1.1", [55, 27, 13])):
        with keras.StatelessScope():
            model = models.SqueezeNet(version)
        pools = [layer for layer in model.layers if isinstance(layer, keras.layers.MaxPooling2D)]
        assert [layer.output.shape[1] for layer in pools] == sizes


@pytest.mark.parametrize(("groups", "scale"), [(8, 0.5), (4, 0.5), (3, 1.5), (2, 0.3)])
def test_scaled_widths_are_what_groups_divide(groups, scale):
    with keras.StatelessScope():
        model = models.ShuffleNet(groups, scale, input_shape=(32, 32, 3))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(layer.filters % groups == 0 for layer in convolutions)

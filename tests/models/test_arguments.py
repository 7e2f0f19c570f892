"""What a builder refuses, and what it says then; weights by path."""

import keras
import numpy as np
import pytest

from keras_slim import models


def lenet(**options):
    return models.LeNet5(input_shape=(16, 16, 1), **options)


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
        (lambda: models.shuffle_channels(keras.Input((4, 4, 6)), 4), ValueError, "a divisor of the 6 channels"),
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

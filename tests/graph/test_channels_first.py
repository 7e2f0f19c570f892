import contextlib

import keras
import pytest
from keras import layers

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.channels_first import clear_about_channels_first

FIRST = {"data_format": "channels_first"}


def test_layers_are_named_and_the_ways_out_told():
    inside = keras.Sequential(
        [keras.Input((3, 5, 5)), layers.Conv2DTranspose(3, 2, name="inner", **FIRST)], name="inside"
    )
    model = keras.Sequential(
        [
            keras.Input((2, 7, 7)),
            layers.Conv2D(3, 3, name="outer", **FIRST),
            inside,
            layers.Conv2D(6, 1, groups=3, name="grouped", **FIRST),
            layers.Permute((2, 3, 1)),
            layers.Conv2D(3, 1, name="last"),
        ]
    )
    with (
        pytest.raises(UnsupportedLayerError, match="'outer', 'inner'. Set .*TF_ENABLE_ONEDNN_OPTS=1") as found,
        clear_about_channels_first(model),
    ):
        raise RuntimeError("Conv2DCustomBackpropInputOp only supports NHWC.")
    assert found.value.__cause__ is None
    assert found.value.__suppress_context__


def test_it_is_known_behind_the_name_of_the_layer_that_fails():
    model = keras.Sequential([keras.Input((2, 7, 7)), layers.Conv2D(3, 3, name="outer", **FIRST)])
    with pytest.raises(UnsupportedLayerError, match="'outer'. Set "), clear_about_channels_first(model):
        raise UnsupportedLayerError("Layer 'outer' fails") from RuntimeError("It only supports NHWC.")


def test_other_errors_pass():
    with pytest.raises(ValueError, match="^something else$"), clear_about_channels_first(None):
        raise ValueError("something else")


COMPUTED = [
    (lambda: layers.Conv2D(4, 1, groups=2, **FIRST), (2, 4, 4)),
    (lambda: layers.DepthwiseConv2D(2, **FIRST), (2, 4, 4)),
    (lambda: layers.SeparableConv2D(4, 2, **FIRST), (2, 4, 4)),
    (lambda: layers.MaxPooling2D(**FIRST), (2, 4, 4)),
]
REFUSED = [
    (lambda: layers.Conv1D(3, 1, name="refused", **FIRST), (2, 4)),
    (lambda: layers.Conv2D(3, 1, name="refused", **FIRST), (2, 4, 4)),
    (lambda: layers.Conv1DTranspose(3, 1, name="refused", **FIRST), (2, 4)),
    (lambda: layers.Conv2DTranspose(3, 1, name="refused", **FIRST), (2, 4, 4)),
    (lambda: layers.ConvLSTM1D(3, 1, name="refused", **FIRST), (5, 2, 4)),
]


@pytest.mark.onednn
@pytest.mark.parametrize(
    ("layer", "shape", "is_refused"), [(*one, False) for one in COMPUTED] + [(*one, True) for one in REFUSED]
)
def test_what_does_not_run_here_is_named_and_the_rest_runs(layer, shape, is_refused, convolves_channels_first):
    model = keras.Sequential([keras.Input(shape), layer()])
    refusal = pytest.raises(UnsupportedLayerError, match=": 'refused'. Set")
    expected = refusal if is_refused and not convolves_channels_first else contextlib.nullcontext()
    with expected, clear_about_channels_first(model):
        assert model(keras.ops.ones((1, *shape))).shape[0] == 1

"""What integers pass for the converter's sake changes no number."""

import keras
import numpy as np
import pytest
from placing import numbers, placed, rounded

from keras_slim import layers
from keras_slim.quantizers import Int

SHAPES = {
    # name: (shape of a kernel, axes of its channels)
    "dense": ((5, 4), (-1,)),
    "one axis": ((3, 2, 4), (-1,)),
    "two axes": ((3, 3, 2, 4), (-1,)),
    "depthwise": ((3, 3, 2, 2), (-2, -1)),
    "transposed": ((3, 3, 4, 2), (-2,)),
    "three axes": ((2, 2, 2, 2, 4), (-1,)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"per_channel": False}, {"packed": True}])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_have_the_values_of_the_formula(name, options, bits):
    if bits == 8 and "packed" in options:
        options = {"ranges": "average"}
    shape, axes = SHAPES[name]
    x = numbers(*shape)
    place = placed(Int(bits, **options), shape, axes)
    has_channels = options.get("per_channel", bits == 8 or name not in ("dense", "transposed"))
    others = tuple(axis for axis in range(x.ndim) if axis - x.ndim not in axes) if has_channels else None
    top = 2 ** (bits - 1) - 1
    scale = np.abs(x).max(axis=others, keepdims=True) / top
    np.testing.assert_allclose(rounded(place, x), np.round(x / scale) * scale, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_activations_of_few_bits_have_all_their_values_and_no_more(bits, symmetric):
    layer = layers.Quantize(Int(bits, symmetric=symmetric))
    layer.build((None, 2000))
    x = np.linspace(-5, 5, 2000).astype("float32")[None]
    for side in ("low", "high"):
        if side in layer.places["inputs"].variables:
            layer.places["inputs"].variables[side].assign(-1.0 if side == "low" else 3.0)
    values = np.unique(np.round(keras.ops.convert_to_numpy(layer(x)), 4))
    assert len(values) == 2**bits - symmetric
    np.testing.assert_allclose(np.diff(values), (6 if symmetric else 4) / (len(values) - 1), rtol=1e-2)


@pytest.mark.parametrize("bits", [3, 8])
def test_only_weights_that_fit_in_half_or_a_quarter_of_a_byte_are_packed(bits):
    with pytest.raises(ValueError, match="`packed` of `Int`"):
        Int(bits, packed=True)
    assert Int.from_config(Int(4, packed=True).get_config()).packed

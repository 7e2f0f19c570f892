"""The published figures of four networks: exact parameters, multiply-accumulates as their papers round them."""

import math

import keras
import pytest

from keras_slim.profiling import profile, weight_uses

FIGURES = {
    "VGG16": (138_357_544, 15.3e9, 15.5e9),
    "MobileNet": (4_253_864, 568.5e6, 569.5e6),
    "InceptionV3": (23_851_784, 5.65e9, 5.75e9),
    "ResNet50": (25_636_712, 3.8e9, 4.1e9),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_published_figures(name):
    parameters, low, high = FIGURES[name]
    model = getattr(keras.applications, name)(weights=None)
    cost = profile(model)
    assert cost.unknown == ()
    assert cost.parameters == parameters
    assert cost.bytes == 4 * parameters
    assert low <= cost.macs <= high
    assert cost.macs == sum(math.prod(weight.shape) * uses for weight, uses in weight_uses(model))

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.surgery import rebuild, silence

FUNCTIONS = [
    layers.Resizing(5, 7),
    layers.CenterCrop(4, 4),
    layers.RandomCrop(4, 4),
    layers.RandomFlip(),
    layers.RandomRotation(0.1),
    layers.RandomTranslation(0.1, 0.1),
    layers.RandomZoom(0.1),
    layers.RandomShear((0.0, 0.1), (0.0, 0.1)),  # Keras cannot make one with negative factors anew
    layers.RandomPerspective(0.1),
    lambda x: ops.image.resize(x, (5, 7)),
    lambda x: ops.image.crop_images(x, top_cropping=1, left_cropping=1, target_height=4, target_width=3),
    lambda x: ops.image.pad_images(x, top_padding=1, left_padding=2, target_height=9, target_width=9),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_units_pass_and_the_masked_model_answers_as_the_shrunken_one(function):
    inputs = keras.Input((6, 6, 3))
    x = function(layers.Conv2D(6, 3, padding="same", name="hidden")(inputs))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    graph = analyse(model)
    assert sizes(model) == {"hidden": 6}
    x, keep = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32"), np.arange(6) % 2 == 0
    small, masked = (make(graph, keep)[0](x, training=False) for make in (rebuild, silence))
    np.testing.assert_allclose(small, masked, atol=1e-5)


def test_a_layer_without_a_rule_is_not_named_where_no_unit_reaches_it():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3)(layers.RandomHue(0.1)(inputs))
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    assert whole(model) == {}
    assert "RandomHue" not in slim.plan_pruning(model, 0).describe()


def test_channels_may_come_first():
    options = {"data_format": "channels_first"}
    inputs = keras.Input((3, 6, 6))
    x = layers.Conv2D(6, 3, padding="same", name="hidden", **options)(inputs)
    x = ops.image.resize(layers.CenterCrop(4, 4, **options)(x), (5, 7), **options)
    model = keras.Model(inputs, layers.Conv2D(2, 1, **options)(x))
    assert sizes(model) == {"hidden": 6}

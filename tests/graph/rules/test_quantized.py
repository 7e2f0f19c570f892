"""Models with few bits are cut like others; what quantizers keep goes with the channels.

That the masked model answers as the shrunken one is tested with all models of the zoo.
"""

import keras
import model_zoo_quantized as zoo
import numpy as np
import pytest
from model_zoo import inputs_for, randomise

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.layers import QuantConv2D, QuantDense, QuantDepthwiseConv2D, Quantize
from keras_slim.pruning import Guards
from keras_slim.quantizers import Int, Quantizer

LOOSE = Guards(min_units=1, max_ratio=0.9, align=1)


@pytest.mark.parametrize("build", zoo.BUILDERS, ids=lambda build: build.__name__)
def test_a_masked_model_learns_as_the_shrunken_one(build):
    model = randomise(build())
    plan = slim.plan_pruning(model, 0.4, criterion="random", guards=LOOSE)
    x = inputs_for(model, samples=16)
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    before = small.get_weights()
    for cut in (small, masked):
        cut.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
        cut.fit(x, np.ones((16, cut.output_shape[-1])), batch_size=16, verbose=0)
    model.set_weights(masked.get_weights())
    learned = small.get_weights()
    assert sum((new != old).any() for new, old in zip(learned, before, strict=True)) > len(before) / 2
    for one, other in zip(learned, slim.shrink(model, plan).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_ranges_and_steps_of_channels_are_cut_with_them():
    inputs = keras.Input((4, 4, 2))
    conv = QuantConv2D(6, 3, kernel_quantizer=Int(ranges="average"), name="conv")
    between = Quantize(Int(per_channel=True), name="between")
    depthwise = QuantDepthwiseConv2D(
        1, depth_multiplier=2, kernel_quantizer=Int(ranges="trained"), input_quantizer="int", name="depthwise"
    )
    x = keras.layers.Flatten()(depthwise(between(conv(inputs))))
    model = randomise(keras.Model(inputs, keras.layers.Dense(2)(x)))
    plan = slim.plan_pruning(model, 0.5, criterion="l1", guards=LOOSE)
    small = slim.shrink(model, plan)
    (group,) = plan.groups
    kept = list(group.kept_channels)
    assert 0 < len(kept) < 6
    for layer, names in (("conv", ("kernel_high",)), ("between", ("inputs_low", "inputs_high"))):
        for name in names:
            old, new = ({each.name: each for each in of.get_layer(layer).weights}[name] for of in (model, small))
            np.testing.assert_array_equal(new, np.asarray(old)[kept])
    old, new = ({each.name: np.asarray(each) for each in of.get_layer("depthwise").weights} for of in (model, small))
    for name in ("kernel_high", "kernel_high_change"):
        np.testing.assert_array_equal(new[name], old[name][kept])
    np.testing.assert_array_equal(new["inputs_high"], old["inputs_high"])


@pytest.mark.parametrize(
    ("quantizer", "stands_in"), [(None, True), ("int", True), (Int(4), True), (Int(3), False), ("binary", False)]
)
def test_units_stand_in_for_others_where_weights_are_nearly_what_they_were(quantizer, stands_in):
    inputs = keras.Input((5,))
    x = keras.layers.Dense(6)(inputs)
    last = QuantDense(2, kernel_quantizer=quantizer, input_quantizer=Int(6, ranges="current"))
    model = randomise(keras.Model(inputs, last(x)))
    graph = analyse(model)
    assert [each.variable for each in graph.readings] == [last.kernel] * stands_in
    if stands_in:
        x = np.random.default_rng(0).normal(size=(256, 5)).astype("float32")
        plan = slim.plan_pruning(model, 0.2, criterion="random", guards=LOOSE)
        plain, made_up_for = slim.shrink(model, plan), slim.shrink(model, plan, x)
        errors = [np.square(each(x) - model(x)).mean() for each in (plain, made_up_for)]
        assert errors[1] < 0.5 * errors[0]


def test_what_is_masked_comes_back_from_its_file_and_is_not_cut_again(tmp_path):
    model = randomise(zoo.quantized_integers())
    plan = slim.plan_pruning(model, 0.4, criterion="random", guards=LOOSE)
    masked, x = slim.mask(model, plan), inputs_for(model)
    masked.save(tmp_path / "masked.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "masked.keras")(x), masked(x))
    graph = analyse(masked)
    assert any("units are masked in it already" in str(whole) for whole in graph.whole)


class Halves(Quantizer):
    """A quantizer of a user's own, which Keras does not know by a name."""

    def __init__(self, seen):
        self.seen = seen

    def num_values(self, place):
        return 1000

    def __call__(self, x, place, training=False):
        return x + keras.ops.stop_gradient(keras.ops.round(2 * x) / 2 - x)


def test_a_quantizer_of_ones_own_goes_into_the_copies():
    own = Halves(seen=[])
    last = QuantDense(2, kernel_quantizer=own, input_quantizer=own)
    model = keras.Sequential([keras.Input((3,)), QuantDense(6, kernel_quantizer=own), last])
    randomise(model)
    plan = slim.plan_pruning(model, 0.5, criterion="l1", guards=LOOSE)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    np.testing.assert_allclose(small(x), masked(x), rtol=1e-5)
    assert all(cut.layers[-1].input_quantizer is own for cut in (small, masked))

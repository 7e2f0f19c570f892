"""A cut that is made up for with data: what can be made up for exactly is, and nothing else changes."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, randomise
from zoo import all_but_slow

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense
from keras_slim.pruning import Calibration, Guards, moments
from keras_slim.pruning.calibration import settle

LOOSE = Guards(min_units=1, max_ratio=1.0, align=1)
COMPENSATE = Calibration(recalibrate=False, ridge=1e-9)


class Chosen(slim.scoring.Criterion):
    """Scores some units lower than all others."""

    def __init__(self, units):
        self.units = units

    def score(self, graph, data=None):
        return 1.0 - np.isin(np.arange(graph.num_units), self.units)


def plan_without(model, units):
    """Returns the plan that removes exactly these units."""
    graph = analyse(model)
    ratio = (len(units) - 0.5) / graph.num_units
    plan = slim.plan_pruning(model, ratio, criterion=Chosen(units), debias="none", guards=LOOSE)
    np.testing.assert_array_equal(np.flatnonzero(~plan.keep(graph)), np.sort(units))
    return plan


def answers(model, x):
    """Returns what a model answers, flat, as arrays; of answers, themselves, so that no model answers twice."""
    return model if isinstance(model, list) else [np.asarray(each) for each in keras.tree.flatten(model(x))]


def largest_difference(first, second, x):
    """Returns the largest difference between two models, or their answers, as a share of the largest answer."""
    pairs = zip(answers(first, x), answers(second, x), strict=True)
    return max(float(np.abs(a - b).max() / max(1, np.abs(b).max())) for a, b in pairs)


def can_be_made_up_for(graph, group):
    """Tells whether whatever sums over a group's units states so, and nothing counts them or tells them apart."""
    stated = {(id(reading.variable), reading.axis) for reading in graph.readings}
    mine = [slot for slot in graph.slots if np.isin(slot.units, group.units).any()]
    read = all((id(slot.variable), slot.axis) in stated for slot in mine if slot.role == "consumes")
    others = [*graph.constants.values(), *graph.positions.values(), *graph.statistics.values()]
    others += [rescale.units for rescale in graph.rescales]
    return read and not any(np.isin(units, group.units).any() for units in others)


def make_copy(graph, original, copy):
    """Gives one unit the weights of another, wherever they are computed or followed."""
    for slot in graph.slots:
        if slot.role != "consumes":
            value = np.moveaxis(slot.variable.numpy(), slot.axis, 0)
            value[slot.units == copy] = value[slot.units == original]
            slot.variable.assign(np.moveaxis(value, 0, slot.axis))


def copied_units(graph):
    """Makes a unit of each group a copy of its first one, where another lies in the same layers, and returns these."""
    copies = []
    for group in graph.groups:
        alike = [unit for unit in group.units[1:] if places(graph, unit) == places(graph, group.first)]
        if len(alike) > 1 and can_be_made_up_for(graph, group):
            make_copy(graph, group.first, alike[-1])
            copies.append(alike[-1])
    return copies


def is_stateful(model):
    return any(getattr(layer, "stateful", False) for layer in model.layers)


def places(graph, unit):
    """Returns how often a unit is found in each slot."""
    return [(slot.units == unit).sum() for slot in graph.slots]


@pytest.mark.parametrize(
    "build",
    # Layers of these have quick tests of their own below.
    all_but_slow("both_directions", "convolutional_recurrent", "cells", "recurrent", "attention_to_another_sequence"),
)
def test_a_copy_of_another_unit_goes_without_a_trace(build, uncompiled_adder_layers):
    model = randomise(build())
    if is_stateful(model):
        pytest.skip("it answers otherwise the second time")
    copies = copied_units(analyse(model))
    if not copies:
        pytest.skip("all its units are summed over inside their layer, counted or told apart")
    plan, x = plan_without(model, copies), inputs_for(model, samples=64)
    whole = answers(model, x)
    assert largest_difference(slim.shrink(model, plan), whole, x) > 1e-3
    assert largest_difference(slim.shrink(model, plan, x, calibration=COMPENSATE), whole, x) < 1e-5


@pytest.mark.onednn
@pytest.mark.parametrize(
    "build",
    all_but_slow("both_directions", "convolutional_recurrent", "adder_residual", "quantized_signs"),
)
def test_a_cut_that_is_made_up_for_is_its_masked_twin_and_not_worse_than_a_plain_one(build, uncompiled_adder_layers):
    model = randomise(build())
    plan = slim.plan_pruning(model, 0.3, guards=LOOSE)
    x = inputs_for(model, samples=model.inputs[0].shape[0] or 64)
    small, masked = answers(slim.shrink(model, plan, x), x), answers(slim.mask(model, plan, x), x)
    assert largest_difference(small, masked, x) < 1e-4
    if not is_stateful(model):  # it answers otherwise the second time
        whole = answers(model, x)
        assert error(small, whole, x) < 1.1 * error(slim.shrink(model, plan), whole, x)


def between(consumer, middle=lambda x: x, first=None, shape=(6, 6, 2)):
    """Returns a model in which a layer named `first` is read by a consumer."""
    inputs = keras.Input(shape)
    x = (first or layers.Conv2D(6, 3, name="first"))(inputs)
    x = consumer(middle(x))
    return randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


CONSUMERS = {
    "convolution": lambda: between(layers.Conv2D(4, 3)),
    "same padding": lambda: between(layers.Conv2D(4, 3, padding="same")),
    "transposed": lambda: between(layers.Conv2DTranspose(4, 3, strides=2)),
    "separable": lambda: between(layers.SeparableConv2D(4, 3, activation="relu")),
    "batch norm and pooling": lambda: between(
        layers.Conv2D(4, 2), lambda x: layers.AveragePooling2D(2)(layers.BatchNormalization()(x))
    ),
    "flattened": lambda: between(layers.Dense(4), layers.Flatten()),
    "repeated": lambda: between(layers.Conv2D(4, 1), layers.UpSampling2D()),
    "concatenated": lambda: between(
        layers.Conv2D(4, 3), lambda x: layers.Concatenate()([layers.Conv2D(3, 1, activation="relu")(x), x])
    ),
    "dense": lambda: between(layers.Dense(4), first=layers.Dense(6, name="first"), shape=(5,)),
    "einsum": lambda: between(
        layers.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de"),
        first=layers.Dense(6, name="first"),
        shape=(4, 5),
    ),
    "lstm": lambda: between(layers.LSTM(4), first=layers.Dense(6, name="first"), shape=(4, 5)),
    "gru": lambda: between(layers.GRU(4), first=layers.Dense(6, name="first"), shape=(4, 5)),
    "bidirectional": lambda: between(
        layers.Bidirectional(layers.SimpleRNN(4)), first=layers.Dense(6, name="first"), shape=(4, 5)
    ),
    "over time": lambda: between(
        layers.TimeDistributed(layers.Dense(4)), first=layers.Dense(6, name="first"), shape=(4, 5)
    ),
    "attention": lambda: between(
        lambda x: layers.MultiHeadAttention(2, 3, output_shape=4)(x, x),
        first=layers.Dense(6, name="first"),
        shape=(4, 5),
    ),
}


def combine(kernel, bias):
    """Makes the last unit `2 * first - 0.5 * second`."""
    for weight in (kernel, bias):
        weight[..., -1] = 2 * weight[..., 0] - 0.5 * weight[..., 1]


def combine_and_shift(kernel, bias):
    """Makes the last unit a combination, plus a constant."""
    combine(kernel, bias)
    bias[-1] += 0.3


def fix(kernel, bias):
    """Makes the last unit but one always 3."""
    kernel[..., -2], bias[-2] = 0, 3


# A constant does not reach into the padding, and a transposed convolution with strides spreads it unevenly. What the
# filters of a separable convolution make of several channels is no combination of what they make of each.
EXACT = {"same padding": [combine], "transposed": [combine], "separable": [fix]}


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_linear_combination_and_a_constant_go_without_a_trace(name):
    model, changes = CONSUMERS[name](), EXACT.get(name, [combine_and_shift, fix])
    first = model.get_layer("first")
    weights = first.get_weights()
    for change in changes:
        change(*weights)
    first.set_weights(weights)
    group = next(group for group in analyse(model).groups if "first" in group.layers)
    removed = [group.units[-2 if change is fix else -1] for change in changes]
    plan, x = plan_without(model, removed), inputs_for(model, samples=64)
    assert largest_difference(slim.shrink(model, plan), model, x) > 1e-3
    assert largest_difference(slim.shrink(model, plan, x, calibration=COMPENSATE), model, x) < 1e-5


def attention_of_heads(layer):
    inputs = keras.Input((5, 8))
    return randomise(
        keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layer(inputs, inputs, use_causal_mask=True))))
    )


def recurrent(layer, shape=(5, 4)):
    return between(layers.Dense(4), layers.Flatten(), layer, shape)


HIDDEN = {
    "simple": lambda: recurrent(layers.SimpleRNN(6, go_backwards=True)),
    "lstm": lambda: recurrent(layers.LSTM(6)),
    "gru": lambda: recurrent(layers.GRU(6, return_sequences=True)),
    "cell": lambda: recurrent(layers.RNN(layers.LSTMCell(6))),
    "both directions": lambda: recurrent(layers.Bidirectional(layers.LSTM(6))),
    "convolutional": lambda: recurrent(layers.ConvLSTM1D(6, 3, padding="same"), (4, 7, 3)),
    "channels first": lambda: recurrent(layers.ConvLSTM1D(6, 3, data_format="channels_first"), (4, 3, 7)),
    "heads": lambda: attention_of_heads(layers.MultiHeadAttention(4, 3, value_dim=5)),
    "heads without biases": lambda: attention_of_heads(layers.MultiHeadAttention(4, 3, use_bias=False)),
    "grouped heads": lambda: attention_of_heads(layers.GroupQueryAttention(3, 6, 3)),
}


@pytest.mark.onednn
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.channels_first] if name == "channels first" else []) for name in HIDDEN],
)
def test_a_copy_that_its_own_layer_reads_goes_without_a_trace(name):
    model = HIDDEN[name]()
    copies = copied_units(analyse(model))
    assert copies
    plan, x = plan_without(model, copies), inputs_for(model, samples=64)
    assert largest_difference(slim.shrink(model, plan), model, x) > 1e-3
    assert largest_difference(slim.shrink(model, plan, x, calibration=COMPENSATE), model, x) < 1e-5


def test_very_wide_layers_are_divided(monkeypatch):
    monkeypatch.setattr(moments, "MOST_COLUMNS", 4)
    model = CONSUMERS["concatenated"]()
    copies = copied_units(analyse(model))  # of the first unit of each group, which lies among the first four
    plan, x = plan_without(model, copies), inputs_for(model, samples=64)
    plain, made_up_for = slim.shrink(model, plan), slim.shrink(model, plan, x)
    assert 0 < error(made_up_for, model, x) < error(plain, model, x)


def test_a_generator_is_drawn_from_once():
    """Scoring and calibration look at the same batches."""
    model = CONSUMERS["convolution"]()
    x, drawn_from = inputs_for(model, samples=16), []

    def batches():
        for first in range(0, 16, 4):
            drawn_from.append(first)
            yield x[first : first + 4]

    small = slim.prune(model, 0.3, criterion="mean_activation", data=batches(), steps=3, guards=LOOSE)
    assert drawn_from == [0, 4, 8]
    same = iter([x[first : first + 4] for first in range(0, 12, 4)])
    again = slim.prune(model, 0.3, criterion="mean_activation", data=same, steps=3, guards=LOOSE)
    assert largest_difference(small, again, x) < 1e-5


def test_a_used_up_generator_is_refused():
    model = CONSUMERS["convolution"]()
    plan = slim.plan_pruning(model, 0.3, guards=LOOSE)
    with pytest.raises(ValueError, match="at least one batch to calibrate with"):
        slim.shrink(model, plan, iter([]), steps=2)


def test_true_is_the_default_calibration():
    model = randomise(CONSUMERS["convolution"]())
    plan, x = slim.plan_pruning(model, 0.3, guards=LOOSE), inputs_for(model)
    asked = slim.shrink(model, plan, x, calibration=True)
    np.testing.assert_array_equal(asked(x), slim.shrink(model, plan, x)(x))
    assert np.abs(asked(x) - slim.shrink(model, plan, x, calibration=False)(x)).max() > 1e-4


@pytest.mark.parametrize("calibration", ["all", 0.1, 1])
def test_bad_calibrations_are_refused(calibration):
    with pytest.raises(TypeError, match="`calibration` of `prune`.*Calibration"):
        slim.prune(CONSUMERS["dense"](), 0.3, calibration=calibration)


@pytest.mark.parametrize(("ridge", "error"), [(-1, ValueError), (0, ValueError), ("a", TypeError), (None, TypeError)])
def test_a_ridge_that_is_no_positive_number_is_refused(ridge, error):
    with pytest.raises(error, match=f"`ridge` of `Calibration`. Expected a finite number > 0. .*ridge={ridge!r}"):
        Calibration(ridge=ridge)


@pytest.mark.parametrize(("steps", "error"), [(-1, ValueError), (1.5, TypeError)])
def test_a_number_of_batches_that_is_none_is_refused_for_a_generator_too(steps, error):
    model = CONSUMERS["dense"]()
    with pytest.raises(error, match=f"`steps` of `prune`. Expected an integer of at least 1. .*steps={steps}"):
        slim.prune(model, 0.3, data=iter([inputs_for(model)]), steps=steps)


def test_recalibrated_statistics_are_those_of_the_data():
    inputs = keras.Input((5,))
    norm = layers.BatchNormalization(name="norm")
    model = randomise(keras.Model(inputs, layers.Dense(2)(norm(layers.Dense(6, name="first")(inputs)))))
    plan, x = slim.plan_pruning(model, 0.3, guards=LOOSE), inputs_for(model, samples=300)
    small = slim.shrink(model, plan, x, calibration=Calibration(compensate=False, recalibrate=True))
    read = np.asarray(keras.Model(small.input, small.get_layer("first").output)(x))
    np.testing.assert_allclose(small.get_layer("norm").moving_mean, read.mean(axis=0), atol=1e-2)
    np.testing.assert_allclose(small.get_layer("norm").moving_variance, read.var(axis=0), rtol=0.05)
    assert small.get_layer("norm").momentum == 0.99


def test_settled_statistics_are_those_of_the_data_and_answers_stay():
    inner = keras.Sequential(
        [keras.Input((5,)), layers.Dense(6), layers.BatchNormalization(name="within")], name="inner"
    )
    shared = layers.BatchNormalization(name="shared")
    inputs = keras.Input((5,))
    x = shared(layers.Dense(5)(shared(inputs)))
    x = layers.BatchNormalization(name="frozen", trainable=False)(inner(x))
    x = layers.BatchNormalization(name="plain", scale=False)(x)
    model = randomise(keras.Model(inputs, layers.BatchNormalization(name="last")(layers.Dense(4, name="before")(x))))
    x = 3 * inputs_for(model, samples=300)
    norms = [inner.get_layer("within"), *(model.get_layer(name) for name in ("shared", "last", "frozen", "plain"))]
    want, before = model.predict(x, verbose=0), [np.array(norm.moving_mean) for norm in norms]
    settle(model, lambda: iter([[x[:100]], [x[100:]]]))
    np.testing.assert_allclose(model.predict(x, verbose=0), want, atol=1e-4 * np.abs(want).max())
    is_changed = [bool(np.any(norm.moving_mean != old)) for norm, old in zip(norms, before, strict=True)]
    assert is_changed == [True, True, True, False, False]
    read = keras.Model(model.input, model.get_layer("before").output).predict(x, verbose=0)
    np.testing.assert_allclose(norms[2].moving_mean, read.mean(axis=0), atol=1e-4 * np.abs(read).max())
    np.testing.assert_allclose(norms[2].moving_variance, read.var(axis=0), rtol=1e-3)
    assert {norm.momentum for norm in norms} == {0.99}


@keras.saving.register_keras_serializable("tests")
class OwnNormalization(layers.BatchNormalization):
    """Scales by one more than its `gamma`."""

    def call(self, inputs, training=None, mask=None):
        return inputs + super().call(inputs, training=training)


def test_what_normalizes_in_its_own_way_or_varies_too_little_is_not_settled_out_of_shape():
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="within")], name="inner")
    x = layers.BatchNormalization(name="always")(inputs, training=True)
    x = OwnNormalization(name="own")(inner(x, training=True))
    x = layers.BatchNormalization(name="constrained", gamma_constraint=keras.constraints.UnitNorm())(x)
    dead = layers.Dense(4, name="dead", kernel_initializer="zeros")
    outputs = layers.BatchNormalization(name="settled")(dead(inputs))
    model = randomise(keras.Model(inputs, [x, outputs]))
    dead.kernel.assign(np.zeros((4, 4)))
    x = inputs_for(model, samples=60)
    want, before = model.predict(x, verbose=0), {each.path: np.array(each) for each in model.variables}
    settle(model, lambda: iter([[x]]))
    for one, other in zip(model.predict(x, verbose=0), want, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    changed = {each.path.split("/")[0] for each in model.variables if np.any(np.array(each) != before[each.path])}
    assert changed == {"settled"}
    assert np.all(np.array(model.get_layer("settled").moving_variance) > 0)
    before = [np.array(each) for each in model.weights]
    settle(model, lambda: iter([[np.full((8, 4), np.nan, "float32")]]))
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def norm_after(first, *others):
    """Returns a model whose `first` layer is read by something without a bias, and then normalised."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    x = layers.BatchNormalization()(first(x))
    for layer in others:
        x = layer(x)
    return randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


def sequence_norm_after(layer, axis=-1):
    inputs = keras.Input((4, 5))
    x = layer(layers.Dense(8, name="first")(inputs))
    return randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.BatchNormalization(axis)(x)))))


def two_norms():
    """One convolution at two levels, each normalised on its own, as in the heads of detectors."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs)
    shared = layers.Conv2D(4, 3, padding="same", use_bias=False)
    levels = [layers.BatchNormalization()(shared(each)) for each in (x, layers.MaxPooling2D()(x))]
    return randomise(keras.Model(inputs, [layers.Dense(3)(layers.Flatten()(each)) for each in levels]))


def queries_beside_values():
    """The query is the value with something added: both hold the same units."""
    inputs = keras.Input((5, 4))
    x = layers.Dense(8, "relu", name="first")(inputs)
    x = layers.MultiHeadAttention(2, 3, output_shape=4)(layers.Rescaling(1, offset=3)(x), x)
    return randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


HARD = {
    "transposed": lambda: norm_after(layers.Conv2DTranspose(4, 4, 2, padding="same", use_bias=False)),
    "transposed with a bias": lambda: norm_after(layers.Conv2DTranspose(4, 4, 2, padding="same")),
    "activated": lambda: norm_after(layers.Conv2D(4, 3, use_bias=False, activation="relu")),
    "normalised along another axis": lambda: sequence_norm_after(layers.Dense(4, use_bias=False), axis=1),
    "attention": lambda: sequence_norm_after(
        lambda x: layers.MultiHeadAttention(2, 3, use_bias=False, output_shape=4)(x, x)
    ),
    "recurrent": lambda: sequence_norm_after(layers.LSTM(4, use_bias=False, return_sequences=True)),
    "both directions": lambda: sequence_norm_after(
        layers.Bidirectional(layers.GRU(4, use_bias=False, return_sequences=True))
    ),
    "two norms": two_norms,
    "queries beside values": queries_beside_values,
}


@pytest.mark.parametrize("name", HARD)
def test_what_takes_care_to_make_up_for_is_not_worse_than_a_plain_cut(name):
    model = HARD[name]()
    graph = analyse(model)
    group = next(group for group in graph.groups if "first" in group.layers)
    plan, x = plan_without(model, list(group.units[-3:])), inputs_for(model, samples=64)
    assert error(slim.shrink(model, plan, x), model, x) < 1.02 * error(slim.shrink(model, plan), model, x)


def error(first, second, x):
    """Returns the root mean square of the differences between two models, or their answers, over all outputs."""
    pairs = zip(answers(first, x), answers(second, x), strict=True)
    return np.sqrt(sum(np.square(a - b).mean() for a, b in pairs))


def test_scarce_data_is_trusted_less():
    """A wide layer and hardly more samples than units: what fits them all is of no use for others."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64,))
    model = keras.Model(inputs, layers.Dense(10)(layers.Dense(256, "relu")(inputs)))
    plan = slim.plan_pruning(model, 0.5)
    x, unseen = np.random.default_rng(0).normal(size=(2, 128, 64)).astype("float32")
    plain = error(slim.shrink(model, plan), model, unseen)
    assert error(slim.shrink(model, plan, x), model, unseen) < plain


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = CONSUMERS["separable"]()
        plan = slim.plan_pruning(model, 0.3, guards=LOOSE)
        assert np.isfinite(np.asarray(slim.shrink(model, plan, inputs_for(model, samples=16))(inputs_for(model)))).all()
    finally:
        keras.config.set_dtype_policy("float32")


def test_data_that_is_not_finite_is_refused():
    model = CONSUMERS["dense"]()
    plan, x = slim.plan_pruning(model, 0.3, guards=LOOSE), inputs_for(model, samples=16)
    x[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        slim.shrink(model, plan, x)


def test_the_callback_makes_up_for_its_cuts():
    x = inputs_for(CONSUMERS["dense"](), samples=64)

    def change(calibration):
        model = CONSUMERS["dense"]()
        model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
        y = np.asarray(model(x))
        pruning = slim.callbacks.ProgressiveGlobalPruning(
            0.3, criterion="l2", rounds=1, data=x, calibration=calibration, guards=LOOSE, verbose=0
        )
        model.fit(x, y, epochs=3, verbose=0, callbacks=[pruning])
        return np.abs(np.asarray(model(x)) - y).mean()

    assert change(None) < 0.5 * change(False)
    assert change(True) == pytest.approx(change(None), rel=1e-3)


ADDERS = {
    # name: (what stands between a layer with a constant unit and the last one, shape of an input)
    "bias": (lambda x: AdderConv2D(4, 3)(x), (6, 6, 2)),
    "groups": (lambda x: AdderConv2D(4, 3, groups=2)(x), (6, 6, 2)),
    "norm": (lambda x: layers.BatchNormalization()(AdderConv2D(4, 3, use_bias=False)(x)), (6, 6, 2)),
    "bias and norm": (lambda x: layers.LeakyReLU()(layers.BatchNormalization()(AdderConv1D(4, 3)(x))), (6, 2)),
    "channels first": (
        lambda x: layers.BatchNormalization(axis=1)(
            AdderConv2D(4, 3, data_format="channels_first")(layers.Permute((3, 1, 2))(x))
        ),
        (6, 6, 2),
    ),
    "dense": (lambda x: layers.BatchNormalization()(AdderDense(4)(layers.Flatten()(x))), (6, 2)),
}


@pytest.mark.parametrize("name", ADDERS)
def test_what_a_constant_unit_adds_to_a_distance_is_put_elsewhere(name):
    between, shape = ADDERS[name]
    inputs = keras.Input(shape)
    x = between(layers.Dense(6, name="first")(inputs))
    model = randomise(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    kernel, gone = model.get_layer("first").kernel, [1, 4] if name == "groups" else [1]  # one in each group
    kernel.assign(np.where(np.isin(np.arange(6), gone), 0, kernel.numpy()))
    plan, x = plan_without(model, [1]), inputs_for(model, samples=64)
    assert largest_difference(slim.shrink(model, plan), model, x) > 1e-3
    assert largest_difference(slim.shrink(model, plan, x), model, x) < 1e-4


@pytest.mark.parametrize("use_bias", [False, True])
def test_behind_an_adder_layer_what_is_normalised_keeps_its_mean_and_variance(use_bias):
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    x = layers.BatchNormalization()(AdderConv2D(5, 2, use_bias=use_bias)(x))
    model = randomise(keras.Model(inputs, x))
    x = inputs_for(model, samples=64)
    plan = slim.plan_pruning(model, 0.5, guards=LOOSE)
    before, plain, after = (
        np.asarray(each(x)) for each in (model, slim.shrink(model, plan), slim.shrink(model, plan, x))
    )
    assert np.abs(plain.mean((0, 1, 2)) - before.mean((0, 1, 2))).max() > 1
    np.testing.assert_allclose(after.mean((0, 1, 2)), before.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(after.std((0, 1, 2)), before.std((0, 1, 2)), rtol=1e-2)


@pytest.mark.onednn
@pytest.mark.parametrize("calibration", [True, Calibration(compensate=False, recalibrate=True)])
def test_a_convolution_that_does_not_run_on_this_machine_is_named(calibration, convolves_channels_first):
    inputs = keras.Input((2, 6, 6))
    x = layers.Conv2D(8, 3, data_format="channels_first", name="refused")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.BatchNormalization(axis=1)(x))))
    plan, x = slim.plan_pruning(model, 0.3, guards=LOOSE), inputs_for(model, samples=16)
    expected = pytest.raises(UnsupportedLayerError, match="channels_first.*: 'refused'. Set .*TF_ENABLE_ONEDNN_OPTS")
    with contextlib.nullcontext() if convolves_channels_first else expected:
        assert slim.shrink(model, plan, x, calibration=calibration).get_layer("refused").filters < 8

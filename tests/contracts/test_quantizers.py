"""What every registered quantizer promises, and a user's own with it."""

import inspect
import json
import re

import keras
import numpy as np
import pytest
from placing import numbers, placed, rounded, slope

from keras_slim.errors import did_you_mean
from keras_slim.layers import QuantDense, Quantize
from keras_slim.quantizers import Binary, Int, LearnedStep, Quantizer, Ternary, TrainedTernary, get, quantizers

NAMES = quantizers.names()


class Halves(Quantizer):
    """A quantizer as a user would write one."""

    def num_values(self, place):
        return 2**10

    def __call__(self, x, place, training=False):
        return x + keras.ops.stop_gradient(keras.ops.round(2 * x) / 2 - x)


VARIANTS = [
    Halves(),
    *(Int(bits) for bits in (2, 5)),
    *(Int(4, *options) for options in ((True, None, "trained"), (False, None, "average"), (False, None, "trained"))),
    Int(per_channel=True),
    LearnedStep(2, signed=True),
    Binary(stochastic=True, seed=1),
    Ternary("optimum", per_channel=True),
    TrainedTernary(0.2),
]
EVERY = [*NAMES, *VARIANTS]
PLACES = {"weights": True, "activations": False}


def name_of(quantizer):
    if isinstance(quantizer, str):
        return quantizer
    return " ".join(map(str, (type(quantizer).__name__, *quantizer.get_config().values())))


every = pytest.mark.parametrize("quantizer", EVERY, ids=name_of)
place_of = pytest.mark.parametrize("is_weight", PLACES.values(), ids=PLACES)


@every
@pytest.mark.parametrize(("is_weight", "dtype"), [(True, "float16"), (False, "float32")])
def test_shape_and_dtype_stay_and_values_are_as_few_as_it_says(quantizer, is_weight, dtype):
    x = keras.ops.cast(numbers(5, 4, 6), dtype)
    place = placed(quantizer, x.shape, is_weight=is_weight)
    for training in (False, True):
        y = place(x, training)
        assert (y.shape, keras.backend.standardize_dtype(y.dtype)) == (x.shape, dtype)
        values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")))
        assert np.isfinite(values).all()
        for channel in range(6):
            assert len(np.unique(values[..., channel].round(5))) <= place.num_values
    assert 2 ** (place.bits - 1) < place.num_values <= 2**place.bits


@every
@pytest.mark.parametrize(("is_weight", "size"), [(True, 0), (False, 0), (True, 1e6)])
def test_values_and_gradients_are_finite_whatever_comes(quantizer, is_weight, size):
    x = numbers(3, 4, scale=size)
    place = placed(quantizer, x.shape, is_weight=is_weight)
    for training in (True, False):
        assert np.isfinite(rounded(place, x, training)).all()
        assert np.isfinite(slope(place, x, x + 1, training=training)).all()
        for name in place.variables:
            assert np.isfinite(keras.ops.convert_to_numpy(place.variables[name])).all()
            if place.variables[name].trainable:
                assert np.isfinite(slope(place, x, x + 1, name, training)).all()


@every
@place_of
def test_a_range_that_collapsed_gives_zeros_also_for_what_comes_later(quantizer, is_weight):
    if quantizer in ("sign", "binary") or isinstance(quantizer, Binary | Halves):
        pytest.skip("it has no range")
    place = placed(quantizer, (3, 4), is_weight=is_weight)
    zeros = np.zeros((3, 4), "float32")
    np.testing.assert_array_equal(rounded(place, zeros, training=True), zeros)
    np.testing.assert_array_equal(rounded(place, zeros), zeros)
    if "batches" in place.variables:
        x = numbers(3, 4)
        np.testing.assert_allclose(rounded(place, x), zeros, atol=1e-29)  # the range of one operation cannot be 0
        np.testing.assert_array_equal(slope(place, x, x), zeros)


@every
def test_permuting_channels_permutes_what_is_rounded(quantizer):
    if getattr(quantizer, "stochastic", False):
        pytest.skip("it is left to chance")
    x, order = numbers(5, 4, 6), [3, 0, 4, 2, 1, 5]
    place = placed(quantizer, x.shape)
    np.testing.assert_allclose(rounded(place, x[..., order]), rounded(place, x)[..., order], rtol=1e-5)


@every
def test_one_instance_serves_two_layers_which_learn_each_for_itself(quantizer):
    quantizer = quantizers.get(quantizer, "quantizer", "contract")
    before = quantizer.get_config()
    first, second = (Quantize(quantizer) for _ in range(2))
    x = numbers(3, 4)
    first(x, training=True), second(10 * x, training=True)
    assert not {id(each) for each in first.variables} & {id(each) for each in second.variables}
    alone = Quantize(quantizer)
    alone(x, training=True)
    for one, other in zip(first.weights, alone.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    assert quantizer.get_config() == before


@pytest.mark.parametrize("quantizer", [*NAMES, *VARIANTS[1:]], ids=name_of)
def test_string_class_instance_and_config_mean_the_same_and_survive_json(quantizer):
    member = quantizers.get(quantizer, "quantizer", "contract")
    alike = [quantizers.serialize(member), keras.saving.serialize_keras_object(member), member]
    alike += [type(member), type(member).alias] if isinstance(quantizer, str) else []
    for identifier in alike:
        identifier = json.loads(json.dumps(identifier)) if isinstance(identifier, dict) else identifier
        again = get(identifier, "quantizer", "contract")
        assert type(again) is type(member)
        assert vars(again) == vars(member)
    assert list(member.get_config()) == list(inspect.signature(type(member)).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_tells_formula_shapes_and_source(name):
    text = type(quantizers.get(name, "quantizer", "contract")).__doc__
    assert text.startswith("Rounds ")
    for word in ("`q = ", "shape", "Reference:", "arXiv"):
        assert word in text
    assert re.search("d[wvx] = ", text)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        *((lambda bits=bits: Int(bits), "bits") for bits in (1, 9, 0, -3, True, 2.5, "8", None)),
        *((lambda bits=bits: LearnedStep(bits), "bits") for bits in (1, 9)),
        (lambda: Int(symmetric="yes"), "symmetric"),
        (lambda: Int(per_channel=2), "per_channel"),
        (lambda: Int(ranges="averaged"), "ranges"),
        (lambda: Int(momentum=1.0), "momentum"),
        (lambda: Int(momentum=-0.1), "momentum"),
        (lambda: LearnedStep(signed="no"), "signed"),
        (lambda: Ternary(-0.1), "threshold"),
        (lambda: Ternary("best"), "threshold"),
        (lambda: Ternary(per_channel=None), "per_channel"),
        (lambda: TrainedTernary(1.5), "threshold"),
        (lambda: TrainedTernary(-0.05), "threshold"),
        (lambda: Binary(stochastic=1), "stochastic"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(make, argument):
    with pytest.raises((TypeError, ValueError), match=f"Invalid value for argument `{argument}` of `\\w+`. Expected"):
        make()


def test_what_is_no_quantizer_is_refused_with_the_nearest():
    assert did_you_mean("trinary", NAMES)
    with pytest.raises(ValueError, match="`kernel_quantizer` of `QuantDense`.*Did you mean 'ternary'"):
        QuantDense(2, kernel_quantizer="trinary")
    with pytest.raises(TypeError, match="`input_quantizer` of `QuantDense`"):
        QuantDense(2, input_quantizer=8)
    with pytest.raises(ValueError, match="'binary', 'binary_scaled' or 'sign'"):
        Int(1)

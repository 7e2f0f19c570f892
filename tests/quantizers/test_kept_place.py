"""What is left out is as if it had never been there, in values, gradients and what is learned."""

import keras
import numpy as np
import pytest
from placing import numbers, placed, rounded, slope

from keras_slim.quantizers import Int, LearnedStep, Ternary

KEPT = {1: [0, 2], 2: [1, 2, 5]}
RANGES = "trained", "average"
ACTIVATIONS = [
    *("sign", "int", LearnedStep(3, signed=True)),
    *(Int(4, per_channel=per_channel, ranges=ranges) for per_channel in (True, False) for ranges in RANGES),
]
WEIGHTS = ["binary_scaled", "ternary", "trained_ternary", Ternary("optimum", per_channel=True), Int(3)]
CASES = [(each, is_weight) for of, is_weight in ((ACTIVATIONS, False), (WEIGHTS, True)) for each in of]


def small(x):
    for axis, positions in KEPT.items():
        x = np.take(x, positions, axis=axis)
    return x


@pytest.mark.parametrize(("quantizer", "is_weight"), CASES)
@pytest.mark.parametrize("axes", [(2,), (1, 2)])
def test_the_kept_part_is_rounded_as_if_it_were_all(quantizer, is_weight, axes):
    whole = placed(quantizer, (4, 3, 6), axes, is_weight, kept=KEPT)
    alone = placed(quantizer, (4, 2, 3), axes, is_weight)
    for seed in range(2):
        x = numbers(4, 3, 6, seed=seed)
        found = rounded(whole, x, training=True)
        np.testing.assert_allclose(small(found), rounded(alone, small(x), training=True), rtol=1e-5, atol=1e-6)
        assert np.abs(found).sum() == pytest.approx(np.abs(small(found)).sum())
        np.testing.assert_allclose(small(slope(whole, x, x)), slope(alone, small(x), small(x)), rtol=1e-5, atol=1e-6)
        assert set(whole.variables) == set(alone.variables)
    before = placed(quantizer, (4, 3, 6), axes, is_weight)
    for name, variable in whole.variables.items():
        value, kept = keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(alone.variables[name])
        if value.ndim:
            cut = value
            for position, axis in enumerate(axes):
                cut = np.take(cut, KEPT[axis], axis=position)
            left = keras.ops.convert_to_numpy(before.variables[name])
            assert (value == left).sum() >= value.size - kept.size  # what is left out learns nothing
            value = cut
        np.testing.assert_allclose(value, kept, rtol=1e-5)
        if variable.trainable:
            found = slope(whole, x, x, name)
            np.testing.assert_allclose(found.sum(), slope(alone, small(x), small(x), name).sum(), rtol=1e-4, atol=1e-5)

"""The forms for phones answer as the paper's formula does, with operations that phones have."""

import adder_by_hand as by_hand
import keras
import numpy as np
import pytest
from keras import ops

from keras_slim.kernels.builtin_adder import distances_by_filter, distances_by_value

# On PyTorch, `keras.ops.maximum` of two float64 tensors is a float32 one.
MAXIMA = 1e-5 if keras.backend.backend() == "torch" else 1e-12
CASES = {
    "plain": {},
    "same": {"padding": "same"},
    "strides": {"padding": "same", "strides": (2, 3)},
    "dilation": {"dilation_rate": (2, 1)},
    "causal": {"padding": "causal"},
}


def paddings(case, size, kernel):
    options = CASES[case]
    strides, gaps = options.get("strides", (1, 1)), options.get("dilation_rate", (1, 1))
    return {
        "valid": ((0, 0), (0, 0)),
        "same": [by_hand.same(*axis) for axis in zip(size, kernel, strides, gaps, strict=True)],
        "causal": [((taps - 1) * gap, 0) for taps, gap in zip(kernel, gaps, strict=True)],
    }[options.get("padding", "valid")]


def expected(case, x, w, groups=1):
    options = CASES[case]
    strides, gaps = options.get("strides", (1, 1)), options.get("dilation_rate", (1, 1))
    return by_hand.distances(x, w, strides, paddings(case, x.shape[1:3], w.shape[:2]), gaps, groups)


@pytest.mark.parametrize(("groups", "channels", "filters"), [(1, 5, 7), (2, 3, 4), (4, 1, 8)])
@pytest.mark.parametrize("case", CASES)
def test_by_filter(case, groups, channels, filters):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 6, 7, groups * channels)), rng.normal(size=(3, 2, channels, filters))
    y = distances_by_filter(ops.convert_to_tensor(x), ops.convert_to_tensor(w), groups=groups, **CASES[case])
    np.testing.assert_allclose(y, expected(case, x, w, groups), atol=MAXIMA)


@pytest.mark.parametrize("case", CASES)
def test_by_value(case):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 6, 7, 3)), rng.choice([-1.5, 0.25, 1.0], (3, 2, 3, 4))
    y = distances_by_value(ops.convert_to_tensor(x), w, **CASES[case])
    np.testing.assert_allclose(y, expected(case, x, w), atol=1e-12)

"""Values and gradients of every quantizer are those of its paper, number by number."""

import math

import keras
import numpy as np
import pytest
from placing import numbers, placed, rounded, slope

from keras_slim.quantizers import Binary, Clipped, Int, LearnedStep, Ternary, TrainedTernary

W = numbers(3, 2, 4, seed=1, scale=0.8)
W[0, 0, 0], W[0, 0, 1] = 1.5, -1.2  # beyond one
G = numbers(3, 2, 4, seed=2)


def each(function, *arrays):
    """Returns what a function of numbers gives, element by element."""
    values = [function(*numbers) for numbers in zip(*(array.flat for array in arrays), strict=True)]
    return np.array(values).reshape(W.shape)


def sign(value):
    return 1.0 if value >= 0 else -1.0


def test_sign_and_its_straight_through_gradient():
    place = placed("sign", W.shape)
    np.testing.assert_array_equal(rounded(place, W), each(sign, W))
    np.testing.assert_array_equal(slope(place, W, G), each(lambda w, g: g if abs(w) <= 1 else 0, W, G))
    assert rounded(place, np.zeros(W.shape, "float32")).min() == 1


def test_binary_connect_hands_the_gradient_on():
    place = placed("binary", W.shape)
    np.testing.assert_array_equal(rounded(place, W, training=True), each(sign, W))
    np.testing.assert_array_equal(slope(place, W, G), G)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(Clipped()(W)), np.clip(W, -1, 1))


def test_stochastic_binary_is_one_with_the_probability_of_the_hard_sigmoid():
    w = np.repeat(np.array([[-1.5, -1.0, -0.5, 0.0, 0.4, 1.0, 1.2]], "float32"), 4000, axis=0)
    place = placed(Binary(stochastic=True, seed=3), w.shape)
    drawn = rounded(place, w, training=True)
    assert set(np.unique(drawn)) == {-1, 1}
    expected = [0, 0, 0.25, 0.5, 0.7, 1, 1]
    np.testing.assert_allclose((drawn > 0).mean(axis=0), expected, atol=4 * math.sqrt(0.25 / 4000))
    np.testing.assert_array_equal((drawn > 0).mean(axis=0)[[0, 1, 5, 6]], [0, 0, 1, 1])
    assert (rounded(place, w, training=True) != drawn).any()
    np.testing.assert_array_equal(rounded(place, w), np.where(w >= 0, 1, -1))
    np.testing.assert_array_equal(slope(place, w, w, training=True), w)


@pytest.mark.parametrize("axes", [(-1,), (1,), (1, 2)])
def test_binary_scaled_has_a_scale_for_each_filter(axes):
    place = placed("binary_scaled", W.shape, axes)
    others = tuple(axis for axis in range(3) if axis not in place.axes)
    values, slopes = np.zeros_like(W), np.zeros_like(W)
    n = math.prod(W.shape[axis] for axis in others)
    for where in np.ndindex(W.shape):
        same_filter = tuple(slice(None) if axis in others else where[axis] for axis in range(3))
        a = np.abs(W[same_filter]).sum() / n
        values[where] = a * sign(W[where])
        slopes[where] = G[where] * (1 / n + (a if abs(W[where]) <= 1 else 0))
    np.testing.assert_allclose(rounded(place, W), values, rtol=1e-5)
    np.testing.assert_allclose(slope(place, W, G), slopes, rtol=1e-5)


def test_ternary_takes_its_threshold_from_the_mean():
    place = placed("ternary", W.shape)
    bound = 0.7 * np.abs(W).mean()
    large = [abs(w) for w in W.flat if abs(w) > bound]
    a = sum(large) / len(large)
    values = each(lambda w: 0 if abs(w) <= bound else a * sign(w), W)
    np.testing.assert_allclose(rounded(place, W), values, rtol=1e-5)
    np.testing.assert_array_equal(slope(place, W, G), G)


def nearest_ternary(w):
    """Returns -a, 0, a nearest to some numbers, by trying all thresholds."""
    best = None
    for bound in np.abs(w):
        is_large = np.abs(w) >= bound
        values = np.sign(w) * is_large * np.abs(w)[is_large].mean()
        error = np.square(w - values).sum()
        best = (error, values) if best is None or error < best[0] else best
    return best[1]


def test_the_optimum_is_the_nearest_of_all_ternary_weights():
    place = placed(Ternary("optimum"), W.shape)
    np.testing.assert_allclose(rounded(place, W).ravel(), nearest_ternary(W.ravel()), rtol=1e-5)
    error = np.square(W - rounded(place, W)).sum()
    assert error < np.square(W - rounded(placed("ternary", W.shape), W)).sum()
    place = placed(Ternary("optimum", per_channel=True), W.shape, (0, 2))
    for first, last in np.ndindex(3, 4):
        np.testing.assert_allclose(rounded(place, W)[first, :, last], nearest_ternary(W[first, :, last]), rtol=1e-5)


def test_trained_ternary_has_the_three_gradients_of_its_paper():
    place = placed(TrainedTernary(0.3), W.shape)
    bound = 0.3 * np.abs(W).max()
    up, down = bound < W, -bound > W
    p, n = W[up].mean(), -W[down].mean()  # what they begin with
    np.testing.assert_allclose(rounded(place, W), np.where(up, p, np.where(down, -n, 0)), rtol=1e-5)
    rounded(place, W, training=True)
    place.variables["positive_change"].assign(0.5)
    place.variables["negative_change"].assign(-0.1)
    p, n = p + 0.5, n - 0.1
    other = W * 0.99  # what it began with stays
    np.testing.assert_allclose(rounded(place, other), np.where(up, p, np.where(down, -n, 0)), rtol=1e-5)
    np.testing.assert_allclose(slope(place, W, G), np.where(up, p * G, np.where(down, n * G, G)), rtol=1e-5)
    np.testing.assert_allclose(slope(place, W, G, "positive_change"), G[up].sum(), rtol=1e-5)
    np.testing.assert_allclose(slope(place, W, G, "negative_change"), -G[down].sum(), rtol=1e-5)


@pytest.mark.parametrize("is_weight", [True, False], ids=["weights", "activations"])
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_a_learned_step_has_the_gradients_of_its_paper(bits, is_weight):
    place = placed(LearnedStep(bits), W.shape, is_weight=is_weight)
    low, high = (2 ** (bits - 1), 2 ** (bits - 1) - 1) if is_weight else (0, 2**bits - 1)
    s = 2 * np.abs(W).mean() / math.sqrt(high)
    rounded(place, W, training=True)
    place.variables["step_change"].assign(-0.6 * s)
    s *= 0.4
    values, slopes, of_step = np.zeros_like(W), np.zeros_like(W), 0.0
    for where in np.ndindex(W.shape):
        ratio = W[where] / s
        values[where] = s * round(float(min(max(ratio, -low), high)))
        slopes[where] = G[where] if -low < ratio < high else 0
        of_step += G[where] * (-low if ratio <= -low else high if ratio >= high else round(float(ratio)) - ratio)
    count = W.size if is_weight else W.size / len(W)
    np.testing.assert_allclose(rounded(place, W), values, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(slope(place, W, G), slopes)
    np.testing.assert_allclose(slope(place, W, G, "step_change"), of_step / math.sqrt(count * high), rtol=1e-4)


def by_grid(x, low, high, n, g=None):
    """Returns numbers rounded to integers in a range, and the gradients, one by one."""
    scale = (high - low) / n
    zero = round(-low / scale)
    values, slopes, of_low, of_high = [], [], 0.0, 0.0
    for value, upstream in zip(x, x if g is None else g, strict=True):
        values.append(scale * (min(max(round(float(value / scale)) + zero, 0), n) - zero))
        below, above = value < -zero * scale, value > (n - zero) * scale
        slopes.append(0 if below or above else upstream)
        of_low, of_high = of_low + upstream * below, of_high + upstream * above
    return np.array(values), np.array(slopes), of_low, of_high


@pytest.mark.parametrize("bits", range(2, 9))
def test_integer_weights_have_the_range_of_their_largest_in_each_channel(bits):
    place = placed(Int(bits), W.shape)
    found, n = rounded(place, W), 2**bits - 2
    for channel in range(4):
        w = W[..., channel].ravel()
        bound = np.abs(w).max()
        expected = by_grid(w, -bound, bound, n)[0]
        np.testing.assert_allclose(found[..., channel].ravel(), expected, rtol=1e-5, atol=1e-6)
        steps = w_steps(found[..., channel].ravel(), bound, bits)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert np.abs(steps).max().round() <= 127
    np.testing.assert_array_equal(slope(place, W, G), G)


def w_steps(values, bound, bits):
    """Returns numbers as multiples of the step of the 8-bit grid that `Int` says they lie on."""
    top = 2 ** (bits - 1) - 1
    return values / (bound / top / (127 // top))


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_integer_activations_have_a_trained_range_with_the_gradients_of_its_ends(bits, symmetric):
    place = placed(Int(bits, symmetric, ranges="trained"), W.shape, is_weight=False, name="inputs")
    rounded(place, W, training=True)
    low, high, n = W.min(), W.max(), 2**bits - 1
    if symmetric:
        low, high, n = -max(-low, high), max(-low, high), n - 1
    else:
        place.variables["low_change"].assign(0.7)
        low += 0.7
    place.variables["high_change"].assign(-0.6)
    high -= 0.6
    low = -high if symmetric else low
    values, slopes, of_low, of_high = by_grid(W.ravel(), low, high, n, G.ravel())
    np.testing.assert_allclose(rounded(place, W).ravel(), values, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(slope(place, W, G).ravel(), slopes)
    if symmetric:
        np.testing.assert_allclose(slope(place, W, G, "high_change"), of_high - of_low, rtol=1e-5)
    else:
        np.testing.assert_allclose(slope(place, W, G, "high_change"), of_high, rtol=1e-5)
        np.testing.assert_allclose(slope(place, W, G, "low_change"), of_low, rtol=1e-5)


def test_an_averaged_range_is_the_plain_mean_at_first_and_moves_slowly_later():
    place = placed(Int(4, momentum=0.6), (5, 6), is_weight=False)
    batches = [numbers(5, 6, seed=seed) + 0.3 for seed in range(4)]
    low = high = 0.0
    for number, batch in enumerate(batches):
        share = max(1 / (number + 1), 0.4)
        low, high = low + share * (batch.min() - low), high + share * (batch.max() - high)
        expected = by_grid(batch.ravel(), low, high, 15)[0]
        np.testing.assert_allclose(rounded(place, batch, training=True).ravel(), expected, rtol=1e-5, atol=1e-6)
    for name, value in (("low", low), ("high", high), ("batches", 4)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(place.variables[name]), value, rtol=1e-5)
    again = rounded(place, batches[0])  # outside training, nothing is learned
    np.testing.assert_allclose(again.ravel(), by_grid(batches[0].ravel(), low, high, 15)[0], rtol=1e-5, atol=1e-6)


def test_a_range_of_positive_numbers_begins_at_zero():
    x = np.abs(W) + 1
    place = placed(Int(8), W.shape, is_weight=False)
    low, high = -6, 6  # before any training
    np.testing.assert_allclose(rounded(place, 4 * W).ravel(), by_grid(4 * W.ravel(), low, high, 255)[0], rtol=1e-5)
    assert rounded(place, np.append(x, 0).astype("float32").reshape(1, -1, 1), training=True).min() == 0
    np.testing.assert_allclose(rounded(place, x).ravel(), by_grid(x.ravel(), 0, x.max(), 255)[0], rtol=1e-5)


def test_all_bits_of_a_channel_of_its_own_also_for_activations():
    x = W * np.array([1, 10, 100, 0], "float32")
    place = placed(Int(8, per_channel=True), W.shape, is_weight=False)
    found = rounded(place, x, training=True)
    for channel in range(3):
        values = x[..., channel].ravel()
        expected = by_grid(values, min(values.min(), 0), max(values.max(), 0), 255)[0]
        np.testing.assert_allclose(found[..., channel].ravel(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found[..., 3], 0)

"""Each formula, written out on small vectors. What all de-biasers promise is in `tests/contracts`."""

import numpy as np
import pytest

from keras_slim.scoring import debiasers

SCORES = np.array([3.0, 0.0, 4.0, 1.0])


def debias(name, scores):
    return debiasers.get(name, "debias", "test")(np.array(scores, float))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [3, 0, 4, 1]),
        ("mean", [3 / 2, 0, 4 / 2, 1 / 2]),  # (3 + 0 + 4 + 1) / 4 = 2
        ("max", [3 / 4, 0, 1, 1 / 4]),
        ("l2", [3 / 26**0.5, 0, 4 / 26**0.5, 1 / 26**0.5]),  # 9 + 16 + 1 = 26
        ("rms", [3 / 6.5**0.5, 0, 4 / 6.5**0.5, 1 / 6.5**0.5]),  # 26 / 4 = 6.5
        ("z_score", [1 / 2.5**0.5, -2 / 2.5**0.5, 2 / 2.5**0.5, -1 / 2.5**0.5]),  # (1 + 4 + 4 + 1) / 4 = 2.5
        ("rank", [5 / 8, 1 / 8, 7 / 8, 3 / 8]),  # the middles of the four quarters
    ],
)
def test_formula(name, expected):
    np.testing.assert_allclose(debias(name, SCORES), expected, rtol=1e-12)


def test_equal_scores_share_their_mean_quantile():
    np.testing.assert_allclose(debias("rank", [5, 1, 5, 5]), [5 / 8, 1 / 8, 5 / 8, 5 / 8])


@pytest.mark.parametrize("name", ["mean", "max", "l2", "rms", "z_score", "rank"])
def test_scale_of_a_layer_does_not_show(name):
    np.testing.assert_allclose(debias(name, 1000 * SCORES), debias(name, SCORES))


@pytest.mark.parametrize("name", ["mean", "max", "rms", "z_score", "rank"])
def test_width_of_a_layer_does_not_show(name):
    """A layer of twice the units with the same distribution of scores is not favoured."""
    np.testing.assert_allclose(debias(name, np.tile(SCORES, 2)), np.tile(debias(name, SCORES), 2))


@pytest.mark.parametrize("tiny", [1e-200, 1e-320])
@pytest.mark.parametrize("name", debiasers.names())
def test_tiny_scores_neither_vanish_nor_overflow(name, tiny):
    result = debias(name, tiny * np.array([1.0, 2.0, 3.0]))
    assert np.isfinite(result).all()
    if name != "none":
        assert result[0] <= result[1] <= result[2]


def test_the_input_is_left_alone():
    scores = SCORES.copy()
    for name in debiasers.names():
        debiasers.get(name, "debias", "test")(scores)
    np.testing.assert_array_equal(scores, SCORES)

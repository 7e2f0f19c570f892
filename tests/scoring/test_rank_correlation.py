"""Spearman's coefficient against its textbook formula, and scores against an oracle that is known."""

import keras
import numpy as np
import pytest

from keras_slim.scoring import Criterion, rank_correlation
from keras_slim.scoring.rank_correlation import spearman


class Known(Criterion):
    """Scores that are known beforehand."""

    alias = "known"

    def __init__(self, scores):
        self.scores = np.asarray(scores, float)

    def score(self, graph, data=None):
        return self.scores


@pytest.fixture
def network():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="first"),
            keras.layers.Dense(3, name="second"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


def test_it_is_the_textbook_formula_where_no_ranks_are_tied():
    rng = np.random.default_rng(0)
    first, second = rng.permutation(9), rng.permutation(9)
    differences = np.argsort(np.argsort(first)) - np.argsort(np.argsort(second))
    expected = 1 - 6 * np.square(differences).sum() / (9 * (9**2 - 1))
    assert spearman(first, second) == pytest.approx(expected)


def test_equal_values_share_their_mean_rank():
    ranks = np.array([1.5, 3.0, 1.5, 4.0]), np.array([1.0, 3.0, 3.0, 3.0])
    assert spearman([5, 7, 5, 9], [0, 1, 1, 1]) == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_what_does_not_differ_has_no_order():
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(spearman([1.0], [1.0]))
    assert np.isnan(spearman([], []))


def test_overall_and_inside_each_layer(network):
    oracle = np.array([1.0, 2, 3, 4, 50, 60, 70])
    found = rank_correlation(network, None, Known([10, 20, 30, 40, 3, 2, 1]), "none", oracle=oracle)
    assert found.per_layer == pytest.approx({"first": 1, "second": -1})
    assert found.overall == pytest.approx(spearman([4, 5, 6, 7, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7]))
    debiased = rank_correlation(network, None, Known([10, 20, 30, 40, 3, 2, 1]), "max", oracle=oracle)
    np.testing.assert_allclose(debiased.scores, [0.25, 0.5, 0.75, 1, 1, 2 / 3, 1 / 3])
    assert debiased.per_layer == pytest.approx(found.per_layer)


def test_the_oracle_agrees_with_itself_and_can_be_used_again(network):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, 4)), rng.normal(size=(20, 1))
    first = rank_correlation(network, data, "oracle", "none")
    assert first.overall == pytest.approx(1)
    assert first.per_layer == pytest.approx({"first": 1, "second": 1})
    again = rank_correlation(network, None, "l1", "l2", oracle=first.oracle)
    assert again.overall == rank_correlation(network, data, "l1", "l2").overall


def test_it_prints_a_line_for_each_layer(network):
    found = rank_correlation(network, None, Known([1, 2, 3, 4, 1, 1, 1]), "none", oracle=np.arange(7.0))
    # Ranks of the scores less their mean: -1.5, 1, 2, 3, -1.5, -1.5, -1.5; of the oracle: -3 to 3.
    assert found.overall == pytest.approx(-8.5 / (23 * 28) ** 0.5)
    assert str(found).splitlines() == ["overall -0.335", "first    1.000", "second     nan"]


def test_ignored_layers_are_left_out(network):
    found = rank_correlation(network, None, Known([1, 2, 3, 4]), "none", oracle=np.arange(4.0), ignore=["second"])
    assert [*found.per_layer] == ["first"]


def test_an_oracle_of_another_model_is_refused(network):
    with pytest.raises(ValueError, match=r"`oracle` of `rank_correlation`.*shape \(7,\).*shape \(3,\)"):
        rank_correlation(network, None, "l1", oracle=np.arange(3.0))

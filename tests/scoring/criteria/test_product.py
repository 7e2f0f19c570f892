import numpy as np
import pytest

from keras_slim.scoring import Criterion, Product, Random, criteria


class Known(Criterion):
    def __init__(self, scores):
        self.scores = scores

    def score(self, graph, data=None):
        return self.scores


def test_score_is_the_geometric_mean_of_the_scores(score, perceptron, samples):
    expected = score(perceptron, "l1") * score(perceptron, "taylor", samples) * score(perceptron, Random(seed=3))
    found = score(perceptron, Product(["l1", "taylor", Random(seed=3)]), samples)
    np.testing.assert_allclose(found, np.cbrt(expected), rtol=1e-5)


def test_negative_scores_stay_negative(score, perceptron):
    signs = np.array([1, -1] * 4)
    found = score(perceptron, Product([Known(4 * signs), Known(np.full(8, 9))]))
    np.testing.assert_allclose(found, 6 * signs)


def test_by_default_it_is_taylor_times_redundancy(score, perceptron, samples):
    expected = score(perceptron, "taylor", samples) * score(perceptron, "redundancy", samples)
    np.testing.assert_allclose(score(perceptron, "product", samples), np.sqrt(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("factors", "needs"),
    [(["l1", "l2"], "nothing"), (["l1", "apoz"], "inputs"), (["taylor", "apoz", "l1"], "targets")],
)
def test_it_needs_what_its_factors_need(factors, needs):
    assert Product(factors).needs == needs


def test_factors_with_arguments_survive_the_round_trip():
    again = criteria.deserialize(criteria.serialize(Product(["l1", Random(seed=7)])), "criterion", "test")
    name, drawn = again.factors
    assert name == "l1"
    assert criteria.get(drawn, "factors", "test").seed == 7


@pytest.mark.parametrize("factors", [[], "taylor"])
def test_what_is_no_list_of_criteria_is_refused(factors):
    with pytest.raises(ValueError, match="`factors` of `Product`.*at least one"):
        Product(factors)


def test_an_unknown_factor_is_refused_at_once():
    with pytest.raises(ValueError, match="`factors` of `Product`.*Did you mean 'taylor'"):
        Product(["l1", "tailor"])

import numpy as np

from keras_slim.scoring import Random


def test_the_same_seed_gives_the_same_scores(score, perceptron):
    np.testing.assert_array_equal(score(perceptron, Random(seed=3)), score(perceptron, Random(seed=3)))


def test_another_seed_gives_other_scores(score, perceptron):
    assert not np.array_equal(score(perceptron, Random(seed=3)), score(perceptron, Random(seed=4)))


def test_units_get_different_scores_in_the_unit_interval(score, perceptron):
    scores = score(perceptron, "random")
    assert len(set(scores)) == 8
    assert (scores >= 0).all()
    assert (scores < 1).all()


def test_the_global_random_state_is_left_alone(score, perceptron):
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    score(perceptron, "random")
    assert np.random.uniform() == expected

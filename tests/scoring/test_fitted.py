"""De-biasing by what a few units are worth, worked out with a brute-force loop over units."""

import keras
import numpy as np
import pytest

from keras_slim.graph import analyse
from keras_slim.scoring import Debias, Fitted, check_data, criteria


@pytest.fixture
def network():
    """Two hidden layers, of which the second has a far smaller part in the output."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(9, "relu"), keras.layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def data(network):
    """The network's own answers as targets, so that every unit is missed."""
    x = np.random.default_rng(3).normal(size=(20, 4)).astype("float32")
    return x, 0.9 * keras.ops.convert_to_numpy(network(x))


def rise_without(model, data, layer, unit):
    """The loss with a row of the next layer's kernel at zero, less the loss."""
    (x, y), values = data, [value.copy() for value in model.get_weights()]

    def loss():
        hidden = x.astype(float)
        for kernel, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
            hidden = np.maximum(hidden @ kernel + bias, 0)
        return np.mean((hidden @ values[-2] + values[-1] - y) ** 2)

    before = loss()
    values[2 * (layer + 1)][unit] = 0
    return loss() - before


def test_scores_are_scaled_to_the_mean_rise_of_the_loss_without_the_sampled_units(score, network, data):
    raw = score(network, "l1")
    expected = []
    for layer, scores in enumerate((raw[:6], raw[6:])):
        ranking = np.argsort(scores)
        sampled = [ranking[1], ranking[len(scores) // 2], ranking[-1 if layer == 0 else -2]]  # middles of three parts
        rise = np.mean([rise_without(network, data, layer, unit) for unit in sampled])
        expected.append((scores / scores.mean(), rise))
    largest = max(rise for _, rise in expected)
    assert largest > 0
    expected = np.concatenate([scores * max(rise, largest / 1000) for scores, rise in expected])
    np.testing.assert_allclose(score(network, "l1", data, Fitted(3)), expected, rtol=1e-3)


def test_with_all_units_sampled_the_mean_of_a_layer_is_that_of_the_oracle(score, network, data):
    rises, found = score(network, "oracle", data), score(network, "taylor", data, Fitted(100))
    for part in (slice(6), slice(6, None)):
        assert rises[part].mean() > 0
        np.testing.assert_allclose(found[part].mean(), rises[part].mean(), rtol=1e-3)


def test_a_network_that_is_better_off_without_any_unit_keeps_the_order(score, network, data):
    network.set_weights([np.abs(value) for value in network.get_weights()])
    data = np.ones((5, 4)), np.full((5, 2), -100.0)  # the output is positive, the more so the more units there are
    assert (score(network, "oracle", data) < 0).all()
    np.testing.assert_allclose(score(network, "l1", data, "fitted"), score(network, "l1", debias="mean"), rtol=1e-5)


@pytest.mark.parametrize("samples", [0, -1])
def test_a_budget_of_nothing_is_refused(samples):
    with pytest.raises(ValueError, match="`samples_per_layer` of `Fitted`"):
        Fitted(samples)


def test_data_is_asked_for_even_if_the_criterion_needs_none(score, network, data):
    graph, l1 = analyse(network), criteria.get("l1", "criterion", "test")
    for missing in (None, data[0]):
        with pytest.raises(ValueError, match=r"`data`.*`data=\(x, y\)`, for this criterion or de-biasing"):
            score(network, "l1", missing, "fitted")
        with pytest.raises(ValueError, match=r"`data`.*`data=\(x, y\)`, for this criterion or de-biasing"):
            check_data(graph, l1, missing, debias=Fitted(), owner="test")
    check_data(graph, l1, data, debias=Fitted(), owner="test")
    raw = keras.Sequential([keras.Input((4,)), *network.layers])
    with pytest.raises(RuntimeError, match=r"'fitted' follows the loss back.*compile\(loss="):
        score(raw, "l1", data, "fitted")


def test_a_users_debiaser_may_weigh_layers(score, network):
    class WiderIsBetter(Debias):
        def __call__(self, scores):
            return np.ones_like(scores)

        def factors(self, graph, scores, data=None):
            return np.array([group.size for group in graph.groups])

    np.testing.assert_array_equal(score(network, "l1", debias=WiderIsBetter), [6] * 6 + [9] * 9)


def test_a_loss_that_is_not_finite_is_refused(score, network, data):
    data[1][3] = np.nan
    with pytest.raises(ValueError, match="one finite factor per group"):
        score(network, "l1", data, Fitted())

import numpy as np
import pytest

from keras_slim.graph.connected import components


def brute_force(count, edges):
    labels = list(range(count))
    for _ in range(count):
        for a, b in edges:
            labels[a] = labels[b] = min(labels[a], labels[b])
    return labels


@pytest.mark.parametrize("seed", range(20))
def test_components_equal_the_brute_force(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    edges = rng.integers(0, count, (int(rng.integers(0, 40)), 2))
    assert components(count, edges[:, 0], edges[:, 1]).tolist() == brute_force(count, edges.tolist())


def test_a_long_chain_is_one_component():
    count = 10_000
    order = np.random.default_rng(0).permutation(count)
    assert not components(count, order[:-1], order[1:]).any()

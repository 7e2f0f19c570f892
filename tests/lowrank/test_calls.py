"""Layers that become products where they are called with more than a value, or hold more than a kernel."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size

rng = np.random.default_rng(0)
x = rng.normal(size=(8, 5, 20)).astype("float32")


def planned(*entries):
    """A plan made by hand, of layers at full rank."""
    return FactorizationPlan(tuple(LayerFactors(*each, 0.0) for each in entries), (), Size(0, 0), Size(0, 0))


def with_states():
    sequence, hidden, carry = keras.Input((5, 20)), keras.Input((6,)), keras.Input((6,))
    outputs = layers.LSTM(6, return_state=True, name="net")(sequence, initial_state=[hidden, carry])
    states = [rng.normal(size=(8, 6)).astype("float32") for _ in range(2)]
    return keras.Model([sequence, hidden, carry], outputs), [x, *states]


def with_a_mask():
    sequence, mask = keras.Input((5, 20)), keras.Input((5,), dtype="bool")
    return keras.Model([sequence, mask], layers.LSTM(6, name="net")(sequence, mask=mask)), [x, rng.random((8, 5)) > 0.3]


def behind_a_masking():
    sequence = keras.Input((5, 20))
    masked = np.where(np.arange(5)[:, None] < 3, x, 0)
    return keras.Model(sequence, layers.LSTM(6, name="net")(layers.Masking()(sequence))), masked


@pytest.mark.parametrize("build", [with_states, with_a_mask, behind_a_masking])
def test_masks_and_states_reach_the_recurrent_layer(build):
    keras.utils.set_random_seed(0)
    model, values = build()
    small = slim.factorize(model, planned(("net", "channel", (20, 24), (20,))), values)
    for old, new in zip(keras.tree.flatten(model(values)), keras.tree.flatten(small(values)), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)

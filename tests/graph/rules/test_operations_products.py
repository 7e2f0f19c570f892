import keras
import numpy as np
import pytest
from following import whole
from keras import layers, ops

from keras_slim.graph import Channels
from keras_slim.graph.analysis import Trace


def followed(function):
    """Returns whose units run along which axis of a product, and whose stay whole since it sums over them.

    The operands, "x" and "y", have the shape `(batch, 5, 5)` and units along the last axis.
    """
    inputs = keras.Input((5, 4))
    x, y = (layers.Dense(5, name=name)(inputs) for name in "xy")
    product = function(x, y)
    trace = Trace()
    (channels,) = trace.model(keras.Model(inputs, product), [Channels(inputs.shape)])
    owner = {first: path for _, path, _, first, _ in trace.record.producers.values()}
    model = keras.Model(inputs, layers.Dense(2)(ops.reshape(product, (-1, 1))))
    summed = {name for name, reason in whole(model).items() if "sums over" in reason}
    return {axis: owner[atoms[0]] for axis, atoms in channels.axes.items()}, summed


@pytest.mark.parametrize(
    ("function", "free", "summed"),
    [
        (lambda x, y: ops.matmul(x, y), {2: "y"}, {"x"}),
        (lambda x, y: x @ ops.swapaxes(y, 1, 2), {}, set()),
        (lambda x, y: ops.swapaxes(x, 1, 2) @ y, {1: "x", 2: "y"}, set()),
        (lambda x, y: ops.einsum("btc,bsc->bts", x, y), {}, set()),
        (lambda x, y: ops.einsum("btc,bcs->bts", x, y), {2: "y"}, {"x"}),
        (lambda x, y: ops.einsum("btc,btd->bcd", x, y), {1: "x", 2: "y"}, set()),
        (lambda x, y: ops.einsum("btc,btd->bdc", x, y), {1: "y", 2: "x"}, set()),
        (lambda x, y: ops.einsum("btc,bsc->btsc", x, y), {3: "x"}, set()),
        (lambda x, y: ops.einsum("...c,...d->...cd", x, y), {2: "x", 3: "y"}, set()),
        (lambda x, y: ops.einsum("bcx,bty", x, y), {2: "x", 3: "y"}, set()),
        (lambda x, y: ops.einsum("btc->btc", x), {2: "x"}, set()),
        (lambda x, y: ops.dot(x, np.ones((5, 3))), {}, set()),
        (lambda x, y: ops.dot(x, 2.0), {2: "x"}, set()),
        (lambda x, y: ops.dot(np.ones((3, 5)), x), {2: "x"}, set()),
        (lambda x, y: ops.inner(ops.swapaxes(x, 1, 2), np.ones((3, 5))), {1: "x"}, set()),
        (lambda x, y: ops.tensordot(ops.swapaxes(x, 1, 2), np.ones((5, 3)), axes=1), {1: "x"}, set()),
        (lambda x, y: ops.matmul(x, np.ones(5)), {}, set()),
        (lambda x, y: ops.matmul(np.ones(5), x), {1: "x"}, set()),
    ],
)
def test_units_that_meet_positions_in_a_sum_stay_whole_and_others_are_handed_on(function, free, summed):
    assert followed(function) == (free, summed)

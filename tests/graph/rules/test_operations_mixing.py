import keras
import numpy as np
import pytest
from following import sizes, traced, whole
from keras import layers, ops

REDUCTIONS = [
    ops.sum, ops.mean, ops.max, ops.min, ops.prod, ops.std, ops.var, ops.any, ops.all, ops.argmax, ops.argmin,
    ops.logsumexp, ops.median, ops.norm, ops.average, ops.count_nonzero, ops.moments,
]  # fmt: skip
ALONG = [ops.softmax, ops.log_softmax, ops.cumsum, ops.cumprod, ops.sort, ops.argsort, ops.sparsemax]


def model_of(function):
    inputs = keras.Input((4, 5, 3))
    output = keras.tree.flatten(function(layers.Dense(6, name="hidden")(inputs)))[0]
    return keras.Model(inputs, layers.Dense(2)(ops.cast(ops.reshape(output, (-1, 1)), "float32")))


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_what_is_left_of_the_axes_is_handed_on(reduce):
    def left(axis, **options):
        axes = {"axes": [axis]} if reduce is ops.moments else {"axis": axis}
        return [list(channels.axes) for channels in traced(lambda x: reduce(x, **axes, **options))]

    count = 2 if reduce is ops.moments else 1
    assert left(1) == [[2]] * count
    assert left(-1) == [[]] * count
    if reduce not in (ops.average, ops.count_nonzero):
        assert left(2, keepdims=True) == [[3]] * count


@pytest.mark.parametrize("function", ALONG)
def test_other_axes_are_handed_on_where_the_shape_stays(function):
    (channels,) = traced(lambda x: function(x, axis=2))
    assert list(channels.axes) == [3]
    (channels,) = traced(lambda x: function(x, axis=-1))
    assert not channels.axes


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: ops.argmax(x, axis=-1), "argmax"),
        (lambda x: ops.argmin(x), "argmin"),
        (lambda x: ops.cumsum(x, axis=-1), "cumsum"),
        (lambda x: ops.softmax(x), "softmax"),
        (lambda x: ops.log_softmax(x), "log_softmax"),
        (lambda x: ops.roll(x, 1, axis=3), "roll"),
        (lambda x: ops.roll(x, 1), "roll"),
        (lambda x: ops.top_k(x, 2), "top_k"),
        (lambda x: ops.unstack(x, axis=-1), "unstack"),
        (lambda x: ops.glu(x), "glu"),
    ],
)
def test_channels_that_are_mixed_stay_whole_and_the_reason_names_the_operation(function, name):
    model = model_of(function)
    assert sizes(model) == {}
    assert whole(model)["hidden"].startswith(f"{name} mixes the channels")


def test_a_weighted_average_is_left_to_a_rule_of_its_own():
    assert "weighted" in whole(model_of(lambda x: ops.average(x, axis=1, weights=np.arange(4.0))))["hidden"]

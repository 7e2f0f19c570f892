import keras
import pytest
from keras import layers

from keras_slim.graph.nodes import walk
from keras_slim.profiling import Work, positions, profile, register_work, weight_uses, weight_work
from keras_slim.profiling.work import unexplained, work_of


class AdderDense(layers.Layer):
    """Sums of absolute differences in place of products."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    def call(self, x):
        return -keras.ops.sum(keras.ops.abs(x[..., None] - self.kernel), axis=-2)


class DerivedAdderDense(AdderDense):
    pass


@register_work(AdderDense)
def adder(layer, call):
    uses = positions(call.outputs[0].shape)
    return weight_work(layer, {"kernel": uses}, multiplications=0, additions=2)


def model_of(layer):
    x = keras.Input((5, 3))
    return keras.Model(x, layer(x))


def test_total_uses_are_those_of_all_elements():
    weight = keras.Variable(keras.ops.zeros((3, 4)))
    assert Work(7, weight).total_uses == 7 * 3 * 4
    assert Work(7).total_uses == 7
    assert Work(7, weight).times(2).total_uses == 2 * 7 * 3 * 4


def test_a_rule_of_ones_own_may_add_without_multiplying():
    model = model_of(AdderDense())
    cost = profile(model)
    assert cost.unknown == ()
    assert (cost.multiplications, cost.additions) == (0, 2 * 5 * 3 * 4)
    assert cost.macs == 5 * 3 * 4
    assert [uses for _, uses in weight_uses(model)] == [5]


def test_a_rule_holds_for_exactly_its_class():
    call = walk(model_of(DerivedAdderDense()))[-1]
    assert work_of(call) == []
    assert unexplained(call.operation, []) == call.operation.weights


def test_a_later_rule_replaces_an_earlier_one():
    class Own(AdderDense):
        pass

    register_work(Own)(lambda layer, call: [Work(1)])
    register_work(Own)(lambda layer, call: [Work(2)])
    assert profile(model_of(Own())).macs == 2


def test_vectors_need_no_explanation_and_zero_uses_are_one():
    layer = layers.Dense(4)
    layer.build((None, 3))
    assert unexplained(layer, []) == [layer.kernel]
    assert unexplained(layer, [Work(0, layer.kernel)]) == []


def test_what_is_no_class_cannot_be_registered():
    with pytest.raises(TypeError, match=r"`operations` of `register_work`\. Expected layer classes or names\."):
        register_work(layers.Dense(2))

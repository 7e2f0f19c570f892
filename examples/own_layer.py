"""Teaches keras_slim a layer it does not know, and prunes a network that has it."""

import keras
import numpy as np
import tensorflow as tf

import keras_slim as slim


@keras.saving.register_keras_serializable("examples")
class ScaledBranch(keras.layers.Layer):
    """Multiplies each channel by a learned factor, at first a small one.

    With `inputs * self.scale` it would need no rule: code that uses Keras alone is read. TensorFlow's is not.
    """

    def build(self, input_shape):
        self.scale = self.add_weight(shape=input_shape[-1:], initializer=keras.initializers.Constant(0.1))

    def call(self, inputs):
        return tf.multiply(inputs, self.scale)


def network():
    """Two branches of convolutions, each scaled and added to what it started from."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(16, 3, padding="same")(inputs)
    for _ in range(2):
        branch = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
        x = x + ScaledBranch()(keras.layers.Conv2D(16, 1)(branch))
    return keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


model = network()
print(slim.plan_pruning(model, ratio=0.6, debias="rank").describe())  # the 16 channels of the sum are left whole


@slim.graph.register_rule(ScaledBranch)
def scaled_branch(call):
    units = call.inputs[0].along(-1)
    call.weight(call.layer.scale, follows={0: units})
    return call.output({-1: units})


plan = slim.plan_pruning(model, ratio=0.6, debias="rank")
print(plan.describe())  # now they are a group like any other
small, masked = slim.shrink(model, plan), slim.mask(model, plan)
x = slim.datasets.load_digits()[0][0][:8]
np.testing.assert_allclose(small(x), masked(x), atol=1e-5)
print(f"{model.count_params():,} -> {small.count_params():,} parameters; the masked model gives the same answers.")

"""A weight as a layer of its own, for what a layer of one's own computes with its weights."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_slim")
class Weight(keras.layers.Layer):
    """Puts out its weight, whatever comes in.

    It stands for the weights of a layer of one's own where `keras_slim.functional` has written out what that computes,
    so that the operations on them are seen like all others.

    Args:
        shape: Shape of the weight, without a batch dimension.
        initializer: Its first values.
        regularizer: What it adds to the loss. Optional.
        constraint: What holds it after each step. Optional.
        **kwargs: As for every layer.

    Call arguments:
        inputs: A tensor of the model; it only says where in the graph the weight stands.

    Returns:
        Tensor of shape `shape`.

    Example:

    >>> inputs = keras.Input((3,))
    >>> model = keras.Model(inputs, inputs * Weight((3,), initializer="ones")(inputs))
    >>> model(keras.ops.ones((1, 3))).shape
    TensorShape([1, 3])
    """

    def __init__(self, shape, initializer="zeros", regularizer=None, constraint=None, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.weight = None

    @classmethod
    def of(cls, variable: keras.Variable, **kwargs) -> "Weight":
        """Returns a layer that puts out a variable, the very same.

        Args:
            variable: The variable.
            **kwargs: As for every layer.
        """
        options = {"regularizer": variable.regularizer, "constraint": variable.constraint}
        layer = cls(variable.shape, trainable=variable.trainable, **options, **kwargs)
        layer.weight = variable
        layer.built = True
        return layer

    def build(self, input_shape=None):
        if self.weight is None:
            self.weight = self.add_weight(
                self.shape, self.initializer, regularizer=self.regularizer, constraint=self.constraint, name="weight"
            )

    def call(self, inputs):
        return ops.convert_to_tensor(self.weight)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.shape, self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "shape": self.shape,
            "initializer": keras.initializers.serialize(self.initializer),
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
        }

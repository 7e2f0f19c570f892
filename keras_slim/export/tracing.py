"""What a model does for one sample, seen in its TensorFlow graph before any conversion."""

import keras

from keras_slim.errors import ExportError, in_short


class Trace:
    """The graph of a model for a batch of one.

    Args:
        model: A Keras model.
        signature: Its `Signature`, every shape fixed.

    Attributes:
        model: The model.
        function: The `tf.types.experimental.ConcreteFunction`, which calls it outside training.

    Raises:
        ExportError: If the model does not run on such a batch.
    """

    def __init__(self, model, signature):
        import tensorflow as tf

        self.model = model
        try:
            function = tf.function(lambda inputs: _one_deep(model(inputs, training=False)), autograph=False)
            self.function = function.get_concrete_function(signature.tensor_specs())
        except Exception as error:
            raise ExportError(
                f"The model '{model.name}' cannot be traced for a batch of one: {in_short(error)}. Expected a model "
                "that runs in a `tf.function`, whatever the values of its tensors are. Correct the line."
            ) from error

    @property
    def has_loop(self):
        """Whether the graph holds a loop, as recurrent layers do unless unrolled."""
        graph = self.function.graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return any(node.op in ("While", "StatelessWhile") for node in nodes)

    @property
    def num_kernel_weights(self):
        """Number of weights in the matrices and kernels used; vectors are left out, for they may be folded away."""
        shapes = [variable.shape for variable in self.function.variables]
        return sum(shape.num_elements() for shape in shapes if shape.rank >= 2)

    @property
    def held(self):
        """All that the graph refers to: its variables, and the model itself if that is not all, as with tables."""
        import tensorflow as tf

        variables = list(self.function.variables)
        resources = {id(each) for each in self.function.captured_inputs if each.dtype == tf.resource}
        return variables if resources <= {id(variable.handle) for variable in variables} else [*variables, self.model]


def _one_deep(outputs):
    """Returns outputs as a file can name them: a dictionary as it is, any other structure as a flat list."""
    flat = keras.tree.flatten(outputs)
    return outputs if isinstance(outputs, dict) and len(outputs) == len(flat) else flat

"""How often each element of each weight is used for one sample: the basis of every count of operations."""

from collections.abc import Iterator

import keras

from keras_slim.graph.nodes import Node
from keras_slim.profiling.calls import calls
from keras_slim.profiling.sizes import UnknownDimensionError
from keras_slim.profiling.work import Work, work_of


def weight_uses(model: keras.Model) -> list[tuple[keras.Variable, int]]:
    """Tells how often each element of each weight is used for one sample.

    The multiply-accumulates of a model are `sum(size(weight) * uses)`, and those of attention and of products of
    tensors, which have no weights, on top. The uses of a convolution's kernel are its output positions (a transposed
    one's, its input positions), those of a dense kernel the positions it is applied at, those of a recurrent kernel
    the time steps: none depends on how many channels there are. So the same uses with the shapes of a smaller model
    give the multiply-accumulates of the smaller model.

    Args:
        model: A functional model, or a `Sequential` that has been built.

    Returns:
        Pairs of a weight and its uses, in the order of the calls. A weight comes once per call, and not at all where
        it does no such work (biases, normalisation, embeddings) or where its layer has no rule.

    Raises:
        ValueError: If the model is not built, or its inputs have dimensions of unknown size that matter.
        UnsupportedLayerError: If it is a subclassed model.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same", name="conv")])
    >>> [(weight.name, uses) for weight, uses in weight_uses(model)]
    [('kernel', 64)]
    """
    works = [work for _, _, works in work_by_call(model) for work in works]
    return [(work.weight, work.uses) for work in works if work.weight is not None and work.uses]


def work_by_call(model) -> Iterator[tuple[str, Node, list[Work]]]:
    """Yields the path of each call in the model, the call, and its work."""
    for path, call in calls(model):
        try:
            works = work_of(call)
        except UnknownDimensionError as error:
            raise UnknownDimensionError(
                f"The work of layer '{path}' in model '{model.name}' depends on dimensions of unknown size. "
                f"Expected all but the batch to be known. Received: shape={error}. "
                "Build the model with a fixed input shape, such as `keras.Input((224, 224, 3))`."
            ) from None
        yield path, call, works

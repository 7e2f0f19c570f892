"""What layers share whose matrix is a tensor train: their digits, their cores, and how these begin."""

import math

import keras
import numpy as np
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.factorization import tensor_train, tensor_train_deviation, tensor_train_ranks
from keras_slim.factorization.tensor_train import DEPTH
from keras_slim.validation import check_count

TRUNCATED = 0.87962566103423978
"""Standard deviation of a normal distribution of which all beyond two deviations is drawn anew."""


class TensorTrain(keras.layers.Layer):
    """Keeps a matrix as the cores of a tensor train.

    Attributes:
        cores: Once built, the cores, of shape `(rank before, inputs, outputs, rank behind)`.
        inputs: Once built, in how many values each digit of a row counts.
        outputs: The same for columns.
        ranks: The ranks between the cores, no higher than can be of use.
    """

    def __init__(self, rank, input_factors, output_factors, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.rank = _check_rank(rank, owner)
        self.input_factors = _check_factors(input_factors, "input_factors", owner)
        self.output_factors = _check_factors(output_factors, "output_factors", owner)
        depths = {
            name: len(given) + more
            for name, given, more in (
                ("input_factors", self.input_factors, 0),
                ("output_factors", self.output_factors, 0),
                ("rank", self.rank if isinstance(self.rank, tuple) else None, 1),
            )
            if given is not None
        }
        if len(set(depths.values())) > 1:
            expected = "as many input as output factors, and one rank fewer"
            received = {name: getattr(self, name) for name in depths}
            raise ValueError(invalid_argument("rank", owner, expected=expected, received=received))
        self._depth = next(iter(depths.values()), DEPTH)
        self.cores: list = []

    def add_cores(self, inputs, outputs, initializer, regularizer, constraint):
        """Adds the weights, which begin with a product as deviating as the initializer would make the matrix."""
        self.inputs, self.outputs = inputs, outputs
        self.ranks = tensor_train_ranks(inputs, outputs, self.rank)
        shape = (math.prod(inputs), math.prod(outputs))
        deviation = tensor_train_deviation(deviation_of(initializer, shape, type(self).__name__), self.ranks)
        ends = (1, *self.ranks, 1)
        self.cores = [
            self.add_weight(
                name=f"core_{index}",
                shape=(ends[index], inputs[index], outputs[index], ends[index + 1]),
                initializer=keras.initializers.RandomNormal(0.0, deviation, seed=_seed(initializer, index)),
                regularizer=regularizer,
                constraint=constraint,
            )
            for index in range(len(inputs))
        ]

    def matrix(self):
        """Returns the matrix that the cores stand for, as a tensor of shape `(inputs, outputs)`."""
        product, depth = ops.reshape(self.cores[0], (-1, self.cores[0].shape[-1])), len(self.cores)
        for core in self.cores[1:]:
            product = ops.matmul(product, ops.reshape(core, (core.shape[0], -1)))
            product = ops.reshape(product, (-1, core.shape[-1]))
        digits = [each for pair in zip(self.inputs, self.outputs, strict=True) for each in pair]
        product = ops.transpose(ops.reshape(product, digits), [*range(0, 2 * depth, 2), *range(1, 2 * depth, 2)])
        return ops.reshape(product, (math.prod(self.inputs), math.prod(self.outputs)))

    def set_matrix(self, matrix) -> None:
        """Gives a built layer the cores that come nearest to a matrix one after the other (TT-SVD).

        Args:
            matrix: Array of shape `(inputs, outputs)`.

        Raises:
            ValueError: If it is of another shape, or not finite, or the layer is not built.
        """
        if not self.built:
            raise ValueError(f"Layer '{self.name}' has no cores yet. Build it first: `layer.build(input_shape)`.")
        rest = math.prod(self.inputs) - len(matrix)
        matrix = np.pad(matrix, [(0, rest), (0, 0)]) if self.has_spare_rows and rest > 0 else matrix
        for core, value in zip(self.cores, tensor_train(matrix, self.inputs, self.outputs, self.ranks), strict=True):
            core.assign(value)

    has_spare_rows = False
    """Whether its digits may count further than there are rows."""

    def get_config(self):
        own = {"rank": self.rank, "input_factors": self.input_factors, "output_factors": self.output_factors}
        return {**super().get_config(), **own}


def check_stock(layer, kind, owner) -> None:
    """Raises `ValueError` if a layer is no built one of a kind that computes what that kind does in Keras."""
    if type(layer) is kind and layer.built and not layer.quantization_mode:
        return
    expected = f"a built `{kind.__name__}` of Keras, not quantized and of no class that derives from it"
    raise ValueError(invalid_argument("layer", owner, expected=expected, received=layer))


def deviation_of(initializer, shape, owner) -> float:
    """Returns the standard deviation of what an initializer draws for a matrix, or raises `ValueError`."""
    kinds = keras.initializers
    if isinstance(initializer, kinds.VarianceScaling):
        inputs, outputs = shape
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[initializer.mode]
        return math.sqrt(initializer.scale / max(1.0, fan))
    if isinstance(initializer, kinds.RandomUniform):
        return (initializer.maxval - initializer.minval) / math.sqrt(12)
    if isinstance(initializer, kinds.TruncatedNormal):
        return TRUNCATED * initializer.stddev
    if isinstance(initializer, kinds.RandomNormal):
        return initializer.stddev
    raise ValueError(
        invalid_argument(
            "initializer",
            owner,
            expected="one that draws by a standard deviation: 'glorot_uniform', 'he_normal' and other `VarianceScaling`"
            ", 'random_normal', 'truncated_normal' or 'random_uniform'",
            received=initializer,
            hint="For a matrix that you have, build the layer and call `set_matrix`.",
        )
    )


def _seed(initializer, index):
    seed = initializer.seed
    return seed + index if isinstance(seed, int) else seed


def _check_rank(rank, owner):
    if isinstance(rank, tuple | list):
        return tuple(check_count(each, "rank", owner) for each in rank)
    return check_count(rank, "rank", owner)


def _check_factors(factors, name, owner):
    if factors is None:
        return None
    if not isinstance(factors, tuple | list) or not factors:
        raise TypeError(invalid_argument(name, owner, expected="a list of integers", received=factors))
    return tuple(check_count(each, name, owner) for each in factors)

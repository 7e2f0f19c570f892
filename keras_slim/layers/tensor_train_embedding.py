"""A table of vectors that is a tensor train."""

import math

import keras
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.factorization.tensor_train import balanced_factors, covering_factors
from keras_slim.layers.tensor_train import TensorTrain, check_stock, deviation_of
from keras_slim.validation import check_count


@keras.saving.register_keras_serializable("keras_slim")
class TensorTrainEmbedding(TensorTrain):
    """Turns integers into vectors made of a train of small cores, and trains these.

    As `TensorTrainDense`, with the table in the place of the kernel. The table is never built: each integer is read in
    digits, and each digit picks a part of a core.

    Args:
        input_dim: Number of rows: one more than the highest integer. Integers out of range are not refused: what they
            pick means nothing.
        output_dim: Width of the vectors.
        rank: As in `TensorTrainDense`.
        input_factors: In how many values each digit of an integer counts, the slowest first; their product is at least
            `input_dim`. Defaults to three, or as many as others say, as near to one another as can be.
        output_factors: The same for columns; their product is `output_dim`.
        embeddings_initializer: What would draw the whole table.
        embeddings_regularizer: Penalty on each core. Optional.
        embeddings_constraint: Constraint of each core. Optional.
        mask_zero: Whether 0 stands for padding, as in `keras.layers.Embedding`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
        TypeError, ValueError: If an argument is not valid, or factors and widths disagree.

    Input shape:
        Integers of any shape.

    Output shape:
        `(*input_shape, output_dim)`.

    Example:

    >>> layer = TensorTrainEmbedding(10_000, 64, rank=8)
    >>> layer(keras.ops.array([[3, 9_999]])).shape, layer.count_params()
    (TensorShape([1, 2, 64]), 7008)

    Reference:
        Novikov et al. 2015, arXiv 1509.06569; for tables, Hrinchuk et al. 2020, "Tensorized embedding layers", arXiv
        1901.10787.
    """

    has_spare_rows = True

    def __init__(
        self,
        input_dim,
        output_dim,
        rank=8,
        input_factors=None,
        output_factors=None,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        **kwargs,
    ):
        super().__init__(rank, input_factors, output_factors, **kwargs)
        owner = "TensorTrainEmbedding"
        self.input_dim = check_count(input_dim, "input_dim", owner)
        self.output_dim = check_count(output_dim, "output_dim", owner)
        for name, fits, wanted in (
            ("input_factors", math.prod(self.input_factors or [input_dim]) >= input_dim, f"at least {input_dim}"),
            ("output_factors", math.prod(self.output_factors or [output_dim]) == output_dim, str(output_dim)),
        ):
            if not fits:
                expected, received = f"numbers whose product is {wanted}", getattr(self, name)
                raise ValueError(invalid_argument(name, owner, expected=expected, received=received))
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = keras.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = keras.constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False  # in half precision, integers given as floating-point numbers would be rounded
        deviation_of(self.embeddings_initializer, (1, 1), owner)

    @classmethod
    def from_embedding(cls, layer: keras.layers.Embedding, rank=8, input_factors=None, output_factors=None, **kwargs):
        """Returns a layer in the place of a built table, with the cores nearest to it (TT-SVD).

        Args:
            layer: The table.
            rank: As above.
            input_factors: As above.
            output_factors: As above.
            **kwargs: Other arguments that are different; all others are those of the layer.

        Returns:
            The layer, built.

        Raises:
            ValueError: If it is not a table of Keras itself, is not built, or is quantized.
        """
        check_stock(layer, keras.layers.Embedding, "from_embedding")
        options = {"rank": rank, "input_factors": input_factors, "output_factors": output_factors, **kwargs}
        made = cls(**of_embedding(layer, **options))
        made.build()
        made.set_matrix(ops.convert_to_numpy(layer.embeddings))
        return made

    def build(self, input_shape=None):
        self.add_cores(
            self.input_factors or covering_factors(self.input_dim, self._depth),
            self.output_factors or balanced_factors(self.output_dim, self._depth)[::-1],
            self.embeddings_initializer,
            self.embeddings_regularizer,
            self.embeddings_constraint,
        )

    def call(self, inputs):
        """Returns the vectors."""
        numbers = ops.reshape(ops.cast(inputs, "int32"), (-1,))
        state, before, others = None, 1, math.prod(self.inputs)
        for core in self.cores:
            rank, number_in, number_out, behind = core.shape
            others //= number_in
            digits = ops.mod(ops.floor_divide(numbers, others), number_in)
            parts = ops.take(ops.transpose(ops.cast(core, self.compute_dtype), (1, 0, 2, 3)), digits, axis=0)
            parts = ops.reshape(parts, (-1, rank, number_out * behind))
            before *= number_out
            state = ops.reshape(parts if state is None else ops.matmul(state, parts), (-1, before, behind))
        return ops.reshape(state, (*ops.shape(inputs), self.output_dim))

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": keras.constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
        }


def of_embedding(layer, **changes):
    """Returns the arguments of a `TensorTrainEmbedding` in the place of a table, some of them different."""
    names = (
        *("input_dim", "output_dim", "embeddings_regularizer", "embeddings_constraint", "mask_zero"),
        *("activity_regularizer", "name", "trainable"),
    )
    return {**{name: getattr(layer, name) for name in names}, "dtype": layer.dtype_policy, **changes}


def work_per_vector(outputs, ranks):
    """Returns the multiply-accumulates that make one vector of the parts of cores that its digits pick."""
    ends = (*ranks, 1)
    return sum(math.prod(outputs[: index + 1]) * ends[index - 1] * ends[index] for index in range(1, len(ends)))

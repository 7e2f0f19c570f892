"""A dense layer whose kernel is a tensor train."""

import math

import keras
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.factorization.tensor_train import balanced_factors
from keras_slim.layers.bias_and_activation import with_bias_and_activation
from keras_slim.layers.tensor_train import TensorTrain, check_stock, deviation_of
from keras_slim.validation import check_count


@keras.saving.register_keras_serializable("keras_slim")
class TensorTrainDense(TensorTrain):
    """Multiplies by a kernel that is a train of small cores, and trains these.

    A dense layer with very many weights, such as the first one behind a convolutional network, gets by with hundreds of
    times fewer. Inputs and units are counted in digits; the kernel's element `((i_1 ... i_d), (j_1 ... j_d))` is the
    product of the matrices `core_k[:, i_k, j_k, :]`. What shrinks is what is stored; to compute there may be more or
    less, as `keras_slim.profile` says. The inputs meet one core after the other, or the kernel is built at each call,
    whichever takes fewer multiply-accumulates for a batch of that size; one of unknown size counts as large.

    Args:
        units: Number of units.
        rank: Ranks between the cores: one number for all, or one for each place. Higher ones fit more.
        input_factors: In how many values each digit of an input counts, the slowest first; their product is the width
            of the inputs. Defaults to three factors, or as many as others say, as near to one another as can be.
        output_factors: The same for units, as many.
        activation: What is done to the outputs. Optional.
        use_bias: Whether to add a bias.
        kernel_initializer: What would draw the whole kernel. The cores begin with a product of that standard deviation.
        bias_initializer: What draws the bias.
        kernel_regularizer: Penalty on each core. Optional.
        bias_regularizer: Penalty on the bias. Optional.
        kernel_constraint: Constraint of each core. Optional.
        bias_constraint: Constraint of the bias. Optional.
        **kwargs: Arguments of `keras.layers.Layer`: name, dtype, activity_regularizer...

    Raises:
        TypeError, ValueError: If an argument is not valid, or factors and widths disagree.

    Call arguments:
        inputs: Tensor of any rank from 2 on.

    Input shape:
        `(batch, ..., channels)`.

    Output shape:
        `(batch, ..., units)`.

    Example:

    >>> model = keras.Sequential([keras.Input((784,)), TensorTrainDense(512, rank=8, activation="relu")])
    >>> model.count_params()  # a dense layer has 401,920
    5952

    Reference:
        Novikov et al. 2015, "Tensorizing neural networks", arXiv 1509.06569, section 4.
    """

    def __init__(
        self,
        units,
        rank=8,
        input_factors=None,
        output_factors=None,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(rank, input_factors, output_factors, **kwargs)
        self.units = check_count(units, "units", "TensorTrainDense")
        if self.output_factors is not None and math.prod(self.output_factors) != units:
            expected = f"factors of the {units} units"
            raise ValueError(_wrong("output_factors", expected, self.output_factors))
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.supports_masking = True
        deviation_of(self.kernel_initializer, (1, 1), "TensorTrainDense")

    @classmethod
    def from_dense(cls, layer: keras.layers.Dense, rank=8, input_factors=None, output_factors=None, **kwargs):
        """Returns a layer in the place of a built dense one, with the cores nearest to its kernel (TT-SVD).

        With ranks that are high enough it answers as the dense layer does.

        Args:
            layer: The dense layer.
            rank: As above.
            input_factors: As above.
            output_factors: As above.
            **kwargs: Other arguments that are different; all others are those of the layer.

        Returns:
            The layer, built, with the name, bias, activation and dtype of the other one.

        Raises:
            ValueError: If it is not a dense layer of Keras itself, is not built, or is quantized.

        Example:

        >>> dense = keras.layers.Dense(12)
        >>> dense.build((None, 20))
        >>> train = TensorTrainDense.from_dense(dense, rank=100)
        >>> bool(ops.max(ops.abs(train.matrix() - dense.kernel)) < 1e-5)
        True
        """
        check_stock(layer, keras.layers.Dense, "from_dense")
        made = cls(**of_dense(layer, rank=rank, input_factors=input_factors, output_factors=output_factors, **kwargs))
        made.build((None, layer.kernel.shape[0]))
        made.set_matrix(ops.convert_to_numpy(layer.kernel))
        if layer.use_bias:
            made.bias.assign(layer.bias)
        return made

    def build(self, input_shape):
        width = input_shape[-1]
        if width is None:
            raise ValueError(_wrong("input_shape", "a known last dimension", input_shape, "TensorTrainDense.build"))
        inputs, outputs = digits_of(width, self.units, self._depth, self.input_factors, self.output_factors)
        if math.prod(inputs) != width:
            raise ValueError(_wrong("input_factors", f"factors of the {width} inputs", inputs))
        self.add_cores(inputs, outputs, self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.InputSpec(min_ndim=2, axes={-1: width})

    def builds_matrix(self, places: int | None) -> bool:
        """Tells whether to build the kernel takes fewer multiply-accumulates than to meet one core after the other.

        Args:
            places: How many vectors there are at once; `None` for very many.
        """
        through_cores, to_build = work_of_cores(self.inputs, self.outputs, self.ranks)
        saved = sum(through_cores) - math.prod(self.inputs) * self.units
        return saved > 0 if places is None else places * saved > sum(to_build)

    def call(self, inputs):
        """Returns the product of inputs and kernel, plus bias, through the activation."""
        shape = inputs.shape[:-1]
        if self.builds_matrix(None if None in shape else math.prod(shape)):
            outputs = ops.matmul(inputs, self.matrix())
        else:
            outputs = ops.reshape(self._carried(inputs), (*ops.shape(inputs)[:-1], self.units))
        return with_bias_and_activation(self, outputs)

    def _carried(self, inputs):
        """Returns the outputs of all positions, flat; at each core, the digit of an input becomes one of an output."""
        state, others, before = inputs, math.prod(self.inputs), 1
        for core in self.cores:
            rank, number_in, number_out, _ = core.shape
            others //= number_in
            state = ops.reshape(state, (-1, number_in, others, before, rank))
            state = ops.reshape(ops.transpose(state, (0, 3, 2, 4, 1)), (-1, rank * number_in))
            state = ops.matmul(state, ops.reshape(core, (rank * number_in, -1)))
            before = number_out
        return state

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


def of_dense(layer, **changes):
    """Returns the arguments of a `TensorTrainDense` in the place of a dense layer, some of them different."""
    names = (
        *("units", "activation", "use_bias", "bias_initializer", "kernel_regularizer", "bias_regularizer"),
        *("kernel_constraint", "bias_constraint", "activity_regularizer", "name", "trainable"),
    )
    return {**{name: getattr(layer, name) for name in names}, "dtype": layer.dtype_policy, **changes}


def digits_of(width, units, depth, inputs=None, outputs=None):
    """Returns factors of inputs and outputs, those that are given or balanced ones, small with large."""
    inputs = balanced_factors(width, depth) if inputs is None else inputs
    return inputs, balanced_factors(units, depth)[::-1] if outputs is None else outputs


def work_of_cores(inputs, outputs, ranks):
    """Returns the multiply-accumulates at each core, of one vector that meets them, and of building the matrix."""
    ends = (1, *ranks, 1)
    through, to_build = [], []
    for index, (number_in, number_out) in enumerate(zip(inputs, outputs, strict=True)):
        size = ends[index] * number_in * number_out * ends[index + 1]
        before, behind = math.prod(outputs[:index]), math.prod(inputs[index + 1 :])
        through.append(size * before * behind)
        to_build.append(size * before * math.prod(inputs[:index]) if index else 0)
    return through, to_build


def _wrong(name, expected, received, owner="TensorTrainDense"):
    return invalid_argument(name, owner, expected=expected, received=received)

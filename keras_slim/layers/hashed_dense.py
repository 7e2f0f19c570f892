"""A dense layer that keeps a few numbers, which a hash lays out as a whole kernel."""

import math

import keras
import numpy as np
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.layers.bias_and_activation import with_bias_and_activation
from keras_slim.layers.hashed_places import hashed_places
from keras_slim.validation import check_count, check_share


@keras.saving.register_keras_serializable("keras_slim")
class HashedDense(keras.layers.Dense):
    """Multiplies by a kernel of few numbers, which a hash puts into all its places.

    `V[i, j] = sign(i, j) * w[bucket(i, j)]`: a hash throws each place of the kernel into one of K buckets, and each
    bucket holds one number, which is trained. The file keeps K numbers and the seed of the hash, whatever the kernel's
    size, and what is trained is K numbers: a wide layer for the price of a narrow one. It computes as much as a dense
    layer, and in memory it is larger: the places are 4 bytes each. An exported file has the whole kernel, as a dense
    layer would. A drop-in for `keras.layers.Dense`; `keras_slim.hash` makes it out of a trained one.

    Args:
        *args: Arguments of `keras.layers.Dense`, in its order.
        num_weights: K, at most as many as the kernel has places. Either this or `ratio`.
        ratio: Share of the kernel's numbers to do without, above 0 and below 1: K is the rest, at least 1.
        seed: Of the hash, an integer of at least 0. Layers of one shape with one seed have the same buckets.
        **kwargs: Other arguments of `keras.layers.Dense`. The initializer makes a whole kernel, of which the first K
            numbers are taken, so that the variance is that of a dense layer. A regularizer or constraint of the kernel
            is about the vector of the K numbers.

    Attributes:
        hashed_kernel: The K numbers, a variable.

    Raises:
        TypeError, ValueError: If an argument is not valid; when it is built, if it has more numbers than places.

    Input shape:
        `(batch, ..., channels)`.

    Output shape:
        `(batch, ..., units)`.

    Example:

    >>> layer = HashedDense(100, ratio=0.9, activation="relu")
    >>> layer(keras.ops.ones((2, 50))).shape, layer.count_params()
    (TensorShape([2, 100]), 600)

    Reference:
        Chen et al. 2015, "Compressing neural networks with the hashing trick", arXiv 1504.04788.
    """

    def __init__(self, *args, num_weights=None, ratio=None, seed=0, **kwargs):
        owner = "HashedDense"
        if (num_weights is None) == (ratio is None):
            expected, received = "it or `ratio`, one of the two", {"num_weights": num_weights, "ratio": ratio}
            raise ValueError(invalid_argument("num_weights", owner, expected=expected, received=received))
        self.num_weights = num_weights if num_weights is None else check_count(num_weights, "num_weights", owner)
        self.ratio = ratio if ratio is None else check_share(ratio, "ratio", owner)
        self.seed = check_count(seed, "seed", owner, minimum=0)
        super().__init__(*args, **kwargs)

    def build(self, input_shape):
        if input_shape[-1] is None:
            expected = "a known last dimension"
            raise ValueError(invalid_argument("input_shape", self.name, expected=expected, received=input_shape))
        shape = input_shape[-1], self.units
        number = self._number_of(shape)

        def first_numbers(_, dtype=None):
            return ops.ravel(self.kernel_initializer(shape, dtype=dtype))[:number]

        self.hashed_kernel = self.add_weight(
            (number,),
            first_numbers,
            name="hashed_kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                name="bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self._places = hashed_places(shape, number, self.seed)
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: shape[0]})

    def _number_of(self, shape):
        """Returns how many numbers there are for a kernel of a shape."""
        size = math.prod(shape)
        number = self.num_weights or max(1, round(size * (1 - self.ratio)))
        if number > size:
            expected = f"at most {size}, the places in a kernel of shape {shape}"
            raise ValueError(invalid_argument("num_weights", self.name, expected=expected, received=number))
        return number

    @property
    def kernel(self):
        """The whole kernel, of shape `(channels, units)`; what it is made of is trained through it."""
        numbers = ops.cast(self.hashed_kernel, self.variable_dtype)  # so that gradients are summed up in it
        # `ravel` also makes them dense: those of `take` alone are slices on TensorFlow.
        return ops.take(ops.ravel(ops.stack([numbers, -numbers])), self._places, axis=0)

    def assign_kernel(self, kernel):
        """Gives the layer the numbers with which its kernel comes nearest to another, by the sum of squared errors.

        These are the means over each bucket, of what its places hold times their signs.

        Args:
            kernel: Array of shape `(channels, units)`.

        Raises:
            ValueError: If it is of another shape, or the layer is not built.
        """
        if not self.built:
            raise ValueError(f"Layer '{self.name}' has no numbers yet. Build it first: `layer.build(input_shape)`.")
        if np.shape(kernel) != self._places.shape:
            expected, received = f"an array of shape {self._places.shape}", f"one of shape {np.shape(kernel)}"
            raise ValueError(invalid_argument("kernel", "assign_kernel", expected=expected, received=received))
        number = self.hashed_kernel.shape[0]
        buckets, signs = self._places % number, np.where(self._places < number, 1.0, -1.0)
        sums = np.bincount(buckets.ravel(), (signs * kernel).ravel(), number)
        counts = np.bincount(buckets.ravel(), minlength=number)
        self.hashed_kernel.assign(sums / np.maximum(counts, 1))

    def call(self, inputs, training=None):
        """Returns the products with the whole kernel, plus bias, through the activation."""
        outputs = ops.matmul(inputs, ops.cast(self.kernel, self.compute_dtype))
        return with_bias_and_activation(self, outputs)

    # Those of dense layers write a kernel.
    def save_own_variables(self, store):
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        keras.layers.Layer.load_own_variables(self, store)

    def enable_lora(self, *args, **kwargs):
        raise NotImplementedError("`HashedDense` does not store its kernel, so it has no adaptation beside it.")

    def quantize(self, *args, **kwargs):
        raise NotImplementedError("`HashedDense` does not store its kernel, so Keras cannot quantize it.")

    def get_config(self):
        own = {"num_weights": self.num_weights, "ratio": self.ratio, "seed": self.seed}
        return {**super().get_config(), **own}

"""What the adder layers share: how their kernels learn, and what Keras offers that makes no sense for them."""

import contextvars
from typing import Any

import keras
from keras import ops

from keras_slim.kernels import adder_convolution
from keras_slim.layers.bias_and_activation import with_bias_and_activation
from keras_slim.validation import check_positive

FORMS = contextvars.ContextVar("forms", default=None)
"""Another function for the distances, of an adder layer and the arguments of `adder_convolution`: for an export."""

LEARNING_RATE = 0.2  # eta: "0.1 to 0.2" in the paper


class Adder:
    """Mixes into a convolution or a dense layer: measure L1 distances where it would sum products."""

    name: str
    kernel: Any
    built: bool
    trainable: bool

    def __init__(self, *args, local_learning_rate=LEARNING_RATE, **kwargs):
        if local_learning_rate is not None:
            check_positive(local_learning_rate, "local_learning_rate", type(self).__name__)
        super().__init__(*args, **kwargs)
        self.local_learning_rate = local_learning_rate
        if keras.backend.backend() == "tensorflow" and not keras.distribution.list_devices("gpu"):
            # `jit_compile="auto"` would make the rest of a model slower; the distances are compiled all the same.
            self.supports_jit = False

    def distances(self, inputs, kernel, **options):
        """Returns minus the L1 distances of images to filters, channels last; see `adder_convolution`."""
        if not keras.backend.is_float_dtype(inputs.dtype):
            inputs = ops.cast(inputs, kernel.dtype)
        if form := FORMS.get():
            return form(self, inputs, kernel, **options)
        return adder_convolution(inputs, kernel, local_learning_rate=self.local_learning_rate, **options)

    def finish(self, outputs, channel_axis=-1):
        """Returns the outputs after bias and activation."""
        return with_bias_and_activation(self, outputs, channel_axis)

    def enable_lora(self, *args, **kwargs):
        raise NotImplementedError(f"`{type(self).__name__}` does not multiply by its kernel, so it has no adaptation.")

    def quantize(self, *args, **kwargs):
        raise NotImplementedError(
            f"`{type(self).__name__}` does not multiply by its kernel, so Keras cannot quantize it."
        )

    def get_config(self):
        return {**super().get_config(), "local_learning_rate": self.local_learning_rate}


class AdderConvolution(Adder):
    """Mixes into a convolution of one or two dimensions, in either data format."""

    def call(self, inputs):
        """Returns minus the L1 distances between patches and filters, plus bias, through the activation."""
        first = self.data_format == "channels_first"
        images = ops.moveaxis(inputs, 1, -1) if first else inputs
        kernel, groups = self.kernel_and_groups()
        options = self.strides, self.dilation_rate
        if flat := len(inputs.shape) == 3:
            images, kernel = ops.expand_dims(images, 1), ops.expand_dims(kernel, 0)
            options = [(1, *each) for each in options]
        strides, dilation_rate = options
        outputs = self.distances(
            images, kernel, strides=strides, padding=self.padding, dilation_rate=dilation_rate, groups=groups
        )
        outputs = ops.squeeze(outputs, 1) if flat else outputs
        outputs = ops.moveaxis(outputs, -1, 1) if first else outputs
        return self.finish(outputs, 1 if first else -1)

    def kernel_and_groups(self):
        """Returns the kernel, with filters last, and the number of groups of channels."""
        return self.kernel, self.groups


def standard_normal(initializer):
    """Returns an initializer; without one, that of the paper: normal, of variance 1."""
    return keras.initializers.RandomNormal(stddev=1.0) if initializer is None else initializer

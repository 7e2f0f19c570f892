"""Where a quantizer is at work: one weight of a layer, or its inputs, and what is kept for them."""

import math

import keras
from keras import ops


class Place:
    """One tensor of a layer that is rounded, and the variables that belong to it.

    Args:
        quantizer: The `Quantizer`.
        name: Name of the weight, or `"inputs"`.
        axes: Its axes that, together, count channels.
        is_weight: Whether it is a weight; else it has samples along its first axis.
    """

    def __init__(self, quantizer, name, axes, is_weight):
        self.quantizer = quantizer
        self.name = name
        self.axes = tuple(axes)
        self.is_weight = is_weight
        self.rank = 0
        self.per_channel = ()
        self.variables = {}
        self.seed = None

    def build(self, layer: keras.layers.Layer, shape: tuple) -> "Place":
        """Makes the variables, as weights of the layer, and returns this place.

        Args:
            layer: The layer.
            shape: Shape of the tensor; sizes may be `None` but along the channels.
        """
        self.rank = len(shape)
        self.axes = tuple(axis % self.rank for axis in self.axes)
        self.per_channel = tuple(shape[axis] for axis in self.axes)
        for name, options in self.quantizer.variables(self).items():
            # Several devices, which see a part of each batch, keep the mean of what they find.
            self.variables[name] = layer.add_weight(
                **{"initializer": "zeros", **options}, name=f"{self.name}_{name}", autocast=False, aggregation="mean"
            )
        if self.quantizer.draws:
            self.seed = keras.random.SeedGenerator(self.quantizer.seed)
            setattr(layer, f"{self.name}_seed_generator", self.seed)  # so that Keras keeps its state
        return self

    def __call__(self, x, training=False):
        """Returns the rounded tensor."""
        dtype = keras.backend.standardize_dtype(x.dtype)
        wide = keras.backend.result_type(dtype, "float32")
        rounded = self.quantizer(ops.cast(x, wide), self, training)
        return ops.cast(rounded, dtype)

    @property
    def num_values(self):
        """How many values a rounded number can have."""
        return self.quantizer.num_values(self)

    @property
    def bits(self):
        """Bits that one rounded number takes."""
        return math.ceil(math.log2(self.num_values))

    def read(self, name):
        """Returns the value of a variable, in a shape that meets the tensor's."""
        value = ops.convert_to_tensor(self.variables[name])
        return ops.reshape(ops.cast(value, keras.backend.result_type(value.dtype, "float32")), self._met(value.shape))

    def write(self, name, value):
        """Gives a variable a value in such a shape."""
        variable = self.variables[name]
        variable.assign(ops.cast(ops.reshape(value, variable.shape), variable.dtype))

    def forget(self):
        """Gives the variables the values that they had before any training."""
        for name, options in self.quantizer.variables(self).items():
            variable = self.variables[name]
            first = keras.initializers.get(options.get("initializer", "zeros"))
            variable.assign(first(variable.shape, dtype=variable.dtype))

    def begun(self, name, value, training):
        """Returns what something begins with: a value of the first batch of training, and from then on the same.

        Args:
            name: Name of the variable that keeps it; 0 until it is known.
            value: What it is now.
            training: Whether to keep it.
        """
        kept = self.read(name)
        value = ops.stop_gradient(ops.where(kept == 0, ops.cast(value, kept.dtype), kept))
        if training:
            self.write(name, value)
        return value

    def reduced(self, function, x, per_channel):
        """Returns `function(x, axis=..., keepdims=True)` over all elements, or over those of each channel."""
        return function(x, axis=self.others(per_channel), keepdims=True)

    def others(self, per_channel):
        """Returns all axes, or those that count no channels."""
        return tuple(axis for axis in range(self.rank) if not (per_channel and axis in self.axes))

    def num_elements(self, x):
        """Returns how many elements the tensor has, of activations for one sample."""
        return math.prod(ops.shape(x)[0 if self.is_weight else 1 :])

    def _met(self, shape):
        return [size if axis in self.axes else 1 for axis, size in self._sizes(shape)]

    def _sizes(self, shape):
        """Yields each axis with the size that a variable has along it: 1 for all if it has but one number."""
        sizes = dict(zip(self.axes, shape, strict=True)) if len(shape) else {}
        return [(axis, sizes.get(axis, 1)) for axis in range(self.rank)]

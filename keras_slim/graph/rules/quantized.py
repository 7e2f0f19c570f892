"""Layers with rounded weights and inputs: their channels lie as in Keras's, and so does what quantizers keep of them.

What is rounded may depend on all of a weight or of the inputs, by a range or a mean, and what is zero may be rounded
to something else: removed channels are left out of it, as of statistics.
"""

from keras_slim.graph.registry import register_rule
from keras_slim.graph.rules.convolution import (
    convolution,
    depthwise_convolution,
    separable_convolution,
    transposed_convolution,
)
from keras_slim.graph.rules.dense import dense
from keras_slim.graph.rules.embedding import embedding
from keras_slim.layers import (
    QuantConv1D,
    QuantConv2D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantDense,
    QuantDepthwiseConv2D,
    QuantEmbedding,
    Quantize,
    QuantSeparableConv2D,
)
from keras_slim.layers.quantized import INPUTS

FINE = 15  # values, from which on kept units can stand in for removed ones: those of 4 bits


class _RoundedCall:
    """The call of such a layer: all that the rule of Keras's layer says, and what follows from it for the quantizers.

    Args:
        call: The `LayerCall`.
    """

    def __init__(self, call):
        self._call = call
        self._places = call.layer.places

    def __getattr__(self, name):
        return getattr(self._call, name)

    def weight(self, variable, produces=None, consumes=None, follows=None):
        """States which atoms run along the axes of a weight, and of what is kept for them."""
        self._call.weight(variable, produces, consumes, follows)
        for name, place in self._places.items():
            if place.is_weight and getattr(self.layer, name) is variable:
                axes = {**(produces or {}), **(consumes or {}), **(follows or {})}
                self.rounds(place, {axis % place.rank: atoms for axis, atoms in axes.items()}, name)

    def rounds(self, place, axes, leaf):
        """States which atoms run along the axes of something that is rounded: a weight, by name, or the inputs, 0."""
        for axis, atoms in axes.items():
            self._call.statistics(axis, atoms, leaf)
        for position, axis in enumerate(place.axes):
            for variable in place.variables.values() if axis in axes else ():
                if len(variable.shape):
                    self._call.weight(variable, follows={position: axes[axis]})

    def linear(self, variable, axis, atoms, bias=None, *, through=None, **options):
        """States what is summed, unless the weights that are trained are too far from those that sum."""
        place, layer = next((each for each in self._places.values() if each.is_weight), None), self.layer
        if through is not None or (place is not None and place.num_values < FINE):
            return
        rounded = (lambda inputs: layer.rounded(INPUTS, inputs)) if INPUTS in self._places else None
        self._call.linear(variable, axis, atoms, bias, through=rounded, **options)


def _rounded(rule, *types):
    """Registers the rule of a layer of Keras for those that round beside."""

    @register_rule(*types)
    def rounded(call):
        if call.layer.kept:
            return call.keep_inputs_whole("units are masked in it already")
        call = _RoundedCall(call)
        if INPUTS in call.layer.places:
            call.rounds(call.layer.places[INPUTS], call.inputs[0].axes, 0)
        return rule(call)

    rounded.__doc__ = rule.__doc__
    return rounded


def unchanged(call):
    """Each channel is rounded for itself."""
    return call.unchanged()


_rounded(convolution, QuantConv1D, QuantConv2D, QuantConv3D)
_rounded(depthwise_convolution, QuantDepthwiseConv2D)
_rounded(separable_convolution, QuantSeparableConv2D)
_rounded(transposed_convolution, QuantConv2DTranspose)
_rounded(dense, QuantDense)
_rounded(embedding, QuantEmbedding)
_rounded(unchanged, Quantize)

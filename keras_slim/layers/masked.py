"""What the twins of layers share that leave channels out, for models in which units are masked rather than removed.

A zero among the channels is not neutral for a mean, a variance, a norm or a distance. A twin has the weights of its
layer and computes with the kept channels alone, so that a masked model answers as its shrunken one.
"""

from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers.masked_operation import MaskedOperation, SilencedOperation, SpreadOperation
from keras_slim.layers.quantized import Quantized, kept_by_place

_TWINS: dict[type, type] = {}
_OF_OPERATIONS = {
    "DotProductAttention": SilencedOperation,
    "LayerNorm": SpreadOperation,
    "Normalize": SpreadOperation,
    "RMSNorm": SpreadOperation,
}
"""By the name of an operation of `keras.ops`; all others return nothing along the axes that are masked."""


class Masked:
    """Mixes into a layer: it knows which channels of its input are kept.

    Args:
        *args: Arguments of the layer.
        kept: Dictionary from an axis of the input to the positions that are kept.
        **kwargs: Arguments of the layer.
    """

    def __init__(self, *args, kept=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.kept = {int(axis): list(positions) for axis, positions in (kept or {}).items()}

    def get_config(self):
        return {**super().get_config(), "kept": self.kept}


def twin_of(layer_class):
    """Returns a decorator that makes a class the twin of a layer class."""

    def decorator(twin):
        _TWINS[layer_class] = twin
        return twin

    return decorator


def masked_twin(layer, config, kept):
    """Returns the copy of a layer that leaves channels out; `None` where it would leave out none.

    Args:
        layer: The layer, or an operation of `keras.ops`.
        config: Its config.
        kept: From a leaf of the arguments, or the name of a weight, and an axis to kept positions, as in
            `MaskedOperation`.

    Raises:
        UnsupportedLayerError: If the layer has weights and no twin.
    """
    if not kept:
        return None
    if isinstance(layer, Quantized):
        return type(layer).from_config({**config, "kept": kept_by_place(kept)})
    if type(layer) in _TWINS:  # these have one input
        return _TWINS[type(layer)].from_config({**config, "kept": {axis: kept[_, axis] for _, axis in kept}})
    if getattr(layer, "weights", ()):
        raise UnsupportedLayerError(
            f"Layer '{layer.name}' computes statistics over channels, and no twin of `{type(layer).__name__}` is known "
            "that leaves some out. Register one with `keras_slim.layers.masked.twin_of`, or let its rule keep all."
        )
    around = _OF_OPERATIONS.get(type(layer).__name__, MaskedOperation)
    return around(type(layer).from_config(config), kept, name=layer.name)

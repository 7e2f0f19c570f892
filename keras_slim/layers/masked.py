"""What the twins of layers share that leave channels out, for models in which units are masked rather than removed.

A zero among the channels is not neutral for a mean, a variance, a norm or a distance. A twin has the weights of its
layer and computes with the kept channels alone, so that a masked model answers as its shrunken one.
"""

_TWINS: dict[type, type] = {}


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
        layer: The layer.
        config: Its config.
        kept: From axis to kept positions, as in the twins.
    """
    return _TWINS[type(layer)].from_config({**config, "kept": kept}) if kept else None

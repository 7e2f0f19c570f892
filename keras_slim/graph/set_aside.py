"""Models that were made along the way and that nobody uses: a look for all models on some layers passes them over.

Keras's layers remember each call, and with it the models in which it was made; so these live as long as the layers.
"""

import weakref
from collections.abc import Iterable

import keras

_ASIDE: "weakref.WeakSet[keras.Model]" = weakref.WeakSet()


def set_aside(models: Iterable[keras.Model]) -> None:
    """Says that nobody will use models."""
    _ASIDE.update(models)


def is_set_aside(model: keras.Model) -> bool:
    """Tells whether nobody uses a model."""
    return model in _ASIDE

"""What a layer can become: by the schemes that are tried of themselves, or by one that has to be asked for."""

import keras

from keras_slim.factorization import SCHEMES
from keras_slim.lowrank import which
from keras_slim.lowrank.canonical_convolutions import DEPTHWISE, CanonicalConvolution
from keras_slim.lowrank.kinds import Factorable
from keras_slim.lowrank.trains import DenseAsTrain, EmbeddingAsTrain

ASKED: dict[str, dict[type, type[Factorable]]] = {
    "tensor_train": {keras.layers.Dense: DenseAsTrain, keras.layers.Embedding: EmbeddingAsTrain},
    "cp": dict.fromkeys(DEPTHWISE, CanonicalConvolution),
}
"""Kinds by type of layer, for each scheme that `"auto"` does not try: it saves storage alone, or may go astray."""
SCHEME_NAMES = ("auto", *SCHEMES, *ASKED)


def why_not(layer: keras.layers.Layer, scheme: str | None = "auto") -> str:
    """Returns why a layer cannot be written as a product in a scheme, or an empty string if it can."""
    if reason := which.why_not(layer):
        return reason
    if scheme not in ASKED:
        return ""
    kind = ASKED[scheme].get(type(layer))
    if kind is None:
        return f"there is no '{scheme}' of a `{type(layer).__name__}`"
    return kind(layer).why_not()


def factorable(layer: keras.layers.Layer, scheme: str | None = "auto") -> Factorable:
    """Returns a layer, for which `why_not` has no reason, as one that can be written in a scheme."""
    return ASKED[scheme][type(layer)](layer) if scheme in ASKED else which.factorable(layer)

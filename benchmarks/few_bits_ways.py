"""The ways to few bits that `few_bits.py` compares: how a network is made, where it starts, what file it becomes."""

import dataclasses
from typing import Any

import keras

import keras_slim as slim
from keras_slim.layers.quantized import Quantized
from keras_slim.quantizers import Int, LearnedStep

ENDS = ("first", "last")
LSQ = "Esser et al. 2020, VGG-small"
PAPERS = {  # what the papers print, or public code gives, as accuracy in percent: of the float network, and in this way
    "learned step, 4 bits": (LSQ, 93.34, 94.26),
    "learned step, 3 bits": (LSQ, 93.34, 93.89),
    "learned step, 2 bits": (LSQ, 93.34, 93.42),
    "binary": ("Courbariaux et al. 2015, CIFAR-10", None, 91.73),
    "ternary": ("Li et al. 2016, VGG-7", 92.88, 92.56),
    "trained ternary": ("Zhu et al. 2017, ResNet-20", 91.77, 91.13),
}


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to few bits.

    Args:
        kernel: Quantizer of the weights.
        activations: Quantizer of what goes into layers. Optional.
        skip: What stays real.
        ends: Quantizer of weights and activations of the first and the last layer, if another. Optional.
        is_trained: Whether it is trained with few bits.
        is_fresh: Whether it is trained from fresh weights, as long as the others all in all, without ReLUs.
        quantize: Precision of the file.
        is_plain: Whether the file is that of the plain layers with the rounded weights, which answer the same.
    """

    kernel: Any
    activations: Any = None
    skip: tuple = ENDS
    ends: Any = None
    is_trained: bool = True
    is_fresh: bool = False
    quantize: str | None = None
    is_plain: bool = False


def _weights(kernel, **options):
    return Way(kernel, is_plain=True, **options)


def _integers(bits, **options):
    return Way(Int(bits), "int", skip=(), quantize="int8", **options)


def _steps(bits):
    return Way(LearnedStep(bits), LearnedStep(bits), skip=(), ends=Int(8))


BITS = (8, 4, 3, 2)
WAYS = {
    **{f"{bits} bits, after training": _integers(bits, is_trained=False) for bits in BITS},
    **{f"{bits} bits, trained": _integers(bits) for bits in BITS},
    **{f"learned step, {bits} bits": _steps(bits) for bits in BITS[1:]},
    "ternary": _weights("ternary"),
    "trained ternary": _weights("trained_ternary"),
    "binary": _weights("binary"),
    "binary, scaled": _weights("binary_scaled"),
    "XNOR": Way("binary_scaled", "sign", is_fresh=True),
}


def without_relu(model):
    """Returns a fresh copy with nothing in the place of its ReLUs: signs before the next layers stand for them."""

    def clone(layer):
        kind = keras.layers.Identity if isinstance(layer, keras.layers.ReLU) else type(layer)
        config = {"name": layer.name} if kind is keras.layers.Identity else layer.get_config()
        return kind.from_config(config)

    return keras.models.clone_model(model, clone_function=clone)


def twin(model, way):
    """Returns the copy of a network that rounds as a way says."""
    kernel, activations = way.kernel, way.activations
    if way.ends is not None:
        layers = [layer.name for layer in model.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))]
        ends = dict.fromkeys((layers[0], layers[-1]), way.ends)
        kernel, activations = ({keras.layers.Layer: of_others, **ends} for of_others in (kernel, activations))
    return slim.quantize(model, kernel, activations, skip=way.skip)


def watch(model, x):
    """Lets the layers of a twin learn their ranges from samples, with nothing rounded meanwhile."""
    layers = [layer for layer in model.layers if isinstance(layer, Quantized)]
    for layer in layers:
        layer.rounding, layer.is_watching = "nothing", True
    for first in range(0, len(x), 64):
        model(x[first : first + 64], training=False)
    for layer in layers:
        layer.rounding, layer.is_watching = "all", False

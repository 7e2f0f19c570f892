"""How numbers are rounded to few bits while they are trained: a function, and a gradient to learn by.

Layers take a quantizer by name, class or instance: `QuantConv2D(64, 3, kernel_quantizer="ternary")`.

- `"int"`: integers of 2 to 8 bits, times a scale.
- `"learned_step"`: integers of 2 to 8 bits, times a step that is trained.
- `"sign"`: -1 and 1, for activations and weights.
- `"binary"`: -1 and 1, by sign or by chance, with weights that are held between.
- `"binary_scaled"`: -a and a, for each filter another.
- `"ternary"`: -a, 0 and a.
- `"trained_ternary"`: -n, 0 and p, both trained.
"""

from keras_slim.quantizers.base import Quantizer, get, quantizers
from keras_slim.quantizers.binary import Binary
from keras_slim.quantizers.binary_scaled import BinaryScaled
from keras_slim.quantizers.clipped import Clipped
from keras_slim.quantizers.integer import Int
from keras_slim.quantizers.learned_step import LearnedStep
from keras_slim.quantizers.place import Place
from keras_slim.quantizers.sign import Sign
from keras_slim.quantizers.ternary import Ternary
from keras_slim.quantizers.trained_ternary import TrainedTernary

__all__ = [
    "Binary",
    "BinaryScaled",
    "Clipped",
    "Int",
    "LearnedStep",
    "Place",
    "Quantizer",
    "Sign",
    "Ternary",
    "TrainedTernary",
    "get",
    "quantizers",
]

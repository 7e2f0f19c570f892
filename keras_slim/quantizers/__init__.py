"""How numbers are rounded to few bits while they are trained: a function, and a gradient to learn by.

Layers take a quantizer by name, class or instance: `QuantConv2D(64, 3, kernel_quantizer="ternary")`.

| name | values | gradient of the weights `w`, given `g` |
|---|---|---|
| `"int"` | integers of 2 to 8 bits, times a scale | `g` inside the range |
| `"learned_step"` | integers of 2 to 8 bits, times a trained step | `g` inside |
| `"sign"` | -1, 1 | `g` where the size is at most 1 |
| `"binary"` | -1, 1, by sign or by chance | `g`, and weights are held between -1 and 1 |
| `"binary_scaled"` | -a, a | `g (1 / n + a 1[|w| <= 1])` |
| `"ternary"` | -a, 0, a | `g` |
| `"trained_ternary"` | -n, 0, p, both trained | `n g`, `g`, `p g` |
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
from keras_slim.quantizers.within import Within

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
    "Within",
    "get",
    "quantizers",
]

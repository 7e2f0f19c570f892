"""Binary weights, by their sign or by chance."""

import keras
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.quantizers.base import Quantizer, quantizers
from keras_slim.quantizers.clipped import Clipped
from keras_slim.quantizers.straight_through import signs, with_gradient


@quantizers.register("binary")
@keras.saving.register_keras_serializable("keras_slim")
class Binary(Quantizer):
    """Rounds weights to -1 and 1 (BinaryConnect).

    `q = sign(w)`; or, stochastic and in training, 1 with probability `clip((w + 1) / 2, 0, 1)`, else -1. Of any shape.
    The gradient goes through as it is, `dw = g`, and a constraint holds the weights that are trained between -1 and 1,
    unless the layer is given another. Outside training it is always the sign (the paper's first method at test time).

    Args:
        stochastic: Whether weights are rounded by chance in training.
        seed: Seed of chance, an integer. Optional.

    Raises:
        TypeError: If `stochastic` is not a boolean.

    Reference:
        Courbariaux et al. 2015, "BinaryConnect", arXiv 1511.00363, equations 1 to 3, algorithm 1.
    """

    def __init__(self, stochastic=False, seed=None):
        if not isinstance(stochastic, bool):
            raise TypeError(invalid_argument("stochastic", "Binary", expected="True or False", received=stochastic))
        self.stochastic = stochastic
        self.seed = seed

    def num_values(self, place):
        return 2

    def __call__(self, x, place, training=False):
        if not (self.stochastic and training):
            return with_gradient(signs, lambda g, x: g, x)
        chance = keras.random.uniform(ops.shape(x), dtype=x.dtype, seed=place.seed)
        return with_gradient(_by_chance, lambda g, *_: (g, ops.zeros_like(g)), x, chance)

    def constraint(self):
        return Clipped()

    @property
    def draws(self):
        """Whether it draws random numbers."""
        return self.stochastic

    def get_config(self):
        return {"stochastic": self.stochastic, "seed": self.seed}


def _by_chance(x, chance):
    return ops.where(chance < (x + 1) / 2, ops.ones_like(x), -ops.ones_like(x))

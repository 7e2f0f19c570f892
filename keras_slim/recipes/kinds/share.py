"""Few values in place of many."""

import dataclasses
import functools

from keras_slim.callbacks.weight_sharing import WeightSharing
from keras_slim.recipes.base import State, steps
from keras_slim.recipes.training import Training
from keras_slim.sharing.share_weights import MOST_BITS, check_bits, share_weights, weights_to_share

MORE_BITS = 4
"""Bits more that a step of no strength would have."""


@steps.register("share")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Share(Training):
    """Rounds the weights of each kernel to a few values that they share.

    Without `epochs` it is `keras_slim.share_weights`; with them a `keras_slim.callbacks.WeightSharing` in a `fit`.
    Steps that train later keep weights tied. By layer, `bits` may differ.

    Args:
        bits: Bits that count the values of a kernel, 1 to 8.
        init: Where k-means begins: `"linear"`, `"density"` or `"kmeans++"`. Defaults to `"linear"`, and to
            `"kmeans++"`, the only one there, for blocks.
        block: Weights in a block that share a vector of values. Defaults to 1.
        codebooks: Sets of values of a kernel. Defaults to 1.
        bias_bits: Bits that count the values of a bias. Defaults to leaving biases as they are.
        seed: Seed of what `"kmeans++"` draws.
    """

    bits: int = 5
    init: str | None = None
    block: int = 1
    codebooks: int = 1
    bias_bits: int | None = None
    seed: int = 0

    by_layer = ("bits",)
    spares_small = True

    def __post_init__(self):
        super().__post_init__()
        check_bits(self.bits, "step `share`")
        self._callback(self.bits)

    def _callback(self, bits):
        return WeightSharing(bits, self.init, **self._how(), verbose=0)

    def _how(self):
        """Returns the options that are passed on as they are."""
        return {name: getattr(self, name) for name in ("block", "codebooks", "bias_bits", "seed")}

    def weaker(self, strength):
        return dataclasses.replace(self, bits=_more(self.bits, strength)) if strength else None

    def weaker_options(self, options, strength):
        return {name: _more(value, strength) if name == "bits" else value for name, value in options.items()}

    def run(self, state, place):
        found, _ = weights_to_share(state.model, self.bits, (), "step `share`", trained_only=bool(self.epochs))
        bits = place.by_weight(state.model, found, "bits", self.bits, trained_only=bool(self.epochs))
        trained = {id(weight) for weight in state.model.trainable_weights}
        tied = {path: weight for path, weight in found.items() if id(weight) in trained}
        held = place.by_weight(state.model, tied, "bits", self.bits, trained_only=True)
        holding = functools.partial(self._callback, held) if held else None
        if self.epochs:
            return State(self.fit(state, place, holding()), holding)
        model = place.copy(state.model)
        share_weights(model, bits, self.init, **self._how(), verbose=0)
        return State(model, holding)


def _more(bits, strength):
    return min(MOST_BITS, bits + round(MORE_BITS * (1 - strength)))

"""What a cut is counted in: units, parameters, multiply-accumulates, bytes of the exported file, its latency."""

from collections.abc import Callable

import keras

from keras_slim.identifiers import Registry
from keras_slim.validation import check_share

COUNTS = ("units", "params", "macs")


class Measure:
    """Says what a ratio is a share of.

    For one of your own, derive from it and define `alias`, `counted` and `meter`.

    Args:
        weigh: Power of what the removal of a unit saves by which its score is divided, from 0 (not at all) to 1, so
            that of two units that contribute alike the one that costs more goes.

    Example:

    >>> import keras, keras_slim as slim, math
    >>> class Activations(slim.pruning.Measure):
    ...     alias, counted = "activations", "units"
    ...     def meter(self, model):
    ...         return self.held(model), self.held
    ...     def held(self, model):
    ...         return sum(math.prod(layer.output.shape[1:]) for layer in model.layers)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32), keras.layers.Dense(8)])
    >>> slim.plan_pruning(model, 0.4, of=Activations()).after.other
    {'activations': 24}
    """

    alias = ""
    """The name of what it measures; with no `meter`, the cost is known by that of the count."""
    counted = ""
    """The count that it is, or that it follows: `"units"`, `"params"` or `"macs"`."""
    tolerance = 0.0
    """By what share a cut may fall below its target, where it is measured."""

    def __init__(self, weigh: float = 0.0):
        self.weigh = check_share(weigh, "weigh", type(self).__name__, zero=True, one=True)

    def meter(self, model: keras.Model) -> tuple[float, Callable] | None:
        """Begins to measure, where counting does not tell.

        Args:
            model: The model before the first cut.

        Returns:
            What the model costs, and the function from a smaller one to what that costs; `None` if `counted` is all.
        """
        return None

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict) -> "Measure":
        """Returns a measure made with the arguments of `get_config`."""
        return cls(**config)


_FLOPS = "Did you mean 'macs'? A multiply-accumulate is two FLOPs, so a share of them is the same share."
_SIZE = "Did you mean 'bytes', of the exported file, or 'params'?"
_TIME = "Did you mean 'latency', of the exported file on this machine?"
OTHER_NAMES = {
    **dict.fromkeys(("flop", "flops", "ops", "operations"), _FLOPS),
    **dict.fromkeys(("size", "memory", "file_size", "model_size"), _SIZE),
    **dict.fromkeys(("time", "speed", "milliseconds", "ms"), _TIME),
}
"""What else people call what is measured, in lower case, and what they are told then."""

measures = Registry("measure", Measure, other_names=OTHER_NAMES)


@measures.register("units")
class Units(Measure):
    """Counts units."""

    counted = "units"

    def __init__(self):
        super().__init__()

    def get_config(self):
        return {}


@measures.register("params")
class Params(Measure):
    """Counts parameters."""

    counted = "params"


@measures.register("macs")
class Macs(Measure):
    """Counts multiply-accumulates of one sample."""

    counted = "macs"

"""What a cut is counted in: units, parameters, multiply-accumulates, bytes of the exported file, its latency."""

from collections.abc import Callable

import keras

from keras_slim.identifiers import Registry
from keras_slim.validation import check_share


class Measure:
    """Says what a ratio is a share of.

    Args:
        weigh: Power of what the removal of a unit saves by which its score is divided, from 0 (not at all) to 1, so
            that of two units that contribute alike the one that costs more goes.
    """

    alias = ""
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


measures = Registry("measure", Measure)


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

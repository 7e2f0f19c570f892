"""What every criterion is, and the two kinds most of them are."""

import abc

import numpy as np
from keras import ops

from keras_slim.errors import invalid_argument
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.identifiers import Registry
from keras_slim.scoring.averaging import mean_by_unit
from keras_slim.scoring.kept_steps import Same
from keras_slim.scoring.observation import observe


class Criterion(abc.ABC):
    """Scores units: the higher, the more a unit contributes.

    Derive from `WeightCriterion` or `ActivationCriterion` where one of them fits. The constructor only stores its
    arguments, so that `get_config` and `from_config` are inverse.
    """

    alias = None
    needs = "nothing"
    """What data it looks at: `"nothing"`, `"inputs"`, or `"targets"` (inputs and targets)."""

    @abc.abstractmethod
    def score(self, graph: ChannelGraph, data=None) -> np.ndarray:
        """Returns one finite score per unit.

        Args:
            graph: Channel graph of the model.
            data: Function of no argument that returns an iterator over batches `(x, y, sample_weight)`. Only read
                when `needs` says so.

        Returns:
            Array of shape `(graph.num_units,)`.
        """

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: dict) -> "Criterion":
        """Returns a criterion made with the arguments of `get_config`."""
        return cls(**config)


class WeightCriterion(Criterion):
    """A criterion that looks at the incoming weights of a unit alone.

    Where several layers compute a unit together (a residual sum), its score is the mean over them.
    """

    def score(self, graph, data=None):
        return mean_by_unit(
            graph.num_units,
            ((slot.units, self._checked_scores(slot)) for slot in graph.slots if slot.role == "produces"),
        )

    def _checked_scores(self, slot):
        scores = np.asarray(self.unit_scores(weights_by_channel(slot)))
        if scores.shape != slot.units.shape:
            expected = f"one finite score per unit, shape {slot.units.shape} for layer '{slot.layer.name}'"
            raise ValueError(_wrong_shape(self, expected, scores))
        return scores

    @abc.abstractmethod
    def unit_scores(self, weights: np.ndarray) -> np.ndarray:
        """Returns the scores of one layer's units.

        Args:
            weights: Array of shape `(fan_in, units)`, without biases.

        Returns:
            Array of shape `(units,)`.
        """


def _wrong_shape(criterion, expected, received):
    return invalid_argument(
        "criterion",
        "unit_scores",
        expected=expected,
        received=criterion.alias or type(criterion).__name__,
        hint=f"It returned shape {tuple(received.shape)}.",
    )


def weights_by_channel(slot):
    """Returns the weights of a slot as a matrix, one column per unit."""
    weights = slot.variable.numpy().astype("float32")
    return np.moveaxis(weights, slot.axis, -1).reshape(-1, weights.shape[slot.axis])


class ActivationCriterion(Criterion):
    """A criterion that looks at what a unit puts out.

    That is its output after normalisation and activation.

    Where several layers compute a unit together, its score is the mean over the places where it can be read.
    """

    needs = "inputs"

    def score(self, graph, data=None):
        seen = observe(graph, data, self._summed, gradients=self.needs == "targets", name=self._name())
        return mean_by_unit(graph.num_units, ((units, self.finish(*means)) for units, means in seen))

    def _name(self):
        """Returns a hashable value that criteria share which do the same; `None` where that cannot be told."""
        settings = tuple(sorted(vars(self).items()))
        plain = all(value is None or isinstance(value, str | int | float) for _, value in settings)
        return (Same(type(self)), settings) if plain else None

    def _summed(self, activations, gradients):
        measures = self.measure(activations, gradients)
        measures = measures if isinstance(measures, tuple) else (measures,)
        for each in measures:
            if len(each.shape) != 2 or each.shape[1] != activations.shape[2]:
                expected = f"a measure of shape (samples, channels), here (samples, {activations.shape[2]})"
                raise ValueError(_wrong_shape(self, expected, each))
        return tuple(ops.sum(each, axis=0) for each in measures)

    @abc.abstractmethod
    def measure(self, activations, gradients):
        """Returns what is to be known of each channel in each sample; `finish` is given its mean over samples.

        Args:
            activations: Tensor of shape `(samples, positions, channels)`, float32.
            gradients: Tensor of the same shape, the derivative of each sample's loss; `None` unless `needs` is
                `"targets"`.

        Returns:
            Tensor of shape `(samples, channels)`, or a tuple of such tensors.
        """

    def finish(self, mean, *means):
        """Returns the scores of channels.

        Args:
            mean: Array of shape `(channels,)`: the mean over all samples of what `measure` returned.
            *means: The others, if it returned several.

        Returns:
            Array of shape `(channels,)`. Defaults to `mean`.
        """
        return mean


class FunctionCriterion(WeightCriterion):
    """A user's function from weights `(fan_in, units)` to scores `(units,)` as a criterion."""

    def __init__(self, function):
        self.function = function
        self.alias = getattr(function, "__name__", "function")

    def unit_scores(self, weights):
        return self.function(weights)


criteria = Registry("criterion", Criterion, wrap_function=FunctionCriterion)

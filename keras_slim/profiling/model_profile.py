"""The cost of a model, layer by layer and in total: plain numbers that can be saved, compared and printed."""

import collections
import dataclasses
import math
from typing import Any

import keras

from keras_slim.graph.opening import readable
from keras_slim.held import layers_within
from keras_slim.layers.quantized import Quantized
from keras_slim.profiling.energy import PICOJOULES, arithmetic_energy
from keras_slim.profiling.picture import draw
from keras_slim.profiling.stored_bits import bits_of_one, rounded_to
from keras_slim.profiling.table import render
from keras_slim.profiling.uses import work_by_call
from keras_slim.profiling.work import unexplained


@dataclasses.dataclass(frozen=True)
class LayerProfile:
    """The cost of one call of one layer, for one sample.

    Args:
        name: Path of the layer, e.g. `"encoder/conv"`.
        call: 1 for the first call of this layer, 2 for the second...
        kind: Name of its class.
        output_shapes: Shape of each output, the batch as `None`.
        parameters: Elements of its weights, trainable or not; those an earlier call has counted are left out.
        bytes: Bytes of these weights, each in its own dtype.
        macs: Multiply-accumulates. In a layer that does not multiply, such as an adder layer, what stands in their
            place: the times that an element of a weight is used.
        multiplications: Multiplications.
        additions: Additions.
        xnors: XNOR operations, in the place of multiplications where weights and inputs are binary.
        bits: Bits in which these weights can be stored: rounded ones in the bits of their quantizer, all others in
            their own dtype. The few numbers that say which values there are count as the weights that they are.
    """

    name: str
    call: int
    kind: str
    output_shapes: tuple[tuple[int | None, ...], ...]
    parameters: int
    bytes: int
    macs: int
    multiplications: int
    additions: int
    xnors: int = 0
    bits: int = 0


@dataclasses.dataclass(frozen=True)
class ModelProfile:
    """The cost of a model for one sample. Its text is a table.

    Args:
        name: Name of the model.
        layers: The cost of each call, in the order of the calls.
        unknown: Paths of layers that have weights but no rule that says what they compute: their operations are
            missing from the totals. `register_work` adds a rule.
    """

    name: str
    layers: tuple[LayerProfile, ...]
    unknown: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Elements of all weights, trainable or not, shared ones once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Bytes of all weights, each in its own dtype."""
        return sum(layer.bytes for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample."""
        return sum(layer.macs for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """Multiplications for one sample."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def additions(self) -> int:
        """Additions for one sample."""
        return sum(layer.additions for layer in self.layers)

    @property
    def xnors(self) -> int:
        """XNOR operations for one sample, where weights and inputs are binary; `energy` leaves them out."""
        return sum(layer.xnors for layer in self.layers)

    @property
    def bits(self) -> int:
        """Bits in which all weights can be stored, rounded ones in the bits of their quantizer."""
        return sum(layer.bits for layer in self.layers)

    def energy(self, precision: str = "float32") -> float:
        """Estimates the energy of the arithmetic for one sample, in microjoules, without that of memory.

        Args:
            precision: As in `keras_slim.profiling.arithmetic_energy`, which has the figures and their source.

        Raises:
            ValueError: If the precision is unknown.
        """
        return arithmetic_energy(self.multiplications, self.additions, precision)

    def to_dict(self) -> dict[str, Any]:
        """Returns totals and layers as plain values that JSON can hold; energy in microjoules by precision."""
        names = "parameters", "bytes", "bits", "macs", "multiplications", "additions", "xnors"
        totals = {name: getattr(self, name) for name in names}
        energy = {precision: self.energy(precision) for precision in PICOJOULES}
        return {"name": self.name, **totals, "energy": energy, **dataclasses.asdict(self)}

    def table(self, all_layers: bool = False) -> str:
        """Returns the profile as a table; `print(profile)` shows the short one.

        Args:
            all_layers: Whether layers have a line too that have no weights and count no operations, such as
                activations and pooling.

        Returns:
            Text as wide as the terminal: layers, their output shapes without the batch, parameters, operations, and
            the share of each in the multiply-accumulates of the model.
        """
        return render(self, all_layers)

    def plot(self, *, figure: Any = None) -> Any:
        """Draws the share of each layer in the parameters and in the multiply-accumulates.

        Calls of one layer are one bar. Of more than 40 layers those with the largest shares are drawn.

        Args:
            figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ValueError: If the model has neither weights nor operations.
        """
        return draw(self, figure)

    def __str__(self):
        return self.table()


def profile(model: keras.Model) -> ModelProfile:
    """Counts parameters, multiplications, additions and bytes, per layer and in total.

    One multiply-accumulate is one multiplication and one addition; an adder layer has two additions in its place.
    Biases, normalisation, activations, gates, pooling and look-ups count zero; see `keras_slim.profiling`. A layer
    called several times has a line for each call, its parameters on the first. Layers of inner models are listed by
    path, such as `encoder/conv`.

    Args:
        model: A built model.

    Returns:
        A `ModelProfile`: data, and a table when printed.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the model is not built, or its inputs have dimensions of unknown size that matter.
        UnsupportedLayerError: If it is a subclassed model whose code cannot be read.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    >>> cost = profile(model)
    >>> cost.parameters, cost.macs
    (112, 6912)
    """
    layers, unknown, counted = [], {}, set()
    times_called = collections.Counter()
    for path, call, works in work_by_call(readable(model, "profile")):
        times_called[path] += 1
        fresh = _not_counted_yet(getattr(call.operation, "weights", []), counted)
        layers.append(_layer_profile(path, times_called[path], call, works, fresh))
        if unexplained(call.operation, works):
            unknown[path] = None
    return ModelProfile(name=model.name, layers=tuple(layers), unknown=tuple(unknown))


def _layer_profile(path, call_number, call, works, weights):
    rounded = rounded_to(each for each in layers_within(call.operation) if isinstance(each, Quantized))
    return LayerProfile(
        name=path,
        call=call_number,
        kind=type(call.operation).__name__,
        output_shapes=tuple(tuple(tensor.shape) for tensor in call.outputs),
        parameters=sum(math.prod(weight.shape) for weight in weights),
        bytes=sum(_bytes_of(weight) for weight in weights),
        macs=sum(work.total_uses for work in works),
        multiplications=sum(work.total_uses * work.multiplications for work in works),
        additions=sum(work.total_uses * work.additions for work in works),
        xnors=sum(work.total_uses * work.xnors for work in works),
        bits=sum(_bits_of(weight, rounded) for weight in weights),
    )


def _not_counted_yet(weights, counted):
    """Returns the weights that are not in `counted`, a set of ids, and adds them."""
    fresh = [weight for weight in weights if id(weight) not in counted]
    counted.update(id(weight) for weight in fresh)
    return fresh


def _bytes_of(weight):
    return math.ceil(_bits_of(weight) / 8)


def _bits_of(weight, rounded=None):
    return math.prod(weight.shape) * bits_of_one(weight, rounded or {})

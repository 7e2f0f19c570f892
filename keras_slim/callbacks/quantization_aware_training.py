"""Learning to live with few bits while a model trains."""

import numbers
from typing import Any

import keras

from keras_slim.callbacks.announcing import Announcing
from keras_slim.callbacks.companions import beside, forget_best
from keras_slim.callbacks.cutting_callback import CuttingCallback
from keras_slim.callbacks.float_loss import FloatLoss
from keras_slim.callbacks.low_bit_twin import become_twin
from keras_slim.callbacks.resuming import is_in_fit
from keras_slim.callbacks.saying import say, warn
from keras_slim.callbacks.statistics_in_steps import KeptStatistics, RangesOfFrozenLayers
from keras_slim.callbacks.steps_within import StepsWithin
from keras_slim.callbacks.weight_sharing import WeightSharing
from keras_slim.errors import invalid_argument
from keras_slim.graph.nodes import check_graph, is_graph
from keras_slim.layers.quantized import ROUNDING
from keras_slim.plain_values import plain
from keras_slim.pruning.adopt import compile_anew
from keras_slim.quantizers import Int, get
from keras_slim.quantizers.bits import check_bits
from keras_slim.rewriting.calibration import rounding_layers
from keras_slim.rewriting.per_layer import PerLayer, by_layer
from keras_slim.validation import check_count, check_names

ALL, WEIGHTS, NOTHING = ROUNDING


class QuantizationAwareTraining(Announcing):
    """Trains a model with the integers that a phone will compute with.

    When `fit` begins, the model becomes what `keras_slim.quantize` makes of it: layers with few bits stand in the place
    of convolutions, dense layers and tables, and a `Quantize` where a phone needs a range ("fake quantization"). It is
    the same object, with its compilation, its weights and what its optimizer remembers; models inside it are others.
    At first nothing is rounded. From epoch `begin` on
    the weights are, and from `delay` epochs later on the activations too, whose ranges are watched meanwhile. In the
    last epochs, ranges and the averages of batch normalizations stay as they are, and only weights are trained.

    Afterwards `keras_slim.export_tflite(model, path, "int8")` writes these integers, without any data, and
    `keras_slim.dequantize(model)` makes layers of Keras of it, with the rounded weights in them. A model that rounds
    already when `fit` begins goes on to, with the quantizers that it has.

    Whenever something more is rounded, `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)`
    forget their best value: they judge the rounded network by its own epochs. Frozen layers are rounded too, and learn
    their ranges.

    Callbacks that prune, hold or share weights can stand beside it, those that cut layers behind it in the list. Zeros
    stay zero. Beside `WeightSharing` each kernel has one range, so that weights that share a value share an integer. A
    `fit` that was killed is taken up beside `keras.callbacks.BackupAndRestore`.

    With `data`, the logs of each epoch hold `float_loss`, the loss on it if nothing were rounded, and
    `quantization_gap`, how much more it is as it is.

    Args:
        bits: Bits of the weights, 2 to 8, or a quantizer, as for `keras_slim.quantize`; or a dictionary to these, whose
            keys are paths, names, models inside the model, and types of layers or their names. The more specific wins.
            What no key tells of has 8. Fewer bits are integers of 8 that have fewer values.
        activations: Quantizer of the activations, as for `keras_slim.quantize`.
        begin: Epoch from which on weights are rounded. Defaults to the first, 0. A network that was trained before
            rounding begins is mostly the better start.
        delay: Epochs from then on in which activations are not rounded yet. Defaults to 0.
        frozen_epochs: Epochs at the end in which ranges and batch normalizations stay as they are; never the first one
            in which activations are rounded. Defaults to 1.
        skip: What stays real, as for `keras_slim.quantize`. Defaults to nothing.
        data: Samples with targets to compare losses on: arrays `(x, y)` or `(x, y, sample_weight)`, a dataset, a
            `keras.utils.PyDataset` or a generator. Optional.
        steps: Batches of the data to look at; of a generator, they are drawn once. Defaults to all.
        verbose: 0 says nothing, 1 says one line when something more is rounded.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if a name is not found, nothing is
            left to round, or `fit` has no epochs after `begin + delay`.
        TypeError: If an argument is none of these kinds.
        RuntimeError: In `fit`, before training starts, if a `CallbackList` of your own has no `History`.
        UnsupportedLayerError: In `fit`, before training starts, if the model decides in its own code which layers it
            calls.

    Warns:
        SlimWarning: If a model that rounds already has other quantizers than were asked for; if layers stay real since
            they derive from a type that can round; if `fit` ends before all is rounded.

    Reference:
        Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
        Inference" (arXiv 1712.05877), section 3.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> training = slim.callbacks.QuantizationAwareTraining(bits=4, begin=1, data=(x, y), verbose=0)
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[training])
    >>> [type(layer).__name__ for layer in model.layers], history.history["quantization_gap"][0]
    (['QuantDense', 'QuantDense', 'Quantize'], 0.0)
    """

    def __init__(
        self,
        bits: Any = 8,
        activations: Any = "int",
        *,
        begin: int = 0,
        delay: int = 0,
        frozen_epochs: int = 1,
        skip=(),
        data=None,
        steps: int | None = None,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.bits, self.activations = bits, activations
        self._quantizers()  # raises what is wrong with them
        self.begin = check_count(begin, "begin", owner, minimum=0)
        self.delay = check_count(delay, "delay", owner, minimum=0)
        self.frozen_epochs = check_count(frozen_epochs, "frozen_epochs", owner, minimum=0)
        self.skip = check_names(skip, "skip", owner)
        self.data = data
        self.steps = steps
        self.verbose = verbose
        self._around: Any = None
        self._steps: StepsWithin | None = None

    def set_params(self, params):
        super().set_params(params)
        if is_in_fit(self):
            model, owner = self.model, type(self).__name__
            self._around = self._steps = None
            self._check_fellows()
            if isinstance(model, keras.Sequential):
                check_graph(model, owner)  # says that it is not built
            self._losses = None if self.data is None else FloatLoss(model, self.data, self.steps, owner)
            if rounding_layers(model):
                self._warn_of_other_quantizers()
            else:
                self._check_epochs()
                become_twin(model, *self._quantizers(), self.skip, owner, self.verbose)
            self._begun = _most(layer.rounding for layer in rounding_layers(model))

    def on_train_begin(self, logs=None):
        if not is_in_fit(self):
            raise RuntimeError(
                f"`{type(self).__name__}` knows by the history that its list of callbacks is one of `fit`. Expected a "
                "list with a `keras.callbacks.History`. Received one without. Make it by "
                "`keras.callbacks.CallbackList(..., add_history=True)`, or give `fit` a plain list."
            )

    def on_epoch_begin(self, epoch, logs=None):
        layers = rounding_layers(self.model)
        now = _most([self._begun, self._scheduled(epoch)])
        rounds_more = any(layer.rounding != now for layer in layers)
        is_kept = self.params["epochs"] - epoch <= self.frozen_epochs and self._have_ranges(layers, epoch)
        has_frozen = now != NOTHING and not all(layer.trainable for layer in layers)
        around = KeptStatistics if is_kept else RangesOfFrozenLayers if has_frozen else None
        if rounds_more or around is not self._around:
            for layer in layers:
                layer.rounding = now
            self._around = around
            compile_anew(self.model)
        if rounds_more:
            forget_best(beside(self))
            bits = sorted({place.bits for layer in layers for place in layer.places.values() if place.is_weight})
            what = f"weights ({_listed(bits)} bits){' and activations' if now == ALL else ''}"
            say(self.verbose, f"Epoch {epoch + 1}: {what} are rounded from here on")

    def on_train_batch_begin(self, batch, logs=None):
        if self._around is not None:
            if self.model.train_function is not None:  # compiled anew since the last batch
                self._steps = StepsWithin(self.model, self._around(self.model))
            self.model.train_function = self._steps

    def _known(self, epoch):
        if self._losses is None:
            return {}
        unrounded = self._losses.unrounded()
        is_rounding = any(layer.rounding != NOTHING for layer in rounding_layers(self.model))
        return {"float_loss": unrounded, "quantization_gap": self._losses.now() - unrounded if is_rounding else 0.0}

    def on_train_end(self, logs=None):
        self._around = self._steps = self._losses = None
        if any(layer.rounding != ALL for layer in rounding_layers(self.model)):
            warn(
                f"Training ended before `{type(self).__name__}` had rounded all. Expected more epochs than "
                f"begin + delay = {self.begin + self.delay}. Received a `fit` that was stopped early. Begin earlier, "
                "or train on: what is not rounded yet will be."
            )

    def get_config(self) -> dict:
        """Returns the arguments as plain values, but for the data."""
        return plain(
            {
                "bits": _plain(self.bits),
                "activations": _plain(self.activations),
                "begin": self.begin,
                "delay": self.delay,
                "frozen_epochs": self.frozen_epochs,
                "skip": self.skip,
                "steps": self.steps,
                "verbose": self.verbose,
            }
        )

    @classmethod
    def from_config(cls, config: dict) -> "QuantizationAwareTraining":
        """Returns a callback made with the arguments of `get_config`."""
        return cls(**config)

    def _scheduled(self, epoch):
        """Returns what is to be rounded in an epoch."""
        if epoch < self.begin:
            return NOTHING
        return WEIGHTS if epoch < self.begin + self.delay else ALL

    def _have_ranges(self, layers, epoch):
        """Tells whether ranges were learned; where there are none to learn, whether an epoch was trained with bits."""
        places = [place.variables for layer in layers for place in layer.places.values()]
        counts = [variables["batches"] for variables in places if "batches" in variables]
        if not counts:
            return epoch > self.begin + self.delay
        return any(keras.ops.convert_to_numpy(count) > 0 for count in counts)

    def _quantizers(self):
        """Returns the quantizers of weights and of activations, as `quantize` takes them."""
        is_shared = any(isinstance(each, WeightSharing) for each in beside(self))
        owner, per_channel = type(self).__name__, False if is_shared else None
        bits = {keras.layers.Layer.__name__: 8, **by_layer(self.bits)}
        return (
            {key: _of_weights(option, owner, per_channel) for key, option in bits.items()},
            {key: get(option, "activations", owner) for key, option in by_layer(self.activations).items()},
        )

    def _warn_of_other_quantizers(self):
        """Warns if a model that rounds already does so otherwise than is asked."""
        model, owner = self.model, type(self).__name__
        if not is_graph(model):
            return
        asked = PerLayer(model, self._quantizers()[0], lambda quantizer: quantizer, "bits", owner)
        layers = [each for each in rounding_layers(model) if each.of_weights]
        others = [each.name for each in layers if repr(getattr(each, each.of_weights)) != repr(asked.of(each))]
        if others:
            warn(
                f"Model '{model.name}' rounds already, and these layers keep the quantizers that they have: {others}. "
                f"Expected those of `bits`. To have others, `{owner}` needs a model that rounds nothing: "
                "`keras_slim.dequantize(model)`."
            )

    def _check_epochs(self):
        begin, epochs = self.begin + self.delay, self.params["epochs"]
        if begin >= epochs:
            expected = f"begin + delay below the {epochs} epochs of `fit`"
            hint = "Train for more epochs, or begin earlier."
            raise ValueError(
                invalid_argument("begin", type(self).__name__, expected=expected, received=begin, hint=hint)
            )

    def _check_fellows(self):
        """Raises `ValueError` if other callbacks cannot share the `fit`, or stand before this one and must not."""
        fellows, owner = beside(self), type(self).__name__
        if any(isinstance(each, QuantizationAwareTraining) and each is not self for each in fellows):
            raise ValueError(f"Expected one `{owner}` in a `fit`. Received two. Say it all with `bits` of one.")
        for each in fellows[: fellows.index(self)]:
            if isinstance(each, CuttingCallback):
                name = type(each).__name__
                raise ValueError(
                    f"`{owner}` exchanges layers when `fit` begins, and `{name}` has looked at them by then. Expected "
                    f"`{owner}` before it in the list of callbacks. Received: {name}, {owner}. Exchange the two."
                )


def _most(roundings):
    """Returns what rounds most."""
    return min(roundings, key=ROUNDING.index)


def _of_weights(option, owner, per_channel):
    """Returns the quantizer that a number of bits, or anything else, stands for."""
    if isinstance(option, numbers.Integral):
        return Int(check_bits(option, "bits", owner), per_channel=per_channel)
    return get(option, "bits", owner)


def _plain(options):
    """Returns options as plain values, types of layers as their names."""
    if by_layer(options) is options:
        return {key.__name__ if isinstance(key, type) else key: _plain(option) for key, option in options.items()}
    is_plain = isinstance(options, numbers.Integral | str | None)
    return options if is_plain else keras.saving.serialize_keras_object(get(options, "", ""))


def _listed(numbers):
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last

"""The ways in which a trial makes a model smaller while it trains, and what is searched of each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_slim.callbacks import ProgressiveGlobalPruning, QuantizationAwareTraining
from keras_slim.callbacks.epochs import cutting_epochs
from keras_slim.errors import did_you_mean, invalid_argument
from keras_slim.lowrank import Energy, factorize
from keras_slim.pruning import Guards
from keras_slim.rewriting.calibration import rounding_layers
from keras_slim.tuning.spaces import Space

WINDOW = (0.25, 0.75)
"""Part of a trial's epochs in which rounds of pruning are made."""


@dataclasses.dataclass(frozen=True)
class Training:
    """What a method is told of the `fit` of a trial.

    Args:
        first_epoch: Number of its first epoch.
        epochs: Number of its last epoch, plus one.
        data: What criteria may look at; `None` if nothing can be looked at twice.
        steps: Batches of it to look at; `None` for all.
        begins_trained: Whether the model was trained before the search.
        is_compressed: Whether an earlier trial has compressed the model already, which `Hyperband` trains further.
    """

    first_epoch: int
    epochs: int
    data: Any = None
    steps: int | None = None
    begins_trained: bool = False
    is_compressed: bool = False


class Method:
    """One way to make a model smaller in `fit`.

    For one of your own, derive from it, and give `CompressionHyperModel` an instance in `methods`.

    Attributes:
        spaces: What is searched of each of its settings, by name, if the user does not say otherwise.

    Example:

    >>> import keras_slim as slim
    >>> class Smallest(slim.tuning.Method):
    ...     spaces = {"max_drop": [0.01, 0.02, 0.04]}
    ...     def callbacks(self, settings, training):
    ...         if training.is_compressed:
    ...             return []
    ...         return [slim.callbacks.ProgressiveGlobalPruning(max_drop=settings["max_drop"], data=training.data)]
    """

    spaces: Mapping[str, Space] = {}

    def rewritten(self, model: keras.Model, settings: dict[str, Any], training: Training) -> keras.Model | None:
        """Returns a copy with other layers that is trained in the place of a model; `None` for the model itself.

        Args:
            model: The model before `fit`.
            settings: The value of each setting of the trial, by name.
            training: What is known of its `fit`.
        """
        return None

    def callbacks(self, settings: dict[str, Any], training: Training) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of ours, new ones, that do it.

        Args:
            settings: The value of each setting of the trial, by name.
            training: What is known of its `fit`.
        """
        return []

    def is_done(self, callbacks: list[keras.callbacks.Callback], model: keras.Model) -> bool:
        """Tells after an epoch whether the model is as small as it gets: only from then on a trial is scored."""
        return True


class Prune(Method):
    """Removes units in rounds, as `ProgressiveGlobalPruning` does.

    Settings: `criterion`, `debias`, `ratio`, `rounds`, and what the ratio is a share of, `of`; of the guards `align`
    and `max_ratio`, which also holds for a single round. Where a `fit` has too few epochs for the rounds, as many are
    made as it has place for.
    """

    spaces = {
        "criterion": ["taylor", "l2", "fpgm"],
        "debias": ["l2", "mean", "rank"],
        "ratio": (0.2, 0.8),
        "rounds": [1, 3, 5],
        "align": [1, 8],
        "max_ratio": [0.8, 0.95],
        "of": "params",
    }

    def callbacks(self, settings, training):
        if training.is_compressed:
            return []
        most = settings["max_ratio"]
        made = ProgressiveGlobalPruning(
            settings["ratio"],
            of=settings["of"],
            criterion=settings["criterion"],
            debias=settings["debias"],
            rounds=_rounds_with_place(settings["rounds"], training),
            data=training.data,
            steps=training.steps,
            window=WINDOW,
            guards=Guards(align=settings["align"], max_ratio=most, max_ratio_per_round=most),
            verbose=0,
        )
        return [made]

    def is_done(self, callbacks, model):
        return all(len(each.rounds_done) >= each.rounds for each in callbacks)


class Quantize(Method):
    """Trains with few bits, as `QuantizationAwareTraining` does.

    Setting: `bits` of the weights. A model that was trained before the search is rounded from the first epoch on, any
    other in the second half of its epochs.
    """

    spaces = {"bits": [4, 8]}

    def callbacks(self, settings, training):
        waits = not (training.begins_trained or training.is_compressed)
        epochs = training.epochs - training.first_epoch
        begin = training.first_epoch + (epochs // 2 if waits else 0)
        return [QuantizationAwareTraining(settings["bits"], begin=begin, verbose=0)]

    def is_done(self, callbacks, model):
        return all(layer.rounding == "all" for layer in rounding_layers(model))


class Factorize(Method):
    """Makes layers products of smaller ones before `fit`, as `factorize` does.

    Settings: `energy`, the share of each layer's response that is kept, and `scheme`. It is for models that were
    trained before the search: fresh kernels are of full rank.
    """

    spaces = {"energy": [0.8, 0.9, 0.95], "scheme": "auto"}

    def rewritten(self, model, settings, training):
        if training.is_compressed:
            return None
        options = {"ranks": Energy(settings["energy"]), "scheme": settings["scheme"], "verbose": 0}
        return factorize(model, data=training.data, steps=training.steps, **options)


class Nothing(Method):
    """Trains the model as it is, to compare with."""


METHODS: dict[str, Method] = {"none": Nothing(), "factorize": Factorize(), "quantize": Quantize(), "prune": Prune()}
"""The methods by name, in the order in which their callbacks stand in `fit`: what exchanges layers before what cuts."""

CHOICES = ["prune", "quantize", "prune+quantize"]
"""What is tried if the user does not say otherwise."""


def parts_of(method: str, known: Mapping[str, Method], owner: str) -> list[str]:
    """Returns the names in a method such as `"prune+quantize"`, in the order of their callbacks.

    Raises:
        ValueError: If one is unknown.
    """
    parts = method.split("+") if isinstance(method, str) else [method]
    for part in parts:
        if part not in known:
            expected = f"names among {list(known)}, joined by '+'"
            hint = did_you_mean(part, known)
            raise ValueError(
                invalid_argument("settings['method']", owner, expected=expected, received=method, hint=hint)
            )
    return [name for name in known if name in parts]


def _rounds_with_place(rounds, training):
    """Returns how many rounds of pruning a `fit` has epochs for, at most those asked for."""
    for fewer in range(rounds, 1, -1):
        try:
            cutting_epochs(fewer, WINDOW, training.first_epoch, training.epochs)
        except ValueError:
            continue
        return fewer
    return 1

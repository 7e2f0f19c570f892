"""What a recipe is carried out with: the model it began with, data, compilation, a metric, a folder."""

import dataclasses
import os
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import keras

from keras_slim.errors import first_sentence, invalid_argument
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.opening import readable
from keras_slim.rewriting.per_layer import paths
from keras_slim.scoring.data import DrawnBatches, first_samples

CALIBRATED = 500
"""Samples that give activations their ranges, as in `keras_slim.calibrate` and `export_tflite`."""


def copied(model: keras.Model) -> keras.Model:
    """Returns a copy of a Functional or Sequential model, with its weights, not compiled."""
    return copy_replacing(model, lambda operation, changes: None)


class Compilation:
    """Compiles copies of a model as it is compiled, or as a recipe says.

    Args:
        model: The user's model.
        options: Arguments of `compile`, plain values; `None` for those of the model.

    Attributes:
        is_there: Whether copies are compiled at all.
        can_train: Whether they have a loss.
    """

    def __init__(self, model: keras.Model, options: dict | None):
        self._config = model.get_compile_config() if options is None and model.compiled else options
        own = [each for each in keras.tree.flatten(getattr(model, "loss", None)) if hasattr(each, "__name__")]
        self._own = {each.__name__: each for each in own}
        self.is_there = self._config is not None
        self.can_train = bool((self._config or {}).get("loss"))

    def apply(self, model: keras.Model) -> None:
        """Compiles a model, if anything is known of how.

        Raises:
            ValueError: If Keras cannot do so.
        """
        if not self.is_there:
            return
        try:
            with keras.saving.custom_object_scope(self._own):
                model.compile_from_config(self._config)
        except Exception as error:
            raise ValueError(
                f"A copy of model '{model.name}' cannot be compiled: {first_sentence(error).rstrip('. ')}. Expected "
                "optimizer, loss and metrics that Keras finds by name. Give them to the recipe, "
                "`compile: {optimizer: adam, loss: mse, metrics: [mae]}`, or register them by "
                "`keras.saving.register_keras_serializable`."
            ) from error


@dataclasses.dataclass(frozen=True)
class Workshop:
    """What all steps of a recipe have in common.

    Args:
        reference: A copy of the user's model, compiled, which no step changes.
        data: What steps look at and train on, as `fit` takes it; `None` if there is none.
        compilation: The `Compilation`.
        folder: Path of the folder that files are written to; `None` if there are none to be.
        verbose: As for `Recipe.apply`.
    """

    reference: keras.Model
    data: Any
    compilation: Compilation
    folder: str | None
    verbose: int

    @cached_property
    def samples(self) -> DrawnBatches:
        """The first samples of the data, in batches."""
        return DrawnBatches(first_samples(self.data, self.reference, CALIBRATED, owner="Recipe", reason="to look at"))


@dataclasses.dataclass(frozen=True)
class Place:
    """What one step is carried out with.

    Args:
        shop: What all steps have in common.
        untouched: Paths of the layers whose weights the step leaves as they are.
        frozen: Paths of the layers that are not trained.
        options: Options that are others for some layers, by their paths.
    """

    shop: Workshop
    untouched: frozenset[str]
    frozen: frozenset[str]
    options: dict[str, dict]

    @property
    def reference(self) -> keras.Model:
        return self.shop.reference

    @property
    def data(self):
        return self.shop.data

    @property
    def samples(self):
        return self.shop.samples

    @property
    def verbose(self) -> int:
        return self.shop.verbose

    @property
    def can_train(self) -> bool:
        return self.shop.compilation.can_train

    def path(self, name: str) -> str:
        """Returns where a file of some name is written."""
        return os.path.join(self.shop.folder or "", name)

    def copy(self, model: keras.Model) -> keras.Model:
        """Returns a copy of a model, not compiled."""
        return copied(model)

    def compile(self, model: keras.Model) -> None:
        """Compiles a model as the recipe says, or as the user's is, if either is known."""
        self.shop.compilation.apply(model)

    def fit_arguments(self, batch_size: int | None) -> dict[str, Any]:
        """Returns the data as arguments of `fit`."""
        if hasattr(self.data, "element_spec"):
            return {"x": self.data, "shuffle": False}  # Keras warns that it does not shuffle datasets
        if not isinstance(self.data, tuple):
            return {"x": self.data}
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(self.data)
        return {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size}

    def by_weight(self, model: keras.Model, weights, option: str, default, trained_only: bool) -> dict[str, Any]:
        """Returns an option for each weight of the layers that the step touches.

        Args:
            model: The model.
            weights: Weights of it by path.
            option: Name of the option.
            default: Its value for layers that have none of their own.
            trained_only: Whether to leave out layers that are not trained.
        """
        owners = _owners(model, weights)
        left = self.untouched | self.frozen if trained_only else self.untouched
        return {
            path: next((each for name, each in self.options.items() if is_within(owner, [name])), {}).get(
                option, default
            )
            for path, owner in owners.items()
            if not is_within(owner, left)
        }

    def trained(self, model: keras.Model, weights) -> list[str]:
        """Returns the paths of those of some weights that are trained."""
        return [path for path, owner in _owners(model, weights).items() if not is_within(owner, self.frozen)]


def is_within(path: str, names: Iterable[str]) -> bool:
    """Tells whether a path is among some, or leads into one: a layer of layers becomes a model when it is pruned."""
    return any(path == name or path.startswith(f"{name}/") for name in names)


def _owners(model, weights):
    """Returns the paths of the layers that some weights, given by path, belong to."""
    layers = {id(weight): path for layer, path in paths(model).items() for weight in getattr(layer, "weights", ())}
    return {path: layers[id(weight)] for path, weight in weights.items()}


def check_data(data, model, owner, argument="data"):
    """Raises `TypeError` for what is used up by one pass, as a generator is."""
    if hasattr(data, "__next__"):
        hint = "A recipe looks at data several times: put it into a `keras.utils.PyDataset` or a `tf.data.Dataset`."
        expected = "arrays `(x, y)`, a dataset or a `keras.utils.PyDataset`"
        raise TypeError(invalid_argument(argument, owner, expected=expected, received=data, hint=hint))


def first_copy(model: keras.Model, owner: str) -> keras.Model:
    """Returns a copy of the user's model, a functional one where it is subclassed."""
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a Keras model", received=model))
    return copied(readable(model, owner))

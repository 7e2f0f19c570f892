"""A model and the ways to make it smaller, as a search space of keras-tuner."""

import dataclasses
import functools
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_slim.errors import (
    SlimWarning,
    UnreachableTargetError,
    UnsupportedLayerError,
    first_sentence,
    invalid_argument,
)
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.nodes import check_graph, is_graph
from keras_slim.pruning import Measure
from keras_slim.pruning.adopt import become
from keras_slim.tuning.checkpoint import is_as_built, load_whole, saving_whole
from keras_slim.tuning.costs import Costs, check_cost
from keras_slim.tuning.methods import CHOICES, METHODS, Method, Training, parts_of
from keras_slim.tuning.scoring import SCORE, Scoring, import_tuner
from keras_slim.tuning.spaces import SCOPE, Space, ask, check_names, check_space
from keras_slim.tuning.trials import read_trials, write_record
from keras_slim.validation import check_choice, check_extra, check_number, check_positive

SAMPLES, BATCHES = 512, 8
"""How much of the training data criteria look at, in arrays and in batches, if the user gives no other."""


class CompressionHyperModel:
    """Lets keras-tuner search how a model is best made smaller.

    It is a `keras_tuner.HyperModel`. Each trial trains the model in `fit` with callbacks of this package: it removes
    units, rounds weights to few bits, or does both, with settings of its own. What its model costs goes into the logs
    of each epoch, where keras-tuner, `CSVLogger` and `TensorBoard` read it: `params`, `macs`, `weight_bytes` (as they
    are rounded), and of the exported file `bytes` and `latency` (milliseconds on this machine). So does the score:

        score = metric - penalty * max(0, cost / budget - 1)

    where less of the metric is better with `-metric`. Only epochs count in which the model is as small as it gets; the
    score is minus infinity before. keras-tuner would add several objectives as they are, points of accuracy and bytes
    alike: this is one number in the units of the metric.

    A trial whose ratio is out of reach fails with a warning that says what could be reached, and the search goes on;
    after three failed trials in a row keras-tuner ends it, or as many as its `max_consecutive_failed_trials`.

    Each trial saves its whole model, since one that was cut in `fit` does not fit the weights of another:
    `tuner.get_best_models()`, `best_model` and the further rounds of `Hyperband` take it from there. What was pruned
    holds layers of Keras only; what was trained with few bits is what `export_tflite` and `dequantize` take.

    Args:
        build_or_model: A function from keras-tuner's `hp` to a compiled model; or another `HyperModel`, whose `fit`,
            too, is called; or a compiled model, of which each trial gets a copy with its weights.
        budget: What the model may cost, in the unit of the cost.
        cost: What is held to the budget: `"params"`, `"macs"`, `"weight_bytes"`, `"bytes"`, `"latency"`, or a
            `keras_slim.pruning.Measure` with an alias, such as `PhoneLatency(server)`.
        monitor: Name of the metric in the logs of `fit`.
        mode: `"max"` or `"min"`, the better direction of the metric. Defaults to `"auto"`, as Keras infers it.
        penalty: What is taken off the metric where the cost is twice the budget.
        settings: What is searched, by the names of the settings: a value, a list of values, a range `(low, high)` or
            `(low, high, step)`, or a function of `hp` and the name that asks for the value. What is not in it has the
            spaces of `Prune`, `Quantize` and `Factorize`. `"method"` is a name or a list of names: `"prune"`,
            `"quantize"`, `"factorize"`, `"none"`, your own, or several joined by `+`. Defaults to the first two and
            both together.
        data: What criteria look at, as for `ProgressiveGlobalPruning`. Defaults to the first 512 samples of what
            `tuner.search` is given, or 8 batches of a dataset.
        steps: Number of batches of `data` to look at. Defaults to all; a generator needs it.
        methods: Methods of your own by name, each a `keras_slim.tuning.Method`. Optional.
        exports: Whether each model is exported once for its bytes and latency. Defaults to where Keras runs on
            TensorFlow.

    Raises:
        MissingExtraError: If keras-tuner is not installed, or `tensorboard`, which it needs on TensorFlow.
        ValueError: If an argument is out of range.
        TypeError: If it is of another kind.

    Example:

    >>> import keras_slim as slim
    >>> hypermodel = slim.tuning.CompressionHyperModel(build, budget=20_000, cost="bytes")  # doctest: +SKIP
    >>> tuner = keras_tuner.RandomSearch(hypermodel, hypermodel.objective, max_trials=20)  # doctest: +SKIP
    >>> tuner.search(x, y, epochs=10, validation_data=(x_val, y_val))  # doctest: +SKIP
    >>> print(slim.tuning.read_trials(tuner))  # doctest: +SKIP
    >>> model = hypermodel.best_model(tuner)  # doctest: +SKIP
    """

    def __init__(
        self,
        build_or_model: Callable | keras.Model,
        budget: float,
        cost: str | Measure = "params",
        *,
        monitor: str = "val_accuracy",
        mode: str = "auto",
        penalty: float = 1.0,
        settings: Mapping[str, Space] | None = None,
        data: Any = None,
        steps: int | None = None,
        methods: Mapping[str, Method] | None = None,
        exports: bool | None = None,
    ):
        owner = self._owner = type(self).__name__
        # Only now: keras-tuner is optional, and takes nothing but its own class.
        own_class: Any = type(self)
        self.__class__ = _with_base(own_class, import_tuner().HyperModel)
        is_tensorflow = keras.backend.backend() == "tensorflow"
        if is_tensorflow:
            check_extra("tensorboard", extra="tuning", feature="A search with keras-tuner")
        self._build_anew = _builder(build_or_model, owner)
        self._begins_trained = isinstance(build_or_model, keras.Model)
        self._train = _trainer(build_or_model)
        self.cost = check_cost(cost, owner)
        self.budget = check_positive(budget, "budget", owner)
        self.monitor, self.mode = monitor, check_choice(mode, "mode", owner, ("auto", "min", "max"))
        self.penalty = check_number(penalty, "penalty", owner)
        self._exports = is_tensorflow if exports is None else exports
        self._methods = {**METHODS, **(methods or {})}
        self._choices, self._spaces, self._readers = self._checked(dict(settings or {}))
        self.data, self.steps = data, steps
        super().__init__()

    @property
    def objective(self) -> Any:
        """What keras-tuner looks for: the highest score, a `keras_tuner.Objective`."""
        return import_tuner().Objective(SCORE, "max")

    def build(self, hp: Any) -> keras.Model:
        """Returns the model before it is made smaller, and makes the settings known to keras-tuner."""
        self.settings_of(hp)
        model = _checked_model(self._build_anew(hp), self._owner)
        load_whole(model)
        return model

    def fit(self, hp: Any, model: keras.Model, *args: Any, callbacks: Any = (), **kwargs: Any) -> Any:
        """Trains and compresses a model as a trial says, and returns the history; keras-tuner calls it.

        Raises:
            keras_tuner.errors.FailedTrialError: If the trial's settings are out of reach, or training ended too early.
            keras_tuner.errors.FatalValueError: If the metric is not in the logs, or the tuner has another objective.
        """
        tuner, trial = _trial_of(callbacks)
        errors = import_tuner().errors
        self._check_objective(tuner, errors)
        settings = self.settings_of(hp)
        note = _Note(self, settings, hp, tuner and tuner.get_trial_dir(trial.trial_id))
        try:
            return self._fit(hp, model, settings, note, callbacks, args, kwargs)
        except errors.FatalError:
            raise
        except Exception as error:
            self._tell(trial, note, error)
            if isinstance(error, UnreachableTargetError):
                raise errors.FailedTrialError(str(error)) from error
            raise

    def settings_of(self, hp: Any) -> dict[str, Any]:
        """Returns the value of each setting that a trial reads, by name.

        Args:
            hp: The `keras_tuner.HyperParameters` of a trial, such as `tuner.get_best_hyperparameters()[0]`.
        """
        with hp.name_scope(SCOPE):
            method = ask(hp, "method", self._spaces["method"])
            settings = {"method": method}
            for name, readers in self._readers.items():
                with hp.conditional_scope("method", readers):
                    value = ask(hp, name, self._spaces[name])
                if method in readers:
                    settings[name] = value
        return settings

    def best_model(self, tuner: Any) -> keras.Model:
        """Returns the model of the trial with the best score, compiled, with its weights.

        Args:
            tuner: The tuner, or its folder `directory/project_name`.

        Raises:
            ValueError: If no trial has ended well.
        """
        return read_trials(tuner).best.load_model()

    def _is_searched(self, name):
        """Tells whether a setting may have several values."""
        return isinstance(self._spaces[name], list | tuple) or callable(self._spaces[name])

    def _checked(self, settings: dict[str, Space]) -> tuple[list[str], dict[str, Space], dict[str, list[str]]]:
        """Returns the methods to choose from, what is searched of each setting, and the methods that read it."""
        method = settings.get("method", CHOICES)
        choices = method if isinstance(method, list) else [method]
        parts = {choice: parts_of(choice, self._methods, self._owner) for choice in choices}
        spaces: dict[str, Space] = {"method": method}
        readers: dict[str, list[str]] = {}
        for choice in choices:
            for part in parts[choice]:
                for name, space in self._methods[part].spaces.items():
                    spaces.setdefault(name, space)
                    readers.setdefault(name, []).append(choice)
        if "of" in spaces:
            spaces["of"] = Costs(self.cost, False, self._owner).of
        check_names(settings, spaces, choices, self._owner)
        spaces |= {name: check_space(space, name, self._owner) for name, space in settings.items()}
        return choices, spaces, {name: list(dict.fromkeys(each)) for name, each in readers.items()}

    def _check_objective(self, tuner, errors):
        objective = tuner and tuner.oracle.objective
        if objective and (objective.name, objective.direction) != (SCORE, "max"):
            raise errors.FatalValueError(
                f"The tuner looks for something else than the score of `{self._owner}`. Expected "
                f"objective=hypermodel.objective. Received: {objective}."
            )

    def _fit(self, hp, model, settings, note, callbacks, args, kwargs):
        training = self._training(model, args, kwargs)
        methods = [self._methods[name] for name in parts_of(settings["method"], self._methods, self._owner)]
        for method in methods:
            other = method.rewritten(model, settings, training)
            if other is not None:
                become(model, other)
        made = [(method, method.callbacks(settings, training)) for method in methods]

        def is_done(model):
            return all(method.is_done(own, model) for method, own in made)

        costs = Costs(self.cost, self._exports, self._owner)
        scoring = Scoring(self.monitor, self.mode, costs, self.budget, self.penalty, is_done, self._owner)
        own = [callback for _, each in made for callback in each]
        with saving_whole(model, functools.partial(note.write, scoring)):
            history = self._train(hp, model, *args, callbacks=[*own, scoring, *callbacks], **kwargs)
        for name in [name for name, values in history.history.items() if all(map(math.isnan, values))]:
            del history.history[name]  # keras-tuner takes the best of each
        if scoring.best == -math.inf:
            raise import_tuner().errors.FailedTrialError(
                "Training ended before the model was as small as its settings say, or without a finite metric. "
                "Expected an epoch after the last cut. Train for more epochs, or let nothing stop training early."
            )
        return history

    def _training(self, model, args, kwargs):
        arguments = inspect.signature(model.fit).bind_partial(*args, **kwargs).arguments
        data, steps = (self.data, self.steps) if self.data is not None else _first_of(arguments)
        return Training(
            first_epoch=arguments.get("initial_epoch", 0),
            epochs=arguments.get("epochs", 1),
            data=data,
            steps=steps,
            begins_trained=self._begins_trained,
            is_compressed=not is_as_built(model),
        )

    def _tell(self, trial, note, error):
        """Says that a trial failed, and why: keras-tuner keeps it to itself."""
        note.write_failure(first_sentence(error))
        number = f"Trial {trial.trial_id}" if trial else "A trial"
        settings = ", ".join(f"{name}={value!r}" for name, value in note.settings.items())
        warnings.warn(f"{number} failed: {first_sentence(error)} Settings: {settings}.", SlimWarning, stacklevel=3)


@dataclasses.dataclass(frozen=True)
class _Note:
    """What is written about a trial."""

    hypermodel: CompressionHyperModel
    settings: dict[str, Any]
    hp: Any
    folder: str | None

    def write(self, scoring, folder):
        """Writes what the model scored that has just been saved."""
        write_record(folder, {**self._asked(), "mode": scoring.mode, **scoring.last, "failure": ""})

    def write_failure(self, failure):
        if self.folder is not None:
            write_record(self.folder, {**self._asked(), "mode": "", "score": None, "failure": failure})

    def _asked(self):
        hypermodel = self.hypermodel
        own = {name: value for name, value in self.hp.values.items() if not name.startswith((f"{SCOPE}/", "tuner/"))}
        cost = hypermodel.cost if isinstance(hypermodel.cost, str) else hypermodel.cost.alias
        searched = {name: value for name, value in self.settings.items() if hypermodel._is_searched(name)}
        return {
            "settings": {**own, **searched},
            "monitor": hypermodel.monitor,
            "cost": cost,
            "budget": hypermodel.budget,
        }


@functools.cache
def _with_base(cls: Any, base: Any) -> Any:
    """Returns a class of ours as one of keras-tuner's."""
    return cls if issubclass(cls, base) else type(cls.__name__, (cls, base), {"__doc__": cls.__doc__})


def _trainer(build_or_model):
    """Returns the function that trains a model, called as the `fit` of a `HyperModel`."""
    if isinstance(build_or_model, import_tuner().HyperModel):
        return build_or_model.fit
    return lambda hp, model, *args, **kwargs: model.fit(*args, **kwargs)


def _builder(build_or_model, owner):
    """Returns the function from `hp` to a fresh model."""
    if isinstance(build_or_model, keras.Model):
        _checked_model(build_or_model, owner)
        return lambda hp: _compiled_copy(build_or_model, owner)
    builder = getattr(build_or_model, "build", build_or_model)
    if callable(builder):
        return builder
    expected = "a function from `hp` to a compiled model, a `keras_tuner.HyperModel`, or a compiled model"
    raise TypeError(invalid_argument("build_or_model", owner, expected=expected, received=build_or_model))


def _checked_model(model, owner):
    """Returns a model that trials can begin with, or raises what is wrong with it."""
    if not isinstance(model, keras.Model):
        expected = "a compiled Keras model, or a function that returns one"
        raise TypeError(invalid_argument("build_or_model", owner, expected=expected, received=model))
    if not is_graph(model):
        raise UnsupportedLayerError(
            f"`{owner}` saves models with other layers than they were made with, and a file of model '{model.name}' of "
            f"class `{type(model).__name__}` would not tell which. Expected a Functional or Sequential model. Compile "
            "and give `keras_slim.functional(model)`."
        )
    check_graph(model, owner)
    if not model.compiled:
        expected, hint = "a model that is compiled", "Call `model.compile(...)` first."
        raise ValueError(invalid_argument("build_or_model", owner, expected=expected, received=model.name, hint=hint))
    return model


def _compiled_copy(model, owner):
    """Returns a copy of a model with its weights and its compilation."""
    copy = copy_replacing(model, lambda layer, changes: [layer])
    try:
        copy.compile_from_config(model.get_compile_config())
    except Exception as error:
        raise ValueError(
            f"`{owner}` cannot compile a copy of model '{model.name}': {first_sentence(error)} Expected a loss and "
            "metrics that Keras can write down. Give a function that builds, loads and compiles the model instead."
        ) from error
    return copy


def _trial_of(callbacks):
    """Returns the tuner and the trial that call `fit`, by the callback with which keras-tuner watches it, or `None`."""
    for callback in callbacks:
        if hasattr(callback, "tuner") and hasattr(callback, "trial"):
            return callback.tuner, callback.trial
    return None, None


def _first_of(arguments):
    """Returns what criteria look at of the data that `fit` is given, and how many batches of it."""
    x, y = arguments.get("x"), arguments.get("y")
    if y is not None:
        return keras.tree.map_structure(lambda array: array[:SAMPLES], (x, y)), None
    return (None, None) if hasattr(x, "__next__") else (x, BATCHES)

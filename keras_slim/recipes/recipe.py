"""What is done to a whole model, step by step, in one object."""

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from keras_slim.errors import SlimWarning, UnsupportedLayerError, invalid_argument, one_of
from keras_slim.recipes import texts
from keras_slim.recipes.base import State, Step, check_names, steps
from keras_slim.recipes.control import Course, ladder
from keras_slim.recipes.estimate import tell_estimate
from keras_slim.recipes.folder import Folder, check_file_name
from keras_slim.recipes.measuring import Measure
from keras_slim.recipes.place import Compilation, Place, Workshop, check_data, first_copy
from keras_slim.recipes.result import RecipeResult
from keras_slim.recipes.settings import Settings, check_layers
from keras_slim.scoring.data import first_samples, may_be_endless
from keras_slim.validation import check_choice, check_count, check_number

OWNER = "Recipe"
TRAINED_ON = (
    "`Recipe.apply` measures the metric on samples that are trained on, so that `max_drop` holds for these alone. "
    "Expected others: give `validation_data=(x, y)`."
)
OWN_TRAINING = ("train_step", "compute_loss")
COMPILE = ("optimizer", "loss", "metrics", "loss_weights", "weighted_metrics")


class Recipe:
    """Says what is done to a model: which steps, in which order, and on which layers.

    The steps call the library's own functions: `prune`, `factorize`, `sparsify`, `share`, `quantize`, `fine_tune`,
    `export` and `compress`. Their settings are for all layers; `layers` has others by type and by name, of which the
    more specific wins, and `None` leaves layers alone. All names and options are checked before any work begins.

    Args:
        steps: The steps, in the order in which they are carried out: names; dictionaries of a name to options, as
            `{"prune": {"ratio": 0.5}}`; or steps of `keras_slim.recipes`, as `Prune(ratio=0.5)`.
        layers: What is otherwise for some layers: a dictionary of types of layers or their names, names of layers,
            paths as `"encoder/dense"`, or names of models inside the model, to `None`, which leaves them as they are in
            every step, or to a dictionary of a step to `None` or to options. A path goes before a name, then comes the
            model around, then the type. A layer that `fine_tune` leaves alone is frozen whenever a step trains.
        min_weights: Layers whose largest weight has fewer elements than this are left alone by `sparsify`, `share` and
            `quantize`, unless `layers` has settings for them. Defaults to 0.
        max_drop: How much worse the metric of the last model, and of each file, may be than that of the model before
            the recipe: 0.01 is a point of accuracy. Where it is more, the steps that cost most are done by 75, 50 and
            25 % or not at all, until it holds. Defaults to any.
        metric: What is measured: the name of a metric the model is compiled with, or `"loss"`; of a model that is not
            compiled, a metric of Keras; or a function `(y, answers)`, which cannot be written to a file. Defaults to
            the first metric of the model, or its loss.
        mode: `"max"` or `"min"`, the better direction of the metric. Defaults to `"auto"`, as Keras infers it.
        compile: How copies of the model are compiled where steps train: a dictionary with `optimizer`, `loss`,
            `metrics`, `loss_weights` and `weighted_metrics`, names of Keras or what
            `keras.saving.serialize_keras_object` returns. Defaults to how the model is compiled.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If there is no such step or option, one is out of range, or a step would undo one before it.

    Example:

    >>> import keras, keras_slim as slim
    >>> dense = keras.layers.Dense
    >>> model = keras.Sequential([keras.Input((8,)), dense(32, name="hidden"), dense(2, name="scores")])
    >>> recipe = slim.Recipe([{"prune": {"ratio": 0.5}}, {"share": {"bits": 4}}], layers={"scores": {"share": None}})
    >>> result = recipe.apply(model, verbose=0)
    >>> [layer.units for layer in result.model.layers], [step.after.parameters for step in result.steps]
    ([16, 2], [178, 178])
    """

    def __init__(
        self,
        steps: Iterable,
        layers: dict | None = None,
        *,
        min_weights: int = 0,
        max_drop: float | None = None,
        metric: Any = None,
        mode: str = "auto",
        compile: dict | None = None,
    ):
        self.steps = _read_steps(steps)
        self.layers = check_layers(layers or {}, OWNER)
        self.min_weights = check_count(min_weights, "min_weights", OWNER, minimum=0)
        self.max_drop = None if max_drop is None else check_number(max_drop, "max_drop", OWNER)
        self.metric = metric
        self.mode = check_choice(mode, "mode", OWNER, ("auto", "min", "max"))
        self.compile = None if compile is None else _check_compile(compile)
        _check_order(self.steps)
        _check_files(self.steps)

    def __eq__(self, other) -> bool:
        return isinstance(other, Recipe) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"Recipe({', '.join(step.alias for step in self.steps)})"

    def get_config(self) -> dict:
        """Returns the arguments as plain values; what is not there has its default."""
        options = {
            "max_drop": (self.max_drop, None),
            "metric": (self.metric, None),
            "mode": (self.mode, "auto"),
            "compile": (self.compile, None),
            "min_weights": (self.min_weights, 0),
        }
        found = {name: value for name, (value, default) in options.items() if value != default}
        found["steps"] = [{step.alias: step.get_config()} for step in self.steps]
        return {**found, "layers": self.layers} if self.layers else found

    @classmethod
    def from_config(cls, config: dict) -> "Recipe":
        """Returns the recipe that `get_config` described.

        Raises:
            TypeError: If it is no dictionary.
            ValueError: If a name in it is unknown, or `steps` is missing.
        """
        names = ("steps", "layers", "min_weights", "max_drop", "metric", "mode", "compile")
        if not isinstance(config, dict):
            expected = f"a dictionary with {one_of(names)}"
            raise TypeError(invalid_argument("config", OWNER, expected=expected, received=config))
        check_names(config, names, "the recipe", "a setting")
        if "steps" not in config:
            raise ValueError(f"A recipe has `steps`, a list. Received one with: {', '.join(config) or 'nothing'}.")
        return cls(**config)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "Recipe":
        """Returns the recipe in a file: YAML (`.yaml`, `.yml`) or JSON (`.json`).

        Raises:
            ValueError: If there is no such file, it cannot be read, or what it says is no recipe.
        """
        config = texts.read(path, OWNER)
        try:
            return cls.from_config(config)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{os.fspath(path)}: {error}") from error

    def to_file(self, path: str | os.PathLike) -> None:
        """Writes the recipe to a file: YAML (`.yaml`, `.yml`) or JSON (`.json`), whole or not at all.

        Raises:
            ValueError: If the path ends otherwise or cannot be written, or the metric is a function.
        """
        if self.metric is not None and not isinstance(self.metric, str):
            expected, hint = "the name of a metric, as a function cannot be written down", "Compile the model with it."
            raise ValueError(invalid_argument("metric", OWNER, expected=expected, received=self.metric, hint=hint))
        texts.write(path, self.get_config(), OWNER)

    def apply(
        self,
        model: keras.Model,
        data=None,
        validation_data=None,
        folder: str | os.PathLike | None = None,
        verbose: int = 1,
    ) -> RecipeResult:
        """Carries out the recipe on a copy of a model.

        Args:
            model: A Functional, built Sequential or subclassed model. It is not changed.
            data: What steps look at and train on, as `fit` takes it: arrays `(x, y)` or `(x, y, sample_weight)`, a
                `tf.data.Dataset` or a `keras.utils.PyDataset`; `(x,)` where no step wants targets. `prune` and the like
                do without.
            validation_data: Samples with targets that the metric is measured on, in the same forms, 10,000 at most.
                Defaults to `data`, on which a metric is too good after training. Not those of the test.
            folder: Path of a folder for the model (`model.keras`), the files of `export` and `compress`, the recipe and
                a report (`report.json`, `report.txt`). It is made if it is not there; files of these names are replaced
                when all has gone well, and nothing is written otherwise. Optional where no step writes a file.
            verbose: 0 for silence, 1 for a line after each step, and how far work is that takes more than five seconds.

        Returns:
            The `RecipeResult`: the model, what each step cost and saved, and where files are.

        Raises:
            TypeError: If the model is no Keras model, or data are of another kind.
            ValueError: Before any work, if a layer is not there, data, targets, a loss, a metric or a folder is
                missing, or a step cannot be done to the model as the recipe says.
            UnreachableTargetError: If the metric does not hold while anything of the steps is left.
            UnsupportedLayerError: If the model cannot be read or copied, a step finds nothing to do, or one trains a
                model that trains in a way of its own.
            ExportError: If a file does not answer like its model.
        """
        check_data(data, model, OWNER)
        check_data(validation_data, model, OWNER, "validation_data")
        reference = first_copy(model, OWNER)
        compilation = Compilation(model, self.compile)
        settings = Settings(reference, self.layers, self.min_weights, OWNER)
        self._check_training(model)
        self._check_data(data, reference)
        compilation.apply(reference)
        with self._folder(folder) as target:
            shop = Workshop(reference, data, compilation, target and target.scratch, verbose)

            def place(step: Step, strength: float = 1.0) -> Place:
                options = settings.options(step)
                if strength < 1:
                    options = {path: step.weaker_options(each, strength) for path, each in options.items()}
                return Place(shop, settings.untouched(step), settings.frozen, options)

            for number, step in enumerate(self.steps, start=1):
                with _told_of(step, number):
                    settings.check(step)
                    step.check(place(step))
            self._check_holding(place)
            self._check_rounded(place)
            measured = data if validation_data is None else validation_data
            if validation_data is None and self.max_drop is not None and any(step.num_epochs for step in self.steps):
                warnings.warn(TRAINED_ON, SlimWarning, stacklevel=2)
            measure = Measure(reference, measured, self.metric, self.mode, self.max_drop, OWNER, verbose)
            tell_estimate(self.steps, data, measure, verbose)
            course = Course(self.steps, place, State(reference), measure, lambda line: _say(line, verbose), OWNER)
            course.carry_out()
            result = self._result(course, settings, measure)
            if target:
                result = target.write(result, self)
        compilation.apply(result.model)
        return result

    def _check_training(self, model):
        """Raises `UnsupportedLayerError` if a step trains a model that has a way of its own to train."""
        found = [name for name in OWN_TRAINING if inspect.unwrap(getattr(type(model), name)) is not _of_keras(name)]
        training = next((step.alias for step in self.steps if step.num_epochs), None)
        if found and training:
            raise UnsupportedLayerError(
                f"Step `{training}` trains a copy of model '{model.name}' as Keras does, without the `{found[0]}` of "
                f"`{type(model).__name__}`. Expected a model without one of its own. Leave out `epochs`, and train "
                "with the callbacks of `keras_slim.callbacks` in a `fit` of the model."
            )

    def _check_data(self, data, model):
        """Raises `ValueError` if a step wants data, or targets, that are not there."""
        for number, step in enumerate(self.steps, start=1):
            needs = {step.needs, *(each.needs for _, each in ladder(step)[1:] if each and self.max_drop is not None)}
            if needs == {"nothing"}:
                continue
            reason = f"for step {number}, `{step.alias}`"
            first_samples(data, model, 1, owner=f"{OWNER}.apply", targets="targets" in needs, reason=reason)
            if step.num_epochs and may_be_endless(data):
                expected, hint = "data that ends, as an epoch is one pass over it", "Leave out `.repeat()`."
                raise ValueError(
                    invalid_argument("data", f"{OWNER}.apply", expected=expected, received=data, hint=hint)
                )

    def _check_holding(self, place):
        """Raises `ValueError` if zeros of layers that share no values would be filled by training."""
        sparse = shared = None
        for number, step in enumerate(self.steps, start=1):
            if step.alias == "sparsify":
                sparse = place(step).untouched
            if step.alias == "share":
                shared = place(step).untouched
            if None in (sparse, shared) or not step.num_epochs:
                continue
            if not shared <= sparse | place(step).frozen:
                raise ValueError(
                    f"Step {number}, `{step.alias}`, trains, and holds either zeros or shared values. Expected `share` "
                    "on all layers that `sparsify` has worked on. Tell both in `layers` to leave the same layers "
                    "alone, or train before both."
                )

    def _written(self):
        """Returns what of the recipe goes into its folder; nothing where the metric is a function."""
        return self.get_config() if self.metric is None or isinstance(self.metric, str) else {}

    def _check_rounded(self, place):
        """Raises `ValueError` if a file leaves a layer alone that `quantize` has rounded: it would compute it so."""
        rounded = None
        for number, step in enumerate(self.steps, start=1):
            if step.alias == "quantize":
                rounded = place(step).untouched
            elif step.alias == "export" and rounded is not None and not place(step).untouched <= rounded:
                names = ", ".join(map(repr, sorted(place(step).untouched - rounded)))
                raise ValueError(
                    f"Step {number}, `export`, leaves {names} alone, which step `quantize` has rounded. Expected the "
                    "same layers in both. Tell `quantize` to leave them alone, too: `{quantize: null, export: null}`."
                )

    def _folder(self, folder):
        writing = [step for step in self.steps if step.ending]
        if folder is not None:
            texts.plain(self._written(), OWNER)
        if folder is None and writing:
            expected = f"a folder, as step `{writing[0].alias}` writes a file"
            raise ValueError(invalid_argument("folder", f"{OWNER}.apply", expected=expected, received=None))
        return contextlib.nullcontext() if folder is None else Folder(folder, [step.file for step in writing]).open()

    def _result(self, course, settings, measure):
        alone = [settings.untouched(step) for step in self.steps]
        return RecipeResult(
            model=course.last.state.model,
            steps=course.reports,
            metric=measure.name,
            before=course.first.cost,
            metric_before=measure.before,
            metric_after=course.last.value,
            max_drop=self.max_drop,
            left_alone=tuple(sorted(frozenset.intersection(*alone))),
        )


def _of_keras(name):
    return inspect.unwrap(getattr(keras.Model, name))


def _say(line, verbose):
    if verbose:
        print(line, flush=True)


@contextlib.contextmanager
def _told_of(step, number):
    """A context in which errors say which step they are about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"Step {number}, `{step.alias}`: {error}") from error


def _read_steps(given) -> tuple[Step, ...]:
    expected = "a list of steps: names, or dictionaries of a name to options"
    if isinstance(given, str | dict) or not isinstance(given, Iterable):
        raise TypeError(invalid_argument("steps", OWNER, expected=expected, received=given))
    found = []
    for number, each in enumerate(given, start=1):
        if isinstance(each, Step):
            found.append(each)
            continue
        told = {each: {}} if isinstance(each, str) else each
        if not isinstance(told, dict) or len(told) != 1:
            hint = f"Step {number} is none; write a `-` before each."
            raise TypeError(invalid_argument("steps", OWNER, expected=expected, received=each, hint=hint))
        ((alias, options),) = told.items()
        try:
            found.append(steps.deserialize({"name": alias, "config": options}, "steps", OWNER))
        except (TypeError, ValueError) as error:
            raise type(error)(f"Step {number}: {error}") from error
    if not found:
        raise ValueError(invalid_argument("steps", OWNER, expected="at least one step", received=given))
    return tuple(found)


def _check_compile(options):
    """Returns how models are compiled, as plain values."""
    if not isinstance(options, dict):
        expected = "a dictionary with 'loss', and perhaps 'optimizer' and 'metrics'"
        raise TypeError(invalid_argument("compile", OWNER, expected=expected, received=options))
    check_names(options, COMPILE, "`compile`", "an argument of `keras.Model.compile`")

    def plain(value):
        is_object = not isinstance(value, str | int | float | None)
        return keras.saving.serialize_keras_object(value) if is_object else value

    def walked(value):
        if isinstance(value, dict):
            return {key: walked(each) for key, each in value.items()}
        return [walked(each) for each in value] if isinstance(value, list | tuple) else plain(value)

    return {name: walked(value) for name, value in options.items()}


def _check_order(found):
    """Raises `ValueError` if a step would undo one before it."""
    for number, step in enumerate(found, start=1):
        undone = [each.alias for each in found[: number - 1] if each.alias in step.undoes]
        if undone:
            hint = " With `compensate: false` and without `epochs` it may come after." * (step.alias == "prune")
            raise ValueError(
                f"Step {number}, `{step.alias}`, would undo `{undone[0]}` before it: it changes single weights. "
                f"Expected `{step.alias}` first. Received: {', '.join(each.alias for each in found)}.{hint}"
            )


def _check_files(found):
    """Raises `ValueError` if the name of a file is none, or two steps write to the same."""
    names = set()
    for step in found:
        if step.ending:
            check_file_name(step.file, step.ending, f"step `{step.alias}`")
            if step.file in names:
                expected = "another name for the file of each step"
                raise ValueError(
                    invalid_argument("file", f"step `{step.alias}`", expected=expected, received=step.file)
                )
            names.add(step.file)

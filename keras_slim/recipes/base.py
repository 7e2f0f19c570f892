"""What a step of a recipe is, and the table of all there are.

A new kind of step is a class that derives from `Step`, with `@steps.register("name")` above it: recipes, their files
and the command line know it by that name then.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import keras

from keras_slim.errors import did_you_mean, invalid_argument, one_of
from keras_slim.identifiers import Registry

if TYPE_CHECKING:
    from keras_slim.recipes.place import Place


@dataclasses.dataclass(frozen=True)
class State:
    """A model on its way through a recipe.

    Args:
        model: The model, a copy of the user's.
        holding: Function without arguments that returns the callback that keeps, in training, what steps did to single
            weights: zeros, or shared values. `None` where nothing is to be kept.
        notes: What there is to say of the last step, sentences.
        file: Name of the file that the last step wrote; `None` where it wrote none.
        details: The report of the function that wrote it.
    """

    model: keras.Model
    holding: Callable | None = None
    notes: tuple[str, ...] = ()
    file: str | None = None
    details: Any = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a recipe: a call of one of the library's own functions.

    A class that derives from it is a frozen dataclass whose fields are the options, plain values all; it says in
    `__post_init__` what is wrong with them, and does its work in `run`.

    Attributes:
        by_layer: Names of the options that may differ from layer to layer.
        spares_small: Whether it leaves layers with fewer weights than `min_weights` alone.
        ending: What the file it writes ends with; empty if it writes none.
    """

    alias: ClassVar[str] = ""
    by_layer: ClassVar[tuple[str, ...]] = ()
    spares_small: ClassVar[bool] = False
    ending: ClassVar[str] = ""

    @property
    def needs(self) -> str:
        """What data it looks at: `"nothing"`, `"inputs"` or `"targets"`."""
        return "nothing"

    @property
    def num_epochs(self) -> int:
        """Epochs it trains for; 0 if it does not."""
        return 0

    @property
    def undoes(self) -> tuple[str, ...]:
        """Names of the steps whose work is lost if they come before it."""
        return ()

    def run(self, state: State, place: "Place") -> State:
        """Returns what becomes of a model.

        Args:
            state: The model, which is not changed, and what was done to it.
            place: What the recipe says for each layer, and what there is to work with.
        """
        raise NotImplementedError

    def weaker(self, strength: float) -> "Step | None":
        """Returns the step with a share of its effect, itself if it has no strength; `None` where nothing is left.

        Args:
            strength: From 0 to below 1.
        """
        return self

    def weaker_options(self, options: dict, strength: float) -> dict:
        """Returns the options of one layer with a share of their effect."""
        return options

    def check(self, place: "Place") -> None:
        """Raises what is wrong with a step for a model, before any work begins."""

    def get_config(self) -> dict:
        """Returns the options that are not the default ones, as plain values."""
        found = ((each, getattr(self, each.name)) for each in dataclasses.fields(self))
        return {each.name: value for each, value in found if value != each.default}

    @classmethod
    def from_config(cls, config: dict | None) -> "Step":
        """Returns the step with some options.

        Raises:
            ValueError: If there is no such option, one is missing, or out of range.
            TypeError: If the options are no dictionary, or one is of another type.
        """
        owner = f"step `{cls.alias}`"
        config = {} if config is None else config
        if not isinstance(config, dict):
            expected = f"a dictionary of options, {one_of(cls.options())}"
            raise TypeError(invalid_argument(cls.alias, "Recipe", expected=expected, received=config))
        check_names(config, cls.options(), owner, "an option")
        missing = [each.name for each in dataclasses.fields(cls) if is_required(each) and each.name not in config]
        if missing:
            raise ValueError(
                f"An option of {owner} is missing. Expected '{missing[0]}'. Received: {config}. Write it down, "
                f"as `{cls.alias}: {{{missing[0]}: ...}}`."
            )
        return cls(**config)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Returns the names of all options."""
        return tuple(each.name for each in dataclasses.fields(cls))


def is_required(field) -> bool:
    """Tells whether a field of a dataclass has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def check_names(found, known, owner, what):
    """Raises `ValueError` if one of some names is not known, with the nearest that is."""
    for name in found:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(
                f"Unknown name in {owner}. Expected {what}, {one_of(known)}. Received: {name!r}. {hint}".strip()
            )


steps = Registry(
    "step",
    Step,
    other_names={
        "prune_weights": "That is 'sparsify'.",
        "unstructured": "That is 'sparsify'.",
        "sparsity": "That is 'sparsify'.",
        "cluster": "That is 'share'.",
        "palettize": "That is 'share'.",
        "quantise": "That is 'quantize'.",
        "train": "That is 'fine_tune'.",
        "fit": "That is 'fine_tune'.",
        "finetune": "That is 'fine_tune'.",
        "distill": "Give `distill` to a step that trains: `fine_tune: {epochs: 3, distill: true}`.",
        "distil": "Give `distill` to a step that trains: `fine_tune: {epochs: 3, distill: true}`.",
        "tflite": "That is 'export'.",
        "save_compressed": "That is 'compress'.",
    },
)

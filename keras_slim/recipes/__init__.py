"""What is done to a whole model, in one object.

A `Recipe` is a list of steps, with settings for all layers, for types of layers and for single ones. It comes from
Python, JSON or YAML, is checked before any work begins, and calls the functions that one calls by hand. `Recipe.apply`
returns a `RecipeResult`.

The steps are `Prune`, `Factorize`, `Sparsify`, `Share`, `Quantize`, `FineTune`, `Export` and `Compress`. One of your
own derives from `Step`, with `@keras_slim.recipes.steps.register("name")` above it: recipes and their files know it by
its name then.
"""

from keras_slim.recipes.base import State, Step, steps
from keras_slim.recipes.kinds import Compress, Export, Factorize, FineTune, Prune, Quantize, Share, Sparsify
from keras_slim.recipes.measuring import ModelCost
from keras_slim.recipes.place import Place
from keras_slim.recipes.recipe import Recipe
from keras_slim.recipes.result import RecipeResult, StepReport

__all__ = [
    "Compress",
    "Export",
    "Factorize",
    "FineTune",
    "ModelCost",
    "Place",
    "Prune",
    "Quantize",
    "Recipe",
    "RecipeResult",
    "Share",
    "Sparsify",
    "State",
    "Step",
    "StepReport",
    "steps",
]

"""The folder that a recipe writes: all of its files, or none."""

import contextlib
import dataclasses
import json
import os
import tempfile

from keras_slim.errors import invalid_argument
from keras_slim.recipes.place import copied
from keras_slim.recipes.result import RecipeResult

MODEL, RECIPE, REPORT = "model.keras", "recipe.yaml", "report"
OWN = (MODEL, RECIPE, f"{REPORT}.json", f"{REPORT}.txt")


def check_file_name(name, ending: str, owner: str) -> str:
    """Returns the name of a file in the folder, or raises `ValueError` or `TypeError`."""
    expected = f"the name of a file, without a folder, that ends with '{ending}'"
    if not isinstance(name, str):
        raise TypeError(invalid_argument("file", owner, expected=expected, received=name))
    if not name.endswith(ending) or name == ending or os.path.basename(name) != name or name in OWN:
        raise ValueError(invalid_argument("file", owner, expected=expected, received=name))
    return name


class Folder:
    """A folder that files are put into when all of them are there.

    Args:
        path: Path of the folder, which is made if it is not there.
        names: Names of the files that steps write.

    Raises:
        TypeError, ValueError: If it is none, cannot be written, or the folder around it does not exist.

    Attributes:
        scratch: Path of a folder beside it, for the files on their way.
    """

    def __init__(self, path, names=()):
        expected = "the path of a folder, in one that exists"
        if not isinstance(path, str | os.PathLike):
            raise TypeError(invalid_argument("folder", "Recipe.apply", expected=expected, received=path))
        self.path = os.path.abspath(os.fspath(path))
        self.scratch = ""
        around = os.path.dirname(self.path)
        is_there = os.path.isdir(self.path)
        if not os.path.isdir(around) or (os.path.exists(self.path) and not is_there):
            raise ValueError(invalid_argument("folder", "Recipe.apply", expected=expected, received=self.path))
        if not os.access(self.path if is_there else around, os.W_OK) or not os.access(around, os.W_OK):
            expected = "a folder that can be written, in one that can be"
            raise ValueError(invalid_argument("folder", "Recipe.apply", expected=expected, received=self.path))
        taken = [name for name in (*OWN, *names) if os.path.isdir(os.path.join(self.path, name))]
        if taken:
            expected = f"a folder with no folder in it that is called {taken[0]!r}"
            raise ValueError(invalid_argument("folder", "Recipe.apply", expected=expected, received=self.path))

    @contextlib.contextmanager
    def open(self):
        """A context with a folder for files on their way, which is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix=".keras_slim_", dir=os.path.dirname(self.path)) as self.scratch:
            yield self

    def write(self, result: RecipeResult, recipe) -> RecipeResult:
        """Puts all files into the folder; returns the result with their paths.

        Args:
            result: What the recipe has made.
            recipe: The `Recipe`.
        """
        written = [os.path.basename(step.file) for step in result.steps if step.file]
        result = dataclasses.replace(
            result,
            steps=tuple(self._moved(step) for step in result.steps),
            files={name: os.path.join(self.path, name) for name in (MODEL, *written, *OWN[1:])},
        )
        copied(result.model).save(os.path.join(self.scratch, MODEL))
        if recipe.metric is None or isinstance(recipe.metric, str):
            recipe.to_file(os.path.join(self.scratch, RECIPE))
        else:
            del result.files[RECIPE]
        self._write(f"{REPORT}.json", json.dumps(result.to_dict(), indent=1, default=str))
        self._write(f"{REPORT}.txt", str(result))
        os.makedirs(self.path, exist_ok=True)
        for name, path in result.files.items():
            os.replace(os.path.join(self.scratch, name), path)
        return result

    def _moved(self, step):
        if step.file is None:
            return step
        path = os.path.join(self.path, os.path.basename(step.file))
        return dataclasses.replace(step, file=path, details={**(step.details or {}), "path": path})

    def _write(self, name, text):
        with open(os.path.join(self.scratch, name), "w", encoding="utf-8") as file:
            file.write(f"{text}\n")

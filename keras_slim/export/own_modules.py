"""Modules of the user's own, which another process imports before it loads a model with their classes and functions."""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import os
import pathlib
import sys
from collections import defaultdict
from types import FunctionType, ModuleType
from typing import Any

import keras

from keras_slim.errors import ExportError, in_short
from keras_slim.held import inside, is_of_keras, is_own_function, places_within
from keras_slim.tensorflow_process import OutdatedError

_IMPORTED_PROGRAM = "__imported_main__"
"""What a program is called that is imported, not run."""
_TIMES: dict[str, float] = {}
"""When the files of imported modules were last changed, as they were imported."""


class NotLoadedError(ExportError):
    """A model that another process cannot load, for what it holds of the user's own."""


@dataclasses.dataclass(frozen=True)
class OwnModule:
    """A module that defines classes or functions which a model holds.

    Args:
        name: Its name.
        path: Path of its file; an empty text if it has none.
        time: When the file was last changed, in seconds.
        objects: Names of the classes and functions in the module, by those that Keras gives them.
    """

    name: str
    path: str
    time: float
    objects: dict[str, str]

    def load(self) -> dict[str, Any]:
        """Imports the module, and returns the classes and functions by the names that Keras gives them.

        Raises:
            NotLoadedError: If it cannot be imported.
            OutdatedError: If its file has changed since it was imported.
        """
        if _TIMES.setdefault(self.name, self.time) != self.time:
            raise OutdatedError
        try:
            module = self._imported()
        except Exception as error:
            raise NotLoadedError(
                f"The module '{self.name}' cannot be imported in the process of TensorFlow that converts the model, "
                f"which holds {sorted(self.objects)} of it: {in_short(error)}. Expected a module that can be imported "
                "whatever Keras runs on. Move what the model holds to a file of its own."
            ) from error
        found = {key: getattr(module, name, None) for key, name in self.objects.items()}
        return {key: value for key, value in found.items() if value is not None}

    def _imported(self) -> ModuleType:
        importlib.invalidate_caches()
        try:
            return importlib.import_module(self.name)
        except ModuleNotFoundError:
            spec = importlib.util.spec_from_file_location(self.name, self.path) if self.path else None
            if spec is None or spec.loader is None:
                raise
        module = sys.modules[self.name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[self.name]
            raise
        return module


def own_modules(model: keras.Model, config: dict) -> list[OwnModule]:
    """Returns the modules whose classes and functions a model is made of, those of Keras left out.

    Args:
        model: The model.
        config: Its config, in which Keras tells them by name.

    Raises:
        NotLoadedError: If one of them cannot be imported, as it is defined in a notebook, a function or a program that
            this would run, or is a `lambda` that reads what is around it.
    """
    known = _held(model) | keras.saving.get_custom_objects()
    objects: defaultdict[str, dict] = defaultdict(dict)
    for key in sorted(_strings(config) & known.keys()):
        objects[known[key].__module__][key] = known[key]
    return [_module(name, found) for name, found in objects.items()]


def _held(model):
    """Returns the classes and functions of what layers of a model hold, and of the layers, by Keras's names."""
    values = [model, *(value for place, _ in places_within(model, model) for value in inside(place).values())]
    functions = [_checked(value) for value in values if isinstance(value, FunctionType) and is_own_function(value)]
    kinds = [kind for kind in map(type, values) if not is_of_keras(kind) and kind.__module__ != "builtins"]
    return {keras.saving.get_registered_name(each): each for each in (*kinds, *functions)}


def _checked(function):
    """Returns a function, or raises `NotLoadedError` if Keras saves its code alone, and that is not enough."""
    reads = inspect.getclosurevars(function).globals if function.__name__ == "<lambda>" else None
    if reads:
        raise NotLoadedError(
            f"A `lambda` in the model reads {sorted(reads)}, which are not saved with it. With Keras on "
            f"'{keras.backend.backend()}', the model is converted as saved, in a process of TensorFlow. Expected a "
            "function, `def`, in a file of its own that can be imported."
        )
    return function


def _strings(config):
    if isinstance(config, dict | list | tuple):
        return set().union(*map(_strings, config.values() if isinstance(config, dict) else config))
    return {config} if isinstance(config, str) else set()


def _module(name, objects):
    """Returns the `OwnModule` of classes and functions by Keras's names."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None) or ""
    inside_functions = [key for key, each in objects.items() if _is_local(each, module)]
    if inside_functions:
        raise _not_imported(inside_functions, "inside a function")
    if name == "__main__":
        if not os.path.isfile(path):
            raise _not_imported(objects, "in a notebook or a console")
        if not _is_guarded(path):
            or_else = ", or put what the program does under `if __name__ == '__main__':`"
            raise _not_imported(objects, f"in the program itself, {path}", or_else)
        spec = getattr(module, "__spec__", None)
        name = spec.name if spec else _IMPORTED_PROGRAM
    path = os.path.abspath(path) if path else ""
    names = {key: each.__name__ for key, each in objects.items()}
    return OwnModule(name, path, os.path.getmtime(path) if os.path.isfile(path) else 0.0, names)


def _is_local(each, module):
    return "<locals>" in each.__qualname__ and getattr(module, each.__name__, None) is not each


def _not_imported(objects, where, or_else=""):
    return NotLoadedError(
        f"The model holds {sorted(objects)}, defined {where}. With Keras on '{keras.backend.backend()}', it is "
        "converted in a process of TensorFlow. Expected classes and functions that it can import. Move them to a file "
        f"of their own, and import them from it{or_else}."
    )


def _is_guarded(path):
    tree = ast.parse(pathlib.Path(path).read_bytes())
    return any(isinstance(each, ast.If) and "__name__" in ast.unparse(each.test) for each in tree.body)

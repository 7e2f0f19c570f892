"""What needs TensorFlow, on any backend: on JAX and PyTorch it runs in a process of its own, on the model as saved."""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import tempfile
import warnings
from collections.abc import Callable, Iterator

import keras

from keras_slim.errors import UnsupportedLayerError, in_short
from keras_slim.export.own_modules import NotLoadedError, OwnModule, own_modules
from keras_slim.graph.opening import functional
from keras_slim.tensorflow_process import TensorFlowProcess

_CONFIG = "config.json"
_SETTINGS = ("floatx", "epsilon", "image_data_format")

process = TensorFlowProcess("converts the model on TensorFlow")


def on_tensorflow(function: Callable) -> Callable:
    """Lets a function of models run on TensorFlow: here if Keras does, or else in a process of its own.

    Args:
        function: It takes a model, or a dictionary of models by name, then what can be pickled, and `verbose`, a
            keyword; it writes files and returns nothing.

    Returns:
        The function. It raises `ExportError`, too, if a model cannot be saved, or loaded in the process.
    """

    @functools.wraps(function)
    def run(models, *args, verbose):
        if keras.backend.backend() == "tensorflow":
            function(models, *args, verbose=verbose)
            return
        try:
            _run_there(run, models, args, verbose)
        except NotLoadedError:
            twins = keras.tree.map_structure(_twin, models)
            if twins == models:
                raise
            _run_there(run, twins, args, verbose)

    return run


def _run_there(run, models, args, verbose):
    process.start()  # which takes seconds, while the models are saved
    with _saved(models) as saved:
        reason = process.call(_run, run, saved, args, verbose, shows=verbose > 1)
    if reason:
        raise NotLoadedError(reason)


def _run(run, saved, args, verbose):
    """Runs a function here, in the process; returns why models cannot be loaded, if so."""
    tempfile.tempdir = os.path.dirname(saved.folders[0])  # the other process removes it, whatever happens here
    try:
        run(saved.load(), *args, verbose=verbose)
    except NotLoadedError as error:
        return str(error)
    finally:
        tempfile.tempdir = None
    return ""


def _twin(model):
    """Returns the functional twin of a model, of layers of Keras as far as may be; itself if it has none."""
    try:
        return functional(model)
    except UnsupportedLayerError:
        return model


@dataclasses.dataclass(frozen=True)
class _SavedModels:
    """Models in folders.

    Args:
        folders: Paths of the folders.
        names: Names of the models; None for one without.
        modules: What they hold of the user's own.
        settings: What Keras takes for granted, by name.
    """

    folders: list[str]
    names: list[str] | None
    modules: list[OwnModule]
    settings: dict

    def load(self):
        """Returns the model, or the dictionary of models by name; none is compiled."""
        for name, value in self.settings.items():
            getattr(keras.config, f"set_{name}")(value)
        own = {key: value for module in self.modules for key, value in module.load().items()}
        models = [_load(folder, own) for folder in self.folders]
        return models[0] if self.names is None else dict(zip(self.names, models, strict=True))


@contextlib.contextmanager
def _saved(models) -> Iterator[_SavedModels]:
    names = list(models) if isinstance(models, dict) else None
    models = list(models.values()) if isinstance(models, dict) else [models]
    with tempfile.TemporaryDirectory(prefix="keras_slim_") as scratch:
        folders = [os.path.join(scratch, str(index)) for index in range(len(models))]
        modules = [module for each in zip(models, folders, strict=True) for module in _save(*each)]
        settings = {name: getattr(keras.config, name)() for name in _SETTINGS}
        yield _SavedModels(folders, names, modules, settings)


def _save(model, folder):
    """Saves a model without how it was compiled, and returns the modules that it needs."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
            keras.saving.save_model(model, folder, zipped=False)
    except Exception as error:
        raise NotLoadedError(
            f"The model '{model.name}' cannot be saved: {in_short(error)}. Expected a model that can, as it is "
            "converted in a process of TensorFlow. Give its classes a `get_config`."
        ) from error
    path = pathlib.Path(folder, _CONFIG)
    config = json.loads(path.read_text(encoding="utf-8"), object_hook=_without_training)
    path.write_text(json.dumps(config), encoding="utf-8")
    return own_modules(model, config)


def _without_training(entry):
    return {key: value for key, value in entry.items() if key != "compile_config" or "class_name" not in entry}


def _load(folder, own):
    try:
        return keras.saving.load_model(folder, own, compile=False, safe_mode=False)
    except Exception as error:
        raise NotLoadedError(
            f"The model cannot be loaded on TensorFlow, to be converted there: {in_short(_cause(error))}. Expected "
            "layers that run on any backend of Keras, and whose `from_config` accepts what `get_config` returns."
        ) from error


def _cause(error):
    """Returns the error that others were raised upon."""
    while error.__context__ is not None:
        error = error.__context__
    return error

"""The parts of a model as Keras itself saves them to a folder: configuration, weights, assets.

Keras walks the model, so that whatever it can save is saved: nested models, layers that store their own variables,
vocabularies. What optimizers have is left out, and how models were compiled, those inside the model too.
"""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable

import h5py
import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError
from keras_slim.held import layers_within
from keras_slim.optimizer_slots import with_inner

_CONFIG, _METADATA, _WEIGHTS, _ASSETS = "config.json", "metadata.json", "model.weights.h5", "assets"
NUMBERS = "biufcSV"  # kinds of dtypes; V is what HDF5 makes of bfloat16


@dataclasses.dataclass(frozen=True)
class SavedArray:
    """An array in Keras's file of weights.

    Args:
        group: Path of the group it is in.
        layer: Name of the layer.
        key: Its name in the group.
        dtype: Its dtype as HDF5 has it, or the name Keras gives it where HDF5 has none.
        shape: Its shape.
        read: Returns the array.
    """

    group: str
    layer: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


def save_folder(model, folder):
    """Saves a model to a folder."""
    keras.saving.save_model(model, folder, zipped=False)


def load_folder(folder, custom_objects):
    """Returns the model in a folder, not compiled, read in Keras's safe mode."""
    return keras.saving.load_model(folder, custom_objects=custom_objects, compile=False, safe_mode=True)


def read_config(folder):
    """Returns the configuration of the model in a folder without that of its training, and Keras's version."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"), object_hook=_tidy({}))
    metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
    return config, metadata["keras_version"]


def holds_lambda(config):
    """Tells whether a configuration holds a Python `lambda`, which is code."""
    return '"class_name": "__lambda__"' in json.dumps(config)


def _tidy(numbers):
    """Returns a hook that leaves out what `compile` was given, and numbers shared objects from 1 on.

    The numbers are addresses, which differ from one run to the next.
    """

    def hook(entry):
        if "class_name" in entry and "compile_config" in entry:
            entry["compile_config"] = None
        if "shared_object_id" in entry:
            entry["shared_object_id"] = numbers.setdefault(entry["shared_object_id"], len(numbers) + 1)
        return entry

    return hook


def write_config(folder, config, version):
    """Writes what `read_config` returned."""
    folder = pathlib.Path(folder)
    (folder / _CONFIG).write_text(json.dumps(config), encoding="utf-8")
    (folder / _METADATA).write_text(json.dumps({"keras_version": version}), encoding="utf-8")


def read_assets(folder):
    """Returns the assets in a folder, by relative path."""
    assets = pathlib.Path(folder) / _ASSETS
    return {
        path.relative_to(assets).as_posix(): path.read_bytes() for path in sorted(assets.rglob("*")) if path.is_file()
    }


def write_asset(folder, name, content):
    """Writes an asset, or raises `ValueError` if its path leads elsewhere."""
    assets = pathlib.Path(folder).resolve() / _ASSETS
    path = (assets / name).resolve()
    if assets not in path.parents:
        raise ValueError(f"the asset {name!r} lies outside its folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def open_weights(folder, mode):
    """Opens the file of weights in a folder."""
    return h5py.File(os.path.join(folder, _WEIGHTS), mode)


def list_arrays(file, model):
    """Returns the arrays in a model's file of weights, those of optimizers left out.

    Raises:
        UnsupportedLayerError: If some are no arrays of numbers.
    """
    found, wrong = [], []
    attributes, names = _optimizers(model)

    def visit(path, item):
        if not isinstance(item, h5py.Dataset):
            return
        group, _, key = path.rpartition("/")
        layer = _layer(item.parent)
        if layer in names and not attributes.isdisjoint(group.split("/")):
            return
        array = SavedArray(group, layer, key, _dtype(item), item.shape, lambda: item[()])
        (found if item.dtype.kind in NUMBERS and not item.dtype.fields else wrong).append(array)

    file.visititems(visit)
    if wrong:
        names = ", ".join(f"{array.layer} ({array.key}: {array.dtype})" for array in wrong)
        raise UnsupportedLayerError(
            f"These layers save what is no array of numbers: {names}. Expected numbers, or bytes of a fixed length. "
            "Save it as an asset instead (`save_assets`)."
        )
    return found


def _optimizers(model):
    """Returns the attributes of a model, and of models inside it, that are optimizers, and the names of these."""
    found = [
        (attribute, value)
        for layer in layers_within(model)
        for attribute, value in vars(layer).items()
        if isinstance(value, keras.optimizers.Optimizer)
    ]
    names = {each.name for _, optimizer in found for each in with_inner(optimizer)}
    return {attribute for attribute, _ in found}, names


def write_array(file, group, layer, key, dtype, array):
    """Writes an array to a file of weights as Keras does."""
    vars_group = file.require_group(group)
    vars_group.attrs["name"] = layer
    dataset = vars_group.create_dataset(key, data=array)
    if not dtype.startswith(("<", ">", "|")):
        dataset.attrs["dtype"] = dtype


def _layer(group):
    return str(group.attrs.get("name", group.name.strip("/")))


def _dtype(dataset):
    return str(dataset.attrs.get("dtype", dataset.dtype.str))

"""The values of all weights of a model by path: taking them down, and putting them back."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_slim.errors import PlanMismatchError
from keras_slim.sparsity.kernels import advice_on_names, by_path, leaves


def values_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns a copy of the value of each weight of a model, those that are not trained too, by path."""
    return {path: plain(weight) for path, weight in by_path(model.weights).items()}


def plain(value) -> np.ndarray:
    """Returns a copy of a value in a type that every file can hold: bfloat16 and its like become float32."""
    value = keras.ops.convert_to_numpy(value)
    return value.astype("float32") if value.dtype.kind not in "biufc" else np.array(value)


def put_back(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Sets all weights of a model to values.

    Raises:
        PlanMismatchError: If the model has other weights; nothing is changed.
    """
    check_fits(model, values)
    for path, weight in by_path(model.weights).items():
        weight.assign(values[path])
    for layer in leaves(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()  # it computes with constants that it makes from its weights


def check_fits(model: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    """Raises `PlanMismatchError` if values are not for the weights of a model."""
    here = {path: tuple(weight.shape) for path, weight in by_path(model.weights).items()}
    there = {path: value.shape for path, value in values.items()}
    wrong = [
        f"{path}: {there.get(path, 'no value')} against {here.get(path, 'no such weight')}"
        for path in dict.fromkeys([*here, *there])
        if here.get(path) != there.get(path)
    ]
    if wrong:
        raise PlanMismatchError(
            f"These values are for another model than '{model.name}'. Expected one for each of its weights. Received: "
            f"{'; '.join(wrong)}. {advice_on_names(there, here)}"
        )

"""What layers remember beside their variables, and its way to a copy: tables, vocabularies, whatever they save.

Keras has four public methods for it, with which a layer saves itself: `save_own_variables`, `load_own_variables`,
`save_assets` and `load_assets`. What a file can hold of a layer, a copy gets.
"""

import tempfile

import keras
import numpy as np

from keras_slim.remaking import cannot_copy, is_stock

HOOKS = ("save_own_variables", "load_own_variables", "save_assets", "load_assets")


def has_own_state(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer saves more than its variables, or makes something of them when it is loaded.

    Example:

    >>> has_own_state(keras.layers.StringLookup()), has_own_state(keras.layers.Dense(2))
    (True, False)
    """
    cls = type(layer)
    own = [getattr(cls, hook, None) is not getattr(keras.layers.Layer, hook, None) for hook in HOOKS]
    # Layers of Keras that can be quantized have such methods for that alone.
    may_quantize = is_stock(_owner(cls, "load_own_variables")) and cls.quantize is not keras.layers.Layer.quantize
    return any(own[2:] if may_quantize else own) and not isinstance(layer, keras.Model)


def carry_state(old: keras.Operation, new: keras.Operation) -> None:
    """Gives a copy of a layer, and those inside it, what the layer remembers beside its variables.

    The variables of the copy keep the values they have, whatever their size; what the layer would load is replaced by
    them where it is the value of a variable.

    Args:
        old: The layer; nothing happens for an operation of `keras.ops`.
        new: Its copy, built, with the values its variables are to have.

    Raises:
        UnsupportedLayerError: If the copy does not take what the layer saves.
    """
    for path, layer in _parts(old):
        if has_own_state(layer):
            copy = _at(new, path)
            if type(copy) is not type(layer):
                raise cannot_copy(old, f"a copy without the layer '{layer.name}' inside")
            try:
                _carry(layer, copy)
            except Exception as error:
                hooks = "what `save_own_variables` and `save_assets` gave did not go into the copy"
                raise cannot_copy(layer, f"{hooks}: {error}") from error


def copy_variables(old: keras.Operation, new: keras.Operation) -> None:
    """Gives the variables of a copy of a layer, seeds included, the values of those of the layer."""
    for variable, value in zip(*variables_of(old, new), strict=True):
        value.assign(variable)


def variables_of(old: keras.Operation, new: keras.Operation) -> tuple[list, list]:
    """Returns the variables of a layer and those of its copy, as many.

    Raises:
        UnsupportedLayerError: If the copy has others.
    """
    both = [list(getattr(each, "variables", ())) for each in (old, new)]
    if len(both[0]) != len(both[1]):
        raise cannot_copy(old, f"a copy with {len(both[1])} variables in place of {len(both[0])}")
    return both[0], both[1]


def _carry(old, new):
    values = [keras.ops.convert_to_numpy(variable) for variable in new.variables]
    known = list(zip(old.variables, values, strict=True))
    store = {}
    old.save_own_variables(store)
    new.load_own_variables({name: _renewed(value, known) for name, value in store.items()})
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    for variable, value in zip(list(new.variables), values, strict=False):
        variable.assign(value)


def _renewed(value, known):
    """Returns the value that a variable has in the copy, for its value or itself; another array as it is."""
    for variable, now in known:
        if value is variable:
            return now
    value = np.asarray(keras.ops.convert_to_numpy(value) if keras.ops.is_tensor(value) else value)
    found = [now for variable, now in known if _same(value, keras.ops.convert_to_numpy(variable))]
    if found and not all(_same(each, found[0]) for each in found):
        raise ValueError("an array is the value of two variables, which differ in the copy")
    return found[0] if found else value.copy()


def _same(first, second):
    return first.shape == second.shape and first.dtype == second.dtype and np.array_equal(first, second)


def _owner(cls, name):
    return next(each for each in cls.__mro__ if name in vars(each))


def _parts(layer):
    """Lists the layers within a layer, each once, with the attributes, places and keys that lead there."""
    found, seen, waiting = [], set(), [((), layer)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, keras.Operation):
            if id(value) in seen:
                continue
            seen.add(id(value))
            inside = vars(value) if isinstance(value, keras.Layer) else {}
            found += [(path, value)] if isinstance(value, keras.Layer) else []
        else:
            inside = value if isinstance(value, dict) else dict(enumerate(value))
        for name, each in inside.items():
            if isinstance(each, keras.Layer | list | tuple | dict):
                waiting.append(((*path, name), each))
    return found


def _at(layer, path):
    """Returns what a path of `_parts` leads to, or `None`."""
    for name in path:
        try:
            layer = (vars(layer) if isinstance(layer, keras.Layer) else layer)[name]
        except (KeyError, IndexError):
            return None
    return layer

"""What layers remember beside their variables, and its way to a copy: tables, vocabularies, whatever they save.

Keras has four public methods for it, with which a layer saves itself: `save_own_variables`, `load_own_variables`,
`save_assets` and `load_assets`. What a file can hold of a layer, a copy gets.
"""

import contextlib
import tempfile

import keras
import numpy as np

from keras_slim.held import cannot_copy, has_own_state, has_stock, pairs_within
from keras_slim.likeness import check_alike


def carry_state(old: keras.Operation, new: keras.Operation) -> None:
    """Gives a copy of a layer, and those inside it, what the layer remembers beside its variables.

    The variables of the copy keep the values they have, whatever their size; what the layer would load is replaced by
    them where it is the value of a variable.

    Args:
        old: The layer; nothing happens for an operation of `keras.ops`.
        new: Its copy, built, with the values its variables are to have.

    Raises:
        UnsupportedLayerError: If the copy does not take what the layer saves, or does not hold what the layer holds: a
            function, or an argument of the constructor.
    """
    copies: dict[keras.layers.Layer, list] = {}
    for layer, copy in pairs_within(old, new):
        if has_own_state(layer):
            copies.setdefault(layer, []).extend([copy] if type(copy) is type(layer) else [])
    for layer, found in copies.items():
        if not found:
            raise cannot_copy(old, f"a copy without the layer '{layer.name}' inside")
        for copy in found:
            try:
                _carry(layer, copy)
            except Exception as error:
                hooks = "what `save_own_variables` and `save_assets` gave did not go into the copy"
                raise cannot_copy(layer, f"{hooks}: {error}") from error
    check_alike(old, new)


def copy_variables(old: keras.Operation, new: keras.Operation) -> None:
    """Gives the variables of a copy of a layer, seeds included, the values of those of the layer."""
    for variable, value in zip(*variables_of(old, new), strict=True):
        give(value, variable)


def give(variable: keras.Variable, value) -> None:
    """Gives a variable a value of its own: on JAX, whoever trains one model of two that share it takes it from both."""
    variable.assign(keras.ops.copy(value))


def variables_of(old: keras.Operation, new: keras.Operation) -> tuple[list, list]:
    """Returns the variables of a layer and those of its copy, as many.

    Raises:
        UnsupportedLayerError: If the copy has others.
    """
    both = [list(getattr(each, "variables", ())) for each in (old, new)]
    if len(both[0]) != len(both[1]):
        raise cannot_copy(old, f"a copy with {len(both[1])} variables in place of {len(both[0])}")
    if getattr(old, "quantization_mode", None):  # Keras lists them in another order in a layer that is made so
        named = {variable.name: variable for variable in both[1]}
        both[1] = [named[variable.name] for variable in both[0]]
    return both[0], both[1]


def variables_alike(old: keras.layers.Layer, new: keras.layers.Layer) -> list[tuple]:
    """Returns pairs of the variables of a layer and those of one in its place; those named alike, if it has others."""
    if type(old) is type(new) and len(old.variables) == len(new.variables):
        return list(zip(old.variables, new.variables, strict=True))
    named = {variable.name: variable for variable in new.variables}
    return [(variable, named[variable.name]) for variable in old.variables if variable.name in named]


def _carry(old, new):
    if hasattr(old, "set_vocabulary") and has_stock(type(old), "save_assets"):
        _carry_vocabulary(old, new)
        return
    values, store = [keras.ops.convert_to_numpy(variable) for variable in new.variables], {}
    old.save_own_variables(store)
    new.load_own_variables(_renewed(store, old, new, values))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    for variable, value in zip(list(new.variables), values, strict=False):
        variable.assign(value)


def _carry_vocabulary(old, new):
    """Gives a lookup layer of Keras its words, without the file, whose lines are not the words if they have breaks."""
    if not hasattr(old, "lookup_table"):
        return  # a text layer, with a lookup layer inside
    weights = getattr(old, "idf_weights", None)
    if weights is not None or not _same_table(old.lookup_table, new.lookup_table):
        words = old.get_vocabulary()
        new.set_vocabulary(words, idf_weights=None if weights is None else weights.numpy()[: len(words)])


def _same_table(old, new):
    if int(old.size()) != int(new.size()) or int(old.size()) == 0:  # an empty one cannot be read
        return int(old.size()) == int(new.size())
    words, places = old.export()
    return np.array_equal(new.lookup(words), places)


def _renewed(store, old, new, values):
    """Returns what a layer saves with the values that variables have in its copy; other arrays as they are.

    What the copy saves under the same name tells a variable from a state that happens to have its value.
    """
    variables, contents, of_copy = {}, {}, {}
    for variable, value in zip(old.variables, values, strict=True):
        variables[id(variable)] = [value]
        contents.setdefault(_content(variable), []).append(value)
    with contextlib.suppress(Exception):  # it may not have yet what it is to save
        new.save_own_variables(of_copy)
    renewed = {}
    for name, value in store.items():
        found = variables.get(id(value)) or contents.get(_content(value), [])
        if name in of_copy:
            found = [each for each in found if _content(each) == _content(of_copy[name])]
        if any(_content(each) != _content(found[0]) for each in found[1:]):
            raise ValueError(f"`{name}` is the value of two variables, which differ in the copy")
        renewed[name] = found[0] if found else _array(value).copy()
    return renewed


def _array(value):
    is_tensor = keras.ops.is_tensor(value) or isinstance(value, keras.Variable)
    return np.asarray(keras.ops.convert_to_numpy(value) if is_tensor else value)


def _content(value):
    array = _array(value)
    return array.shape, array.dtype.str, array.tobytes()

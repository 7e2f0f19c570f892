"""Everything that a model is made of, to see whether something has been touched."""

import keras
import numpy as np

CONTAINERS = (list, tuple, dict, set, frozenset)
CLOSED = (type, keras.KerasTensor, keras.initializers.Initializer)


class Picture:
    """What some objects are made of now: each attribute of theirs and of all that they hold, each weight's value.

    Objects are compared by identity, at whatever depth; plain values and arrays by value. Symbolic tensors, their
    history, and functions are taken to be immutable.

    Args:
        *objects: Models with all that belongs to them: their layers, optimizer, metrics, losses and attributes.
        without: Names of attributes that may change.
    """

    def __init__(self, *objects, without=()):
        self._without = {*without}
        self._parts = {}
        waiting = [(type(each).__name__, each) for each in objects]
        while waiting:
            path, each = waiting.pop()
            if id(each) not in self._parts and _is_open(each):
                content = self._content(each)
                self._parts[id(each)] = path, each, content
                waiting += [(f"{path}{name}", value) for name, value in content.items()]

    def differences(self) -> list[str]:
        """Returns in words what is not as it was; nothing if all is."""
        return [text for path, each, before in self._parts.values() for text in self._compare(path, each, before)]

    def _compare(self, path, each, before):
        now = self._content(each)
        for name in before | now:
            pair = before.get(name, "nothing"), now.get(name, "nothing")
            if not _is_same(*pair):
                yield f"{path}{name}: {pair[0]!r:.120} has become {pair[1]!r:.120}"
        if list(now) != list(before) and set(now) == set(before):
            yield f"{path}: another order"

    def _content(self, each):
        content = {}
        if isinstance(each, dict):
            content |= {f"[{key!r}]": value for key, value in each.items()}
        elif isinstance(each, CONTAINERS):
            ordered = sorted(each, key=repr) if isinstance(each, set | frozenset) else each
            content |= {f"[{place}]": value for place, value in enumerate(ordered)}
        content |= {f".{name}": value for name, value in getattr(each, "__dict__", {}).items()}
        if isinstance(each, keras.Variable):
            content["'s value"] = np.array(keras.ops.convert_to_numpy(each))
        return {name: value for name, value in content.items() if name[1:] not in self._without}


def _is_open(each):
    """Tells whether an object is looked into."""
    if isinstance(each, CONTAINERS):
        return True
    is_of_keras = any(base.__module__.startswith("keras.") for base in type(each).__mro__)
    return is_of_keras and not isinstance(each, CLOSED) and type(each).__name__ != "Node"


def _is_same(one, other):
    if one is other:
        return True
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and isinstance(one, bool | int | float | str | bytes | None) and one == other

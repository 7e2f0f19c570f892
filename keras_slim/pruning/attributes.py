"""Exchanging what the attributes of a layer hold, by whichever container.

Beside the attributes that a user sets, a layer has some in which Keras, TensorFlow and PyTorch note what it holds. They
are exchanged alike: all are lists, tuples, sets and dictionaries. Private names used: those below. Checked on Keras
3.15.1, TensorFlow 2.21; `tests/pruning/test_subject.py` fails when they are others.
"""

import copy
from typing import Any

import keras

MODULES, PARAMETERS = "_modules", "_torch_params"
"""Where PyTorch looks for layers; under which name Keras keeps a model's parameters there, and gathers them if missing.
Parameters that are not there are not set back: their gradients would add up from step to step."""

TRACKER = "_tracker"
"""What notices layers and variables that are attached to a model. Lists of the model, such as the names of outputs that
its loss holds, hold it too: so the object stays, and what it knows is exchanged."""


def exchange_attributes(holder: keras.layers.Layer, known: dict[int, Any]) -> None:
    """Puts others in the place of layers and weights that a layer's attributes hold, in lists and the like too.

    Whatever holds one is made anew, and nothing is changed inside: so what the attributes were can be put back.

    Args:
        holder: The layer, or model.
        known: What comes in the place of a layer or a weight, by the `id` of that one.
    """
    tracker = vars(holder)[TRACKER]
    stores = {name: [known.get(id(each), each) for each in store] for name, (_, store) in tracker.config.items()}
    lists = {id(store): stores[name] for name, (_, store) in tracker.config.items()}
    tests = {name: test for name, (test, _) in tracker.config.items()}
    vars(tracker)["config"] = {name: (tests[name], store) for name, store in stores.items()}
    vars(tracker)["stored_ids"] = {name: set(map(id, store)) for name, store in stores.items()}
    known = known | lists
    vars(holder).update({name: with_new(value, known) for name, value in vars(holder).items() if name != TRACKER})
    if MODULES in vars(holder):
        vars(holder)[MODULES] = {name: each for name, each in vars(holder)[MODULES].items() if name != PARAMETERS}


def with_new(value, known: dict[int, Any]):
    """Returns a value with others in the place of what is known, inside lists, tuples, sets and dictionaries too.

    Args:
        value: Anything.
        known: What comes in the place of an object, by the `id` of that one. What is made is known from then on.
    """
    entries = _entries(value)
    if id(value) not in known and entries:
        others = [with_new(each, known) for each in entries]
        if any(one is not other for one, other in zip(entries, others, strict=True)):
            known[id(value)] = _made_of(others, value)
    return known.get(id(value), value)


def _entries(value):
    """Returns what is inside a list, tuple or set; the keys and then the values of a dictionary."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if _is_reference(value):
        return [value.ref]
    return list(value) if isinstance(value, list | tuple | set) else []


def _is_reference(value):
    """Tells whether a value is what TensorFlow's checkpoints see of an attribute: its name and what it holds."""
    return type(value).__name__ == "TrackableReference"


def _made_of(entries, value):
    """Returns what is like a list, tuple, set or dictionary, with other entries."""
    if _is_reference(value):
        return type(value)(value.name, *entries)
    if hasattr(value, "__wrapped__"):  # TensorFlow keeps tuples in an object of its own
        return type(value)(_made_of(entries, value.__wrapped__))
    if hasattr(value, "_fields"):
        return type(value)(*entries)
    if isinstance(value, dict):
        entries = dict(zip(entries[: len(value)], entries[len(value) :], strict=True))
        if not hasattr(value, "tracker"):
            made = copy.copy(value)  # it may be of a class that is made otherwise
            made.clear()
            made.update(entries)
            return made
    return type(value)(entries, value.tracker) if hasattr(value, "tracker") else type(value)(entries)


def holds_layers(value) -> bool:
    """Tells whether a value is a layer or a weight, or a list, tuple, set or dictionary with some inside."""
    return isinstance(value, keras.layers.Layer | keras.Variable) or any(map(holds_layers, _entries(value)))

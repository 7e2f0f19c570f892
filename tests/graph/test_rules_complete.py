"""Every public layer and every operation of Keras has a rule, or a reason why it has none."""

import keras

from keras_slim.graph.registry import registered_rules
from keras_slim.graph.without_rule import REASON_OF

NO_CALLS = {"InputLayer", "Layer", "Wrapper"}
"""What `analyse` reads by itself, and base classes."""


def names():
    """Returns the names of all layers that are public, and of all operations that are no layers."""
    public = [getattr(keras.layers, name) for name in dir(keras.layers)]
    found = {each.__name__ for each in public if isinstance(each, type) and issubclass(each, keras.layers.Layer)}
    waiting = [keras.Operation]
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        if cls.__module__.startswith("keras.src.ops.") and cls is not keras.Operation:
            found.add(f"ops.{cls.__name__}")
    return found - NO_CALLS


def ruled():
    types = {each for rule_types in registered_rules().values() for each in rule_types}
    return {each if isinstance(each, str) else each.__name__ for each in types}


def test_every_layer_and_every_operation_has_a_rule_or_a_reason():
    assert sorted(names() - ruled() - set(REASON_OF)) == []


def test_no_reason_is_given_for_what_has_a_rule_or_does_not_exist():
    assert sorted(set(REASON_OF) & ruled()) == []
    assert sorted(set(REASON_OF) - names()) == []


def test_the_operations_are_all_found():
    assert len(names()) > 400  # 3.15 has 120 layers and 330 operations
    assert {"Dense", "RandomHue", "ops.Einsum", "ops.FFT", "ops.GetItem"} <= names()

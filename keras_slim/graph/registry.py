"""The table of rules: from a layer's exact type to the function that says how its channels are coupled.

A function that is given to layers, as their activation or in a `Lambda`, may have a rule too.

A rule is a function of one `LayerCall`. It states which axis of which weight runs along which units, and returns
the channels of the output. The lookup is by exact type: a subclass may compute anything, so it needs its own entry.
Operations of `keras.ops`, and the few layers that Keras keeps to itself, have no public class and go by name, that of
an operation with `ops.` before it, as in `"ops.Softmax"`: a layer may have the same one.
"""

import inspect
from collections.abc import Hashable

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.functions import name_of
from keras_slim.graph.without_rule import REASON_OF
from keras_slim.held import is_of_keras

_RULES = {}

REGISTRABLE = "layer classes, names of classes of Keras's own, or functions that layers are given"


def register_rule(*types, override=False):
    """Returns a decorator that makes a function the rule of layer types.

    Args:
        *types: Layer classes that the rule describes; a subclass is another type. For a class of Keras's own that is
            not public, its name, e.g. `"ops.Matmul"` for `keras.ops.matmul`. Or functions that layers are given, as
            their activation or in a `Lambda`: `register_rule(my_swish)(keras_slim.graph.elementwise)`; or a class of
            objects that can be called like these. Without a rule such a function is tried.
        override: Whether to replace a rule that exists.

    Returns:
        The decorator.

    Raises:
        TypeError: If there is no such type, or one that rules cannot be for, or what is decorated is no function.
        ValueError: If a type has a rule and `override` is false.

    Example:

    >>> import keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=input_shape[-1:])
    ...     def call(self, x):
    ...         return x * self.scale
    >>> @register_rule(Scale)
    ... def scale(call):
    ...     units = call.inputs[0].along(-1)
    ...     call.weight(call.layer.scale, follows={0: units})
    ...     return call.output({-1: units})
    """

    for each in types or [None]:
        if not _has_rules(each):
            raise TypeError(
                invalid_argument("types", "register_rule", expected=REGISTRABLE, received=each, hint=_way_out(each))
            )

    def decorator(rule):
        if not inspect.isroutine(rule):
            expected, hint = "a function of one `LayerCall`", "`keras_slim.graph.elementwise` is one."
            raise TypeError(invalid_argument("rule", "register_rule", expected=expected, received=rule, hint=hint))
        for each in types:
            if each in _RULES and not override:
                raise ValueError(f"{name_of_type(each)} has a rule already. Give `override=True` to replace it.")
            _RULES[each] = rule
        return rule

    return decorator


def _has_rules(each):
    """Tells whether something is what a rule can be looked up by."""
    if isinstance(each, str):
        return True
    if isinstance(each, type):
        return issubclass(each, keras.Operation) or any("__call__" in vars(base) for base in each.__mro__)
    return callable(each) and not isinstance(each, keras.Operation) and isinstance(each, Hashable)


def _way_out(each):
    if isinstance(each, keras.Operation):
        return f"Give its class, `{type(each).__name__}`."
    if callable(each) and not isinstance(each, type):
        return f"It has no hash: give its class, `{type(each).__name__}`."
    return "Give the class of a layer, or the function that is in its `activation`."


def name_of_type(each) -> str:
    """Returns what a person calls a layer class, a function or a name that has a rule."""
    return each if isinstance(each, str) else name_of(each)


def registered_rules():
    """Returns the rules and, for each, the layer types or names it is for.

    Returns:
        Dictionary from a rule to a list of classes, strings and functions, in the order in which they were registered.

    Example:

    >>> import keras
    >>> rule = find_rule(keras.layers.Conv2D(4, 3))
    >>> [each.__name__ for each in registered_rules()[rule]]
    ['Conv1D', 'Conv2D', 'Conv3D']
    """
    table = {}
    for each, rule in _RULES.items():
        table.setdefault(rule, []).append(each)
    return table


def find_rule(operation):
    """Returns the rule of an operation's exact type, or of a function itself, or `None`."""
    cls = type(operation)
    if not isinstance(operation, keras.Operation | str | type) and isinstance(operation, Hashable):
        return _RULES.get(operation, _RULES.get(cls))
    return _RULES[cls] if cls in _RULES else _RULES.get(_name_of(cls))


def why_no_rule(operation):
    """Returns why an operation has no rule, in words."""
    reason = REASON_OF.get(_name_of(type(operation)))
    return f"{type(operation).__name__} has no rule" + (f": {reason}" if reason else "")


def _name_of(cls):
    """Returns the name by which a class of Keras's own goes; `None` for others."""
    if not is_of_keras(cls):
        return None
    return cls.__name__ if issubclass(cls, keras.layers.Layer) else f"ops.{cls.__name__}"

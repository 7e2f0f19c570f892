"""The table of rules: from a layer's exact type to the function that says how its channels are coupled.

A rule is a function of one `LayerCall`. It states which axis of which weight runs along which units, and returns
the channels of the output. The lookup is by exact type: a subclass may compute anything, so it needs its own entry.
Operations of `keras.ops`, and the few layers that Keras keeps to itself, have no public class and go by name, that of
an operation with `ops.` before it, as in `"ops.Softmax"`: a layer may have the same one.
"""

import keras

from keras_slim.graph.without_rule import REASON_OF

_RULES = {}


def register_rule(*types, override=False):
    """Returns a decorator that makes a function the rule of layer types.

    Args:
        *types: Layer classes that the rule describes; a subclass is another type. For a class of Keras's own that is
            not public, its name, e.g. `"ops.Matmul"` for `keras.ops.matmul`.
        override: Whether to replace a rule that exists.

    Returns:
        The decorator.

    Raises:
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

    def decorator(rule):
        for each in types:
            if each in _RULES and not override:
                name = each if isinstance(each, str) else each.__name__
                raise ValueError(f"{name} has a rule already. Give `override=True` to replace it.")
            _RULES[each] = rule
        return rule

    return decorator


def registered_rules():
    """Returns the rules and, for each, the layer types or names it is for.

    Returns:
        Dictionary from a rule to a list of classes and strings, in the order in which they were registered.

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
    """Returns the rule of an operation's exact type, or `None`."""
    cls = type(operation)
    return _RULES[cls] if cls in _RULES else _RULES.get(_name_of(cls))


def why_no_rule(operation):
    """Returns why an operation has no rule, in words."""
    reason = REASON_OF.get(_name_of(type(operation)))
    return f"{type(operation).__name__} has no rule" + (f": {reason}" if reason else "")


def _name_of(cls):
    """Returns the name by which a class of Keras's own goes; `None` for others."""
    if cls.__module__.partition(".")[0] != "keras":
        return None
    return cls.__name__ if issubclass(cls, keras.layers.Layer) else f"ops.{cls.__name__}"

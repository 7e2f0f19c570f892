"""Functions that people give to layers: which are known to act on each element alone, and what one keeps to itself."""

import functools
import inspect
import sys
import types

import keras
import numpy as np

from keras_slim.held import PLAIN

ELEMENTWISE = """
    abs absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh cbrt ceil celu cos cosh
    elu erf erfc exp exp2 expm1 exponential floor gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
    hardshrink hardsigmoid hardswish hardtanh leaky_relu log log1p log_sigmoid logsigmoid mish negative reciprocal relu
    relu6 round rsqrt selu sigmoid sign silu sin sinh soft_shrink soft_sign softplus softshrink softsign sparse_plus
    sparse_sigmoid sqrt square squareplus swish tan tanh tanh_shrink tanhshrink threshold
"""
"""Names that mean a function of each element wherever they are found; softmax and its like are not among them."""

PLACES = {
    "keras": ("activations", "ops"),
    "tensorflow": ("", "nn", "math"),
    "jax": ("nn", "numpy", "lax"),
    "torch": ("", "nn.functional", "special"),
}
"""Packages, and where in them such functions are."""

ALSO = {"keras": ("activations.linear",), "tensorflow": ("identity", "stop_gradient")}
"""Those whose names mean something else elsewhere."""


LARGE = 2**16
"""Elements of an array above which its values are not watched."""


def is_elementwise(function) -> bool:
    """Tells whether a function is known to act on each element alone, whatever it is given.

    That is one of Keras, TensorFlow, JAX or PyTorch, by its identity, also with options fixed that are plain values.
    No package is loaded to find out.

    Example:

    >>> is_elementwise(functools.partial(keras.activations.relu, max_value=6)), is_elementwise(keras.ops.softmax)
    (True, False)
    """
    if isinstance(function, functools.partial):
        options = function.keywords.values()
        is_plain = not function.args and all(isinstance(option, PLAIN) for option in options)
        return is_plain and is_elementwise(function.func)
    return any(id(function) in _known(sys.modules[package], package) for package in PLACES if package in sys.modules)


@functools.cache
def _known(module, package):
    """Returns the functions that are known of a package, by their `id`, found once, for it takes a while."""
    names = [f"{place}.{name}" for place in PLACES[package] for name in ELEMENTWISE.split()]
    found = [_attribute(module, name) for name in (*names, *ALSO.get(package, ()))]
    return {id(function): function for function in found if function is not None}


def _attribute(module, path):
    for name in filter(None, path.split(".")):
        module = getattr(module, name, None)
    return module


def name_of(function) -> str:
    """Returns what a person calls a function, or a layer in its place."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def state_of(function) -> list:
    """Returns what a function reads besides its inputs, as values that compare: other values are another state.

    What it closes over, the globals and the attributes of its object that it names, its defaults, and likewise of the
    functions among these.
    """
    return [_comparable(leaf) for leaf in _held(function, set())]


def reads_variables(function) -> bool:
    """Tells whether a function reads variables, by itself or by a layer: what it does can be another thing later."""
    return any(_is_variable(leaf) for leaf in _held(function, set()))


def _held(function, seen):
    """Returns the values that a function reads, flat."""
    key = id(getattr(function, "__func__", function)), id(getattr(function, "__self__", None))
    if key in seen:
        return []
    seen.add(key)
    if isinstance(function, functools.partial):
        values = [function.func, function.args, function.keywords]
    else:
        values = _read(function)
    held = []
    for leaf in keras.tree.flatten(values):
        held += _held(leaf, seen) if _is_own_function(leaf) else [leaf]
    return held


def _is_own_function(leaf):
    """Tells whether something that a function reads is one of the user's own, or an object that is called like one."""
    if isinstance(leaf, types.FunctionType | types.MethodType | functools.partial):
        return not _is_of_package(leaf)
    return callable(leaf) and not isinstance(leaf, type | keras.Layer) and not _is_of_package(type(leaf))


def _read(function):
    """Returns the values that a function, a method, an object that is called, or a layer in its `call` reads."""
    owner = getattr(function, "__self__", None if isinstance(function, types.FunctionType) else function)
    body = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(body, types.FunctionType):
        body = inspect.getattr_static(type(body), "call" if isinstance(body, keras.Layer) else "__call__", None)
    read = [None if isinstance(owner, keras.Layer) else _Object(owner)]
    if isinstance(body, types.FunctionType):
        names = _names(body.__code__)
        read += [body.__defaults__, body.__kwdefaults__, *map(_content, body.__closure__ or ())]
        read += [value for name, value in body.__globals__.items() if name in names]
        read += [value for name, value in getattr(owner, "__dict__", {}).items() if name in names]
        read += _methods(owner, names)
    return read


def _names(code):
    """Returns the names of globals and attributes in the code of a function, and of those inside it."""
    inside = (_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    return {*code.co_names}.union(*inside)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _methods(owner, names):
    """Returns the methods of an object that are among some names; that by which it is called, for it has none."""
    found = [inspect.getattr_static(type(owner), name, None) for name in sorted(names | {"__call__"})]
    own = (each for each in found if isinstance(each, types.FunctionType) and not _is_of_package(each))
    return [types.MethodType(each, owner) for each in own]


def _is_of_package(function):
    """Tells whether a function, or a class, is one of a package that keeps no state of the user's."""
    return (getattr(function, "__module__", None) or "").partition(".")[0] in (*PLACES, "numpy")


class _Object:
    """Holds the object of a method, so that it is not taken for a function once more."""

    def __init__(self, held):
        self.held = held


def _is_variable(leaf):
    leaf = leaf.held if isinstance(leaf, _Object) else leaf
    if isinstance(leaf, type | types.ModuleType):
        return False
    if isinstance(leaf, keras.Layer):
        return bool(leaf.weights) or not leaf.built
    parameters = getattr(leaf, "parameters", None)  # of a module of PyTorch
    if callable(parameters) and hasattr(leaf, "state_dict"):
        return any(True for _ in parameters())
    return hasattr(leaf, "assign") or getattr(leaf, "requires_grad", False) is True


def _comparable(leaf):
    leaf = leaf.held if isinstance(leaf, _Object) else leaf
    if isinstance(leaf, PLAIN):
        return leaf
    if isinstance(leaf, np.ndarray) and leaf.size <= LARGE:
        return leaf.tobytes()
    plain = {}
    if not isinstance(leaf, type | types.ModuleType | types.FunctionType) and not _is_of_package(type(leaf)):
        plain = {name: value for name, value in getattr(leaf, "__dict__", {}).items() if isinstance(value, PLAIN)}
    return id(leaf), plain

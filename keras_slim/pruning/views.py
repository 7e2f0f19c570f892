"""Other models on the layers of a model: parts of it, serving models, the models inside it.

They hold layers that a cut in `fit` exchanges. So their insides are exchanged too, and they go on to answer as the
model does. Keras does not tell which models a layer is in, so they are looked for among all objects that are alive.
"""

import functools
import gc
from collections.abc import Iterator

import keras

from keras_slim.graph.copying import copied
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.running import copy_of
from keras_slim.graph.set_aside import is_set_aside
from keras_slim.held import HOLDERS, inside, layers_within

FUNCTIONAL = "_functional"
"""Where a `Sequential` keeps the model it builds."""


def all_layers(model, closed=None):
    """Returns the layers of a model and of the models inside it, in an order that a copy of the model shares.

    Args:
        model: The model.
        closed: A model of which the layers are left out. Optional.
    """
    found = []
    for layer in model.layers:
        is_open = isinstance(layer, keras.Model) and layer is not closed
        found += [layer, *(all_layers(layer, closed) if is_open else [])]
    return found


def layers_by_path(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yields the layers of a model and of the models inside it with their paths, input layers left out."""
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            yield prefix + layer.name, layer
        if isinstance(layer, keras.Model):
            yield from layers_by_path(layer, f"{prefix}{layer.name}/")


def views_and_strangers(model: keras.Model) -> tuple[list[keras.Model], list[keras.Model]]:
    """Returns the other models on layers of a model: those that can follow it, and those that keep what it has now.

    A model inside it can follow it too. A stranger has weights that the model has not, or an optimizer.
    """
    own = {id(weight) for weight in model.weights}
    others = _others_on(model)
    strangers = [each for each in others if each.compiled or any(id(weight) not in own for weight in each.weights)]
    kept = {id(each) for stranger in strangers for each in (stranger, *all_layers(stranger))}
    return [each for each in others if id(each) not in kept], strangers


def subclassed_on(model: keras.Model, *but: keras.Model) -> list[keras.Model]:
    """Returns the other subclassed models that hold layers of a model, not only the model itself or models inside it.

    Args:
        model: The model.
        *but: Models that do not count, nor what they hold.
    """
    layers = layers_within(model)
    passed = {id(each) for each in (model, *but, *layers) if isinstance(each, keras.Model)}
    own = {id(layer) for layer in layers if layer.weights and id(layer) not in passed}
    others = [each for each in _living_models() if not is_graph(each) and id(each) not in passed]
    return [each for each in others if _reaches(each, own, passed)]


def _reaches(holder, own, passed):
    """Tells whether an object holds one of some layers, at whatever depth, but not through what is passed over."""
    waiting, seen = [holder], set(passed)
    while waiting:
        each = waiting.pop()
        if id(each) in own:
            return True
        if id(each) not in seen:
            seen.add(id(each))
            waiting += [value for value in inside(each).values() if isinstance(value, HOLDERS)]
    return False


def _living_models():
    models = [each for each in gc.get_objects() if issubclass(type(each), keras.Model)]
    return [each for each in models if hasattr(each, "layers")]  # not those that failed to be made


def _others_on(model):
    """Returns the other models that have layers with weights of a model, not only the model itself among theirs."""
    own = {id(layer) for layer in layers_within(model) if layer.weights}
    models = [each for each in _living_models() if is_graph(each)]
    within = {id(getattr(each, FUNCTIONAL, None)) for each in models}
    others = [each for each in models if each is not model and id(each) not in within and not is_set_aside(each)]
    return [each for each in others if any(id(layer) in own for layer in all_layers(each, model))]


def on_layers(
    view: keras.Model, known: dict[int, keras.Operation], stacks: dict[keras.layers.Layer, list] | None = None
) -> keras.Model:
    """Returns a copy of a model on other layers.

    Args:
        view: A Functional or built Sequential model.
        known: The layer in the place of each, by the id of that one; what has none is used again.
        stacks: The layers in the place of one, one behind the other, where it is not `known` alone. Optional.
    """
    if id(view) in known:  # a model inside the other: its copy knows all, such as arrays that are added
        view = known[id(view)]
        known = known | {id(layer): layer for layer in known.values()}
    copies, shapes = dict(known), _input_shapes(view, known)

    def standing_for(operation):
        if id(operation) not in copies:
            copies[id(operation)] = on_layers(operation, known, stacks) if is_graph(operation) else operation
        return (stacks or {}).get(operation) or [copies[id(operation)]]

    def call(node, inputs, args, kwargs):
        first, *others = standing_for(node.operation)
        return functools.reduce(lambda outputs, layer: layer(outputs), others, first(*args, **kwargs))

    return copy_of(
        view,
        lambda layer: copied(layer, batch_shape=shapes.get(id(layer.output), layer.batch_shape)),
        standing_for,
        call,
    )


def _input_shapes(view, known):
    """Returns the shapes of inputs of a copy on other layers, by the id of the input, as far as these layers tell."""
    shapes = {}
    for node in walk(view):
        new = known.get(id(node.operation))
        if new is not None and not isinstance(new, keras.layers.InputLayer):
            both = (keras.tree.flatten(each.input) for each in (node.operation, new))
            for tensor, before, after in zip(node.inputs, *both, strict=False):
                sizes = zip(tensor.shape, before.shape, after.shape, strict=True)
                shapes[id(tensor)] = tuple(size if old == now else now for size, old, now in sizes)
    return shapes

"""Putting a smaller model inside the user's own model object, also in the middle of `fit`.

The object keeps its identity, its compilation, its metrics and whatever the user attached to it; what changes is the
graph of layers inside, and the weights and slots that the optimizer holds. A subclassed model has no graph: there the
layers and weights change that its attributes hold, and those of the layers inside it.

Keras has no public way to exchange the inside of a model. This file is the exception: it moves the attributes listed
in `STRUCTURE`, and what `_tracker` knows, from one model to another, and renews `_compiled_trainable_state`, which
would keep the old layers.
Checked on Keras 3.15.1, over TensorFlow and over PyTorch 2.13; `tests/pruning/test_adopt.py` fails when a new version
keeps its structure elsewhere.
"""

import contextlib
import typing
import warnings

import keras
import numpy as np

from keras_slim.errors import SlimWarning, UnsupportedLayerError, first_sentence, in_short
from keras_slim.graph.kept_reading import Reading
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.opening import answers, batch_for, difference
from keras_slim.graph.set_aside import set_aside
from keras_slim.held import layers_within, pairs_within
from keras_slim.optimizer_slots import optimizers_of, with_inner
from keras_slim.pruning.attributes import MODULES, PARAMETERS, TRACKER, exchange_attributes, holds_layers
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.surgery import Transfer
from keras_slim.pruning.views import FUNCTIONAL, all_layers, on_layers, views_and_strangers
from keras_slim.scoring.kept_steps import forget_steps

STRUCTURE = (
    # keras.Function: the graph of calls
    "_inputs_struct",
    "_outputs_struct",
    "_inputs",
    "_outputs",
    "_nodes",
    "_nodes_by_depth",
    "_operations",
    "_operations_by_depth",
    "output_names",
    # keras.Sequential: the functional model it builds
    "_functional",
    # keras.Layer: tracked layers and variables
    "_layers",
    "_trainable_variables",
    "_non_trainable_variables",
    "_seed_generators",
    "_metrics",
    "_losses",
    "_loss_ids",
    "_losses_override",
    "_build_shapes_dict",
    # tf.Module: what a TensorFlow checkpoint sees
    "_tracked",
    "_self_unconditional_checkpoint_dependencies",
    "_self_unconditional_dependency_names",
    "_self_unconditional_deferred_dependencies",
    # torch.nn.Module: layers that are attributes, `_functional` among them, and the parameters that get gradients
    MODULES,
)

COMPILED = "_compiled_trainable_state"
"""What `compile` remembers of the layers."""

OWN = ("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_metrics")
"""Of these, what belongs to the model itself rather than to a layer in its graph."""


class Inside:
    """What a model is made of inside, as far as it may be exchanged.

    Args:
        model: A built model, or a layer: of what is no graph, all attributes that hold layers or weights.
    """

    def __init__(self, model: keras.layers.Layer):
        inside = vars(model)
        names = STRUCTURE if is_graph(model) else [name for name, value in inside.items() if holds_layers(value)]
        self._attributes = {name: inside[name] for name in names if name in inside}
        self._tracked = dict(vars(inside[TRACKER]))

    def put_into(self, model: keras.layers.Layer) -> None:
        """Makes another model, or the same one later, what this one was."""
        vars(model).update(self._attributes)
        vars(vars(model)[TRACKER]).update(self._tracked)
        forget_steps(model)


def adopt(
    model: keras.Model,
    smaller: keras.Model,
    transfers: list[Transfer],
    reading: Reading | None = None,
    trained: keras.Model | None = None,
    stacks: dict[keras.layers.Layer, list] | None = None,
) -> None:
    """Makes a model object the smaller model, keeping its compilation and its optimizers' state.

    Other models on its layers follow, if they have no optimizer and no other weights. A functional model becomes a
    plain one, of the layers of the smaller model. A subclassed model, and the layers with layers inside it, stay the
    objects they are, with other layers and weights in their attributes; then it has to answer like the smaller model.

    Either everything succeeds or the model is left as it was.

    Args:
        model: The model object, which may be in the middle of `fit`.
        smaller: A smaller model made from it by `rebuild`. It must not be used afterwards.
        transfers: How its variables came from those of `model`.
        reading: How the model was read to make the smaller one. Defaults to as it is.
        trained: The model whose training it is, if `model` is a part of it.
        stacks: The layers that come in the place of each layer, and model inside, one behind the other, if a functional
            model gets more layers or weights; its new weights are trained too. Defaults to one for one, in order.

    Raises:
        UnsupportedLayerError: If it cannot be done.
    """
    reading = reading or Reading(model, {})
    trained = trained or model
    cuts = _optimizer_cuts(model, smaller, transfers, reading, trained, bool(stacks)) if trained.compiled else []
    views, _ = views_and_strangers(model)
    with restored_on_failure(*parts_of(trained, model), *views):
        known = _known(reading, smaller, transfers, stacks)
        if is_graph(model):
            _exchange_graph(model, smaller, known, views, stacks or {})
        else:
            _exchange_checked(model, smaller, known, views, reading)
        if trained is not model:
            exchange_attributes(trained, {number: new for number, new in known.items() if number != id(model)})
        if trained.compiled:
            _remember_layers(trained)
            for cut in cuts:
                cut.exchange()
            compile_anew(trained)


def become(model: keras.Model, other: keras.Model) -> None:
    """Makes a model that has not been trained yet another one of its kind, keeping its compilation.

    Args:
        model: A functional model; its optimizer begins anew.
        other: Another one that answers the same question, such as a smaller one from a file. It must not be used
            afterwards.
    """
    own = [each for name in OWN for each in vars(model)[name]]
    Inside(other).put_into(model)
    for each in own:
        vars(model)[TRACKER].track(each)
    if model.compiled:
        _remember_layers(model)
        model.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        model.train_function = model.test_function = model.predict_function = None


def _remember_layers(model):
    if COMPILED in vars(model):  # not before Keras 3.15
        vars(model)[COMPILED] = {layer: layer.trainable for layer in model._flatten_layers()}


def compile_anew(model: keras.Model) -> None:
    """Lets a model in the middle of `fit` compile its steps anew, since what its layers compute has changed."""
    forget_steps(model)
    model.train_function = model.test_function = model.predict_function = None
    model.make_train_function(force=True)


def check_adoptable(
    model: keras.Model, smaller: keras.Model, transfers: list[Transfer], reading: Reading, trained: keras.Model
) -> None:
    """Raises what `adopt` would raise about optimizers, and about the code of a subclassed model with smaller layers.

    Args:
        model: As for `adopt`. It is as it was afterwards.
        smaller: As for `adopt`; it can be adopted afterwards.
        transfers: As for `adopt`.
        reading: As for `adopt`.
        trained: As for `adopt`.
    """
    _optimizer_cuts(model, smaller, transfers, reading, trained)
    check_follows(model, smaller, transfers, reading, trained)


def check_follows(
    model: keras.Model, smaller: keras.Model, transfers: list[Transfer], reading: Reading, trained: keras.Model
) -> None:
    """Raises `UnsupportedLayerError` if the code of a subclassed model does not follow; arguments as for `adopt`."""
    if not is_graph(model):
        views, _ = views_and_strangers(model)
        with restored(*parts_of(trained, model), *views):
            _exchange_checked(model, smaller, _known(reading, smaller, transfers), views, reading)


def _optimizer_cuts(model, smaller, transfers, reading, trained, is_larger=False):
    """Returns the exchanges of state to make; where a model becomes another graph, in the order of its weights."""
    is_other = is_larger or (is_graph(model) and reading.twin is not model)
    order = smaller.trainable_variables if is_other else None
    known = {id(each.new) for each in transfers}
    fresh = [each for each in order or () if id(each) not in known] if is_larger else []
    return [
        OptimizerCut(each, transfers, order, fresh if each is trained.optimizer else ())
        for each in optimizers_of(trained)
    ]


def parts_of(model: keras.Model, *others: keras.Model) -> list[keras.layers.Layer]:
    """Returns models, and of those that are no graphs, all layers inside them: all that a cut may reach into."""
    found = [part for each in (model, *others) for part in ([each] if is_graph(each) else layers_within(each))]
    return list({id(each): each for each in found}.values())


def _known(reading, smaller, transfers, stacks=None):
    """Returns what comes in the place of each layer, model and variable, by the `id` of the old one."""
    known: dict[int, typing.Any] = {}
    pairs = zip(all_layers(reading.twin), all_layers(smaller), strict=True) if stacks is None else None
    for old, new in pairs or ((old, first) for old, (first, *_) in stacks.items()):
        within = [(old, new), *_pairs_of_inputs(old, new)] if is_graph(old) else pairs_within(old, new)
        known |= {id(one): other for one, other in within if other is not None}
    known |= {number: known[id(each)] for number, each in reading.stand_ins.items() if id(each) in known}
    return known | {id(each.old): each.new for each in transfers}


def _pairs_of_inputs(*models):
    """Returns the input layers of two models in pairs; a `Sequential` does not name its own among its layers."""
    operations = ([node.operation for node in walk(model)] for model in models)
    return zip(*([each for each in found if _is_input(each)] for found in operations), strict=True)


def _exchange_graph(model, smaller, known, views, stacks):
    """Makes a functional model, and those that follow it, models of the new layers."""
    followed = _followed(views, model, known | {id(model): model}, stacks)
    beside = [each for each in vars(model)["_layers"] if id(each) not in known and not _is_input(each)]
    own = [each for name in OWN for each in vars(model)[name]]
    own = [known.get(id(each), each) for each in own]
    modules = vars(model).get(MODULES)
    for view, inside in ((model, smaller), *followed):
        Inside(inside).put_into(view)
    expected = sum(int(np.prod(each.shape)) for each in _all_weights(smaller, own, beside))
    if modules is not None:
        vars(model)[MODULES] = _joined(modules, vars(smaller)[MODULES], known)
    for each in (*beside, *own):
        vars(model)[TRACKER].track(each)
    _replace_in_attributes(model, known)
    if model.count_params() != expected:
        raise RuntimeError(
            f"Keras {keras.__version__} keeps the inside of a model elsewhere than keras_slim knows of, so the cut "
            "was not made. Expected Keras 3.15. Prune with `keras_slim.prune` outside of `fit` instead."
        )


def _exchange_checked(model, smaller, known, views, reading):
    """Makes a subclassed model one of the new layers; raises `UnsupportedLayerError` if its code does not follow."""
    batch = batch_for(smaller)
    try:
        answers(model, batch)
        runs = True
    except Exception:  # what a batch must look like is known to the user alone
        runs = False
    _exchange_within(model, known, views, reading)
    set_aside(each for each in (smaller, *all_layers(smaller)) if is_graph(each))
    forget_steps(model)
    found = ""
    if runs:
        try:
            found = difference(answers(smaller, batch), answers(model, batch))
        except Exception as error:
            found = in_short(error)
    if found:
        raise UnsupportedLayerError(
            f"Model '{model.name}' of class `{type(model).__name__}` does not follow when its layers become smaller. "
            f"Expected the answers of the smaller network. Received: {found}. Let its code reach layers and weights by "
            "its attributes, and ask tensors for their sizes; or train `keras_slim.functional(model)`."
        )


def _exchange_within(model, known, views, reading):
    """Puts the new layers and weights in the place of those that a subclassed model, and layers inside it, hold.

    Models inside it, and layers that were opened, stay the objects they are.
    """
    holders = layers_within(model)
    graphs = [each for each in holders if id(each) in known and is_graph(each)]
    for graph, inside in _followed([*graphs, *(each for each in views if each not in graphs)], model, known):
        set_aside(filter(None, [getattr(graph, FUNCTIONAL, None)]))
        Inside(inside).put_into(graph)
        _replace_in_attributes(graph, known)
    stay = {*map(id, graphs), *(id(each) for each in holders if id(each) in reading.stand_ins)}
    known = {number: new for number, new in known.items() if number not in stay}
    for holder in holders:
        if id(holder) not in known and holder not in graphs:
            exchange_attributes(holder, known)


def _followed(views, model, known, stacks=None):
    """Returns pairs of a view and what it becomes; one that cannot follow is named, and keeps the models inside it."""
    made, kept = [], set()
    for view in views:
        try:
            made.append((view, on_layers(view, known, stacks)))
        except Exception as error:
            message = (
                f"Model '{view.name}' on layers of '{model.name}' cannot be made anew after a cut: "
                f"{first_sentence(error)}"
            )
            if any(each is view for each in vars(model)["_layers"]):
                advice = "Make it after `fit`, and do not attach it to the model."
                raise UnsupportedLayerError(f"{message} {advice}") from error
            advice = "It keeps the layers it has. Make it anew after `fit`."
            warnings.warn(f"{message} {advice}", SlimWarning, stacklevel=2)
            kept.update(id(layer) for layer in all_layers(view))
    return [(view, inside) for view, inside in made if id(view) not in kept]


def _all_weights(smaller, own, beside):
    """Returns the weights of layers in the graph, those a model holds itself, and those of layers beside, each once."""
    own = [each for each in own if isinstance(each, keras.Variable)]
    weights = [*smaller.weights, *own, *(weight for layer in beside for weight in layer.weights)]
    return list({id(weight): weight for weight in weights}.values())


def _joined(modules, inside, known):
    """Returns the modules of a model: those it had, with layers replaced, and those inside; without its parameters."""
    joined = {name: known.get(id(module), module) for name, module in modules.items()} | inside
    joined.pop(PARAMETERS, None)
    return joined


def _is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)


def _replace_in_attributes(model, known):
    """Replaces layers in the user's own attributes, also inside lists and dictionaries."""
    for name, value in attributes_with(model, known).items():
        setattr(model, name, keras.tree.map_structure(lambda leaf: known.get(id(leaf), leaf), value))


def attributes_with(model, known):
    """Returns the user's own attributes that are, or hold, layers of which the ids are known."""
    return {
        name: value
        for name, value in vars(model).items()
        if name not in STRUCTURE and not name.startswith("_") and any(id(leaf) in known for leaf in _leaves(value))
    }


def _leaves(value):
    return keras.tree.flatten(value) if isinstance(value, list | tuple | dict) else [value]


@contextlib.contextmanager
def restored_on_failure(model, *others):
    """Makes models and layers, and the optimizers of the first, what they were, if what follows does not end well."""
    put_back = _putting_back(model, *others)
    try:
        yield
    except BaseException:
        put_back()
        raise


@contextlib.contextmanager
def restored(model, *others):
    """Makes models and layers, and the optimizers of the first, what they were, however what follows ends."""
    put_back = _putting_back(model, *others)
    try:
        yield
    finally:
        put_back()


def _putting_back(model, *others):
    """Returns the function that makes models and layers, and the optimizers of the first, what they are now."""
    insides = [(each, Inside(each)) for each in (model, *others)]
    optimizers = [inner for each in optimizers_of(model) for inner in with_inner(each)]
    before = [(each, dict(vars(each))) for each in (model, *others, *optimizers)]

    def put_back():
        for each, attributes in before:
            vars(each).clear()
            vars(each).update(attributes)
        for each, inside in insides:
            inside.put_into(each)

    return put_back

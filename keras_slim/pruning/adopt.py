"""Putting a smaller model inside the user's own model object, also in the middle of `fit`.

The object keeps its identity, its compilation, its metrics and whatever the user attached to it; what changes is the
graph of layers inside, and the weights and slots that the optimizer holds.

Keras has no public way to exchange the inside of a model. This file is the exception: it moves the attributes listed
in `STRUCTURE`, and what `_tracker` knows, from one model to another, and renews `_compiled_trainable_state`, which
would keep the old layers.
Checked on Keras 3.15.1, over TensorFlow and over PyTorch 2.13; `tests/pruning/test_adopt.py` fails when a new version
keeps its structure elsewhere.
"""

import contextlib
import warnings

import keras
import numpy as np

from keras_slim.errors import SlimWarning, UnsupportedLayerError, first_sentence
from keras_slim.optimizer_slots import with_inner
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.surgery import Transfer
from keras_slim.pruning.views import all_layers, on_layers, views_and_strangers
from keras_slim.scoring.kept_steps import forget_steps

MODULES, PARAMETERS = "_modules", "_torch_params"
"""Where PyTorch looks for layers; under which name Keras keeps a model's parameters there, and gathers them if missing.
Parameters that are not there are not set back: their gradients would add up from step to step."""

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

TRACKER = "_tracker"
"""What notices layers and variables that are attached to a model. Lists of the model, such as the names of outputs that
its loss holds, hold it too: so the object stays, and what it knows is exchanged."""

COMPILED = "_compiled_trainable_state"
"""What `compile` remembers of the layers."""

OWN = ("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_metrics")
"""Of these, what belongs to the model itself rather than to a layer in its graph."""


class Inside:
    """What a model is made of inside, as far as it may be exchanged.

    Args:
        model: A built Functional or Sequential model.
    """

    def __init__(self, model: keras.Model):
        inside = vars(model)
        self._attributes = {name: inside[name] for name in STRUCTURE if name in inside}
        self._tracked = dict(vars(inside[TRACKER]))

    def put_into(self, model: keras.Model) -> None:
        """Makes another model, or the same one later, what this one was."""
        vars(model).update(self._attributes)
        vars(vars(model)[TRACKER]).update(self._tracked)
        forget_steps(model)


def adopt(model: keras.Model, smaller: keras.Model, transfers: list[Transfer]) -> None:
    """Makes a model object the smaller model, keeping its compilation and its optimizer's state.

    Other models on its layers follow, if they have no optimizer and no other weights.

    Either everything succeeds or the model is left as it was.

    Args:
        model: The model object, which may be in the middle of `fit`.
        smaller: A smaller model made from it by `rebuild`. It must not be used afterwards.
        transfers: How its variables came from those of `model`.
    """
    exchanged = OptimizerCut(model.optimizer, transfers) if model.compiled else None
    views, _ = views_and_strangers(model)
    with restored_on_failure(model, *views):
        known = {id(layer): new for layer, new in zip(all_layers(model), all_layers(smaller), strict=True)}
        followed = _followed(views, model, known | {id(model): model})
        known |= {id(each.old): each.new for each in transfers}
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
        if exchanged:
            vars(model)[COMPILED] = {layer: layer.trainable for layer in model._flatten_layers()}
            model.train_function = model.test_function = model.predict_function = None
            exchanged.exchange()
            model.make_train_function(force=True)


def _followed(views, model, known):
    """Returns pairs of a view and what it becomes; one that cannot follow is named, and keeps the models inside it."""
    made, kept = [], set()
    for view in views:
        try:
            made.append((view, on_layers(view, known)))
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
def restored_on_failure(model, *views):
    """Makes models, and the optimizer of the first, what they were, if what follows does not get to its end."""
    models = [(each, Inside(each)) for each in (model, *views)]
    optimizers = with_inner(model.optimizer) if model.compiled else []
    before = [(each, dict(vars(each))) for each in (model, *views, *optimizers)]
    try:
        yield
    except BaseException:
        for each, attributes in before:
            vars(each).clear()
            vars(each).update(attributes)
        for each, inside in models:
            inside.put_into(each)
        raise

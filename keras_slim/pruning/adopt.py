"""Putting a smaller model inside the user's own model object, also in the middle of `fit`.

The object keeps its identity, its compilation, its metrics and whatever the user attached to it; what changes is the
graph of layers inside, and the optimizer, which is made anew over the new weights with its state cut like them.

Keras has no public way to exchange the inside of a model. This file is the exception: it moves the attributes listed
in `STRUCTURE` from one model to another. Checked on Keras 3.15.1; `tests/pruning/test_adopt.py` fails when a new
version keeps its structure elsewhere.
"""

import contextlib

import keras

from keras_slim.pruning.optimizer_state import cut_optimizer
from keras_slim.pruning.surgery import Transfer

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
    "_tracker",
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
)


def adopt(model: keras.Model, smaller: keras.Model, transfers: list[Transfer]) -> None:
    """Makes a model object the smaller model, keeping its compilation and its optimizer's state.

    Either everything succeeds or the model is left as it was.

    Args:
        model: The model object, which may be in the middle of `fit`.
        smaller: A smaller model made from it by `rebuild`. It must not be used afterwards.
        transfers: How its variables came from those of `model`.
    """
    optimizer = cut_optimizer(model.optimizer, smaller.trainable_variables, transfers) if model.compiled else None
    with _restored_on_failure(model):
        metrics = list(vars(model)["_metrics"])
        replaced = {id(layer): new for layer, new in zip(_all_layers(model), _all_layers(smaller), strict=True)}
        inside = vars(smaller)
        for name in STRUCTURE:
            if name in inside:
                vars(model)[name] = inside[name]
        vars(model)["_metrics"].extend(metrics)
        for name, value in list(vars(model).items()):
            if name not in STRUCTURE and id(value) in replaced:
                setattr(model, name, replaced[id(value)])
        if model.compiled:
            model.optimizer = optimizer
            model.train_function = model.test_function = model.predict_function = None
            model.make_train_function()


def _all_layers(model):
    """Returns the layers of a model in an order that a copy of the model shares."""
    return model.layers


@contextlib.contextmanager
def _restored_on_failure(model):
    before = dict(vars(model))
    try:
        yield
    except BaseException:
        vars(model).clear()
        vars(model).update(before)
        raise

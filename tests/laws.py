"""Laws that hold whatever is cut: masked is as shrunken, nothing cut is the same, the costs are those planned."""

import numpy as np

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.costs import CostModel
from keras_slim.pruning.surgery import rebuild, silence


def rebuilt(model):
    """Returns a model made anew with nothing cut, as in `fit`, where layers are not opened."""
    graph = analyse(model)
    return rebuild(graph, np.ones(graph.num_units, bool))[0]


def check_law(model, x=None, *, atol=1e-5, atol_whole=None, costs=True):
    """Checks the laws on half of the units, at least one of each group, and returns the shrunken and the masked model.

    Args:
        model: The model.
        x: What it is given. Defaults to three random samples.
        atol: Largest difference between masked and shrunken.
        atol_whole: Largest difference between the model and itself made anew. Defaults to `atol`.
        costs: Whether the costs before and after are compared with the profile of each model.
    """
    graph = analyse(model)
    keep = np.random.default_rng(1).random(graph.num_units) > 0.5
    for group in graph.groups:
        keep[group.first] = True
    if x is None:
        x = np.random.default_rng(0).normal(size=(3, *model.inputs[0].shape[1:])).astype("float32")
    masked, small = silence(graph, keep)[0], rebuild(graph, keep)[0]
    np.testing.assert_allclose(small(x), masked(x), atol=atol)
    np.testing.assert_allclose(rebuilt(model)(x), model(x), atol=atol if atol_whole is None else atol_whole)
    if costs:
        planned = CostModel(graph)
        for kept, after in ((keep, small), (np.ones_like(keep), masked), (np.ones_like(keep), model)):
            profile = slim.profile(after)
            assert (planned.cost(kept).params, planned.cost(kept).macs) == (profile.parameters, profile.macs)
    return small, masked

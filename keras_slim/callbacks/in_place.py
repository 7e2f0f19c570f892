"""What is said before a model is cut in place: what cannot be, what will not follow, and what may be meant to stay."""

import gc
import warnings

import keras

from keras_slim.callbacks.saying import say, warn
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.graph.nodes import is_graph
from keras_slim.held import is_stock_function
from keras_slim.pruning.subject import Subject
from keras_slim.pruning.views import layers_by_path, subclassed_on, views_and_strangers
from keras_slim.sparsity import Masks

SPARSE = 0.5
"""From which share of zeros on a model is taken to be pruned weight by weight."""


def check_in_place(subject: Subject, graph: ChannelGraph, owner: str) -> None:
    """Says, before training, what a cut of the user's own model object would do beside it.

    Raises:
        UnsupportedLayerError: If the config of a functional model does not hold its layers: a file would have the old
            sizes.

    Warns:
        SlimWarning: Of files of a subclassed model, of frozen layers that will be cut, of zeros that training will
            fill, and of other models that keep the layers of now.
    """
    for model in {id(each): each for each in (subject.model, subject.target)}.values():
        if is_graph(model):
            check_config(model, "after a cut")
        else:
            is_whole = model is subject.target
            plain = "a plain model of it, `keras_slim.functional(model)`" if is_whole else "its part by itself"
            warn(
                f"A file of model '{model.name}' could not be loaded after a cut: class `{type(model).__name__}` makes "
                f"its layers as large as before. Save its weights alone, or {plain}."
            )
    frozen = _frozen(graph)
    if frozen:
        outermost = list(dict.fromkeys(path.partition("/")[0] for path in frozen))
        warn(
            f"`{owner}` cuts frozen layers of model '{graph.model.name}' like all others: {_some(frozen)}. "
            f"To leave them whole, give ignore={outermost!r}."
        )
    zeros = Masks.nonzero(graph.model).sparsity
    if zeros > SPARSE:
        warn(
            f"{zeros:.0%} of the weights of model '{graph.model.name}' are zero, and nothing holds them in this `fit`: "
            f"training fills them. Let `{owner}` cut units first, and prune single weights in a `fit` after it."
        )
    warn_of_strangers(subject, owner)


def warn_of_strangers(subject: Subject, owner: str) -> None:
    """Warns of other models that keep the layers of now."""
    if _strangers(subject):
        gc.collect()  # those that nobody holds any more need no word
        strangers = [each.name for each in _strangers(subject)]
        if strangers:
            warn(
                f"Other models hold layers of model '{subject.twin.name}' and are compiled, subclassed or have more "
                f"weights: {_some(strangers)}. They keep the layers of now when `{owner}` exchanges them, or no longer "
                "fit one that holds layers. Make them anew after `fit`."
            )


def say_opened(verbose: int, name: str, opened: list[str]) -> None:
    """Says which layers of a model were made models of their layers, if any were."""
    if opened:
        names = ", ".join(f"'{each}'" for each in opened)
        say(verbose, f"Model '{name}' is a plain functional model from now on, and so are {names} in it")


def _strangers(subject):
    """Returns the other models on layers of what is cut, which will not follow."""
    _, strangers = views_and_strangers(subject.target)
    return [each for each in (*strangers, *subclassed_on(subject.target, subject.model)) if each is not subject.model]


def check_config(model: keras.Model, when: str) -> None:
    """Raises `UnsupportedLayerError` if a file of the model would say how it was made, not which layers it has."""
    cls = type(model)
    if is_stock_function(cls.__init__) and is_stock_function(cls.get_config):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = model.get_config()
    except Exception:  # it cannot be saved as it is
        return
    if not isinstance(config.get("layers"), list):
        raise UnsupportedLayerError(
            f"A file of model '{model.name}' could not be loaded {when}. Expected a config that holds its layers. "
            f"Received that of class `{cls.__name__}`, with {sorted(config)}, which would make the layers as they were "
            "before. Train a plain model on the same layers, `keras.Model(model.input, model.output)`."
        )


def _frozen(graph):
    """Returns the paths of layers with units that can go, and that are not trained."""
    paths = {name.partition(":")[0] for name in graph.layers}
    return [path for path, layer in layers_by_path(graph.model) if path in paths and not layer.trainable]


def _some(names):
    """Returns the first names, and how many more there are."""
    names = [repr(name) for name in dict.fromkeys(names)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""De-biased scores of all units of a model."""

import math

import keras
import numpy as np

from keras_slim.distribution import of_first_process
from keras_slim.errors import invalid_argument
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.kernels.backends import without_gradients
from keras_slim.progress_display import progress
from keras_slim.scoring.data import as_batches, drawn, number_of_batches
from keras_slim.scoring.losses import check_targets

LARGEST_BATCH = 128
BATCH_BYTES = 2**31
"""About what the activations of a batch made from arrays may take; the slopes take about as much again."""


@without_gradients()
def unit_scores(graph, criterion, debias, data=None, *, steps=None, owner="unit_scores", verbose=0):
    """Scores every unit of a model on one scale.

    Args:
        graph: Channel graph of the model.
        criterion: A `Criterion`.
        debias: A `Debias`.
        data: What the two look at, in any form `model.fit` takes. Optional where they need nothing.
        steps: Number of batches to look at. Defaults to all.
        owner: Name of the calling function, for error messages.
        verbose: 1 shows how far each pass over the data has come, once that takes more than five seconds.

    Returns:
        Array of shape `(graph.num_units,)`, higher for units that contribute more.

    Raises:
        ValueError: If data is missing or does not fit, or a user's criterion or de-biasing returns a wrong shape or
            values that are not finite.
        RuntimeError: If targets are needed and the model is not compiled.
    """
    data = drawn(data, steps, owner)
    batches = _batches(graph.model, (criterion, debias), data, steps, owner)
    _check_first(graph.model, (criterion, debias), batches, data)
    total = number_of_batches(data, _batch_size(graph.model), steps) if batches else None
    with progress("Scores", "batches", verbose) as counted, clear_about_channels_first(graph.model):
        shown = batches and (lambda: counted(batches(), total))
        raw = _checked(criterion.score(graph, shown), graph.num_units, "criterion", criterion, owner, graph=graph)
        factors = _checked(debias.factors(graph, raw, shown), len(graph.groups), "debias", debias, owner, "group")
    parts = [_checked(debias(raw[group.units]), group.size, "debias", debias, owner) for group in graph.groups]
    scores = np.concatenate([np.zeros(0), *(factor * part for factor, part in zip(factors, parts, strict=True))])
    return of_first_process(scores)


def check_data(graph, criterion, data, *, debias=None, steps=None, owner):
    """Raises what `unit_scores` would raise about data, before any work is done.

    A generator is not drawn from. A criterion that needs no data is tried out, since it may not suit the model.
    """
    batches = _batches(graph.model, (criterion, *([debias] if debias else [])), data, steps, owner)
    if criterion.needs == "nothing":
        _checked(criterion.score(graph), graph.num_units, "criterion", criterion, owner, graph=graph)
    _check_first(graph.model, filter(None, (criterion, debias)), batches, data)


def _batches(model, members, data, steps, owner):
    """Returns the function that starts a pass over the data, or `None` where none is needed."""
    if all(member.needs == "nothing" for member in members):
        return None
    blind = [member.alias for member in members if member.needs == "targets" and not _has_loss(model)]
    if blind:
        raise RuntimeError(
            f"'{blind[0]}' follows the loss back, and model '{model.name}' has none. "
            "Call `model.compile(loss=...)` first."
        )
    targets = any(member.needs == "targets" for member in members)
    return as_batches(data, model, owner=owner, targets=targets, batch_size=_batch_size(model), steps=steps)


def _check_first(model, members, batches, data):
    """Raises what is wrong with the first batch; a generator is not drawn from."""
    if batches is not None and not hasattr(data, "__next__"):
        batch = next(batches(), None)
        if batch and any(member.needs == "targets" for member in members):
            check_targets(model, batch)


def _batch_size(model):
    """Returns how many samples of arrays are looked at together: as many as memory should hold, at most 128."""
    return max(1, min(LARGEST_BATCH, BATCH_BYTES // (4 * max(1, _numbers_in_a_sample(model)))))


def _numbers_in_a_sample(model):
    """Returns how many numbers all calls of a model and of the models inside it put out for one sample."""
    calls = walk(model)
    inside = sum(_numbers_in_a_sample(call.operation) for call in calls if is_graph(call.operation))
    return inside + sum(math.prod(size or 1 for size in each.shape[1:]) for call in calls for each in call.outputs)


def _has_loss(model):
    """Tells whether the model can compute a loss: it was compiled with one, or its class brings its own."""
    if not model.compiled:
        return False
    return model.loss is not None or type(model).compute_loss is not keras.Model.compute_loss or bool(model.losses)


def _checked(scores, count, argument, member, owner, of="unit", graph=None):
    try:
        scores, what = np.asarray(scores, float), ""
    except (ValueError, TypeError):
        what = repr(scores)
    else:
        if scores.shape != (count,):
            what = f"shape {scores.shape}"
        elif not np.isfinite(scores).all():
            groups = graph.groups if graph else ()
            names = [group.name for group in groups if not np.isfinite(scores[group.units]).all()]
            what = "values that are not finite" + (f" for {', '.join(names)}: look for NaN there" if names else "")
    if what:
        raise ValueError(
            invalid_argument(
                argument,
                owner,
                expected=f"one finite {'score' if of == 'unit' else 'factor'} per {of}, shape ({count},)",
                received=member.alias or type(member).__name__,
                hint=f"It returned {what}.",
            )
        )
    return scores

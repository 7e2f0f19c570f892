"""De-biased scores of all units of a model."""

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.scoring.data import as_batches


def unit_scores(graph, criterion, debias, data=None, *, steps=None, owner="unit_scores"):
    """Scores every unit of a model on one scale.

    Args:
        graph: Channel graph of the model.
        criterion: A `Criterion`.
        debias: A `Debias`.
        data: What the criterion looks at, in any form `model.fit` takes. Optional where it needs nothing.
        steps: Number of batches to look at. Defaults to all.
        owner: Name of the calling function, for error messages.

    Returns:
        Array of shape `(graph.num_units,)`, higher for units that contribute more.

    Raises:
        ValueError: If data is missing or does not fit, or a user's criterion or de-biasing returns a wrong shape or
            values that are not finite.
        RuntimeError: If the criterion needs targets and the model is not compiled.
    """
    batches = _batches(graph.model, criterion, data, steps, owner)
    raw = _checked(criterion.score(graph, batches), graph.num_units, "criterion", criterion, owner)
    parts = [raw[group.first : group.first + group.size] for group in graph.groups]
    parts = [_checked(debias(part), len(part), "debias", debias, owner) for part in parts]
    return np.concatenate([np.zeros(0), *parts])


def check_data(graph, criterion, data, *, steps=None, owner):
    """Raises what `unit_scores` would raise about data, before any work is done.

    A generator is not drawn from. A criterion that needs no data is tried out, since it may not suit the model.
    """
    batches = _batches(graph.model, criterion, data, steps, owner)
    if batches is None:
        _checked(criterion.score(graph), graph.num_units, "criterion", criterion, owner)
    elif not hasattr(data, "__next__"):
        next(batches(), None)


def _batches(model, criterion, data, steps, owner):
    """Returns the function that starts a pass over the data, or `None` where none is needed."""
    if criterion.needs == "nothing":
        return None
    targets = criterion.needs == "targets"
    if targets and not _has_loss(model):
        raise RuntimeError(
            f"Criterion '{criterion.alias}' follows the loss back, and model '{model.name}' has none. "
            "Call `model.compile(loss=...)` first."
        )
    return as_batches(data, model, owner=owner, targets=targets, steps=steps)


def _has_loss(model):
    """Tells whether the model can compute a loss: it was compiled with one, or its class brings its own."""
    if not model.compiled:
        return False
    return model.loss is not None or type(model).compute_loss is not keras.Model.compute_loss or bool(model.losses)


def _checked(scores, count, argument, member, owner):
    scores = np.asarray(scores, float)
    if scores.shape != (count,) or not np.isfinite(scores).all():
        what = "values that are not finite" if scores.shape == (count,) else f"shape {scores.shape}"
        raise ValueError(
            invalid_argument(
                argument,
                owner,
                expected=f"one finite score per unit, shape ({count},)",
                received=member.alias or type(member).__name__,
                hint=f"It returned {what}.",
            )
        )
    return scores

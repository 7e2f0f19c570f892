"""Carrying out a plan: layers that are products, in the place of others."""

import keras

from keras_slim.errors import PlanMismatchError, invalid_argument
from keras_slim.graph.opening import opened
from keras_slim.lowrank.asked import factorable, why_not
from keras_slim.lowrank.fitting import fitted, plain
from keras_slim.lowrank.kinds import tell_norms
from keras_slim.lowrank.layers import ignored
from keras_slim.lowrank.plan import FactorizationPlan
from keras_slim.lowrank.planning import plan_factorization
from keras_slim.lowrank.replacing import replaced
from keras_slim.pruning.calibration import calibration_inputs, settle
from keras_slim.rewriting.per_layer import paths
from keras_slim.scoring.data import drawn
from keras_slim.validation import check_count


def factorize(
    model: keras.Model,
    plan: FactorizationPlan | None = None,
    data=None,
    *,
    steps: int | None = None,
    samples: int = 1024,
    ignore=(),
    memory: int = 2**30,
    verbose: int = 1,
    **options,
) -> keras.Model:
    """Returns a copy of a model in which layers are products of smaller ones.

    That is fewer numbers, and less to compute. Each is two or three stock layers of Keras, the last with the name, bias
    and activation of the one they stand for; a tensor train is one layer, a `keras_slim.layers.TensorTrainDense`, and
    attention is one layer with smaller heads. All other layers keep their weights, but for what is said of batch
    normalizations below. The copy is best trained on for some epochs. It is plain and not compiled, as those of `prune`
    are: an optimizer begins anew, as what it knows of gradients is of weights that are no more.

    With data, inputs alone, much less is lost: the factors of each layer are the best of their ranks for what it reads,
    fitted from input to output on what the layers before it have become, and biases keep the means; the other half of
    the data says how bold a fit to one half may be. Where batch normalization alone reads a layer, what counts is what
    it hands on, and its mean keeps the means. In the end, batch normalizations get the statistics of the data, with
    scales and offsets that keep what the copy answers: training begins where it stands.

    Args:
        model: A built model. It is not changed. A subclassed one, and layers that hold layers, are read as `functional`
            reads them.
        plan: A `FactorizationPlan`, of `plan_factorization` for this model or another one of the same architecture.
            Defaults to one made here, with `options`.
        data: Inputs to look at, in any form `fit` takes; some hundreds of samples will do. Optional.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        samples: Samples to look at, at most.
        ignore: Names of layers that stay as they are, batch normalizations too, or of models inside the model.
        memory: Bytes of activations to hold at most while factors are fitted, in both networks; and of second moments,
            as for `plan_factorization`.
        verbose: 0 shows nothing, 1 how far it is, where that takes more than five seconds.
        **options: Without a plan, those of `plan_factorization`: `ratio`, `of`, `ranks`, `scheme`, and `max_drop`,
            `validation_data`, `metric`, `mode`.

    Returns:
        The copy: Sequential if the model is, else Functional.

    Raises:
        PlanMismatchError: If the plan was made for another architecture, or has schemes or ranks that cannot be.
        TypeError: If `plan` is none, or comes with options.
        ValueError: As `plan_factorization` does.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, name="hidden"), keras.layers.Dense(8)])
    >>> small = slim.factorize(model, ranks={"hidden": 8})
    >>> [layer.units for layer in small.layers]
    [8, 64, 8]
    """
    owner = "factorize"
    check_count(samples, "samples", owner)
    check_count(memory, "memory", owner)
    given, model = model, opened(model, owner)
    data = drawn(data, steps, owner)
    if plan is None:
        looking = {"data": data, "steps": steps, "samples": samples, "memory": memory, "verbose": verbose}
        plan = plan_factorization(given, **options, **looking, ignore=ignore)
    elif options or not isinstance(plan, FactorizationPlan):
        expected = "a `FactorizationPlan`, without options of its own, or options alone"
        raise TypeError(invalid_argument("plan", owner, expected=expected, received=[plan, *options]))
    planned = _planned(model, plan)
    tell_norms({layer: kind for layer, (kind, *_) in planned.items()}, model, ignored(model, ignore, owner))
    if data is None or not planned:
        return replaced(model, planned, plain(planned))
    batches = calibration_inputs(data, model, steps, owner, samples)
    small = replaced(model, planned, fitted(model, planned, batches, memory, verbose))
    settle(small, batches, ignored(small, ignore, owner))
    return small


def _planned(model, plan):
    """Returns what becomes of layers, `(kind, scheme, ranks)` by layer, or raises if the plan is for other ones."""
    layers = {path: layer for layer, path in paths(model).items() if isinstance(layer, keras.layers.Layer)}
    wanted = {each.path: each.scheme for each in plan.layers}
    kinds = {
        path: factorable(layer, wanted[path])
        for path, layer in layers.items()
        if path in wanted and not why_not(layer, wanted[path])
    }
    plan.check({path: kind.shape for path, kind in kinds.items()})
    if wrong := [each for each in plan.layers if not kinds[each.path].can_be(each.scheme, each.ranks)]:
        raise PlanMismatchError(
            "The plan asks for what its layers cannot become. Expected schemes that fit them, with as many ranks as "
            f"these have, from 1 to full. Received: {[(each.path, each.scheme, each.ranks) for each in wrong]} (path, "
            "scheme, ranks). Make a new plan with `plan_factorization(model, ...)`."
        )
    found = ((layers[each.path], kinds[each.path], each) for each in plan.layers)
    return {layer: (kind, kind.schemes[each.scheme], each.ranks) for layer, kind, each in found}

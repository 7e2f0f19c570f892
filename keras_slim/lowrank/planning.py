"""Deciding which layers of a model become products, and of what ranks."""

import keras
import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.graph.opening import opened
from keras_slim.lowrank.choices import Choices
from keras_slim.lowrank.layers import Layers
from keras_slim.lowrank.meter import Meter, read_measure
from keras_slim.lowrank.plan import FactorizationPlan
from keras_slim.lowrank.rank_rules import RankRule, read_rule
from keras_slim.lowrank.search import Floor
from keras_slim.pruning.calibration import calibration_inputs
from keras_slim.pruning.costs import unknown_cost
from keras_slim.rewriting.per_layer import PerLayer
from keras_slim.scoring.data import drawn
from keras_slim.validation import check_count, check_share


def plan_factorization(
    model: keras.Model,
    ratio: float | None = None,
    *,
    of="macs",
    ranks=None,
    max_drop: float | None = None,
    scheme="auto",
    data=None,
    steps: int | None = None,
    samples: int = 1024,
    validation_data=None,
    metric=None,
    mode: str = "auto",
    ignore=(),
    memory: int = 2**30,
    verbose: int = 1,
) -> FactorizationPlan:
    """Decides which layers become products of smaller ones, and changes nothing.

    With `ratio`, what each layer of the network can lose stands in one ranking, by the share of its response that is
    lost for what is saved, and the whole comes down to a share of its cost. With `max_drop`, it comes down in the same
    ranking as far as a metric allows, by bisection; each network that is tried is made, with data if there is any. With
    `ranks`, each layer is seen by itself.

    A layer becomes a product only where that has fewer parameters and less to compute; tables and tensor trains, which
    save parameters alone, may compute more. Where `of` is measured, it also has to cost less in a file of its own, and
    the whole in its file.

    Dense layers, those by an einsum equation, convolutions with kernels of size 1, and the inputs of `LSTM`, `GRU` and
    `SimpleRNN` become two layers; so do tables, `Embedding`, to save parameters. `MultiHeadAttention` and
    `GroupQueryAttention` become the same with smaller heads; the ranks are `key_dim` and `value_dim`, or `head_dim`.
    Other convolutions can become `"channel"`, a convolution to fewer channels and one of size 1; `"mirrored"`, the
    other way round; `"spatial"`, a convolution along the first axis and one along the others; `"tucker"`, one of size
    1, a smaller convolution, one of size 1.

    Two schemes have to be asked for, by name; other layers than theirs stay whole then. `"tensor_train"` makes a
    `TensorTrainDense` or `TensorTrainEmbedding` of dense layers and tables: many times fewer parameters, seldom less to
    compute, so take `of="params"`. `"cp"`, with `pip install 'keras_slim[cp]'`, makes convolutions of one or two axes
    one of size 1, one of each channel by itself and one of size 1; it takes time, does not always find good factors,
    and wants training afterwards.

    Args:
        model: A built model. A subclassed one, and layers that hold layers, are read as `functional` reads them.
        ratio: Share of the cost to remove, between 0 and 1. Optional; either this, `ranks` or `max_drop`.
        of: What the ratio is a share of, and what is to become less: `"macs"` (multiply-accumulates of one sample),
            `"params"`, `"bytes"` (of the exported file), `"latency"` (of the exported file, measured on this machine),
            or a `keras_slim.pruning.Measure` that counts or follows the first two, such as `FileBytes("int8")`,
            `FileLatency(threads=2)` or `PhoneLatency(server)`.
        ranks: `"energy"`, `"evbmf"`, a `keras_slim.lowrank.RankRule`, a rank, or a tuple of the ranks of all factors;
            or a dictionary to these by type, name or path of layers, as for `quantize`: the more specific wins, and
            what no key tells of stays whole.
        max_drop: How much worse than that of the model the metric may be: 0.01 is a point of accuracy.
        scheme: `"channel"`, `"mirrored"`, `"spatial"`, `"tucker"`; `"auto"`, for each layer the one of these that keeps
            most for what it costs; `"tensor_train"`, `"cp"`; or a dictionary to these. Of the first four, dense layers
            have but one.
        data: Inputs to look at, in any form `fit` takes. Then what is lost is the response on them; without, that on
            inputs that are all alike.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        samples: Samples to look at, at most.
        validation_data: For `max_drop`: samples with targets, as `fit` takes them, that the metric is measured on, the
            first 10,000. Not those of the test: the choice is made on them.
        metric: For `max_drop`, as for `quantization_report`: a name of the compiled model, or a function of `(y,
            answers)`. Defaults to the first metric of the model, or its loss.
        mode: `"max"` or `"min"`, the better direction of the metric. Defaults to `"auto"`, as Keras infers it.
        ignore: Names of layers to leave whole, or of models inside the model.
        memory: Bytes that second moments of the data may take, about. Where those of all layers take more, the data is
            passed over several times; a layer whose own take more is not looked at, and a warning names it.
        verbose: 0 shows nothing, 1 how far it is, where that takes more than five seconds.

    Returns:
        The `FactorizationPlan`. It is empty, and says why, where a metric holds with none, or where `ranks` lead to a
        file that is measured to cost no less.

    Raises:
        ValueError: If an argument is out of range or names what is not there, if not one of `ratio`, `ranks` and
            `max_drop` is given, or data is missing or does not fit.
        UnreachableTargetError: If the ratio is out of reach; the message says what can be reached.
        UnsupportedLayerError: If the model is subclassed, and its code cannot be read.
        ExportError: If a file has to be measured, and the model does not convert.
        RuntimeError: If a file has to be measured, and Keras does not run on TensorFlow.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64, name="hidden"), keras.layers.Dense(8)])
    >>> plan = slim.plan_factorization(model, ratio=0.5, data=np.random.rand(100, 32))
    >>> plan.after.macs <= 0.5 * plan.before.macs
    True
    """
    owner = "plan_factorization"
    measure = read_measure(of, owner)
    ways = {"ratio": ratio, "ranks": ranks, "max_drop": max_drop}
    if sum(each is not None for each in ways.values()) != 1:
        expected = "either `ratio` or `ranks` or `max_drop`"
        raise ValueError(invalid_argument("ratio", owner, expected=expected, received=ways))
    for name, given in {"validation_data": validation_data, "metric": metric}.items():
        if max_drop is None and given is not None:
            expected = "none without `max_drop`, for which the metric is measured"
            raise ValueError(invalid_argument(name, owner, expected=expected, received=given))
    if ratio is not None:
        check_share(ratio, "ratio", owner)
    check_count(samples, "samples", owner)
    check_count(memory, "memory", owner)
    read = opened(model, owner)
    layers = Layers(read, scheme, ignore, owner)
    rules = PerLayer(read, ranks, lambda option: read_rule(option, "ranks", owner), "ranks", owner)
    if layers.before.macs is None and measure.counted == "macs" and ranks is None:
        raise unknown_cost(measure.counted)
    data = drawn(data, steps, owner)
    batches = None if data is None else calibration_inputs(data, read, steps, owner, samples)
    floor = None if max_drop is None else Floor(model, read, max_drop, validation_data, metric, mode, owner)
    meter = Meter(measure, read, layers.kinds)
    choices = Choices(layers, meter, None if ranks is None else rules.of, batches, memory, verbose)
    settings = {"of": meter.of, "data": data is not None}
    if ratio is not None:
        return choices.within(ratio, settings | {"ratio": ratio}, owner)
    if ranks is not None:
        return choices.by_rules(settings | {"ranks": _in_words(ranks)})
    return choices.holding(floor, settings)


def _in_words(ranks):
    """Returns ranks, rules or a dictionary to these as what JSON gives back."""
    if isinstance(ranks, dict):
        return {key if isinstance(key, str) else key.__name__: _in_words(each) for key, each in ranks.items()}
    if isinstance(ranks, RankRule):
        config = ", ".join(f"{name}={value!r}" for name, value in ranks.get_config().items())
        return f"{type(ranks).__name__}({config})"
    return np.asarray(ranks).tolist() if isinstance(ranks, tuple | list | np.integer) else ranks

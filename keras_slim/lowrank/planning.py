"""Deciding which layers of a model become products, and of what ranks."""

from collections import defaultdict

import keras
import numpy as np

from keras_slim.errors import UnreachableTargetError, invalid_argument
from keras_slim.factorization import SCHEMES
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.opening import opened
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.lowrank.kinds import factorable, why_not
from keras_slim.lowrank.options import choose, is_smaller, made, options_of, slope
from keras_slim.lowrank.plan import FactorizationPlan, LayerFactors, LeftWhole, Size
from keras_slim.lowrank.rank_rules import RankRule, read_rule
from keras_slim.lowrank.seen import Seen, looked_at
from keras_slim.profiling import profile
from keras_slim.progress_display import progress
from keras_slim.pruning.calibration import calibration_inputs
from keras_slim.pruning.costs import target_cost, unknown_cost
from keras_slim.pruning.lock_step import last_uses
from keras_slim.rewriting.per_layer import PerLayer, paths
from keras_slim.scoring.data import drawn
from keras_slim.validation import check_choice, check_count, check_share

COUNTS = ("params", "macs")
NO_RANKS = "no ranks are given for it"
RANKS_NOT_SMALLER = "it has no ranks with which it is smaller"
NOT_SMALLER = "it would be no smaller"
OTHERS_LOSE_LESS = "other layers lose less for what they save"


def plan_factorization(
    model: keras.Model,
    ratio: float | None = None,
    *,
    of: str = "macs",
    ranks=None,
    scheme="auto",
    data=None,
    steps: int | None = None,
    samples: int = 1024,
    ignore=(),
    verbose: int = 1,
) -> FactorizationPlan:
    """Decides which layers become products of smaller ones, and changes nothing.

    With `ratio`, what each layer of the network can lose stands in one ranking, by the share of its response that is
    lost for what is saved, and the whole comes down to a share of its cost. With `ranks`, each layer is seen by itself.
    A layer becomes a product only where that has fewer parameters and less to compute.

    Dense layers, convolutions with kernels of size 1, and the inputs of `LSTM`, `GRU` and `SimpleRNN` become two
    layers; so do tables, `Embedding`, to save parameters. Other convolutions can become `"channel"`, a convolution
    to fewer channels and one of size 1; `"mirrored"`, the other way round; `"spatial"`, a convolution along the first
    axis and one along the others; `"tucker"`, one of size 1, a smaller convolution, one of size 1.

    Args:
        model: A built model. A subclassed one, and layers that hold layers, are read as `functional` reads them.
        ratio: Share of the cost to remove, between 0 and 1. Optional; either this or `ranks`.
        of: What the ratio is a share of: `"macs"` (multiply-accumulates of one sample) or `"params"`.
        ranks: `"energy"`, `"evbmf"`, a `keras_slim.lowrank.RankRule`, a rank, or a tuple of the ranks of all factors;
            or a dictionary to these by type, name or path of layers, as for `quantize`: the more specific wins, and
            what no key tells of stays whole.
        scheme: `"channel"`, `"mirrored"`, `"spatial"`, `"tucker"`; `"auto"`, for each layer the one that keeps most for
            what it costs; or a dictionary to these. Dense layers have but one.
        data: Inputs to look at, in any form `fit` takes. Then what is lost is the response on them; without, that on
            inputs that are all alike.
        steps: Number of batches to look at. Defaults to all; a generator needs it.
        samples: Samples to look at, at most.
        ignore: Names of layers to leave whole, or of models inside the model.
        verbose: 0 shows nothing, 1 how far it is, where that takes more than five seconds.

    Returns:
        The `FactorizationPlan`.

    Raises:
        ValueError: If an argument is out of range or names what is not there, if neither or both of `ratio` and `ranks`
            are given, or data does not fit.
        UnreachableTargetError: If the ratio is out of reach; the message says what can be reached.
        UnsupportedLayerError: If the model is subclassed, and its code cannot be read.

    Example:

    >>> import keras, numpy as np, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((32,)), keras.layers.Dense(64, name="hidden"), keras.layers.Dense(8)])
    >>> plan = slim.plan_factorization(model, ratio=0.5, data=np.random.rand(100, 32))
    >>> plan.after.macs <= 0.5 * plan.before.macs
    True
    """
    owner = "plan_factorization"
    check_choice(of, "of", owner, COUNTS)
    if (ratio is None) == (ranks is None):
        expected, received = "either `ratio` or `ranks`", f"ratio={ratio!r}, ranks={ranks!r}"
        raise ValueError(invalid_argument("ratio", owner, expected=expected, received=received))
    if ratio is not None:
        check_share(ratio, "ratio", owner)
    check_count(samples, "samples", owner)
    layers = _Layers(opened(model, owner), scheme, ignore, owner)
    rules = PerLayer(layers.model, ranks, lambda option: read_rule(option, "ranks", owner), "ranks", owner)
    if ratio is not None and layers.before.macs is None and of == "macs":
        raise unknown_cost(of)
    grams = {} if data is None else _grams(layers, data, steps, samples, owner, verbose)
    with progress("Looking at singular values", "layers", verbose) as counted:
        options = {
            layer: options_of(kind, layers.calls[layer], layers.schemes(layer), grams.get(layer))
            if ratio is not None
            else _by_rule(kind, layers.calls[layer], layers.schemes(layer), grams.get(layer), rules.of(layer))
            for layer, kind in counted(layers.kinds.items())
        }
    if ratio is None:
        chosen = {layer: each[-1] for layer, each in options.items()}
        why = {layer: RANKS_NOT_SMALLER if rules.of(layer) else NO_RANKS for layer in options}
        settings = {"ranks": _in_words(ranks)}
    else:
        chosen = _within(options, of, layers.before, ratio, owner)
        why = {
            layer: OTHERS_LOSE_LESS if any(each.cost(of) < whole.cost(of) for each in rest) else NOT_SMALLER
            for layer, (whole, *rest) in options.items()
        }
        settings = {"of": of, "ratio": ratio}
    return layers.plan(options, chosen, why, {**settings, "data": data is not None})


class _Layers:
    """The layers of a model with kernels, and what can become of them.

    Args:
        model: A Functional or built Sequential model.
        scheme: As for `plan_factorization`.
        ignore: As for `plan_factorization`.
        owner: Name of the function that was given them.

    Attributes:
        model: The model.
        program: Its `Program`.
        before: Its `Size`.
        calls: Shapes of what goes in and comes out, by layer, for each of its calls.
        kinds: A `Factorable` for each layer whose kernel can be written as a product.
    """

    def __init__(self, model, scheme, ignore, owner):
        self.model = model
        self.program = Program(model)
        self.calls = _calls(self.program)
        self._schemes = PerLayer(model, scheme, lambda option: _check_scheme(option, owner), "scheme", owner)
        ignored = PerLayer(model, dict.fromkeys(ignore, True), bool, "ignore", owner)
        reasons = {layer: "it is ignored" if ignored.of(layer) else why_not(layer) for layer in self.calls}
        self.kinds = {layer: factorable(layer) for layer, reason in reasons.items() if not reason}
        self._whole = {layer: reason for layer, reason in reasons.items() if reason}
        known = all(None not in tensor.shape[1:] for tensor in self.program.tensors.values())
        self.before = Size(model.count_params(), profile(model).macs if known else None)

    def schemes(self, layer):
        """Returns the schemes to try, by name: the one that is asked for, if the layer can have it, else all it can."""
        asked, possible = self._schemes.of(layer), self.kinds[layer].schemes
        if asked is None:
            return {}
        return {asked: possible[asked]} if asked in possible else possible

    def plan(self, options, chosen, why, settings):
        """Returns the `FactorizationPlan` of the options that are chosen; `why` is for layers that stay whole then."""
        names = paths(self.model)
        products = {layer: option for layer, option in chosen.items() if option.scheme}
        whole = {**why, **self._whole}
        factors = (
            LayerFactors(names[layer], each.scheme, self.kinds[layer].shape, each.ranks, float(each.lost))
            for layer, each in products.items()
        )
        left = (LeftWhole(names[layer], whole[layer]) for layer in self.calls if layer not in products)

        def after(of):
            saved = (options[layer][0].cost(of) - option.cost(of) for layer, option in products.items())
            return getattr(self.before, of) - sum(saved)

        size = Size(after("params"), None if self.before.macs is None else after("macs"))
        return FactorizationPlan(tuple(factors), tuple(left), self.before, size, settings)


def _check_scheme(option, owner):
    return None if option is None else check_choice(option, "scheme", owner, ("auto", *SCHEMES))


def _calls(program):
    """Returns the shapes of what goes in and comes out of layers with kernels, by layer, for each of their calls."""
    calls = defaultdict(list)
    for call in program.calls:
        layer = call.operation
        if any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
            calls[layer].append(tuple(program.tensors[numbers[0]].shape for numbers in (call.inputs, call.outputs)))
    return calls


@without_gradients()
def _grams(layers, data, steps, samples, owner, verbose):
    """Returns the second moments of what the kernels read, by layer."""
    model, program = layers.model, layers.program
    batches = calibration_inputs(drawn(data, steps, owner), model, steps, owner, samples)
    seen = {layer: Seen(kind, kind.bias is not None) for layer, kind in looked_at(layers.kinds).items()}
    uses = last_uses(program)
    with (
        KeptState(model),
        clear_about_channels_first(model),
        progress("Looking at data", "batches", verbose) as counted,
    ):
        for inputs in counted(batches()):
            values = dict(zip(program.inputs, inputs, strict=True))
            for index, call in enumerate(program.calls):
                if call.operation in seen:
                    seen[call.operation].add(values[call.inputs[0]])
                values |= call(values)
                for number in uses[index]:
                    del values[number]
    for each in seen.values():
        each.check()
    return {layer: each.gram() for layer, each in seen.items()}


def _by_rule(kind, calls, schemes, gram, rule):
    """Returns the layer as it is, and behind it what a rule for ranks makes of it, if that is smaller."""
    whole = made(kind, calls, "", None, (), 0.0)
    if rule is None:
        return [whole]
    found = []
    for name, scheme in schemes.items():
        ranks = rule.ranks(kind.kernel, scheme, gram)
        if ranks is not None:
            option = made(kind, calls, name, scheme, ranks, max(0.0, scheme.lost_at(kind.kernel, ranks, gram)))
            found += [option] if is_smaller(kind, option, whole) else []
    of = "params" if whole.macs is None or kind.may_compute_more else "macs"
    return [whole, *sorted(found, key=lambda each: slope(whole, each, of))[:1]]


def _within(options, of, before, ratio, owner):
    """Returns the options that bring a model down by a share of its cost, by layer, or raises."""
    total = getattr(before, of)
    rest = total - sum(each[0].cost(of) for each in options.values())
    target = target_cost(total, ratio) - rest
    chosen = choose(options, of, target)
    reached = sum(each.cost(of) for each in chosen.values())
    if reached > target:
        expected = f"at most {1 - (reached + rest) / total:.3f} of the {of}, with each layer at rank 1"
        hint = "Layers that stay whole, and why: `plan_factorization(model, 0.01).describe()`."
        raise UnreachableTargetError(invalid_argument("ratio", owner, expected=expected, received=ratio, hint=hint))
    return chosen


def _in_words(ranks):
    """Returns ranks, rules or a dictionary to these as what JSON gives back."""
    if isinstance(ranks, dict):
        return {key if isinstance(key, str) else key.__name__: _in_words(each) for key, each in ranks.items()}
    if isinstance(ranks, RankRule):
        config = ", ".join(f"{name}={value!r}" for name, value in ranks.get_config().items())
        return f"{type(ranks).__name__}({config})"
    return np.asarray(ranks).tolist() if isinstance(ranks, tuple | list | np.integer) else ranks

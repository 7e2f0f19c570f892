"""The layers of a model with kernels, what can become of them, and the plan that says what does."""

from collections import defaultdict

from keras_slim.graph.program import Program
from keras_slim.lowrank.asked import SCHEME_NAMES, factorable, why_not
from keras_slim.lowrank.kinds import tell_norms
from keras_slim.lowrank.plan import FactorizationPlan, LayerFactors, LeftWhole, Size
from keras_slim.lowrank.which import WHOLE
from keras_slim.profiling import profile
from keras_slim.rewriting.per_layer import PerLayer, paths
from keras_slim.validation import check_choice


class Layers:
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
        calls: Shapes of what goes in and comes out, for each call of the layers in `kinds`.
        kinds: A `Factorable` for each layer whose kernel can be written as a product.
    """

    def __init__(self, model, scheme, ignore, owner):
        self.model = model
        self.program = Program(model)
        calls = _calls(self.program)
        self._schemes = PerLayer(model, scheme, lambda option: _check_scheme(option, owner), "scheme", owner)
        is_ignored = ignored(model, ignore, owner)
        self._reasons = {
            layer: "it is ignored" if is_ignored(layer) else why_not(layer, self._schemes.of(layer)) for layer in calls
        }
        self.kinds = {
            layer: factorable(layer, self._schemes.of(layer)) for layer, reason in self._reasons.items() if not reason
        }
        tell_norms(self.kinds, model, is_ignored)
        self.calls = {
            layer: [_shapes(kind.reads(call)[0], call, self.program) for call in calls[layer]]
            for layer, kind in self.kinds.items()
        }
        known = all(None not in tensor.shape[1:] for tensor in self.program.tensors.values())
        self.before = Size(model.count_params(), profile(model).macs if known else None)

    def schemes(self, layer):
        """Returns the schemes to try, by name: the one that is asked for, if the layer can have it, else all it can."""
        asked, possible = self._schemes.of(layer), self.kinds[layer].schemes
        if asked is None:
            return {}
        return {asked: possible[asked]} if asked in possible else possible

    def sizes(self, options, chosen):
        """Returns the `Size` of the network with the options that are chosen, as far as it is counted."""

        def after(of):
            saved = (options[layer][0].cost(of) - option.cost(of) for layer, option in chosen.items())
            return getattr(self.before, of) - sum(saved)

        return Size(after("params"), None if self.before.macs is None else after("macs"))

    def plan(self, chosen, why, before, after, settings):
        """Returns the `FactorizationPlan` of the options that are chosen; `why` is for layers that stay whole then."""
        names = paths(self.model)
        products = {layer: option for layer, option in chosen.items() if option.scheme}
        whole = {layer: reason or why.get(layer) for layer, reason in self._reasons.items()}
        factors = (
            LayerFactors(names[layer], each.scheme, self.kinds[layer].shape, each.ranks, float(each.lost))
            for layer, each in products.items()
        )
        left = (LeftWhole(names[layer], whole[layer]) for layer in self._reasons if layer not in products)
        return FactorizationPlan(tuple(factors), tuple(left), before, after, settings)


def ignored(model, ignore, owner):
    """Returns a function of a layer that tells whether it stays as it is, by the names that were given to `owner`."""
    return PerLayer(model, dict.fromkeys(ignore, True), bool, "ignore", owner).of


def _check_scheme(option, owner):
    return None if option is None else check_choice(option, "scheme", owner, SCHEME_NAMES)


def _calls(program):
    """Returns the calls of layers with kernels, by layer."""
    calls = defaultdict(list)
    for call in program.calls:
        weights = getattr(call.operation, "weights", ())
        if isinstance(call.operation, tuple(WHOLE)) or any(len(weight.shape) > 1 for weight in weights):
            calls[call.operation].append(call)
    return calls


def _shapes(number, call, program):
    """Returns the shapes of a value that goes in and of what comes out."""
    return tuple(program.tensors[each].shape for each in (number, call.outputs[0]))

"""What products cost where it is measured on the exported file: each layer by itself, and the whole."""

from collections import defaultdict

import keras

from keras_slim.errors import invalid_argument
from keras_slim.graph.copying import copy_replacing
from keras_slim.graph.program import Program
from keras_slim.lowrank.replacing import replaced
from keras_slim.pruning.budget import begun, checked_alias
from keras_slim.pruning.measures import Measure, measures

COUNTS = ("params", "macs")
"""What products may save."""

LESS = {"bytes": "smaller", "latency": "faster", "phone_latency": "faster"}
"""What a file is called of which a measure finds less."""


def read_measure(of, owner: str) -> Measure:
    """Returns the measure that an option stands for, or raises if factors do not save what it counts."""
    measure = measures.get(of, "of", owner)
    if measure.counted not in COUNTS:
        expected = (
            f"{', '.join(map(repr, COUNTS))}, 'bytes', 'latency', or a `Measure` that counts one of the first two"
        )
        hint = "Products have as many units as before. To remove units: `slim.prune`."
        raise ValueError(invalid_argument("of", owner, expected=expected, received=of, hint=hint))
    return measure


class Meter:
    """Measures networks of products, and says which layers cost less as such.

    A layer is measured by itself, in files of its own, as it is and as a product. The whole is
    measured as it is exported. Where counting tells, nothing is measured.

    Args:
        measure: The `keras_slim.pruning.Measure`.
        model: A Functional or built Sequential model.
        kinds: A `Factorable` for each layer that may become a product.

    Attributes:
        of: Name of what is counted or measured, as `Size.amount` takes it.
        counted: The count that it is, or follows: `"params"` or `"macs"`.
        tolerance: By what share the whole may fall below a target.
        before: What the model costs; `None` where counting tells.
    """

    def __init__(self, measure, model, kinds):
        self._measure, self._model, self._kinds = measure, model, kinds
        self.counted, self.tolerance = measure.counted, measure.tolerance
        self.before, self._cost = begun(measure, model)
        self.of = measure.counted if self.before is None else checked_alias(measure)
        self._worth: dict = defaultdict(dict)
        self._alone: dict = {}
        self._calls: dict = {}

    @property
    def less(self) -> str:
        return LESS.get(self.of, "cheaper")

    @property
    def no_less(self) -> str:
        """What is said of a layer that is measured to cost no less."""
        return f"measured: it would be no {self.less}"

    @property
    def whole_no_less(self) -> str:
        """What is said of layers with which the whole is measured to cost no less."""
        return f"measured: the whole would be no {self.less}"

    def planned(self, chosen):
        """Returns the options that are products as `replaced` takes them."""
        return {
            layer: (self._kinds[layer], self._kinds[layer].schemes[option.scheme], option.ranks)
            for layer, option in chosen.items()
            if option.scheme
        }

    def cost(self, chosen) -> float:
        """Returns what the network costs with an option for each layer."""
        return self._cost(replaced(self._model, self.planned(chosen)))

    def is_worth(self, layer, option) -> bool:
        """Tells whether a layer costs less as a product, measured by itself.

        What was found of other ranks in the same scheme tells of lower ones that they do, or of higher ones that they
        do not.
        """
        known = self._worth[layer, option.scheme]
        cost = option.cost(self.counted)
        if cost <= max((each for each, is_less in known.items() if is_less), default=-1):
            return True
        if cost >= min((each for each, is_less in known.items() if not is_less), default=cost + 1):
            return False
        if layer not in self._alone:
            model, kind = self._model_of(layer)
            self._alone[layer] = model, kind, *begun(self._measure, model)
        model, kind, before, measure = self._alone[layer]
        planned = {kind.layer: (kind, kind.schemes[option.scheme], option.ranks)}
        known[cost] = measure(replaced(model, planned)) < before
        return known[cost]

    def _model_of(self, layer):
        """Returns a model of a copy of one layer alone, where it is called first, and the copy as a `Factorable`."""
        if not self._calls:
            # calls are made on a copy, as each leaves its trace in the layer
            copy = Program(copy_replacing(self._model, lambda *_: None))
            for call, other in zip(Program(self._model).calls, copy.calls, strict=True):
                self._calls.setdefault(call.operation, (other, copy.tensors))
        call, tensors = self._calls[layer]
        values = {
            number: keras.Input(batch_shape=tensors[number].shape, dtype=tensors[number].dtype)
            for number in call.inputs
        }
        return keras.Model(list(values.values()), list(call(values).values())), type(self._kinds[layer])(call.operation)

"""Recurrent layers, of which the map of their inputs becomes a product; that of their state is no other's input."""

import keras

from keras_slim.graph.copying import copied
from keras_slim.graph.program import Place
from keras_slim.graph.running import states_of
from keras_slim.lowrank.kinds import FRESH, Factorable
from keras_slim.own_state import give


class FactorableRecurrent(Factorable):
    """A recurrent layer."""

    leaves_out_padding = True

    @property
    def variable(self):
        return self.layer.cell.kernel

    @property
    def bias(self):
        return self.layer.cell.bias

    def shifted(self, shift):
        bias = keras.ops.convert_to_numpy(self.bias).astype(float)
        first = bias if bias.ndim == 1 else bias[0]  # a GRU may have another one for its state
        first += shift
        return bias

    def reads(self, call):
        mask = call.argument("mask")
        return (*super().reads(call), *([mask.number] if isinstance(mask, Place) else []))

    def stack(self, scheme, ranks, names, changes):
        (first, _) = scheme.shapes(self.shape, ranks)
        return [
            self.dense(first[-1], name=next(names), kernel_regularizer=self.layer.cell.kernel_regularizer),
            copied(self.layer, **{**changes, **FRESH}),
        ]

    def fill(self, stack, factors, bias):
        first, recurrent = stack
        first.kernel.assign(factors.second)
        self.carry(recurrent, [(self.variable, factors.last), *([] if bias is None else [(self.bias, bias)])])
        for old, new in zip(states_of([self.layer]), states_of([recurrent]), strict=True):
            give(new, old)

"""Dense layers by an einsum equation, as matrices where it sums over some axes and makes others."""

import math
import string

import keras
import numpy as np

from keras_slim.lowrank.kinds import Factorable
from keras_slim.profiling.einsum import einsum_products


class FactorableEinsum(Factorable):
    """An `EinsumDense` layer, such as `"abc,cde->abde"`, as the matrix of `c` by `de`.

    With the new axis `f` it becomes `"abc,cf->abf"` and `"abf,fde->abde"`.
    """

    is_kernel = False

    def __init__(self, layer):
        super().__init__(layer)
        terms, self._made = layer.equation.replace(" ", "").split("->")
        self._read, self._labels = terms.split(",")
        self._sizes = dict(zip(self._labels, self.variable.shape, strict=True))
        self._sums = [each for each in self._labels if each not in self._made]
        self._yields = [each for each in self._made if each in self._labels]
        self.shape = tuple(math.prod(self._sizes[each] for each in labels) for labels in (self._sums, self._yields))

    def why_not(self):
        read, made = (term.replace("...", "") for term in (self._read, self._made))
        if any(len(set(term)) < len(term) for term in (read, self._labels, made)):
            reason = "takes a diagonal"
        elif set(self._yields) & set(read):
            reason = "has a kernel for each place along an axis"
        elif set(read) - set(self._labels) - set(made):
            reason = "sums over an axis that its kernel does not have"
        elif not self._sums or not self._yields:
            reason = "sums over no axis of its kernel, or makes none"
        else:
            return super().why_not()
        return f"its equation, `{self.layer.equation}`, {reason}"

    @property
    def kernel(self):
        return super().kernel.transpose(self._order).reshape(self.shape)

    @property
    def _order(self):
        """The axes of the kernel as they are in the matrix."""
        return [self._labels.index(each) for each in (*self._sums, *self._yields)]

    @property
    def bias(self):
        """The bias, where it has a number of its own for each that is made."""
        return self.layer.bias if set(self._yields) <= set(self.layer.bias_axes or "") else None

    def shifted(self, shift):
        made = self._made.replace("...", "")
        last = made[min(map(made.index, self.layer.bias_axes)) :]
        sizes = [self._sizes[each] if each in self._yields else 1 for each in last]
        return super().shifted(shift.reshape(*sizes, *[1] * (len(self.bias.shape) - len(sizes))))

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        size = self.params if scheme is None else scheme.size(self.shape, ranks)
        return size * einsum_products(self.layer.equation, [inputs], without=self._labels)

    def rows(self, value, chosen):
        read = self._read.replace("...", "")
        first = value.ndim - len(read) if self._read.startswith("...") else 0
        axes = [first + read.index(each) for each in self._sums]
        rows = np.moveaxis(value, axes, range(-len(axes), 0)).reshape(-1, self.shape[0])
        return rows[chosen(len(rows))]

    def entries(self, index, scheme, shape):
        new = next(each for each in string.ascii_letters if each not in self.layer.equation)
        first, *others = sorted(self._sums, key=self._read.index)
        between = "".join(new if each == first else each for each in self._read if each not in others)
        if index:
            return {"equation": f"{between},{new}{''.join(self._yields)}->{self._made}"}
        made, given = self._made.replace("...", ""), self.layer.partial_output_shape
        left_out = len(made) - len(given)  # the batch, unless an ellipsis has it
        sizes = {**dict(zip(made[left_out:], given, strict=True)), new: shape[-1]}
        return {
            "equation": f"{self._read},{''.join(self._sums)}{new}->{between}",
            "output_shape": [sizes[each] for each in between.replace("...", "")[left_out:]],
            "bias_axes": None,
        }

    def values(self, factors, bias):
        (_, product), *biases = super().values(factors, bias)
        sizes = [self._sizes[each] for each in (*self._sums, *self._yields)]
        return [(self.variable, product.reshape(sizes).transpose(np.argsort(self._order))), *biases]

    def fill(self, stack, factors, bias):
        super().fill(stack, factors, bias)
        if self.bias is None and self.layer.bias is not None:
            stack[-1].bias.assign(keras.ops.copy(self.layer.bias))

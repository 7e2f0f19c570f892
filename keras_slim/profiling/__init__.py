"""What a model costs: parameters, operations, bytes and an estimate of energy, numbers first and a table second.

`profile` counts a whole model, layer by layer. `weight_uses` is the basis under it: how often each element of each
weight is used for one sample. These numbers do not depend on how many channels a layer has, so they also tell,
exactly, what a model with fewer channels would cost.

Each layer type has one small rule, in `keras_slim.profiling.rules`; `register_work` adds a rule for a layer of your
own.

What counts: every meeting of a weight with an input, a multiply-accumulate, is one multiplication and one addition;
so is every meeting of two inputs in attention and in products of tensors. Biases, normalisation, activations, gates,
pooling and look-ups count zero: they are folded into their neighbours or dwarfed by them. This is the convention of
the published figures (VGG16 15.5 G, MobileNet 569 M).

An adder layer has no multiplication and two additions where a convolution has one of each: the difference of input and
weight, and its sum. Its absolute value counts nothing. A ResNet-20 on CIFAR-10 with 1x1 convolutions in two shortcuts
has 40.8 M multiplications and as many additions; with adder layers in place of all convolutions but the first, 0.4 M
multiplications and 81.2 M additions. Chen et al. 2020 give 41.2 M of both, and none and 82.3 M. They leave out that the
first and the last layer of their network multiply (0.4 M), and they count 0.4 M more, which is about two operations for
each element that is normalised.

A layer with weights or inputs of two or three values has no multiplication; where both have two values, one XNOR and
one addition. `bits` counts what the weights take when they are stored as they are rounded.

`ModelProfile.energy` weighs these numbers by what an operation takes in silicon, from a published table.
"""

from keras_slim.profiling import rules
from keras_slim.profiling.energy import arithmetic_energy
from keras_slim.profiling.model_profile import LayerProfile, ModelProfile, profile
from keras_slim.profiling.sizes import positions
from keras_slim.profiling.uses import weight_uses
from keras_slim.profiling.work import Work, register_work, weight_work

__all__ = [
    "LayerProfile",
    "ModelProfile",
    "Work",
    "arithmetic_energy",
    "positions",
    "profile",
    "register_work",
    "rules",
    "weight_uses",
    "weight_work",
]

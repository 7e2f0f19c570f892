"""What a model costs: parameters, multiplications, additions and bytes, as numbers first and as a table second.

`profile` counts a whole model, layer by layer. `weight_uses` is the basis under it: how often each element of each
weight is used for one sample. These numbers do not depend on how many channels a layer has, so they also tell,
exactly, what a model with fewer channels would cost.

Each layer type has one small rule, in `keras_slim.profiling.rules`; `register_work` adds a rule for a layer of your
own.

What counts: every meeting of a weight with an input, a multiply-accumulate, is one multiplication and one addition;
so is every meeting of two inputs in attention and in products of tensors. Biases, normalisation, activations, gates,
pooling and look-ups count zero: they are folded into their neighbours or dwarfed by them. This is the convention of
the published figures (VGG16 15.5 G, MobileNet 569 M).
"""

from keras_slim.profiling import rules
from keras_slim.profiling.model_profile import LayerProfile, ModelProfile, profile
from keras_slim.profiling.sizes import positions
from keras_slim.profiling.uses import weight_uses
from keras_slim.profiling.work import Work, register_work, weight_work

__all__ = [
    "LayerProfile",
    "ModelProfile",
    "Work",
    "positions",
    "profile",
    "register_work",
    "rules",
    "weight_uses",
    "weight_work",
]

"""Dense layers and tables as tensor trains: one layer in the place of one."""

import math

from keras_slim.factorization import TrainScheme
from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding
from keras_slim.layers.tensor_train_dense import of_dense, work_of_cores
from keras_slim.layers.tensor_train_embedding import of_embedding, work_per_vector
from keras_slim.lowrank.kinds import Factorable, FactorableEmbedding


class DenseAsTrain(Factorable):
    """A dense layer, of which the kernel becomes a tensor train."""

    may_compute_more = True
    scale = 1.0  # no core has the outputs to itself

    def __init__(self, layer):
        super().__init__(layer)
        self.schemes = {"tensor_train": TrainScheme()}

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        whole = super().macs(inputs, outputs)
        if scheme is None:
            return whole
        through_cores, to_build = work_of_cores(*scheme.digits(self.shape), ranks)
        return min(sum(through_cores) * math.prod(inputs[1:-1]), whole + sum(to_build))

    def stack(self, scheme, ranks, names, changes):
        inputs, outputs = scheme.digits(self.shape)
        options = {"rank": ranks, "input_factors": inputs, "output_factors": outputs, **changes}
        return [TensorTrainDense(**of_dense(self.layer, **options))]

    def fill(self, stack, factors, bias):
        (train,) = stack
        for core, value in zip(train.cores, factors.cores, strict=True):
            core.assign(value)
        if self.bias is not None:
            train.bias.assign(self.bias if bias is None else bias)


class EmbeddingAsTrain(FactorableEmbedding):
    """A table that becomes a tensor train."""

    def __init__(self, layer):
        super().__init__(layer)
        self.schemes = {"tensor_train": TrainScheme(has_spare_rows=True)}

    def macs(self, inputs, outputs, scheme=None, ranks=()):
        if scheme is None:
            return 0
        _, columns = scheme.digits(self.shape)
        return work_per_vector(columns, ranks) * math.prod(outputs[1:-1])

    def stack(self, scheme, ranks, names, changes):
        inputs, outputs = scheme.digits(self.shape)
        options = {"rank": ranks, "input_factors": inputs, "output_factors": outputs, **changes}
        return [TensorTrainEmbedding(**of_embedding(self.layer, **options))]

    fill = DenseAsTrain.fill

"""Nothing keeps the network from before a cut alive, while the same `fit` goes on."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches

from keras_slim.callbacks import ProgressiveGlobalPruning, StructuredLotteryTicket


class Watch(keras.callbacks.Callback):
    """Looks at the network that epoch 1 begins with, which is cut then, and at what is left of it later.

    Stands before the callback that cuts.
    """

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            held = [*self.model.variables, *self.model.optimizer.variables]
            self.seen = {variable.path: weakref.ref(variable) for variable in held}
            self.seen |= {f"{variable.path}, value": weakref.ref(variable.value) for variable in held}
            self.memory = [(variable.path, variable.value.handle, variable.value.dtype) for variable in held]
            self.seen |= {layer.name: weakref.ref(layer) for layer in self.model.layers}
            self.size = self.model.count_params()

    def on_train_batch_end(self, batch, logs=None):
        if hasattr(self, "seen") and not hasattr(self, "left"):
            assert self.model.count_params() < self.size
            now = [*self.model.variables, *self.model.optimizer.variables]  # whoever counts steps goes on
            parts = [part for each in now for part in (each, each.value, each.value.handle)]
            now = {id(part) for part in parts}
            self.left = [name for name, ref in self.seen.items() if ref() is not None and id(ref()) not in now]
            for path, handle, dtype in self.memory:
                if id(handle) not in now and tf.size(tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)):
                    self.left.append(f"{path}, in TensorFlow")


def left_after_a_cut(model, callback, x, y, **options):
    """Returns the names of what is alive of the first network while the second is trained."""
    watch = Watch()
    gc.disable()  # the callback itself lets go of it, Python need not come by
    try:
        model.fit(batches(x, y, 24), epochs=3, verbose=0, callbacks=[watch, callback], **options)
    finally:
        gc.enable()
    return watch.left


def pruning(x, y, **options):
    defaults = {"ratio": 0.5, "rounds": 1, "data": (x, y), "window": (1 / 3, 1 / 3), "verbose": 0}
    return ProgressiveGlobalPruning(**{**defaults, **options})


@pytest.mark.parametrize(
    ("kind", "eager"),
    [
        ("sequential", True),
        ("functional", False),
        pytest.param("sequential", False, marks=pytest.mark.slow),
        pytest.param("functional", True, marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore:.*ended before the search")
def test_the_first_network_is_given_back(build, x, y, kind, eager):
    model = build("adam", kind=kind, run_eagerly=eager, jit_compile=False, metrics=["mae"])
    assert left_after_a_cut(model, pruning(x, y), x, y, validation_data=batches(x, y)) == []


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        lambda: keras.optimizers.SGD(momentum=0.9, use_ema=True),
    ],
)
def test_wrapping_and_averaging_optimizers_let_go_of_it_too(build, x, y, optimizer):
    assert left_after_a_cut(build(optimizer()), pruning(x, y, criterion="l2"), x, y) == []


def test_lists_of_the_users_own_let_go_of_it_too(build, x, y):
    model = build(kind="functional")
    model.notes = ["mine"]
    model.favourites = {"hidden": model.layers[1]}
    assert left_after_a_cut(model, pruning(x, y, criterion="l2"), x, y) == []
    assert model.favourites["hidden"] is model.layers[1]
    model.notes.append(np.ones(1))


def test_a_teacher_is_a_copy_and_calibration_holds_nothing(build, x, y):
    from keras_slim.distillation import Distillation

    callback = pruning(x, y, criterion="l2", distillation=Distillation(), calibration=True)
    assert left_after_a_cut(build(), callback, x, y) == []


def test_tickets_let_go_of_it(build, x, y):
    callback = StructuredLotteryTicket(rounds=2, criterion="l2", verbose=0)
    assert left_after_a_cut(build(), callback, x, y) == []


def test_what_somebody_holds_keeps_its_values(build, x, y):
    model = build(jit_compile=False)
    held = model.layers[0].kernel.value  # TensorFlow's own variable, without Keras's around it
    model.fit(batches(x, y), epochs=3, verbose=0, callbacks=[pruning(x, y, criterion="l2")])
    assert model.layers[0].units == 8
    assert held.numpy().shape == (4, 16)

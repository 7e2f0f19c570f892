"""Trains a small network with callbacks on the devices of this process, for `test_many_devices.py`.

    python every_callback.py mirrored FOLDER           TensorFlow: on one device, then on two
    python every_callback.py divided FOLDER            JAX: on one device, then on four that divide weights and data
    python every_callback.py process FOLDER RANK PORT  JAX: in one of two processes, on the two devices of each; the
                                                       second is killed in the last `fit`, before its last epoch
    python every_callback.py resumed FOLDER RANK PORT  JAX: the same, which goes on with that `fit`

Weights in the end are written to `FOLDER/NAME.npz`, by callback and number.
"""

import contextlib
import os
import sys

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.pruning.guards import parts_of_groups

SAMPLES, BATCH, EPOCHS = 48, 16, 4
CUT = {"ratio": 0.5, "rounds": 1, "guards": slim.pruning.Guards(align=2), "verbose": 0}


def prune(data):
    """Removes units one by one to see what they are worth, makes up for the cut, and estimates averages anew."""
    # The least penalty is so small that it does not matter which one is chosen.
    calibration = slim.pruning.Calibration(ridge=1e-12, recalibrate=True)
    return slim.callbacks.ProgressiveGlobalPruning(**CUT, debias="fitted", data=data, calibration=calibration)


def search(data):
    """Follows the loss back to units, and lets the dense network teach."""
    options = {"ratio": None, "max_drop": 0.2, "monitor": "val_loss", "patience": 1, "calibration": False}
    taught = slim.distillation.Distillation()
    return slim.callbacks.ProgressiveGlobalPruning(**{**CUT, **options}, data=data, distillation=taught)


CALLBACKS = {
    "prune": prune,
    "search": search,
    "WeightSharing": lambda data: slim.callbacks.WeightSharing(3, free_epochs=1, verbose=0),
    "QuantizationAwareTraining": lambda data: slim.callbacks.QuantizationAwareTraining(
        4, begin=1, data=data, verbose=0
    ),
}
CUTTING = ["prune", "search"]
IN_PROCESSES = [*CUTTING, "QuantizationAwareTraining"]


def build(synchronized=False):
    layers = [
        keras.layers.Dense(16, "relu", name="first"),
        keras.layers.BatchNormalization(synchronized=synchronized),
        keras.layers.Dense(8, "relu", name="second"),
        keras.layers.Dense(2, name="head"),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=keras.backend.backend() == "jax")
    return model


def samples(rank=0, ranks=1):
    """Returns what one of several processes sees: its part of each batch."""
    x = np.random.default_rng(0).normal(size=(SAMPLES, 6)).astype("float32")
    mine = np.arange(SAMPLES).reshape(-1, ranks, BATCH // ranks)[:, rank].ravel()
    return x[mine], np.tanh(x[mine, :2])


def train(callback, data, batch_size, more=(), scope=contextlib.nullcontext, **options):
    """Returns the model, made in a scope and trained."""
    keras.utils.set_random_seed(0)
    with scope():
        model = build(**options)
    options = {"batch_size": batch_size, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    if getattr(callback, "max_drop", None):  # a search
        options |= {"validation_data": data, "validation_batch_size": batch_size}
    model.fit(*data, **options, callbacks=[callback, *more])
    return model


def write(folder, name, callbacks, data, batch_size=BATCH, check=None, **options):
    """Trains with each of some callbacks, writes the weights, and lets a function check each model."""
    found = {}
    for each in callbacks:
        model = train(CALLBACKS[each](data), data, batch_size, **options)
        found |= {f"{each}/{number}": weight for number, weight in enumerate(model.get_weights())}
        assert (model.get_layer("first").units < 16) == (each in CUTTING), each
        if check is not None:
            check(model)
    np.savez(os.path.join(folder, f"{name}.npz"), **found)


def mirrored(folder):
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    callbacks = ["search", "WeightSharing", "QuantizationAwareTraining"]
    write(folder, "alone", callbacks, samples())
    scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope
    write(folder, "mirrored", callbacks, samples(), check=check_copies, scope=scope, synchronized=True)


def check_copies(model):
    for variable in [*model.variables, *model.optimizer.variables]:
        one, other = (copy.numpy() for copy in variable.value.values)
        np.testing.assert_array_equal(one, other, err_msg=variable.path)


def divided(folder):
    write(folder, "alone", IN_PROCESSES, samples())
    with divided_by(keras.distribution.DeviceMesh((2, 2), ("batch", "model"))):
        write(folder, "divided", ["prune"], samples(), check=check_divided)


def divided_by(mesh):
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*first/kernel"] = (None, "model")
    layouts[".*second/kernel"] = ("model", None)
    options = {"batch_dim_name": "batch", "auto_shard_dataset": False}
    return keras.distribution.ModelParallel(layout_map=layouts, **options).scope()


def check_divided(model):
    kernel = model.get_layer("first").kernel
    whole, part = kernel.shape, kernel.value.addressable_shards[0].data.shape
    assert part == (whole[0], whole[1] / 2), (whole, part)
    assert parts_of_groups(analyse(model)).tolist() == [2, 1]


def process(folder, rank, port):
    with parallel(rank, port):
        write(folder, f"process{rank}", IN_PROCESSES, samples(int(rank), 2), BATCH // 2)
        backed_up(folder, rank, Killer(rank))


def resumed(folder, rank, port):
    with parallel(rank, port):
        backed_up(folder, rank)
    with divided_by(keras.distribution.DeviceMesh((2, 2), ("model", "batch"))):
        model = build()
        with pytest.raises(UnsupportedLayerError, match="divided among processes"):
            prune(None).set_model(model)


def parallel(rank, port):
    keras.distribution.initialize(f"127.0.0.1:{port}", 2, int(rank))
    return keras.distribution.DataParallel(auto_shard_dataset=False).scope()


def backed_up(folder, rank, *more):
    data, backup = samples(int(rank), 2), keras.callbacks.BackupAndRestore(os.path.join(folder, f"backup{rank}"))
    write(folder, f"resumed{rank}", ["search"], data, BATCH // 2, more=[backup, *more])


class Killer(keras.callbacks.Callback):
    """Ends the second process as a signal would."""

    def __init__(self, rank):
        super().__init__()
        self.rank = rank

    def on_epoch_begin(self, epoch, logs=None):
        if self.rank == "1" and epoch == EPOCHS - 1:
            os._exit(9)


if __name__ == "__main__":
    way, *given = sys.argv[1:]
    globals()[way](*given)

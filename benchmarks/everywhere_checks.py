"""What holds on one backend and under one strategy: runs each verb and callback, one line of JSON for each.

`everywhere.py` starts it, with `KERAS_BACKEND` set.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
import time

import keras
import numpy as np
from keras import layers

import keras_slim as slim

SAMPLES, EPOCHS = 256, 4
ALONE, MIRRORED, PARALLEL = "alone", "mirrored", "parallel"


def network():
    """Two convolutions and two dense layers for the digits."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, use_bias=False, name="first"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(24, 3, activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="third"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return compiled(model)


def compiled(model):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def digits():
    (x, y), *_ = slim.datasets.load_digits()
    return x[:SAMPLES], y[:SAMPLES]


def fitted(model, *callbacks):
    """Trains a network, and raises unless its losses are finite."""
    x, y = digits()
    past = model.fit(
        x, y, batch_size=64, epochs=EPOCHS, validation_data=(x, y), verbose=0, callbacks=[*callbacks]
    ).history
    require(np.isfinite(past["loss"]).all(), "The loss is not finite.")
    return model


def require(holds, what):
    if not holds:
        raise AssertionError(what)


def trains_with(make):
    """Returns a check that a callback makes a network smaller, or its weights fewer, in `fit`."""

    def check(folder):
        fitted(network(), make())

    return check


def cuts_with(make):
    """Returns a check that a callback leaves a network with fewer parameters."""

    def check(folder):
        model = network()
        before = model.count_params()
        fitted(model, make())
        require(model.count_params() < before, "Nothing was cut.")

    return check


def becomes_smaller(make):
    """Returns a check that a function of a network and images returns one with fewer parameters that answers."""

    def check(folder):
        model, (x, _) = fitted(network()), digits()
        small = make(model, digits())
        require(small.count_params() < model.count_params(), "It has not become smaller.")
        require(np.isfinite(small.predict(x, verbose=0)).all(), "Its answers are not finite.")

    return check


def still_answers(make):
    """Returns a check that a function of a network and images returns one that trains."""

    def check(folder):
        fitted(compiled(make(fitted(network()), digits())))

    return check


def teaches(folder):
    x, y = digits()
    student = slim.adderize(network())
    distiller = slim.distillation.ProgressiveKernelDistillation(student)
    distiller.compile("adam", loss="sparse_categorical_crossentropy")
    past = distiller.fit(x, y, batch_size=64, epochs=2, verbose=0).history
    require(np.isfinite(past["loss"]).all(), "The loss is not finite.")


def shares(folder):
    model, (x, _) = fitted(network()), digits()
    slim.share_weights(model, bits=4, block=2, data=x, verbose=0)
    require(np.isfinite(model.predict(x, verbose=0)).all(), "Its answers are not finite.")


def comes_back(folder):
    model, (x, _) = fitted(network()), digits()
    slim.share_weights(model, bits=4, verbose=0)
    path = pathlib.Path(folder) / "model.slim.h5"
    slim.save_compressed(model, path)
    same = slim.load_compressed(path).predict(x, verbose=0)
    require(np.allclose(same, model.predict(x, verbose=0), atol=1e-5), "It answers otherwise.")


def exports(quantize):
    def check(folder):
        x, _ = digits()
        path = pathlib.Path(folder) / "model.tflite"
        slim.export_tflite(fitted(network()), path, quantize, data=x[:64], verbose=0)
        require(path.stat().st_size > 0, "The file is empty.")

    return check


def profiled(folder):
    require(slim.profile(network()).macs > 0, "Nothing is counted.")


OPTIONS = {"guards": slim.pruning.Guards(align=1, min_units=4), "verbose": 0}
IN_FIT = {
    '`ProgressiveGlobalPruning(criterion="l2")`': cuts_with(
        lambda: slim.callbacks.ProgressiveGlobalPruning(0.4, rounds=2, criterion="l2", **OPTIONS)
    ),
    '`ProgressiveGlobalPruning(criterion="taylor")`, compensated': cuts_with(
        lambda: slim.callbacks.ProgressiveGlobalPruning(0.4, rounds=2, criterion="taylor", data=digits(), **OPTIONS)
    ),
    "`ProgressiveGlobalPruning(distillation=...)`": cuts_with(
        lambda: slim.callbacks.ProgressiveGlobalPruning(
            0.4, rounds=1, data=digits(), distillation=slim.distillation.Distillation(), **OPTIONS
        )
    ),
    "`ProgressiveGlobalPruning(max_drop=...)`": trains_with(
        lambda: slim.callbacks.ProgressiveGlobalPruning(
            max_drop=0.5, monitor="val_accuracy", data=digits(), ratio_per_round=(0.3,), **OPTIONS
        )
    ),
    "`StructuredLotteryTicket`": cuts_with(
        lambda: slim.callbacks.StructuredLotteryTicket(rounds=1, ratio=0.4, criterion="l2", **OPTIONS)
    ),
    "`LotteryTicket`": trains_with(lambda: slim.callbacks.LotteryTicket(rounds=1, ratio=0.5, verbose=0)),
    "`GradualPruning`": trains_with(lambda: slim.callbacks.GradualPruning(0.5, verbose=0)),
    "`DenseSparseDense`": trains_with(lambda: slim.callbacks.DenseSparseDense(0.5, 1, 1, 1, verbose=0)),
    "`WeightSharing`": trains_with(lambda: slim.callbacks.WeightSharing(bits=4, verbose=0)),
    "`QuantizationAwareTraining`": trains_with(lambda: slim.callbacks.QuantizationAwareTraining(bits=8, verbose=0)),
    "`ProgressiveKernelDistillation`": teaches,
}
OUTSIDE = {
    "`profile`": profiled,
    "`prune` with data": becomes_smaller(
        lambda model, data: slim.prune(model, 0.4, data=data, guards=OPTIONS["guards"])
    ),
    '`prune(of="bytes")`': becomes_smaller(
        lambda model, data: slim.prune(model, 0.4, of="bytes", data=data, guards=OPTIONS["guards"])
    ),
    "`factorize` with data": becomes_smaller(
        lambda model, data: slim.factorize(model, ratio=0.4, of="params", data=data[0], verbose=0)
    ),
    "`hash`": becomes_smaller(lambda model, data: slim.hash(model, ratio=0.5)),
    "`share_weights` with data": shares,
    "`quantize`, `calibrate`": still_answers(
        lambda model, data: slim.calibrate(slim.quantize(model, "int", "int"), data[0])
    ),
    "`adderize`": still_answers(lambda model, data: slim.adderize(model)),
    "`save_compressed`, `load_compressed`": comes_back,
    "`export_tflite`, float32": exports(None),
    "`export_tflite`, int8": exports("int8"),
}


@contextlib.contextmanager
def under(strategy):
    """Holds for what is built and trained inside: on two devices of this machine, or on one."""
    if strategy == MIRRORED:
        import tensorflow as tf

        (processor,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            yield
    elif strategy == PARALLEL:
        with keras.distribution.DataParallel().scope():
            yield
    else:
        yield


def main():
    strategy, *names = sys.argv[1:]
    checks = {**IN_FIT, **(OUTSIDE if strategy == ALONE else {})}
    with under(strategy), tempfile.TemporaryDirectory() as folder:
        for name in names or checks:
            start = time.perf_counter()
            try:
                checks[name](folder)
                why = None
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            print(json.dumps({"name": name, "why": why, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()

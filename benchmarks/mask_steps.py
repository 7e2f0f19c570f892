"""What both sides of the comparison of masks share: networks, made-up data, and the seconds of an epoch."""

import epoch_timer
import keras
import networks
import numpy as np

BATCHES = {"LeNet-300-100": 60, "LeNet-5": 60, "sequential": 64}
EPOCHS = {"LeNet-300-100": 25, "LeNet-5": 8, "sequential": 4}
STEPS = 100


def compiled(name):
    """Returns a network, compiled for Adam in graph mode."""
    make = {"LeNet-300-100": networks.lenet_300_100, "LeNet-5": networks.lenet_5, "sequential": networks.sequential}
    return networks.compiled(make[name](), 1e-3)


def data(name):
    """Returns images of noise and labels for 100 steps."""
    shape = (32, 32, 3) if name == "sequential" else (28, 28, 1)
    rng = np.random.default_rng(0)
    number = STEPS * BATCHES[name]
    return rng.normal(size=(number, *shape)).astype("float32"), rng.integers(0, 10, number)


def fastest_epoch(model, name, samples, callbacks=()):
    """Returns the seconds of the fastest epoch after the first, which compiles."""
    timer = epoch_timer.EpochTimer()
    model.fit(*samples, batch_size=BATCHES[name], epochs=EPOCHS[name], verbose=0, callbacks=[*callbacks, timer])
    keras.backend.clear_session()
    return min(timer.seconds[1:])

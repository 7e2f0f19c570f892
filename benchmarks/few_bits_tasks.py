"""What both sides of the comparison of few bits share, in either Keras: networks, images, training, cost of a step."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable

import images
import keras
import networks
import numpy as np

SETTINGS = ("images", "epochs", "tuning_epochs", "batch", "rate", "tuning_rate", "width")
VALIDATION = 2_000


@dataclasses.dataclass(frozen=True)
class Task:
    """A network, its images, and how long it is trained.

    Args:
        build: Makes the network of a width.
        load: Loads the images.
        width: Filters of the first layer.
        epochs: Epochs of the float network.
        tuning_epochs: Epochs of each way from there, in few bits or not.
        images: Number of training images.
        batch: Images of a batch.
        rate: Learning rate of Adam for the float network, which falls along a cosine.
        tuning_rate: The same for each way from there.
        file_samples: Number of test images that LiteRT files are asked; without any there are none.
        in_order: Makes the network in the order of layers that signs want; by default they stand for its ReLUs.
    """

    build: Callable
    load: Callable
    width: int
    epochs: int
    tuning_epochs: int = 4
    images: int = 4_000
    batch: int = 64
    rate: float = 2e-3
    tuning_rate: float = 1e-3
    file_samples: int = 2_000
    in_order: Callable | None = None

    @property
    def settings(self):
        """What the network depends on."""
        return {key: getattr(self, key) for key in SETTINGS}

    @property
    def settings_of_numbers(self):
        """What the numbers depend on."""
        return {**self.settings, "file_samples": self.file_samples}

    def data(self, data_dir):
        """Returns training, validation and test images with labels."""
        return self.load(data_dir, train=self.images, validation=VALIDATION)


TASKS = {
    "LeNet": Task(
        networks.convolutional_lenet,
        images.load_mnist,
        width=12,
        epochs=5,
        tuning_epochs=3,
        images=8_000,
        in_order=functools.partial(networks.convolutional_lenet, pool_first=True),
    ),
    "depthwise": Task(networks.depthwise, images.load_cifar10, width=8, epochs=12),
    "VGG": Task(networks.sequential, images.load_cifar10, width=8, epochs=12),
    "ResNet-20": Task(functools.partial(networks.residual, blocks=3), images.load_cifar10, width=4, epochs=12),
}


def fit(model, data, epochs, rate, seed, task, callbacks=()):
    """Trains a network with a rate that falls along a cosine, and keeps the epoch that validation images like best."""
    train, validation, _ = data
    keras.utils.set_random_seed(seed)
    steps = epochs * math.ceil(len(train[0]) / task.batch)
    networks.compiled(model, keras.optimizers.schedules.CosineDecay(rate, steps))
    best = keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=epochs, restore_best_weights=True)
    history = model.fit(
        *train,
        batch_size=task.batch,
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=500,
        callbacks=[best, *callbacks],
        verbose=0,
    )
    return max(history.history["val_accuracy"])


def accuracy(scores, labels):
    """Returns the share of right answers in percent."""
    return 100 * float((np.argmax(scores, axis=1) == labels[: len(scores)]).mean())


def step_ratios(model, reference, batch, turns=7, steps=4):
    """Returns how much of the processor's time a training step takes, as a share of that of another model, by turn.

    Args:
        model: The model, compiled.
        reference: The one to compare it with, compiled.
        batch: Images and labels.
        turns: Number of turns, in each of which one model trains after the other.
        steps: Steps of each model in a turn.
    """
    for each in (model, reference):
        each.train_on_batch(*batch)
    return [_seconds(model, batch, steps) / _seconds(reference, batch, steps) for _ in range(turns)]


def _seconds(model, batch, steps):
    start = time.process_time()
    for _ in range(steps):
        model.train_on_batch(*batch)
    return time.process_time() - start

"""Training the network twice from the same first weights: as it is, and pruned inside `fit`."""

import dataclasses
import math

import keras

from keras_slim.callbacks import ProgressiveGlobalPruning
from keras_slim.cli.quickstart.network import build_network
from keras_slim.cli.quickstart.progress import show_progress

BATCH_SIZE = 32
SCORED_SAMPLES = 512

# Chosen by validation accuracy on seeds other than those published.
PRUNING = {"ratio": 0.65, "of": "macs", "criterion": "taylor", "debias": "l2", "rounds": 4, "window": (0.25, 0.5)}
# Plain cuts: half of the epochs come after them, and validation accuracy was no higher where they were made up for.
PRUNING |= {"calibration": False}


@dataclasses.dataclass(frozen=True)
class Training:
    """A trained model, and how it came to be.

    Args:
        model: The model.
        history: Dictionary of lists, one value per epoch.
        rounds_done: As in `ProgressiveGlobalPruning`; empty for the training without.
    """

    model: keras.Model
    history: dict
    rounds_done: list


def train_both(digits, epochs, seed, console):
    """Trains the network without and with pruning: same first weights, same epochs, same learning rates.

    Args:
        digits: What `load_digits` returns; the last part is left alone.
        epochs: Number of epochs of each.
        seed: Seed of the first weights and of the order of the samples.
        console: Console of rich, for the progress.

    Returns:
        Two of `Training`: dense, pruned.
    """
    (x, y), validation, _ = digits
    pruning = ProgressiveGlobalPruning(**PRUNING, data=(x[:SCORED_SAMPLES], y[:SCORED_SAMPLES]))
    dense = _train((x, y), validation, epochs, seed, console, "1/2  training without pruning", [])
    pruned = _train((x, y), validation, epochs, seed, console, "2/2  training and pruning in one fit", [pruning])
    return dense, dataclasses.replace(pruned, rounds_done=pruning.rounds_done)


def _train(samples, validation, epochs, seed, console, title, callbacks):
    keras.utils.set_random_seed(seed)
    x, y = samples
    model = build_network(epochs * math.ceil(len(x) / BATCH_SIZE))
    with show_progress(console, title, epochs) as progress:
        history = model.fit(
            x,
            y,
            batch_size=BATCH_SIZE,
            epochs=epochs,
            validation_data=validation,
            callbacks=[*callbacks, progress],
            verbose=0,
        )
    return Training(model, history.history, [])

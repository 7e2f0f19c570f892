"""What the pruning callback costs: seconds per epoch without it, with it idle, and after each round."""

import argparse
import time

import images
import keras
from epoch_timer import EpochTimer
from keras import layers
from results_file import spread, write

import keras_slim as slim


def network():
    """Five convolutions with batch norm, 29 M multiply-accumulates an image."""
    inputs = x = keras.Input((32, 32, 3))
    for width, pool in ((32, False), (32, True), (64, False), (64, True), (128, False)):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        if pool:
            x = layers.MaxPooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    graph_mode = {"jit_compile": False} if keras.backend.backend() == "tensorflow" else {}
    model.compile("adam", loss, metrics=["accuracy"], **graph_mode)
    return model


class TimedPruning(slim.callbacks.ProgressiveGlobalPruning):
    """Keeps the seconds that the callback itself takes in each epoch."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.own_seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        start = time.perf_counter()
        super().on_epoch_begin(epoch, logs)
        self._own = time.perf_counter() - start

    def on_epoch_end(self, epoch, logs=None):
        start = time.perf_counter()
        super().on_epoch_end(epoch, logs)
        self.own_seconds.append(self._own + time.perf_counter() - start)


def pruning(train, samples=512, **options):
    sample = train[0][:samples], train[1][:samples]
    return TimedPruning(of="macs", data=sample, verbose=0, **options)


def seconds_of(model, train, epochs, callbacks, batch_size=64):
    """Returns the seconds of each epoch; the timer comes last, so that a cut counts in no epoch."""
    timer = EpochTimer()
    model.fit(*train, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[*callbacks, timer])
    return timer.seconds


def idle_cost(train, pairs, epochs):
    """Returns seconds per epoch, plain and with a callback that waits, in pairs, and those of the callback itself.

    The callback's only round comes before the last epoch. Of the epochs between the first, which compiles, and the last
    the fastest counts: an epoch can take twice as long when the machine is shared, and then the median tells more of
    the machine than of the callback.
    """
    plain, idle, own = [], [], []
    for _ in range(pairs):
        plain.append(min(seconds_of(network(), train, epochs, [])[1:-1]))
        waiting = pruning(train, ratio=0.3, rounds=1, window=((epochs - 1) / epochs,) * 2)
        idle.append(min(seconds_of(network(), train, epochs, [waiting])[1:-1]))
        own += waiting.own_seconds[1:-1]
    return plain, idle, own


def cost_of_rounds(train, rounds, epochs_between):
    """Returns one dictionary per stage: multiply-accumulates, seconds of the cut, of the first epoch and the others."""
    epochs = (rounds + 1) * epochs_between
    callback = pruning(train, ratio=0.8, rounds=rounds, window=(1 / (rounds + 1), rounds / (rounds + 1)))
    model = network()
    dense = slim.profile(model).macs
    seconds = seconds_of(model, train, epochs, [callback])
    cuts = [{"macs": dense, "seconds": 0.0}, *callback.rounds_done]
    stages = [seconds[first : first + epochs_between] for first in range(0, epochs, epochs_between)]
    return [
        {"macs": cut["macs"], "cut": cut["seconds"], "first": stage[0], "others": stage[1:]}
        for cut, stage in zip(cuts, stages, strict=True)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=1000, help="training images (default: 1000)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of fits, plain and idle (default: 5)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    train, *_ = images.load_cifar10(options.data_dir, train=options.images)

    plain, idle, own = idle_cost(train, options.pairs, epochs=12)
    ratios = [one / other for one, other in zip(idle, plain, strict=True)]
    stages = cost_of_rounds(train, options.rounds, epochs_between=6)
    dense = min(stages[0]["others"])
    write(
        "callback_cost",
        "What the callback costs",
        [
            (
                "Seconds per epoch without cuts",
                ["", f"fastest epoch of a fit, median of {options.pairs} fits (lowest to highest)"],
                [
                    ["plain `fit`", spread(plain)],
                    ["callback attached, idle", spread(idle)],
                    ["ratio, pair by pair", spread(ratios)],
                    ["spent in the idle callback itself", spread(own, 6)],
                    ["as a share of a plain epoch", f"{max(own) / min(plain):.4%} at most"],
                ],
            ),
            (
                "Seconds per epoch over the rounds",
                ["round", "multiply-accumulates", "cut, s", "first epoch, s", "other epochs, s", "fastest, of dense"],
                [
                    [
                        number,
                        f"{stage['macs']:,} ({stage['macs'] / stages[0]['macs']:.0%})",
                        f"{stage['cut']:.2f}",
                        f"{stage['first']:.2f}",
                        spread(stage["others"]),
                        f"{min(stage['others']) / dense:.0%}",
                    ]
                    for number, stage in enumerate(stages)
                ],
            ),
        ],
        f"Network of five convolutions with batch norm (32, 32, 64, 64, 128 filters) on {options.images:,} images of "
        "CIFAR-10, batch 64, Taylor scores from 512 images, graph mode. The first epoch after a cut compiles the new "
        "training step. Seed 0.",
        {"plain": plain, "idle": idle, "own": own, "ratios": ratios, "stages": stages},
    )


if __name__ == "__main__":
    main()

"""Dense-sparse-dense training beside dense training of as many epochs: convolutions on CIFAR-10, an LSTM on speech."""

import argparse
import itertools

import charts
import images
import keras
import networks
import numpy as np
import spoken_digits
from cells import cell
from matplotlib import pyplot
from results_file import mean_and_range, write

import keras_slim as slim
from keras_slim.sparsity import SeedComparison

# What each way does to the weights, and to the learning rate of the last phase.
WAYS = {
    "dense": ("the same number of epochs, one learning rate", None, 1.0),
    "dense, same rates": ("the same number of epochs, the learning rate cut as in DSD", 0.0, 0.1),
    "DSD": ("dense, sparse, dense again", "sparsity", 0.1),
    "DSD, one rate": ("dense, sparse, dense again, one learning rate", "sparsity", 1.0),
}
MOMENTS = ("dense phase", "sparse phase", "end")
SETTINGS = ("images", "dense_epochs", "sparse_epochs", "redense_epochs", "sparsity")


def convolutional():
    return networks.compiled(networks.sequential(16), 1e-3)


def recurrent():
    model = keras.Sequential([keras.Input((41, 40)), keras.layers.LSTM(64), keras.layers.Dense(10)])
    return networks.compiled(model, 3e-3)


NETWORKS = {"convolutions, CIFAR-10": convolutional, "LSTM, spoken digits": recurrent}


class Judge(keras.callbacks.Callback):
    """Measures test accuracy and loss at the end of each phase."""

    def __init__(self, epochs, test):
        super().__init__()
        self.epochs, self.test, self.found = list(epochs), test, []

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs:
            self.found.append(self.model.evaluate(*self.test, batch_size=250, verbose=0, return_dict=True))


def examine(name, way, seed, data, options):
    """Returns test accuracy and loss at the end of each phase, and the validation accuracy of each epoch."""
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name]()
    train, validation, test = data[name]
    phases = options.dense_epochs, options.sparse_epochs, options.redense_epochs
    judge = Judge(itertools.accumulate(phases), test)
    _, sparsity, rate = WAYS[way]
    callbacks = [judge]
    if sparsity is not None:
        sparsity = options.sparsity if sparsity == "sparsity" else sparsity
        dsd = slim.callbacks.DenseSparseDense(sparsity, *phases, redense_rate=rate, verbose=0)
        callbacks = [dsd, judge]
    history = model.fit(
        *train, batch_size=64, epochs=sum(phases), validation_data=validation, callbacks=callbacks, verbose=0
    ).history
    return {"test": judge.found, "validation": history["val_accuracy"]}


def rows(found, moment):
    """Yields a table row for each network and way: accuracy over the seeds, and how far it is above the controls."""
    for name, runs in found.items():
        values = {way: {"accuracy": tuple(100 * run["test"][moment]["accuracy"] for run in runs[way])} for way in WAYS}
        for way in WAYS:
            gains = []
            for control in ("dense", "dense, same rates"):
                pair = SeedComparison({"dense": values[control], way + " ": values[way]})
                gains.append(
                    "" if control == way else "{:+.2f} ({:+.2f} to {:+.2f})".format(*pair.gain(way + " ", "accuracy"))
                )
            yield [name, way, mean_and_range(values[way]["accuracy"]), *gains]


def draw(found, options):
    """Draws the validation accuracy of each epoch, median and range over the seeds."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(7.5, 3))
    ends = options.dense_epochs, options.dense_epochs + options.sparse_epochs
    for axes, (name, runs) in zip(panels, found.items(), strict=True):
        for way in WAYS:
            epochs = np.array([[100 * value for value in run["validation"]] for run in runs[way]]).T
            charts.curve(axes, [[(number + 1, value) for value in at] for number, at in enumerate(epochs)], way)
        for end in ends:
            axes.axvline(end + 0.5, color="gray", linewidth=0.5)
        axes.set(title=name, xlabel="epoch")
    panels[0].set_ylabel("validation accuracy, %")
    panels[0].legend(frameon=False, fontsize=7)
    charts.save(figure, "dense_sparse_dense.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10.npz and fsdd.npz")
    parser.add_argument("--images", type=int, default=8_000, help="training images of CIFAR-10 (default: 8000)")
    parser.add_argument("--dense-epochs", type=int, default=10)
    parser.add_argument("--sparse-epochs", type=int, default=5)
    parser.add_argument("--redense-epochs", type=int, default=5)
    parser.add_argument("--sparsity", type=float, default=0.3, help="share of zeros, as in the paper (default: 0.3)")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    data = {
        "convolutions, CIFAR-10": images.load_cifar10(options.data_dir, train=options.images),
        "LSTM, spoken digits": spoken_digits.load_spoken_digits(options.data_dir),
    }
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(name, way, seed):
        return examine(name, way, seed, data, options)

    found = {
        name: {
            way: [
                cell("dense_sparse_dense", f"{name}-{way}-{seed}", settings, measure, name, way, seed)
                for seed in range(options.seeds)
            ]
            for way in WAYS
        }
        for name in NETWORKS
    }
    draw(found, options)
    columns = ["network", "way", "test accuracy, %, mean (range)", "against dense", "against dense, same rates"]
    phases = f"{options.dense_epochs}, {options.sparse_epochs} and {options.redense_epochs}"
    tests = " and ".join(f"{len(test[0]):,}" for _, _, test in data.values())
    write(
        "dense_sparse_dense",
        "Dense-sparse-dense training",
        [
            (f"{'At the' if moment == 'end' else 'After the'} {moment}", columns, list(rows(found, number)))
            for number, moment in enumerate(MOMENTS)
        ],
        f"`DenseSparseDense({options.sparsity})` with phases of {phases} epochs, {options.seeds} seeds, the same first "
        f"weights and batches for all ways of a seed. Six convolutions with batch norm on {options.images:,} images of "
        "CIFAR-10 (Adam, 1e-3), an LSTM of 64 units on mel spectrograms of spoken digits (Adam, 3e-3); "
        f"{tests} test samples. "
        + "; ".join(f"*{way}*: {words}" for way, (words, *_) in WAYS.items())
        + ". The last columns are paired differences in points, with Student's 95 % interval over the seeds. Nothing "
        "was chosen by these figures: sparsity and rates are those of the paper.",
        found,
    )


if __name__ == "__main__":
    main()

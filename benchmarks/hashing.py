"""Hashed dense layers on MNIST: the error beside other networks that store as many numbers."""

import argparse
import os
import tempfile

import images
import keras
import networks
from cells import cell
from keras import layers
from results_file import mean_and_range, write

import keras_slim as slim

INPUTS, CLASSES = 784, 10
SHARES = (8, 64)
"""Of each kernel's numbers, one in so many is stored."""
SETTINGS = ("images", "hidden", "epochs", "batch", "learning_rate")


def network(*stack):
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *stack])


def dense(hidden):
    return network(layers.Dense(hidden, "relu"), layers.Dense(CLASSES))


def hashed(hidden, share):
    options = {"ratio": 1 - 1 / share}
    first = slim.layers.HashedDense(hidden, "relu", seed=0, **options)
    return network(first, slim.layers.HashedDense(CLASSES, seed=1, **options))


def low_rank(hidden, rank):
    """A network of as many units, whose kernels are products; one that is no smaller so stays whole."""
    stack = [layers.Dense(rank, use_bias=False), layers.Dense(hidden, "relu")]
    if _is_smaller(hidden, CLASSES, rank):
        stack.append(layers.Dense(rank, use_bias=False))
    return network(*stack, layers.Dense(CLASSES))


def _is_smaller(rows, columns, rank):
    return rank * (rows + columns) < rows * columns


def parameters_of_dense(hidden):
    return (INPUTS + 1 + CLASSES) * hidden + CLASSES


def parameters_of_low_rank(hidden, rank):
    last = rank * (hidden + CLASSES) if _is_smaller(hidden, CLASSES, rank) else hidden * CLASSES
    return rank * (INPUTS + hidden) + last + hidden + CLASSES


def nearest(parameters_of, wanted):
    """Returns the size from 1 to 100 with which a network comes nearest to a number of parameters."""
    return min(range(1, 101), key=lambda size: abs(parameters_of(size) - wanted))


def ways(hidden):
    """Returns functions that make the networks, by name."""
    found = {"dense": lambda: dense(hidden)}
    for share in SHARES:
        wanted = hashed(hidden, share).count_params()
        width = nearest(parameters_of_dense, wanted)
        rank = nearest(lambda rank: parameters_of_low_rank(hidden, rank), wanted)
        found[f"hashed, 1/{share}"] = lambda share=share: hashed(hidden, share)
        found[f"dense, {width} units"] = lambda width=width: dense(width)
        found[f"low rank, rank {rank}"] = lambda rank=rank: low_rank(hidden, rank)
    return found


def examine(make, seed, train, test, options):
    """Returns what a network stores and its errors, also of the hashed copies of a dense one that are not trained."""
    keras.utils.set_random_seed(seed)
    model = networks.compiled(make(), options.learning_rate)
    model.fit(*train, batch_size=options.batch, epochs=options.epochs, verbose=0)
    found = {"parameters": model.count_params(), "bytes": compressed(model), "error": error(model, test)}
    if model.count_params() == parameters_of_dense(options.hidden):
        copies = {share: networks.compiled(slim.hash(model, 1 - 1 / share), 1e-3) for share in SHARES}
        found["hashed afterwards"] = {share: error(copy, test) for share, copy in copies.items()}
    return found


def error(model, samples):
    return 100 - 100 * model.evaluate(*samples, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def compressed(model):
    """Returns the bytes of the file of `save_compressed`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.h5")
        slim.save_compressed(model, path)
        return os.path.getsize(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--hidden", type=int, default=200, help="units of the hidden layer (default: 200)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, _, test = images.load_mnist(options.data_dir, train=options.images)
    settings = {key: getattr(options, key) for key in SETTINGS}
    found = {
        name: [
            cell("hashing", f"{name}-{seed}", settings, examine, make, seed, train, test, options)
            for seed in range(options.seeds)
        ]
        for name, make in ways(options.hidden).items()
    }
    rows = [
        [name, f"{runs[0]['parameters']:,}", f"{runs[0]['bytes']:,}", mean_and_range([run["error"] for run in runs])]
        for name, runs in found.items()
    ]
    afterwards = [
        [f"1/{share}", mean_and_range([run["hashed afterwards"][str(share)] for run in found["dense"]])]
        for share in SHARES
    ]
    write(
        "hashing",
        "Hashed dense layers beside others of as many numbers",
        [
            ("Trained from the start", ["network", "parameters", "bytes of the file", "test error, %"], rows),
            ("The dense network hashed by `slim.hash`, not trained on", ["stored", "test error, %"], afterwards),
        ],
        f"A network {INPUTS}-{options.hidden}-{CLASSES} (ReLU) on MNIST, {options.images:,} training images, "
        f"{options.epochs} epochs (Adam, {options.learning_rate:g}, batches of {options.batch}), 10,000 test images; "
        f"mean (range) of {options.seeds} seeds. *Hashed* stores one number for so many places of each kernel, *dense* "
        "has fewer hidden units, *low rank* as many units and kernels that are products of this rank, where that is "
        "smaller; both come as near to the hashed network's parameters as they can. The file is that of "
        "`save_compressed`. Nothing was chosen by these figures.",
        found,
    )


if __name__ == "__main__":
    main()

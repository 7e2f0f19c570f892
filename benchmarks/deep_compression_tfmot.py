"""The side of TensorFlow Model Optimization in `deep_compression.py`. Runs under an interpreter that has it.

    TF_USE_LEGACY_KERAS=1 python deep_compression_tfmot.py GIVEN MADE NETWORK BEFORE SPARSITY IMAGES BATCH EPOCHS \
        SHARING_EPOCHS SEED BITS...

GIVEN has the weights to begin with, MADE gets those of each stage.
"""

import argparse
import math
import pathlib
import sys

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster  # as its guide has it

sys.modules["keras"] = tf_keras  # the lines that make the network and move the images for Keras 3 do it here
import images  # noqa: E402
import networks  # noqa: E402

BUILDERS = {"LeNet-300-100": networks.lenet_300_100, "LeNet-5": networks.lenet_5}


def fit(model, samples, epochs, rate, options, callbacks=()):
    tf_keras.utils.set_random_seed(options.seed)
    steps = epochs * math.ceil(len(samples[0]) / options.batch)
    networks.compiled(model, tf_keras.optimizers.schedules.CosineDecay(rate, steps))
    moved = images.Shifted(*samples, options.batch, options.seed, 2, False)
    model.fit(moved, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def pruned(model, train, options):
    """Returns the network with more zeros, the same share in each layer."""
    last = options.epochs * math.ceil(len(train[0]) / options.batch) // 2
    frequency = max(last // 300, 1)
    last -= last % frequency  # the last time that it prunes; elsewhere it would not come to the end
    schedule = tfmot.sparsity.keras.PolynomialDecay(options.before, options.sparsity, 0, last, frequency=frequency)
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    fit(wrapped, train, options.epochs, 1e-3, options, [tfmot.sparsity.keras.UpdatePruningStep()])
    return tfmot.sparsity.keras.strip_pruning(wrapped)


def clustered(model, bits, train, options):
    """Returns the network with shared values, and zero."""
    wrapped = cluster.cluster_weights(
        model,
        number_of_clusters=2**bits + 1,
        cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS,
        preserve_sparsity=True,
    )
    fit(wrapped, train, options.sharing_epochs, 3e-4, options)
    return tfmot.clustering.keras.strip_clustering(wrapped)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in {"given": pathlib.Path, "made": pathlib.Path, "network": str}.items():
        parser.add_argument(name, type=kind)
    for name in ("before", "sparsity"):
        parser.add_argument(name, type=float)
    for name in ("images", "batch", "epochs", "sharing_epochs", "seed"):
        parser.add_argument(name, type=int)
    parser.add_argument("bits", type=int, nargs="+")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    train, _, _ = images.load_mnist(options.data_dir, train=options.images)
    build = BUILDERS[options.network]
    model = build()
    with np.load(options.given, allow_pickle=False) as file:
        model.set_weights([file[f"given/{index}"] for index in range(len(file.files))])
    stages = {"pruned": pruned(model, train, options).get_weights()}
    for bits in options.bits:
        copy = build()
        copy.set_weights(stages["pruned"])
        stages[f"{bits} bits"] = clustered(copy, bits, train, options).get_weights()
    half = options.made.with_suffix(".part.npz")
    np.savez(half, **{f"{stage}/{n}": value for stage, weights in stages.items() for n, value in enumerate(weights)})
    half.replace(options.made)


if __name__ == "__main__":
    main()

"""Gradual magnitude pruning of both LeNets on MNIST: test accuracy over sparsity, by layer and globally."""

import argparse

import charts
import images
import keras
import networks
from cells import cell, kept_network
from matplotlib import pyplot
from results_file import mean_and_range, write

import keras_slim as slim

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
SCOPES = ("layer", "global")
SETTINGS = ("images", "dense_epochs", "epochs", "batch")


NETWORKS = {"LeNet-300-100": networks.lenet_300_100, "LeNet-5": networks.lenet_5}


def trained(name, seed, train, options):
    """Returns the dense network of a seed, trained once."""

    def make():
        keras.utils.set_random_seed(seed)
        model = networks.compiled(NETWORKS[name](), 1e-3)
        model.fit(*train, batch_size=options.batch, epochs=options.dense_epochs, verbose=0)
        return model

    label = f"{name}-{len(train[0])}-{options.dense_epochs}-{options.batch}-{seed}"
    return networks.compiled(kept_network(label, make), 1e-3)


def examine(name, scope, sparsity, seed, train, test, options):
    """Returns the test accuracy of a network that is pruned while it trains on, and what it has left."""
    model = trained(name, seed, train, options)
    found = {"dense": accuracy(model, test)}
    callbacks = []
    if sparsity:
        callbacks = [
            slim.callbacks.GradualPruning(
                sparsity, scope=scope, window=(0.0, 0.6), skip_first_convolution=False, verbose=0
            )
        ]
    keras.utils.set_random_seed(100 + seed)
    model.fit(*train, batch_size=options.batch, epochs=options.epochs, verbose=0, callbacks=callbacks)
    zeros = slim.sparsity.Masks.nonzero(model)
    layers_left = {path: float(mask.mean()) for path, mask in zeros.items()}
    return {**found, "accuracy": accuracy(model, test), "sparsity": zeros.sparsity, "left": layers_left}


def accuracy(model, samples):
    return 100 * model.evaluate(*samples, batch_size=500, verbose=0, return_dict=True)["accuracy"]


def rows(found):
    """Yields a table row for each network and scope."""
    for (name, scope), runs in found.items():
        dense = mean_and_range([run["dense"] for run in runs[0.0]])
        yield [name, scope, dense, *(mean_and_range([run["accuracy"] for run in at]) for at in runs.values())]


def draw(found):
    """Draws test accuracy over the share of weights left."""
    figure, panels = pyplot.subplots(1, len(NETWORKS), figsize=(7.5, 3), sharey=True)
    for axes, name in zip(panels, NETWORKS, strict=True):
        for scope in SCOPES:
            points = [
                [(100 * (1 - run["sparsity"]), run["accuracy"]) for run in at] for at in found[name, scope].values()
            ]
            charts.curve(axes, points, "each layer alike" if scope == "layer" else "all weights together")
        axes.set(title=name, xlabel="weights left, %", xscale="log")
        axes.invert_xaxis()
    panels[0].set_ylabel("test accuracy, %")
    panels[0].legend(frameon=False)
    charts.save(figure, "gradual.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=55_000, help="training images (default: 55000)")
    parser.add_argument("--dense-epochs", type=int, default=4, help="epochs before (default: 4)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs in which zeros are set (default: 5)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, _, test = images.load_mnist(options.data_dir, train=options.images)
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(name, scope, sparsity, seed):
        return examine(name, scope, sparsity, seed, train, test, options)

    def runs(name, scope, sparsity):
        shown = scope if sparsity else "dense"  # the control is the same for both scopes
        return [
            cell("gradual", f"{name}-{shown}-{sparsity}-{seed}", settings, measure, name, scope, sparsity, seed)
            for seed in range(options.seeds)
        ]

    found = {
        (name, scope): {sparsity: runs(name, scope, sparsity) for sparsity in (0.0, *SPARSITIES)}
        for name in NETWORKS
        for scope in SCOPES
    }
    draw(found)
    columns = ["network", "ranked", "before", "dense, as many epochs", *(f"{share:.0%} zeros" for share in SPARSITIES)]
    write(
        "gradual",
        "Gradual pruning to 99 % zeros",
        [("Test accuracy, %, mean (range)", columns, list(rows(found)))],
        f"Both LeNets, trained on {options.images:,} images of MNIST for {options.dense_epochs} epochs (Adam, 1e-3), "
        f"then for {options.epochs} more with `GradualPruning`, cubic, over the first 60 % of these; 10,000 test "
        f"images, {options.seeds} seeds. *Layer* gives each kernel the same share of zeros, *global* ranks all weights "
        "together. Nothing was chosen by these figures.",
        {f"{name}, {scope}": at for (name, scope), at in found.items()},
    )


if __name__ == "__main__":
    main()

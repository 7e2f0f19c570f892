"""One global ranking against equal proportions against layer by layer: accuracy over units left and epochs spent."""

import argparse
import itertools
import time

import charts
import images
import keras
import numpy as np
from cells import cell, dense_network
from matplotlib import pyplot
from results_file import spread, write
from rounds import cut_and_tune, fine_tune, judge, left_after, plan_down_to

import keras_slim as slim

# How each way de-biases, whether it cuts one layer at a time, and whether the cuts of a round share one epoch.
WAYS = {
    "global, rms": ("rms", False, False),
    "global, l2": ("l2", False, False),
    "global, raw scores": ("none", False, False),
    "equal proportion": ("rank", False, False),
    "layer by layer, same epochs": ("rank", True, True),
    "layer by layer, an epoch a cut": ("rank", True, False),
}
SETTINGS = ("images", "epochs", "samples", "left", "rounds")


def by_layer(model, left, original, train, scored, test, is_shared):
    """Makes one round layer by layer: as many units of each layer as in equal proportions, fine-tuning after each."""
    start = time.process_time()
    plan = plan_down_to(model, left, original, scored, criterion="taylor", debias="rank")
    spent = []

    def tune(network):
        part = [each[len(spent) :: len(plan.groups)] for each in train] if is_shared else train
        fine_tune(network, part, 1)
        spent.append(len(part[0]) / len(train[0]))

    model = slim.pruning.prune_layer_by_layer(model, plan, tune, criterion="taylor", data=scored, calibration=False)
    seconds = time.process_time() - start
    return model, {"tuned": judge(model, test), "seconds": seconds, "epochs": sum(spent)}


def examine(model, way, seed, train, test, options):
    """Returns the network before any cut and after each round: its size, its test accuracy, what the round took."""
    keras.utils.set_random_seed(seed)
    debias, is_by_layer, is_shared = WAYS[way]
    scored = train[0][: options.samples], train[1][: options.samples]
    whole = slim.graph.analyse(model).num_units
    found = [{**size(model), "tuned": judge(model, test), "epochs": 0.0, "seconds": 0.0}]
    for left in left_after(options.left, options.rounds):
        if is_by_layer:
            model, measured = by_layer(model, left, whole, train, scored, test, is_shared)
        else:
            model, measured = cut_and_tune(
                model, left, whole, train, scored, 1, test, criterion="taylor", debias=debias
            )
        found.append({"epochs": 1.0, **measured, **size(model)})
    for before, after in itertools.pairwise(found):
        after["epochs"] += before["epochs"]
        after["seconds"] += before["seconds"]
    return found


def size(model):
    profile, layers = slim.profile(model), [group.size for group in slim.graph.analyse(model).groups]
    return {"params": profile.parameters, "macs": profile.macs, "layers": layers, "units": sum(layers)}


def rows(found, number):
    """Yields a table row for each way, after a round."""
    for way in WAYS:
        runs = [run[way] for run in found]
        after = [run[number] for run in runs]
        shares = [
            spread([100 * each[key] / run[0][key] for each, run in zip(after, runs, strict=True)], 1)
            for key in ("units", "params", "macs")
        ]
        yield [
            way,
            *shares,
            f"{after[0]['epochs']:.0f}",
            spread([each["seconds"] for each in after], 0),
            spread([100 * run[0]["tuned"]["accuracy"] for run in runs], 1),
            spread([100 * each["tuned"]["accuracy"] for each in after], 1),
            spread([each["tuned"]["loss"] for each in after], 2),
        ]


def layer_rows(found):
    """Yields a table row for each way: units left in each layer in the end, median over the seeds."""
    for way in WAYS:
        layers = np.median([run[way][-1]["layers"] for run in found], axis=0)
        yield [way, *(f"{units:g}" for units in layers)]


def verdict(found, way="global, l2"):
    """Returns, in words, how the global ranking compares with each other way, wins and losses."""
    lines = []
    for other in WAYS:
        if other != way:
            gaps = [
                100 * (one["tuned"]["accuracy"] - two["tuned"]["accuracy"])
                for run in found
                for one, two in zip(run[way][1:], run[other][1:], strict=True)
            ]
            ahead = sum(gap > 0 for gap in gaps)
            lines.append(f"than {other} {np.mean(gaps):+.1f} points on average, ahead in {ahead} of {len(gaps)} cases")
    return f"*{way}* against the others, every round and seed: " + "; ".join(lines) + "."


def draw(found):
    """Draws test accuracy over the share of units left, and over the epochs of fine-tuning spent."""
    figure, panels = pyplot.subplots(1, 2, figsize=(7.5, 3.2), sharey=True)
    for axes, key, label in zip(
        panels, ("units", "epochs"), ("units left, %", "epochs of fine-tuning spent"), strict=True
    ):
        for way in WAYS:  # units as shares of the first number, epochs as they are
            points = [
                [(at[key] / (run[way][0][key] / 100 or 1), 100 * at["tuned"]["accuracy"]) for at in run[way]]
                for run in found
            ]
            charts.curve(axes, list(zip(*points, strict=True)), way)
        axes.set_xlabel(label)
    panels[0].invert_xaxis()
    panels[0].set_ylabel("test accuracy, %")
    panels[0].legend(frameon=False, fontsize=7)
    charts.save(figure, "structure.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs before any cut (default: 10)")
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--left", type=float, default=0.2, help="share of units left in the end (default: 0.2)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, _, test = images.load_cifar10(options.data_dir, train=options.images, test=5_000)
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(way, seed):
        return examine(dense_network(seed, train, options.epochs), way, seed, train, test, options)

    found = [
        {way: cell("structure", f"{way}-{seed}", settings, measure, way, seed) for way in WAYS}
        for seed in range(options.seeds)
    ]
    draw(found)
    columns = ["", "units left, %", "parameters left, %", "multiply-accumulates left, %", "epochs of fine-tuning"]
    columns += ["processor seconds", "test accuracy before, %", "test accuracy, %", "test loss"]
    last, middle = options.rounds, (options.rounds + 1) // 2
    convolutions = [f"convolution {number}" for number in range(1, 1 + len(found[0]["equal proportion"][-1]["layers"]))]
    write(
        "structure",
        "One global ranking against equal proportions against layer by layer",
        [
            *((f"After round {number} of {last}", columns, list(rows(found, number))) for number in (middle, last)),
            ("Units left in each layer in the end, median", ["", *convolutions], list(layer_rows(found))),
        ],
        f"The sequential network, trained on {options.images:,} images of CIFAR-10 for {options.epochs} epochs, is cut "
        f"by Taylor scores in {options.rounds} rounds to {options.left:.0%} of its units, plain cuts without "
        "compensation. *Global* ranks all units of the network at once, with scores de-biased by rms, by l2 as the "
        "library does by default, or raw; "
        "*equal proportion* takes the same share of every layer (ranks); *layer by layer* cuts one layer at a time to "
        "that share and fine-tunes after each, six times a round: with a sixth of an epoch, or with a whole one. The "
        f"others train for one epoch a round. 5,000 test images, median of {options.seeds} seeds (lowest to highest). "
        f"Nothing was chosen by these figures. {verdict(found)}",
        found,
    )


if __name__ == "__main__":
    main()

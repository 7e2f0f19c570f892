"""One global ranking against equal proportions against layer by layer: accuracy over units left and epochs spent."""

import argparse

import charts
import images
import keras
import numpy as np
from cells import cell, dense_network
from matplotlib import pyplot
from results_file import spread, write
from rounds import cut_and_tune, judge, left_after

import keras_slim as slim

# How each way de-biases, whether it cuts one layer at a time, and whether the cuts of a round share one epoch.
WAYS = {
    "global, rms": ("rms", False, False),
    "global, l2": ("l2", False, False),
    "global, raw scores": ("none", False, False),
    "equal proportion": ("rank", False, False),
    "layer by layer, same epochs": ("none", True, True),
    "layer by layer, an epoch a cut": ("none", True, False),
}
SETTINGS = ("images", "epochs", "samples", "left", "rounds")


def stages(model, by_layer):
    """Returns, for each cut of a round, the names of the layers left alone and the number of units before any cut."""
    graph = slim.graph.analyse(model)
    names = [group.name for group in graph.groups]
    if not by_layer:
        return [((), graph.num_units)]
    return [([each for each in names if each != group.name], group.size) for group in graph.groups]


def examine(model, way, seed, train, test, options):
    """Returns the network before any cut and after each round: its size, its test accuracy, the epochs spent."""
    keras.utils.set_random_seed(seed)
    debias, by_layer, is_shared = WAYS[way]
    cuts = stages(model, by_layer)
    scored = train[0][: options.samples], train[1][: options.samples]
    whole = slim.graph.analyse(model).num_units
    found, spent = [{"units": 1.0, "epochs": 0.0, **size(model), "tuned": judge(model, test)}], 0.0
    for left in left_after(options.left, options.rounds):
        order = np.random.default_rng([seed, len(found)]).permutation(len(train[0]))
        seconds = 0.0
        for number, (ignore, original) in enumerate(cuts):
            part = order[number :: len(cuts)] if is_shared else order
            samples = train[0][part], train[1][part]
            judged = test if number == len(cuts) - 1 else None
            model, measured = cut_and_tune(
                model, left, original, samples, scored, 1, judged, ignore=ignore, criterion="taylor", debias=debias
            )
            spent += len(part) / len(order)
            seconds += measured["seconds"]
        graph = slim.graph.analyse(model)
        found.append(
            {
                **measured,
                "units": graph.num_units / whole,
                "layers": [group.size for group in graph.groups],
                "epochs": spent,
                "seconds": seconds,
                **size(model),
            }
        )
    return found


def size(model):
    profile = slim.profile(model)
    return {"params": profile.parameters, "macs": profile.macs}


def rows(found, number):
    """Yields a table row for each way, after a round."""
    for way in WAYS:
        runs = [run[way] for run in found]
        after = [run[number] for run in runs]
        yield [
            way,
            spread([100 * each["units"] for each in after], 1),
            spread([100 * each["params"] / run[0]["params"] for each, run in zip(after, runs, strict=True)], 1),
            spread([100 * each["macs"] / run[0]["macs"] for each, run in zip(after, runs, strict=True)], 1),
            f"{after[0]['epochs']:.0f}",
            spread([sum(each["seconds"] for each in run[1 : number + 1]) for run in runs], 0),
            spread([100 * run[0]["tuned"]["accuracy"] for run in runs], 1),
            spread([100 * each["tuned"]["accuracy"] for each in after], 1),
            spread([each["tuned"]["loss"] for each in after], 2),
        ]


def layer_rows(found):
    """Yields a table row for each way: units left in each layer in the end, median over the seeds."""
    for way in WAYS:
        layers = np.median([run[way][-1]["layers"] for run in found], axis=0)
        yield [way, *(f"{units:g}" for units in layers)]


def verdict(found, way="global, rms"):
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
        for way in WAYS:
            scale = 100 if key == "units" else 1
            points = [[(scale * at[key], 100 * at["tuned"]["accuracy"]) for at in run[way]] for run in found]
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
    columns += ["seconds", "test accuracy before, %", "test accuracy, %", "test loss"]
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
        "compensation. *Global* ranks all units of the network at once, with scores de-biased by rms or l2, or raw; "
        "*equal proportion* takes the same share of every layer (ranks); *layer by layer* cuts one layer at a time to "
        "that share and fine-tunes after each, six times a round: with a sixth of an epoch, or with a whole one. The "
        f"others train for one epoch a round. 5,000 test images, median of {options.seeds} seeds (lowest to highest). "
        f"Nothing was chosen by these figures. {verdict(found)}",
        found,
    )


if __name__ == "__main__":
    main()

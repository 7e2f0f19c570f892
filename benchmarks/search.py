"""Automatic search: the smallest network that holds validation accuracy, its size and speed before and after."""

import argparse
import statistics

import charts
import images
import latency
from cells import cell, dense_network
from matplotlib import pyplot
from networks import compiled
from results_file import spread, write
from rounds import judge

import keras_slim as slim

SETTINGS = ("images", "epochs", "search_epochs", "samples", "max_drop", "rate")
KINDS = ("float32", "int8")


def fit(model, data, options, callbacks=()):
    """Trains on with a constant learning rate, and returns the validation accuracy of each epoch."""
    train, validation, _ = data
    compiled(model, options.rate)
    history = model.fit(
        *train, batch_size=64, epochs=options.search_epochs, validation_data=validation, verbose=0, callbacks=callbacks
    )
    return history.history["val_accuracy"]


def measured(model, data, runs):
    """Returns size, LiteRT files and times, and accuracies."""
    train, validation, test = data
    return {
        "params": slim.profile(model).parameters,
        "validation": judge(model, validation),
        "test": judge(model, test),
        **latency.measure(model, train[0][:100], runs),
    }


def examine(seed, data, options):
    """Returns what was found about the dense network, the one the search leads to, and the dense one trained on."""
    (x, y), *_ = data
    model = dense_network(seed, (x, y), options.epochs)
    dense = measured(model, data, options.runs)
    search = slim.callbacks.ProgressiveGlobalPruning(
        max_drop=options.max_drop,
        monitor="val_accuracy",
        of="macs",
        criterion="taylor",
        debias="rms",
        data=(x[: options.samples], y[: options.samples]),
        patience=2,
        window=(0, 0.99),
        guards=slim.pruning.Guards(align=4),
        verbose=0,
    )
    accuracies = fit(model, data, options, [search])
    tried = [{key: value for key, value in each.items() if key != "plan"} for each in search.rounds_done]
    found = {"dense": dense, "accuracies": accuracies, "tried": tried, "pruned": measured(model, data, options.runs)}
    found["layers"] = [group.size for group in slim.graph.analyse(model).groups]
    control = dense_network(seed, (x, y), options.epochs)
    fit(control, data, options)
    return {**found, "control": {"validation": judge(control, data[1]), "test": judge(control, data[2])}}


def change(found, value, digits=1):
    """Returns how a number changed, "median dense -> median pruned, ratio (lowest to highest)"."""
    before, after = [value(run["dense"]) for run in found], [value(run["pruned"]) for run in found]
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    old, new = statistics.median(before), statistics.median(after)
    return [f"{old:,.{digits}f}", f"{new:,.{digits}f}", spread(ratios, 2)]


def rows(found):
    """Yields a table row for each measure of size and speed."""
    yield ["parameters", *change(found, lambda each: each["params"], 0)]
    yield ["multiply-accumulates", *change(found, lambda each: each["macs"], 0)]
    for kind in KINDS:
        yield [f"{kind} file, bytes", *change(found, lambda each: each[kind]["bytes"], 0)]  # noqa: B023
        yield [f"{kind} LiteRT, ms", *change(found, lambda each: statistics.median(each[kind]["ms"]), 3)]  # noqa: B023


def accuracy_rows(found):
    """Yields a table row for each seed: accuracies before, after and of the control, and how the search went."""
    for seed, run in enumerate(found):
        cells = [
            f"{100 * run[name][part]['accuracy']:.1f}"
            for part in ("validation", "test")
            for name in ("dense", "pruned", "control")
        ]
        held = sum(each["held"] for each in run["tried"])
        yield [seed, *cells, f"{len(run['tried'])} ({held} held)", ", ".join(map(str, run["layers"]))]


def draw(found):
    """Draws the networks that were tried: validation accuracy over multiply-accumulates."""
    figure, axes = pyplot.subplots(figsize=(5, 3))
    for seed, run in enumerate(found):
        dense = run["dense"]["macs"]
        shares = [100 * each["macs"] / dense for each in run["tried"]]
        values = [100 * each["metric"] for each in run["tried"]]
        (line,) = axes.plot([100, *shares], [100 * run["accuracies"][0], *values], label=f"seed {seed}")
        for share, value, each in zip(shares, values, run["tried"], strict=True):
            axes.plot(share, value, marker="o" if each["held"] else "x", color=line.get_color(), markersize=4)
    axes.set(xlabel="multiply-accumulates left, %", ylabel="validation accuracy, %")
    axes.invert_xaxis()
    axes.legend(frameon=False)
    charts.save(figure, "search.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs before the search (default: 10)")
    parser.add_argument("--search-epochs", type=int, default=24, help="epochs of the search (default: 24)")
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--max-drop", type=float, default=0.01, help="validation accuracy to give up (default: 0.01)")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate of the search (default: 3e-4)")
    parser.add_argument("--runs", type=int, default=5, help="runs of the LiteRT benchmark per file (default: 5)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = images.load_cifar10(options.data_dir, train=options.images)
    settings = {key: getattr(options, key) for key in SETTINGS}
    found = [cell("search", f"{seed}", settings, examine, seed, data, options) for seed in range(options.seeds)]
    draw(found)
    drops = [100 * (run["dense"]["test"]["accuracy"] - run["pruned"]["test"]["accuracy"]) for run in found]
    behind = [100 * (run["control"]["test"]["accuracy"] - run["pruned"]["test"]["accuracy"]) for run in found]
    accuracy_columns = [
        f"{part}, {name}" for part in ("validation", "test") for name in ("before", "after", "dense trained on")
    ]
    write(
        "search",
        "Automatic search for the smallest network that holds its accuracy",
        [
            ("Size and speed", ["", "before", "after", "ratio (lowest to highest)"], list(rows(found))),
            (
                "Accuracy, %, of each seed",
                ["seed", *accuracy_columns, "networks tried", "units left in each layer"],
                list(accuracy_rows(found)),
            ),
        ],
        f"`ProgressiveGlobalPruning(max_drop={options.max_drop}, monitor='val_accuracy', of='macs', debias='rms')` on "
        f"the sequential network, trained before on {options.images:,} images of CIFAR-10 for {options.epochs} epochs; "
        f"{options.search_epochs} epochs of search without a ratio. 5,000 validation images decide, 10,000 test "
        "images are only measured with. *Dense trained on* is the same network trained as many epochs more without "
        f"cuts. LiteRT: one thread, batch 1, median of {options.runs} runs. Points of test accuracy lost: "
        f"{spread(drops, 1)} against the network before the search, {spread(behind, 1)} against the one trained on.",
        found,
    )


if __name__ == "__main__":
    main()

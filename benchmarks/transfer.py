"""Which criteria serve a network that is put to a new task: data-driven against data-free, over the rounds."""

import argparse

import charts
import images
import keras
import networks
import numpy as np
from cells import cell, dense_network
from matplotlib import pyplot
from results_file import spread, write
from rounds import cut_and_tune, judge, left_after, prepare

import keras_slim as slim

CAT, DOG = 3, 5
DRIVEN, FREE = ("taylor", "mean_activation", "apoz"), ("l1", "l2")
CRITERIA = (*DRIVEN, *FREE, "random")
DEBIAS = "rms"
SETTINGS = ("images", "epochs", "head_epochs", "tune_epochs", "samples", "left", "rounds")


def split(samples):
    """Returns the samples of the eight other classes, and those of cat and dog with labels 0 and 1."""
    x, y = samples
    is_new = np.isin(y, (CAT, DOG))
    return (x[~is_new], y[~is_new]), (x[is_new], (y[is_new] == DOG).astype("int64"))


def with_new_head(base, seed, train, epochs):
    """Returns the network with a head for two classes; the head alone is trained."""
    keras.utils.set_random_seed(seed)
    base.trainable = False
    model = keras.Model(base.inputs, keras.layers.Dense(2)(base.layers[-2].output))
    prepare(model, len(train[0]), epochs, rate=1e-2).fit(*train, batch_size=64, epochs=epochs, verbose=0)
    base.trainable = True
    return networks.compiled(model, 0.0)


def examine(base, criterion, seed, new, test, options):
    """Returns the test accuracy of the transferred network, and after each round, straight and tuned."""
    model = with_new_head(base, seed, new, options.head_epochs)
    found = {"dense": judge(model, test), "rounds": []}
    original = slim.graph.analyse(model).num_units
    scored = new[0][: options.samples], new[1][: options.samples]
    for number, left in enumerate(left_after(options.left, options.rounds)):
        chosen = slim.scoring.Random(100 * seed + number) if criterion == "random" else criterion
        model, measured = cut_and_tune(
            model, left, original, new, scored, options.tune_epochs, test, criterion=chosen, debias=DEBIAS
        )
        found["rounds"].append({"left": left, "macs": slim.profile(model).macs, **measured})
    return found


def accuracies(found, criterion, moment, number):
    """Returns the accuracies in per cent after a round, one per seed."""
    return [100 * run[criterion]["rounds"][number][moment]["accuracy"] for run in found]


def rows(found, moment, rounds):
    """Yields a table row for each criterion."""
    for criterion in CRITERIA:
        dense = [100 * run[criterion]["dense"]["accuracy"] for run in found]
        cells = [spread(accuracies(found, criterion, moment, number), 1) for number in range(rounds)]
        yield [f"`{criterion}`", "data" if criterion in DRIVEN else "", spread(dense, 1), *cells]


def verdict(found, rounds):
    """Returns, in words, by how much data-driven criteria are better than data-free ones in each round."""

    def mean(criteria, moment, number):
        return np.mean([accuracies(found, criterion, moment, number) for criterion in criteria], axis=0)

    lines = []
    for moment, words in (("straight", "straight after the cut"), ("tuned", "after fine-tuning")):
        gaps = [mean(DRIVEN, moment, number) - mean(FREE, moment, number) for number in range(rounds)]
        shown = ", ".join(f"{np.median(gap):+.1f} ({gap.min():+.1f} to {gap.max():+.1f})" for gap in gaps)
        ahead = sum(int((gap > 0).sum()) for gap in gaps)
        lines.append(
            f"Mean of the three data-driven criteria less mean of `l1` and `l2`, points {words}, round by round: "
            f"{shown}; ahead in {ahead} of {rounds * len(found)} cases."
        )
    return " ".join(lines)


def draw(found, left):
    """Draws accuracy over the share of units left, straight after the cut and after fine-tuning."""
    figure, panels = pyplot.subplots(1, 2, figsize=(7.5, 3), sharey=True)
    for axes, moment, title in zip(
        panels, ("straight", "tuned"), ("straight after the cut", "after fine-tuning"), strict=True
    ):
        for criterion in CRITERIA:
            dense = [(100.0, 100 * run[criterion]["dense"]["accuracy"]) for run in found]
            after = [
                [(100 * share, value) for value in accuracies(found, criterion, moment, number)]
                for number, share in enumerate(left)
            ]
            charts.curve(axes, [dense, *after], criterion)
        axes.set(title=title, xlabel="units left, %")
        axes.invert_xaxis()
    panels[0].set_ylabel("test accuracy, cat against dog, %")
    panels[1].legend(frameon=False)
    charts.save(figure, "transfer.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=10_000, help="training images of all classes (default: 10000)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs on the eight classes (default: 8)")
    parser.add_argument("--head-epochs", type=int, default=3, help="epochs of the new head alone (default: 3)")
    parser.add_argument("--tune-epochs", type=int, default=2, help="epochs after each cut (default: 2)")
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--left", type=float, default=0.2, help="share of units left in the end (default: 0.2)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, _, test = images.load_cifar10(options.data_dir, train=options.images)
    (old, new), (_, test) = split(train), split(test)
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(criterion, seed):
        return examine(dense_network(seed, old, options.epochs, "eight"), criterion, seed, new, test, options)

    found = [
        {
            criterion: cell("transfer", f"{criterion}-{seed}", settings, measure, criterion, seed)
            for criterion in CRITERIA
        }
        for seed in range(options.seeds)
    ]
    left = left_after(options.left, options.rounds)
    draw(found, left)
    columns = ["criterion", "looks at", "before", *(f"{share:.0%} left" for share in left)]
    write(
        "transfer",
        "Transfer: which criteria know the new task",
        [
            ("Test accuracy straight after each cut, %", columns, list(rows(found, "straight", options.rounds))),
            ("Test accuracy after fine-tuning, %", columns, list(rows(found, "tuned", options.rounds))),
        ],
        f"The sequential network, trained on the eight classes of CIFAR-10 that are neither cat nor dog "
        f"({len(old[0]):,} images, {options.epochs} epochs), is given a head for cat against dog, which alone is "
        f"trained ({len(new[0]):,} images, {options.head_epochs} epochs). Then in each of {options.rounds} rounds a "
        f"plain cut (global ranking, {DEBIAS}, no compensation) and {options.tune_epochs} epochs of fine-tuning of all "
        f"weights. {len(test[0]):,} test images, half of them cats; median of {options.seeds} seeds (lowest to "
        f"highest). Nothing was chosen by these figures. {verdict(found, options.rounds)}",
        found,
    )


if __name__ == "__main__":
    main()

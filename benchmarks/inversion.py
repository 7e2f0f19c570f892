"""Are units of low score redundant? Images rebuilt from feature maps, with and without some of them."""

import argparse

import charts
import images
import keras
import numpy as np
from cells import cell, dense_network
from matplotlib import pyplot
from results_file import write

import keras_slim as slim

BLOCKS = (2, 4, 6)
SHARES = (0.25, 0.5, 0.75)
LEFT_OUT = ("lowest", "random", "highest")
SHOWN = {"block": 4, "share": 0.5, "images": 5}


def masks(scores, share, rng):
    """Returns which units are kept when the lowest, random ones or the highest are left out, equally many."""
    orders = {"lowest": np.argsort(scores), "random": rng.permutation(len(scores)), "highest": np.argsort(-scores)}
    count = round(share * len(scores))
    return {name: ~np.isin(np.arange(len(scores)), order[:count]) for name, order in orders.items()}


def likeness(rebuilt, originals):
    """Returns the correlation with the original and the peak signal-to-noise ratio in decibels, one per image."""
    correlations = [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(rebuilt, originals, strict=True)]
    errors = [np.mean((a - b) ** 2) for a, b in zip(images.pixels(rebuilt), images.pixels(originals), strict=True)]
    return {"correlation": correlations, "psnr": [float(10 * np.log10(255**2 / error)) for error in errors]}


def examine(model, seed, samples, originals, steps):
    """Returns how well each layer's maps give the images back, and some of the pictures."""
    graph = slim.graph.analyse(model)
    taylor = slim.scoring.criteria.get("taylor", "criterion", "inversion")
    debias = slim.scoring.debiasers.get("l2", "debias", "inversion")
    scores = slim.scoring.unit_scores(graph, taylor, debias, samples)
    activations = [layer.name for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    rng = np.random.default_rng(seed)
    figures, pictures = [], {}
    for block in BLOCKS:
        group = graph.groups[block - 1]
        here = scores[group.first : group.first + group.size]
        columns = {("all", 0.0): None}
        for share in SHARES:
            columns.update({(name, share): mask for name, mask in masks(here, share, rng).items()})
        for (name, share), keep in columns.items():
            rebuilt = slim.scoring.invert_feature_maps(
                model, activations[block - 1], originals, keep, steps=steps, seed=seed, verbose=0
            )
            measured = likeness(rebuilt, originals)
            figures.append({"seed": seed, "block": block, "left_out": name, "share": share, **measured})
            if block == SHOWN["block"] and share in (0.0, SHOWN["share"]):
                pictures[name] = images.pixels(rebuilt[: SHOWN["images"]]).round().astype(int).tolist()
    return {"figures": figures, "pictures": pictures}


def draw(pictures, originals):
    """Draws the rows of images, one column per choice of maps."""
    columns = {"original": images.pixels(originals[: SHOWN["images"]]), "all maps": pictures["all"]}
    columns.update({f"without the\n{SHOWN['share']:.0%} {name}": pictures[name] for name in LEFT_OUT})
    figure, grid = pyplot.subplots(SHOWN["images"], len(columns), figsize=(4.2, 4.4))
    for column, (title, shown) in enumerate(columns.items()):
        grid[0, column].set_title(title, fontsize=7)
        for axes, picture in zip(grid[:, column], shown, strict=True):
            axes.imshow(np.asarray(picture).round().astype("uint8"))
            axes.axis("off")
    figure.subplots_adjust(wspace=0.05, hspace=0.05)
    charts.save(figure, "inversion.png")


def values_of(figures, measure, block, name, share):
    """Returns a measure of all images and seeds."""
    chosen = (each for each in figures if (each["block"], each["left_out"], each["share"]) == (block, name, share))
    return np.array([value for each in chosen for value in each[measure]])


def rows(figures, measure, digits):
    """Yields a table row for each layer and share left out."""

    def shown(values):
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    for block in BLOCKS:
        for share in SHARES:
            columns = {name: values_of(figures, measure, block, name, share) for name in LEFT_OUT}
            cells = [shown(values_of(figures, measure, block, "all", 0.0)), *map(shown, columns.values())]
            better = [int(np.sum(columns["lowest"] > columns[name])) for name in ("random", "highest")]
            counts = [f"{count} of {len(columns['lowest'])}" for count in better]
            yield [block, f"{share:.0%}", *cells, *counts]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--rebuilt", type=int, default=16, help="test images to rebuild (default: 16)")
    parser.add_argument("--steps", type=int, default=300, help="steps of the descent (default: 300)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, _, (originals, _) = images.load_cifar10(options.data_dir, train=options.images, test=options.rebuilt)
    scored = train[0][: options.samples], train[1][: options.samples]
    settings = {key: value for key, value in vars(options).items() if key not in ("data_dir", "seeds")}

    def measure(seed):
        return examine(dense_network(seed, train, options.epochs), seed, scored, originals, options.steps)

    found = [cell("inversion", f"seed-{seed}", settings, measure, seed) for seed in range(options.seeds)]
    draw(found[0]["pictures"], originals)
    figures = [each for one in found for each in one["figures"]]
    columns = ["block", "maps left out", "all maps", *(f"without {name}" for name in LEFT_OUT)]
    columns += ["lowest better than random", "than highest"]
    write(
        "inversion",
        "Images rebuilt from feature maps",
        [
            ("Correlation with the original, median (quartiles)", columns, list(rows(figures, "correlation", 3))),
            ("Peak signal-to-noise ratio, dB, median (quartiles)", columns, list(rows(figures, "psnr", 1))),
        ],
        f"The first {options.rebuilt} test images of CIFAR-10 rebuilt by `invert_feature_maps` ({options.steps} steps) "
        "from what a block of six (convolution, batch normalization, ReLU) puts out, looking at all of its maps or at "
        "those left without the ones of lowest Taylor score, as many at random, or the highest. The sequential "
        f"network was trained on {options.images:,} images for {options.epochs} epochs, {options.seeds} seeds. The "
        "last columns count images and seeds in which leaving out the lowest gives the better picture. The default "
        "weight of the total variation was chosen with 8 validation images of seed 0, all maps.",
        figures,
    )


if __name__ == "__main__":
    main()

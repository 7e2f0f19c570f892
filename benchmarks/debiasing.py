"""Scores judged by the oracle: every criterion with every de-biasing, and what a cut by them costs."""

import argparse
import statistics
import time

import calibration
import images
import keras
import networks
import numpy as np
from cells import cell
from results_file import mean_and_range, write

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning import Guards
from keras_slim.scoring import Criterion, criteria, debiasers, rank_correlation, unit_scores

NETWORKS = {"sequential": "cifar10", "residual": "cifar10", "depthwise": "cifar10", "digits": "mnist"}
"""What each network is trained on. Formulas were chosen on the first two: the others are held out."""
DEBIASINGS = ("none", "mean", "max", "l2", "rms", "z_score", "rank", "fitted")
CRITERIA = sorted({*criteria.names()} - {"oracle"})
LEFT_OUT = {"digits": ("bn_scale",)}
"""Its dense layer has no batch norm behind."""
CUTS = (
    ("random", "rms"),
    ("l2", "rms"),
    ("taylor", "rms"),
    ("taylor", "fitted"),
    ("fisher", "rms"),
    ("fisher", "none"),
    ("redundancy", "rms"),
    ("product", "rms"),
)
MOLCHANOV = {"taylor": (0.14, 0.73), "mean_activation": (0.35, 0.64), "l1": (0.34, 0.33)}


class Known(Criterion):
    """Scores that have been computed before."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, graph, data=None):
        return self.scores


def examine(name, seed, data, options):
    """Returns the rank correlations and the accuracies of one trained network."""
    keras.backend.clear_session()
    (x, y), (x_validation, y_validation), test = data
    model = calibration.train(name, seed, (x, y), options.epochs)
    graph = analyse(model)
    scored = x[: options.samples], y[: options.samples]
    judged = x_validation[: options.samples], y_validation[: options.samples]
    members = criteria.get("oracle", "", ""), debiasers.get("none", "", "")
    oracle, seconds = timed(unit_scores, graph, *members, judged)
    found = {"network": name, "seed": seed, "units": graph.num_units, "seconds": {"oracle": seconds}, "grid": {}}
    of_scored = Known(unit_scores(graph, *members, scored))
    rho = rank_correlation(model, scored, of_scored, "none", oracle=oracle)
    found["ceiling"] = {"overall": rho.overall, "per_layer": rho.per_layer}
    raw = {}
    for criterion in (each for each in CRITERIA if each not in LEFT_OUT.get(name, ())):
        members = criteria.get(criterion, "", ""), debiasers.get("none", "", "")
        raw[criterion], found["seconds"][criterion] = timed(unit_scores, graph, *members, scored)
        found["grid"][criterion] = {}
        for debias in DEBIASINGS:
            rho, seconds = timed(rank_correlation, model, scored, Known(raw[criterion]), debias, oracle=oracle)
            found["grid"][criterion][debias] = {"overall": rho.overall, "per_layer": rho.per_layer}
        found["seconds"]["fitted"] = seconds
    found["dense"] = accuracy(model, test)
    found["cuts"] = []
    for criterion, debias in CUTS:
        plan = slim.plan_pruning(
            model, 0.5, of="macs", criterion=Known(raw[criterion]), debias=debias, data=scored, guards=Guards(align=4)
        )
        found["cuts"].append(
            {
                "criterion": criterion,
                "debias": debias,
                "params": plan.after.params / plan.before.params,
                "plain": accuracy(slim.shrink(model, plan), test),
                "calibrated": accuracy(slim.shrink(model, plan, scored[0]), test),
            }
        )
    return found


def timed(function, *args, **kwargs):
    """Returns what a function returns, and the seconds of processor time it took, which other work does not add to."""
    start = time.process_time()
    return function(*args, **kwargs), time.process_time() - start


def accuracy(model, test):
    model = model if model.compiled else networks.compiled(model, 0.0)
    return model.evaluate(*test, batch_size=250, verbose=0, return_dict=True)["accuracy"]


def grid_rows(runs):
    """Yields the ceiling, and a row for each criterion: correlations, inside layers, in the paper, and seconds."""
    ceilings = [run["ceiling"] for run in runs]
    overall = mean_and_range([each["overall"] for each in ceilings])
    seconds = statistics.median(run["seconds"]["oracle"] for run in runs)
    yield ["*oracle* (ceiling)", *[overall] * len(DEBIASINGS), inside_layers(ceilings), "-", f"{seconds:.1f}"]
    for criterion in runs[0]["grid"]:
        grids = [run["grid"][criterion] for run in runs]
        overall = [mean_and_range([grid[debias]["overall"] for grid in grids]) for debias in DEBIASINGS]
        inside = inside_layers([grid["none"] for grid in grids])
        published = " / ".join(map(str, MOLCHANOV.get(criterion, "-")))
        seconds = statistics.median(run["seconds"][criterion] for run in runs)
        yield [criterion, *overall, inside, published, f"{seconds:.1f}"]


def inside_layers(found):
    return mean_and_range([np.nanmean([*each["per_layer"].values()]) for each in found])


def cut_rows(runs):
    for index, (criterion, debias) in enumerate(CUTS):
        cuts = [run["cuts"][index] for run in runs]
        shown = [mean_and_range([100 * cut[name] for cut in cuts], 1) for name in ("plain", "calibrated", "params")]
        yield [criterion, debias, *shown]


def tables(results):
    for name in NETWORKS:
        runs = [each for each in results if each["network"] == name]
        if not runs:
            continue
        fitted = statistics.median(run["seconds"]["fitted"] for run in runs)
        heading = (
            f"{name}, {runs[0]['units']} units, {len(runs)} seeds: rank correlation with the oracle over all units, "
            f"mean (lowest to highest); fitting took {fitted:.0f} s of processor time"
        )
        columns = ["criterion", *DEBIASINGS, "inside layers", "Molchanov, none / l2", "processor seconds"]
        yield heading, columns, list(grid_rows(runs))
        dense = mean_and_range([100 * run["dense"] for run in runs], 1)
        heading = f"{name}: test accuracy straight after a cut to half the multiply-accumulates, %; {dense} before it"
        columns = ["criterion", "de-biasing", "plain cut", "calibrated", "parameters left, %"]
        yield heading, columns, list(cut_rows(runs))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument(
        "--samples", type=int, default=512, help="images to score with, and to judge with (default: 512)"
    )
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = {
        name: getattr(images, f"load_{name}")(options.data_dir, train=options.images, test=5_000)
        for name in {*NETWORKS.values()}
    }
    settings = {name: getattr(options, name) for name in ("images", "epochs", "samples")}
    results = []
    for seed in range(options.seeds):
        for name in NETWORKS:
            arguments = name, seed, data[NETWORKS[name]], options
            results.append(cell("debiasing", f"{name} {seed}", settings, examine, *arguments))
            report(results, options)


def report(results, options):
    write(
        "debiasing",
        "Scores against the oracle",
        list(tables(results)),
        "Spearman's rank correlation between the score of a unit and the rise of the loss when it alone is removed. "
        f"Networks trained on {options.images:,} images of CIFAR-10, *digits* of MNIST, for {options.epochs} epochs; "
        f"scores from {options.samples} training images, the oracle on {options.samples} held-out ones. *Fitted* "
        "removes 4 units of each layer on the training images. *Inside layers* is the mean over layers, which no "
        "de-biasing changes. *Product* is Taylor times redundancy. Beside it table 1 of Molchanov et al. 2016 "
        "(VGG-16). *Calibrated*: kept units stand in for the removed ones. The formulas of redundancy and of "
        "fitting were chosen by seed 0 and validation images of *sequential* and *residual*, nothing by test "
        "accuracy: *depthwise* and *digits* are held out. No score can be expected to agree better than the oracle of "
        "the images that scores are from, the first line of each table.",
        results,
    )


if __name__ == "__main__":
    main()

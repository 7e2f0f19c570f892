"""Deep Compression on MNIST: how small a file with a LeNet becomes, stage by stage, and what that costs in error."""

import argparse
import functools
import gzip
import math
import tempfile

import charts
import images
import keras
import networks
import numpy as np
import results_file
from cells import cell
from matplotlib import pyplot
from results_file import mean_and_range, write

import keras_slim as slim

NETWORKS = {"LeNet-300-100": networks.lenet_300_100, "LeNet-5": networks.lenet_5}
GOALS = {"LeNet-300-100": (100, 1.64), "LeNet-5": (200, 0.80)}  # ratio to reach at no more than this error, in percent

# Han et al. 2016, tables 2 and 3: shares of zeros, and bits of the codes.
PAPER = {
    "LeNet-300-100": ({"first": 0.92, "second": 0.91, "head": 0.74}, 6),
    "LeNet-5": (
        {"first": 0.34, "second": 0.88, "third": 0.92, "head": 0.81},
        {"first": 8, "second": 8, "third": 5, "head": 5},
    ),
}
# Shares of all weights that are left, one after the other, each from where the one before has come to.
LEVELS = {
    "LeNet-300-100": (0.08, 0.05, 0.035, 0.025, 0.018, 0.012),
    "LeNet-5": (0.05, 0.03, 0.02, 0.014, 0.01, 0.007),
}
BITS = (4, 3, 2)
STARTS = ("dense", "structured")
SETTINGS = ("images", "dense_epochs", "epochs", "sharing_epochs", "batch")


def fit(model, samples, epochs, rate, seed, options, callbacks=()):
    """Trains a network with a rate that falls along a cosine, on images moved by up to 2 pixels."""
    keras.utils.set_random_seed(seed)
    steps = epochs * math.ceil(len(samples[0]) / options.batch)
    networks.compiled(model, keras.optimizers.schedules.CosineDecay(rate, steps))
    moved = images.Shifted(*samples, options.batch, seed, most=2, mirror=False)
    model.fit(moved, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def kept_on_disk(make):
    """Makes a function that returns a model look for its file first."""

    @functools.wraps(make)
    def wrapper(name, *arguments, train, options):
        label = "-".join(map(str, [name, *arguments, *(getattr(options, key) for key in SETTINGS)]))
        path = results_file.FOLDER / "networks" / f"deep-{make.__name__}-{label}.keras"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part.keras")
            make(name, *arguments, train=train, options=options).save(half)
            half.replace(path)
        return keras.saving.load_model(path, compile=False)

    return wrapper


@kept_on_disk
def start(name, kind, seed, *, train, options):
    """Returns the dense network, or one with fewer neurons made from it."""
    if kind == "dense":
        keras.utils.set_random_seed(seed)
        return fit(NETWORKS[name](), train, options.dense_epochs, 1e-3, seed, options)
    dense = start(name, "dense", seed, train=train, options=options)
    sample = train[0][:512], train[1][:512]
    networks.compiled(dense, 1e-3)
    smaller = slim.prune(dense, ratio=0.4, of="params", criterion="taylor", data=sample, verbose=0)
    return fit(smaller, train, options.epochs, 1e-3, seed, options)


@kept_on_disk
def sparse(name, kind, seed, level, *, train, options):
    """Returns the network of a level, pruned from that of the level before."""
    if level == "paper":
        model = start(name, kind, seed, train=train, options=options)
        callback = slim.callbacks.GradualPruning(PAPER[name][0], window=(0.0, 0.5), verbose=0)
        return fit(model, train, options.epochs, 1e-3, seed, options, [callback])
    kept = LEVELS[name]
    if level:
        model = sparse(name, kind, seed, level - 1, train=train, options=options)
    else:
        model = start(name, kind, seed, train=train, options=options)
    weights = sum(math.prod(kernel.shape) for kernel in slim.sparsity.kernels(model).values())
    all_weights = sum(math.prod(kernel.shape) for kernel in slim.sparsity.kernels(NETWORKS[name]()).values())
    callback = slim.callbacks.GradualPruning(
        1 - kept[level] * all_weights / weights,
        scope="global",
        initial_sparsity=slim.sparsity.Masks.nonzero(model).sparsity,
        window=(0.0, 0.5),
        verbose=0,
    )
    return fit(model, train, options.epochs, 1e-3, seed, options, [callback])


def weigh(model, test, validation):
    """Returns errors in percent and bytes of a model's file: of itself, and of its weights by gzip."""
    with tempfile.TemporaryDirectory() as folder:
        report = slim.save_compressed(model, f"{folder}/model.h5", float16=True)
        loaded = networks.compiled(slim.load_compressed(f"{folder}/model.h5"), 1e-3)
    raw = b"".join(weight.astype("float32").tobytes() for weight in model.get_weights())
    return {
        "bytes": report.file_bytes,
        "gzip": len(gzip.compress(raw, 9)),
        "test": 100 - 100 * loaded.evaluate(*test, batch_size=500, verbose=0, return_dict=True)["accuracy"],
        "validation": 100 - 100 * loaded.evaluate(*validation, batch_size=500, verbose=0, return_dict=True)["accuracy"],
    }


def examine(name, kind, seed, level, data, options):
    """Returns what each stage of a level weighs, and how often it errs."""
    train, validation, test = data
    if level == "dense":
        return {"dense": weigh(start(name, "dense", seed, train=train, options=options), test, validation)}
    pruned = sparse(name, kind, seed, level, train=train, options=options)
    found = {"pruned": weigh(pruned, test, validation), "left": 1 - slim.sparsity.Masks.nonzero(pruned).sparsity}
    for bits in [PAPER[name][1]] if level == "paper" else BITS:
        model = sparse(name, kind, seed, level, train=train, options=options)
        sharing = slim.callbacks.WeightSharing(bits, verbose=0)
        fit(model, train, options.sharing_epochs, 3e-4, seed, options, [sharing])
        found["paper" if level == "paper" else f"{bits} bits"] = weigh(model, test, validation)
    return found


def dense_bytes(name):
    """Returns the bytes of a network's weights in float32: what every ratio is counted against."""
    return 4 * NETWORKS[name]().count_params()


def files(name, cells, seeds):
    """Yields each kind of file of a network: start, level, stage, and what was found for each seed."""
    for kind, level in {(kind, level): None for network, kind, _, level in cells if network == name}:
        runs = [cells[name, kind, seed, level] for seed in seeds]
        for stage in [stage for stage in runs[0] if stage != "left"]:
            yield kind, level, stage, [run[stage] for run in runs]


def share_left(name, level):
    if level == "paper":
        return "the paper's"
    return "all" if level == "dense" else f"{100 * LEVELS[name][level]:.1f} %"


def row(name, kind, level, stage, runs):
    """Returns a row of the table: ratio, error, and what gzip makes of the same weights."""
    whole = dense_bytes(name)
    return [
        kind,
        share_left(name, level),
        stage,
        f"{np.mean([run['bytes'] for run in runs]):,.0f}",
        mean_and_range([whole / run["bytes"] for run in runs], 1),
        mean_and_range([run["test"] for run in runs]),
        mean_and_range([run["validation"] for run in runs]),
        f"{np.mean([whole / run['gzip'] for run in runs]):.1f}",
    ]


def chosen(name, found):
    """Returns the smallest of the files whose validation error is, on average, no more than the goal."""
    _, most = GOALS[name]
    good = [each for each in found if np.mean([run["validation"] for run in each[3]]) <= most]
    return min(good, key=lambda each: np.mean([run["bytes"] for run in each[3]]), default=None)


def draw(found):
    """Draws error over ratio, a line for each number of bits and each start."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(7.5, 3.4), squeeze=False)
    for axes, (name, kinds) in zip(panels[0], found.items(), strict=True):
        whole, (ratio, most) = dense_bytes(name), GOALS[name]
        lines = {(kind, stage): None for kind, level, stage, _ in kinds if level not in ("dense", "paper")}
        for kind, stage in lines:
            points = [
                runs for k, level, s, runs in kinds if (k, s) == (kind, stage) and level not in ("dense", "paper")
            ]
            points = [[(whole / run["bytes"], run["test"]) for run in runs] for runs in points]
            charts.curve(axes, points, stage if kind == "dense" else f"{stage}, {kind} first")
        for _, level, stage, runs in kinds:
            if level == "paper" and stage == "paper":
                point = np.mean([(whole / run["bytes"], run["test"]) for run in runs], axis=0)
                axes.plot(*point, "k*", label="the paper's settings")
        axes.axhline(most, color="0.6", linewidth=0.8, linestyle="--")
        axes.axvline(ratio, color="0.6", linewidth=0.8, linestyle="--")
        axes.set(title=name, xlabel="times smaller", xscale="log")
        axes.set_ylim(top=min(4 * most, axes.get_ylim()[1]))
    panels[0, 0].set_ylabel("test error, %")
    panels[0, -1].legend(frameon=False, fontsize=6)
    charts.save(figure, "deep_compression.svg")


def verdict(name, found):
    """Returns in words what the method came to, chosen by validation error."""
    ratio, most = GOALS[name]
    best = chosen(name, found)
    if best is None:
        return f"{name}: no file has a validation error of {most:.2f} % or less. "
    kind, level, stage, runs = best
    return (
        f"{name}: the smallest file whose validation error is {most:.2f} % or less on average ({kind} start, "
        f"{share_left(name, level)} of the weights, {stage}) is "
        f"{mean_and_range([dense_bytes(name) / run['bytes'] for run in runs], 1)} times smaller at a test error of "
        f"{mean_and_range([run['test'] for run in runs])} % (asked: {ratio} times). "
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=55_000, help="training images (default: 55000)")
    parser.add_argument("--dense-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15, help="epochs of each level of pruning (default: 15)")
    parser.add_argument("--sharing-epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--levels", type=int, default=6, help="prune to the first so many levels (default: 6, all)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only-seed", type=int, help="measure this seed alone, and write no table")
    options = parser.parse_args()
    data = images.load_mnist(options.data_dir, train=options.images)
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(name, kind, seed, level):
        return examine(name, kind, seed, level, data, options)

    seeds = range(options.seeds) if options.only_seed is None else [options.only_seed]
    wanted = [
        (name, kind, seed, level)
        for seed in seeds
        for name in options.networks
        for kind in options.starts
        for level in [*(("dense", "paper") if kind == "dense" else ()), *range(len(LEVELS[name]))[: options.levels]]
    ]
    cells = {one: cell("deep_compression", "-".join(map(str, one)), settings, measure, *one) for one in wanted}
    if options.only_seed is not None:
        return
    found = {name: list(files(name, cells, seeds)) for name in options.networks}
    draw(found)
    columns = [
        "start",
        "weights left",
        "stage",
        "bytes",
        "times smaller",
        "test error, %",
        "validation error, %",
        "gzip",
    ]
    write(
        "deep_compression",
        "Deep Compression on MNIST",
        [(name, columns, [row(name, *each) for each in kinds]) for name, kinds in found.items()],
        "".join(verdict(name, kinds) for name, kinds in found.items())
        + f"{options.images:,} images moved by up to 2 pixels, Adam along a cosine: {options.dense_epochs} epochs "
        f"dense, {options.epochs} for each level of pruning (global, from the level before), "
        f"{options.sharing_epochs} with shared values; seeds 0 to {options.seeds - 1}. Bytes are those of the whole "
        "file, biases as float16; errors are those of the model that came back from it. *Times smaller* is against "
        "the float32 weights of the dense network; *gzip* is that ratio for the same float32 weights gzipped. The "
        "*structured* start has 40 % of the parameters of the dense network cut as whole neurons first. Mean (range). "
        "Han et al. (2016) have 40 times at 1.58 % for LeNet-300-100 and 39 times at 0.74 % for LeNet-5.",
        {f"{name}-{kind}-{level}-{seed}": value for (name, kind, seed, level), value in cells.items()},
    )


if __name__ == "__main__":
    main()

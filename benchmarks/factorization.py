"""Layers as products: plain against data-aware factors, three ways to find ranks, tensorly, and pruning beside them."""

import argparse
import pathlib
import tempfile
import time

import calibration
import images
import keras
import networks
import numpy as np
import pretrained
from cells import cell, kept_network, measured_before
from results_file import mean_and_range, write

import keras_slim as slim

PRETRAINED = "efficientnet-lite0"
RATIOS = (0.5, 0.75)
RANKINGS = ("one ranking", "equal ranks", "EVBMF")
PLAIN, DATA, PEER, PRUNED, AS_FAST = "plain", "data", "tensorly", "pruned", "pruned, as fast"
FINE_TUNED = ((RANKINGS[0], PLAIN), (RANKINGS[0], DATA), ("EVBMF", PEER), ("", PRUNED), ("", AS_FAST))
GRID = [round(0.05 * step, 2) for step in range(2, 20)]
ROUNDS = 7


# ranks ----------------------------------------------------------------------------------------------------------------


def deepest(plan_at, target):
    """Returns the plan of the mildest setting, from 0 to 1, whose multiply-accumulates are at most a target.

    Args:
        plan_at: Function from a setting to a plan; the higher, the more is left.
        target: Multiply-accumulates. If it is out of reach, the plan is that of 0.
    """
    low, high, found = 0.0, 1.0, plan_at(0.0)
    for _ in range(10):
        middle = (low + high) / 2
        plan = plan_at(middle)
        if plan.after.macs <= target:
            low, found = middle, plan
        else:
            high = middle
    return found


def plan_of(ranking, model, ratio, samples):
    """Returns the plan of one way to find ranks."""
    if ranking == "one ranking":
        return slim.plan_factorization(model, ratio, data=samples, verbose=0)
    target = (1 - ratio) * slim.profile(model).macs
    if ranking == "EVBMF":

        def weakened(share):
            rule = slim.lowrank.EVBMF(weaken=min(share, 0.999))
            return slim.plan_factorization(model, ranks=rule, scheme="tucker", verbose=0)

        return deepest(weakened, target)
    kinds = keras.layers.Conv2D, keras.layers.Dense
    kernels = {each.name: each.kernel.shape for each in model.layers if type(each) in kinds}

    def equal(share):
        ranks = {name: equal_ranks(shape, share) for name, shape in kernels.items()}
        return slim.plan_factorization(model, ranks=ranks, scheme="tucker", verbose=0)

    return deepest(equal, target)


def equal_ranks(shape, share):
    """Returns the ranks of a kernel that are a share of the highest there are."""
    *positions, inputs, outputs = shape
    most = (inputs, outputs) if max(positions, default=1) > 1 else (min(inputs, outputs),)
    return tuple(max(1, round(share * each)) for each in most)


# factors --------------------------------------------------------------------------------------------------------------


def by_tensorly(model, plan):
    """Returns the network of a plan with the factors of tensorly: higher-order orthogonal iteration on the kernels."""
    import tensorly.decomposition

    small = slim.factorize(model, plan, verbose=0)
    for each in plan.layers:
        kernel = np.asarray(model.get_layer(each.path).kernel)
        if each.scheme == "tucker":
            modes = [kernel.ndim - 2, kernel.ndim - 1]
            (core, (first, last)), _ = tensorly.decomposition.partial_tucker(kernel, [*each.ranks], modes=modes)
            factors = [first, core, last.T]
        else:
            rows = kernel.reshape(-1, kernel.shape[-1])
            (core, (first, last)), _ = tensorly.decomposition.partial_tucker(rows, each.ranks * 2, modes=[0, 1])
            factors = [first @ core, last.T]
        names = [f"{each.path}_factor_{number}" for number in range(1, len(factors))]
        for name, factor in zip([*names, each.path], factors, strict=True):
            layer = small.get_layer(name)
            layer.kernel.assign(factor.reshape(layer.kernel.shape))
    return small


def made(way, model, ratio, samples):
    """Returns the small network of one way.

    Args:
        way: `(ranking, factors)`.
        model: The trained network.
        ratio: Share of the multiply-accumulates to remove.
        samples: `(x, y)` to look at.
    """
    ranking, factors = way
    x, _ = samples
    if factors in (PRUNED, AS_FAST):
        return slim.prune(model, ratio, of="macs", data=samples, criterion="taylor", debias="rms")
    plan = plan_of(ranking, model, ratio, x if factors == DATA else None)
    if factors == PEER:
        return by_tensorly(model, plan)
    return slim.factorize(model, plan, data=x if factors == DATA else None, verbose=0)


# tasks ----------------------------------------------------------------------------------------------------------------


class Small:
    """A network of `networks.py`, trained on small images."""

    def __init__(self, name, options):
        self.name = name
        self._options = options
        self.train, _, self.test = images.load_cifar10(options.data_dir, train=options.images, test=options.test)
        self.seen = tuple(each[: options.samples] for each in self.train)
        names = ("images", "epochs", "tune_epochs", "samples", "test")
        self.settings = {name: getattr(options, name) for name in names}

    def dense(self, seed):
        name = f"{self.name}-all-{self._options.images}-{self._options.epochs}-{seed}"
        return networks.compiled(
            kept_network(name, lambda: calibration.train(self.name, seed, self.train, self._options.epochs)), 0.0
        )

    def accuracy(self, model):
        networks.compiled(model, 0.0)
        return 100 * model.evaluate(*self.test, batch_size=256, verbose=0, return_dict=True)["accuracy"]

    def fine_tune(self, model, seed):
        keras.utils.set_random_seed(100 + seed)
        steps = self._options.tune_epochs * -(-len(self.train[0]) // 64)
        networks.compiled(model, keras.optimizers.schedules.CosineDecay(1e-3, steps))
        model.fit(*self.train, batch_size=64, epochs=self._options.tune_epochs, verbose=0)


class Pretrained:
    """EfficientNet-Lite0 with ImageNet weights, fine-tuned to CIFAR-10."""

    name = PRETRAINED

    def __init__(self, options):
        self._options = options
        count, test = options.pretrained_images, options.pretrained_test
        self.train, _, self.test = images.load_cifar10(options.data_dir, count, test=test, as_pixels=True)
        self._tuned_on = tuple(each[: options.pretrained_tune_images] for each in self.train)
        x, y = (each[: options.pretrained_samples] for each in self.train)
        self.seen = np.asarray(pretrained.enlarged(x)), y
        names = ("images", "epochs", "tune_images", "samples", "test")
        self.settings = {name: getattr(options, f"pretrained_{name}") for name in names}

    def dense(self, seed):
        epochs = self._options.pretrained_epochs
        return pretrained.compiled(pretrained.fine_tuned(seed, self.train, epochs, self._options.data_dir), 0.0)

    def accuracy(self, model):
        return pretrained.accuracy(model, self.test)

    def fine_tune(self, model, seed):
        keras.utils.set_random_seed(100 + seed)
        pretrained.fine_tune(model, self._tuned_on, 1, seed)


# measurements ---------------------------------------------------------------------------------------------------------


def examine(task, seed, way, ratio):
    """Returns what one way makes of one network: multiply-accumulates, accuracy straight after and tuned, seconds."""
    model = task.dense(seed)
    start = time.process_time()
    small = made(way, model, ratio, task.seen)
    found = {"seconds": time.process_time() - start, "macs": slim.profile(small).macs}
    found["straight"] = task.accuracy(small)
    if way in FINE_TUNED:
        task.fine_tune(small, seed)
        found["tuned"] = task.accuracy(small)
    return found


def dense_network(task, seed):
    """Returns the accuracy of a network as it is, and trained on as long as the others."""
    model = task.dense(seed)
    found = {"macs": slim.profile(model).macs, "straight": task.accuracy(model)}
    task.fine_tune(model, seed)
    return {**found, "tuned": task.accuracy(model)}


def times(task):
    """Returns LiteRT milliseconds: of the network, its products, and the network pruned more and more.

    The files are timed in turn, so that a machine that is shared slows all of them; medians of several rounds.
    """
    model = task.dense(0)
    small = {"dense": model}
    for ratio in RATIOS:
        small[f"factorized {ratio}"] = made((RANKINGS[0], DATA), model, ratio, task.seen)
    for ratio in GRID:
        try:
            small[f"pruned {ratio}"] = slim.prune(model, ratio, of="macs", verbose=0)
        except slim.errors.UnreachableTargetError:
            break
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, each in small.items():
            paths[name] = pathlib.Path(folder) / f"{name}.tflite"
            slim.export_tflite(each, paths[name], data=task.seen[0][:8], verbose=0)
        measured = {name: [] for name in paths}
        for _ in range(ROUNDS):
            for name, path in paths.items():
                measured[name].append(slim.benchmark_tflite(path, threads=1).median_ms)
        return {
            name: {"ms": float(np.median(measured[name])), "bytes": paths[name].stat().st_size, "all": measured[name]}
            for name in paths
        }


def as_fast(found, ratio):
    """Returns the share to prune so that a network is as fast as its products at `ratio`, the mildest of the grid.

    Where no share makes it as fast, it is the largest there is.
    """
    limit = found[f"factorized {ratio}"]["ms"]
    pruned = {share: found[name]["ms"] for share in GRID if (name := f"pruned {share}") in found}
    return next((share for share, ms in pruned.items() if ms <= limit), max(pruned))


def measured_ways():
    factors = (PLAIN, DATA)
    return [*((ranking, each) for ranking in RANKINGS for each in factors), ("EVBMF", PEER), ("", PRUNED)]


# tables ---------------------------------------------------------------------------------------------------------------


def named(way):
    return ", ".join(filter(None, way))


def accuracy_rows(found, moment):
    for network, runs in found.items():
        for ratio in RATIOS:
            for way in [*measured_ways(), ("", AS_FAST)]:
                some = [run[f"{named(way)} {ratio}"] for run in runs["seeds"] if f"{named(way)} {ratio}" in run]
                if some and moment in some[0]:
                    dense = [run["dense"] for run in runs["seeds"]]
                    share = np.mean([each["macs"] / whole["macs"] for each, whole in zip(some, dense, strict=True)])
                    before = mean_and_range([whole[moment] for whole in dense], 1)
                    after = mean_and_range([each[moment] for each in some], 1)
                    shown = f"{1 / (1 - ratio):.0f}x", named(way), f"{share:.2f}"
                    yield [network, len(some), *shown, before, after]


def undone(found):
    """Yields, for each network and ratio, the share of the drop of plain factors that the data prevents, by seed.

    A seed with which plain factors lose nothing has no such share.
    """
    plain, data = (f"{RANKINGS[0]}, {each}" for each in (PLAIN, DATA))
    for network, runs in found.items():
        for ratio in RATIOS:
            shares, ahead = [], []
            for run in runs["seeds"]:
                whole = run["dense"]["straight"]
                first, second = (run[f"{way} {ratio}"]["straight"] for way in (plain, data))
                if first < whole:
                    shares.append(100 * (second - first) / (whole - first))
                ahead.append(second - run[f"EVBMF, {PEER} {ratio}"]["straight"])
            worth = mean_and_range(shares, 0) if shares else "no drop"
            yield [network, f"{1 / (1 - ratio):.0f}x", worth, mean_and_range(ahead, 1)]


def time_rows(found):
    for network, runs in found.items():
        timed = runs.get("times")
        for ratio in RATIOS if timed else ():
            whole, product, pruned = (timed[name] for name in ("dense", f"factorized {ratio}", f"pruned {ratio}"))
            yield [
                network,
                f"{1 / (1 - ratio):.0f}x",
                f"{whole['ms']:.2f}",
                *(f"{each['ms']:.2f} ({whole['ms'] / each['ms']:.2f}x)" for each in (product, pruned)),
                f"{as_fast(timed, ratio):.2f}",
                *(f"{each['bytes'] / whole['bytes']:.2f}" for each in (product, pruned)),
            ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10.npz and efficientnet_lite0.npz")
    parser.add_argument("--networks", nargs="+", default=[*networks.NETWORKS, PRETRAINED])
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--tune-epochs", type=int, default=2, help="epochs after factorising (default: 2)")
    parser.add_argument("--samples", type=int, default=1024, help="images to look at (default: 1024)")
    parser.add_argument("--test", type=int, default=5_000, help="test images (default: 5000)")
    parser.add_argument("--pretrained-images", type=int, default=10_000)
    parser.add_argument("--pretrained-epochs", type=int, default=3)
    parser.add_argument("--pretrained-samples", type=int, default=512)
    parser.add_argument("--pretrained-tune-images", type=int, default=5_000)
    parser.add_argument("--pretrained-test", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-times", action="store_true", help="leave LiteRT's milliseconds out: the machine is busy")
    options = parser.parse_args()
    tasks = [Pretrained(options) if name == PRETRAINED else Small(name, options) for name in options.networks]
    found = {task.name: {"seeds": []} for task in tasks}
    for task in tasks:
        timed = measured_before("factorization", f"{task.name} times", task.settings)
        if not (timed or options.no_times):
            timed = cell("factorization", f"{task.name} times", task.settings, times, task)
        if timed:
            found[task.name]["times"] = timed
    for seed in range(options.seeds):
        for task in tasks:
            found[task.name]["seeds"].append(measured(task, seed, found[task.name].get("times")))
            report({name: runs for name, runs in found.items() if runs["seeds"]}, options)


def measured(task, seed, timed):
    """Returns all that is measured of one network, by way."""

    def measure(name, function, *arguments):
        return cell("factorization", f"{task.name} {name} {seed}", task.settings, function, task, seed, *arguments)

    run = {"dense": measure("dense", dense_network)}
    for ratio in RATIOS:
        for way in measured_ways():
            key = f"{named(way)} {ratio}"
            run[key] = measure(key, examine, way, ratio)
        if timed:
            key, share = f"{AS_FAST} {ratio}", as_fast(timed, ratio)
            run[key] = measure(f"{key} {share}", examine, ("", AS_FAST), share)
    return run


def report(found, options):
    """Writes the tables."""
    columns = ["network", "seeds", "aim", "way", "multiply-accumulates left", "before"]
    write(
        "factorization",
        "Layers as products",
        [
            ("Test accuracy straight after, %", [*columns, "after"], list(accuracy_rows(found, "straight"))),
            (
                "What the data is worth",
                ["network", "aim", "drop of plain factors that does not happen, %", "points ahead of tensorly"],
                list(undone(found)),
            ),
            ("Test accuracy after fine-tuning, %", [*columns, "after"], list(accuracy_rows(found, "tuned"))),
            (
                "Milliseconds of LiteRT, one thread",
                [
                    "network",
                    "aim",
                    "dense",
                    "products",
                    "pruned",
                    "pruned as fast: share gone",
                    "bytes of products",
                    "bytes of pruned",
                ],
                list(time_rows(found)),
            ),
        ],
        note(options),
        found,
    )


def note(options):
    return (
        f"The three small networks are trained on {options.images:,} images of CIFAR-10 for {options.epochs} epochs "
        f"and fine-tuned on them for {options.tune_epochs}. EfficientNet-Lite0 comes with ImageNet weights, is "
        f"trained on {options.pretrained_images:,} images of CIFAR-10 enlarged to {pretrained.SIZE} pixels for "
        f"{options.pretrained_epochs} epochs, and fine-tuned on {options.pretrained_tune_images:,} for one. "
        '*One ranking*: `plan_factorization(ratio)`, `scheme="auto"`. *Equal ranks*: Tucker-2, everywhere the same '
        "share of the highest ranks. *EVBMF*: Tucker-2, weakened until it leaves what the ratio does (or as it is, "
        "where it leaves more). *tensorly*: its higher-order orthogonal iteration, at the ranks of *EVBMF, plain*. "
        "*Pruned*: `prune`, Taylor scores, compensated, at equal multiply-accumulates, and as fast on LiteRT. *Data*: "
        f"{options.samples:,} training images ({options.pretrained_samples} of the pretrained network), no labels. "
        f"Mean (range) of the seeds, from 0; {options.test:,} test images ({options.pretrained_test:,} of the "
        "pretrained network). *Before*, after fine-tuning: "
        "the dense network, trained on as long. Nothing was chosen by these figures."
    )


if __name__ == "__main__":
    main()

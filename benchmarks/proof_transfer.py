"""EfficientNet-Lite0 with ImageNet weights, put to CIFAR-10 and to cat against dog, and pruned, searched, in int8."""

import itertools
import tempfile
import time
from pathlib import Path

import images
import keras
import numpy as np
import pretrained
import transfer
from cells import cell, network_path
from results_file import mean_and_range, write

import keras_slim as slim

LEFT = (0.5, 0.3)
FILE_SAMPLES, ROUNDS = 200, 5
MAX_DROP, SEARCH_RATE = 0.01, 1e-4
DENSE, GLOBAL, SEARCH, BY_LAYER = "dense", "taylor, global", "search, 1 point", "taylor, layer by layer"
HOW = {
    GLOBAL: ("taylor", "rms"),
    "mean_activation, global": ("mean_activation", "rms"),
    "l2, global": ("l2", "rms"),
    "random, global": ("random", "rms"),
    "taylor, equal proportions": ("taylor", "rank"),
    BY_LAYER: ("taylor", "rank"),
}
TASKS = {"CIFAR-10": (DENSE, GLOBAL), "cat against dog": (DENSE, *HOW, SEARCH)}


# tasks ----------------------------------------------------------------------------------------------------------------


class Task:
    """Images of a task, as pixels, and the network that is put to it."""

    def __init__(self, name, options):
        self.name = name
        self._options = options
        given = options.images, options.validation, options.test
        parts = images.load_cifar10(options.data_dir, *given, as_pixels=True)
        self.train, self.validation, self.test = (
            parts if name == "CIFAR-10" else [transfer.split(part)[1] for part in parts]
        )
        x, y = (each[: options.samples] for each in self.train)
        self.seen = np.asarray(pretrained.enlarged(x)), y

    def dense(self, seed):
        """Returns the network before any cut, with a loss."""
        asked = self.train, self._options.epochs, self._options.data_dir
        return pretrained.compiled(pretrained.fine_tuned(seed, *asked), 0.0)

    def measured(self, model):
        """Returns test accuracy in per cent, multiply-accumulates and parameters."""
        size = slim.profile(model)
        accuracy = pretrained.accuracy(model, self.test)
        return {"accuracy": accuracy, "macs": size.macs, "parameters": size.parameters}


# ways -----------------------------------------------------------------------------------------------------------------


def examine(task, way, seed, options):
    """Returns what is measured before, and of each network that a way leads to, which are kept."""
    model = task.dense(seed)
    found = {"before": task.measured(model), "after": []}
    keras.utils.set_random_seed(100 + seed)
    start = time.process_time()
    for number, small in enumerate(networks(task, way, model, seed, options)):
        seconds = time.process_time() - start
        small.save(kept(task, way, number, seed, options))
        found["after"].append({**task.measured(small), "seconds": seconds})
        start = time.process_time()
    return found


def networks(task, way, model, seed, options):
    """Yields the networks that a way leads to, the smallest last."""
    if way == SEARCH:
        yield searched(task, model, seed, options)
        return
    whole = slim.profile(model).macs
    for number, left in enumerate(LEFT):
        if way != DENSE:
            ratio = 1 - left * whole / slim.profile(model).macs
            criterion, debias = HOW[way]
            chosen = slim.scoring.Random(100 * seed + number) if criterion == "random" else criterion
            scoring = {"criterion": chosen, "debias": debias, "data": task.seen}
            if way == BY_LAYER:
                plan = slim.plan_pruning(model, ratio, of="macs", **scoring)
                model = by_layer(task, model, plan, seed, options)
                yield model
                continue
            model = slim.prune(model, ratio, of="macs", verbose=0, **scoring)
        pretrained.fine_tune(model, task.train, options.tune_epochs, 100 + seed)
        yield model


def by_layer(task, model, plan, seed, options):
    """Cuts one layer at a time; the epochs of a round are shared by its cuts."""
    groups = len(plan.groups)
    parts = [np.tile(np.arange(len(task.train[0])), options.tune_epochs)[number::groups] for number in range(groups)]

    def tune(network):
        chosen = parts.pop(0)
        pretrained.fine_tune(network, tuple(each[chosen] for each in task.train), 1, seed)

    return slim.pruning.prune_layer_by_layer(model, plan, tune, criterion="taylor", data=task.seen)


def searched(task, model, seed, options):
    """Returns the smallest network that a search finds within a point of validation accuracy."""
    search = slim.callbacks.ProgressiveGlobalPruning(
        max_drop=MAX_DROP, of="macs", criterion="taylor", data=task.seen, patience=1, window=(0, 0.99), verbose=0
    )
    pretrained.compiled(model, SEARCH_RATE).fit(
        pretrained.batches(task.train, 100 + seed),
        epochs=options.search_epochs,
        validation_data=pretrained.batches(task.validation),
        callbacks=[search],
        verbose=0,
    )
    return model


def kept(task, way, number, seed, options):
    """Returns where a network of a way lies."""
    name = f"proof transfer {task.name} {way} {number} {options.images} {options.epochs} {options.tune_epochs} {seed}"
    return network_path(name)


def files(task, ways, seed, options):
    """Returns bytes, milliseconds and accuracies of LiteRT files, all timed in turn."""
    paths, found = {}, {}
    samples = np.asarray(pretrained.enlarged(task.train[0][:FILE_SAMPLES]))
    test = np.asarray(pretrained.enlarged(task.test[0][: options.file_test])), task.test[1][: options.file_test]
    with tempfile.TemporaryDirectory() as folder:
        for (way, number), kind in itertools.product(ways, (None, "int8")):
            name = f"{way} {number} {kind or 'float32'}"
            paths[name] = Path(folder) / f"{name}.tflite"
            model = keras.models.load_model(kept(task, way, number, seed, options), compile=False)
            slim.export_tflite(model, paths[name], kind, samples, verbose=0)
            told = slim.evaluate_tflite(paths[name], test, verbose=0)
            found[name] = {"bytes": paths[name].stat().st_size, "accuracy": 100 * told.metrics["accuracy"], "all": []}
        for _, (name, path) in itertools.product(range(ROUNDS), paths.items()):
            found[name]["all"].append(slim.benchmark_tflite(path, threads=1).median_ms)
    return {name: {**each, "ms": float(np.median(each["all"]))} for name, each in found.items()}


def measure(options):
    """Measures what is not finished, and writes the tables of all that is, after each network."""
    names = ("images", "validation", "test", "epochs", "tune_epochs", "samples")
    settings = {name: getattr(options, name) for name in names}
    found = {}
    for name in options.tasks:
        task = Task(name, options)
        found[name] = []
        for seed in range(options.seeds):
            found[name].append({"ways": {}})
            for way in TASKS[name]:
                given = {**settings, "search_epochs": options.search_epochs} if way == SEARCH else settings
                found[name][-1]["ways"][way] = cell(
                    "proof", f"transfer {name} {way} {seed}", given, examine, task, way, seed, options
                )
                report(found, options)
        for run, seed in zip(found[name], range(options.seeds), strict=True):
            exported = [(DENSE, 0), *((GLOBAL, number) for number in range(len(LEFT)))]
            exported += [(SEARCH, 0)] if SEARCH in TASKS[name] else []
            given = {**settings, "search_epochs": options.search_epochs, "file_test": options.file_test}
            run["files"] = cell("proof", f"transfer {name} files {seed}", given, files, task, exported, seed, options)
            report(found, options)


# tables ---------------------------------------------------------------------------------------------------------------


def named(way, number):
    """Returns what a row is called."""
    if way == SEARCH:
        return way
    return f"dense, {number + 1} rounds of epochs" if way == DENSE else f"{way}, {LEFT[number]:.0%}"


def rows(runs):
    """Yields a row for each way and round: accuracies, points to the dense network of as many epochs, and the cost."""
    ways = [run["ways"] for run in runs]
    yield ["fine-tuned", mean_and_range([each[DENSE]["before"]["accuracy"] for each in ways], 1), "", "1", "1", ""]
    for way in ways[0]:
        some = [each for each in ways if way in each]
        for number in range(len(some[0][way]["after"])):
            after = [each[way]["after"][number] for each in some]
            pairs = [
                (now["accuracy"], each[DENSE]["after"][number]["accuracy"])
                for now, each in zip(after, some, strict=True)
            ]
            spent = [sum(part["seconds"] for part in each[way]["after"][: number + 1]) / 60 for each in some]
            yield [
                named(way, number),
                mean_and_range([now for now, _ in pairs], 1),
                "" if way == DENSE else mean_and_range([now - dense for now, dense in pairs], 1),
                *(
                    mean_and_range([now[key] / each[way]["before"][key] for now, each in zip(after, some, strict=True)])
                    for key in ("macs", "parameters")
                ),
                mean_and_range(spent, 0),
            ]


def file_rows(runs):
    """Yields a row for each network with files: bytes, milliseconds, and accuracies."""
    runs = [run["files"] for run in runs if "files" in run]
    for name in dict.fromkeys(each.rpartition(" ")[0] for each in (runs[0] if runs else ())):
        way, _, number = name.rpartition(" ")
        cells = [named(way, int(number))]
        for kind in ("float32", "int8"):
            these, whole = [run[f"{name} {kind}"] for run in runs], [run[f"{DENSE} 0 {kind}"] for run in runs]
            times = [old["ms"] / new["ms"] for old, new in zip(whole, these, strict=True)]
            cells += [
                f"{np.mean([each['bytes'] for each in these]) / 1e6:.2f}",
                f"{np.mean([each['ms'] for each in these]):.1f} ({np.mean(times):.2f}x)",
                mean_and_range([each["accuracy"] for each in these], 1),
            ]
        yield cells


def report(found, options):
    """Writes the tables."""
    tables = []
    columns = [
        "way",
        "accuracy",
        "points to dense",
        "multiply-accumulates left",
        "parameters left",
        "processor minutes",
    ]
    file_columns = ["network", *(f"{kind}, {unit}" for kind in ("float32", "int8") for unit in ("MB", "ms", "%"))]
    for name, runs in found.items():
        runs = [run for run in runs if DENSE in run["ways"]]
        tables.append((f"{name}, {len(runs)} seeds: test accuracy, %", columns, list(rows(runs))))
        if of_files := list(file_rows(runs)):
            words = f"{name}: LiteRT files, one thread; beside the time how many times faster than dense"
            tables.append((words, file_columns, of_files))
    write(
        "proof_transfer",
        "EfficientNet-Lite0, from ImageNet to a task of one's own",
        tables,
        f"ImageNet weights, images of CIFAR-10 enlarged to {pretrained.SIZE} pixels, {options.images:,} of them (*cat "
        f"against dog*: those two classes of them), fine-tuned for {options.epochs} epochs (AdamW up to "
        f"{pretrained.PEAK}), half of them mirrored, moved by up to 4 pixels. Then cut to "
        f"{' and '.join(f'{left:.0%}' for left in LEFT)} of the multiply-accumulates, one round after the other, each "
        f"followed by {options.tune_epochs} epochs; *dense, trained on* has these epochs too. Scores and compensation "
        f"from {options.samples} training images; *global* with the de-biasing `rms`; *equal proportions* is `rank`; "
        f"*layer by layer* cuts as many of each layer, one after the other, the epochs shared by the cuts. *Search*: "
        f"`ProgressiveGlobalPruning(max_drop={MAX_DROP})`, judged on held-out images, {options.search_epochs} epochs "
        f"at {SEARCH_RATE}. {options.test:,} test images of all classes (of files the first {options.file_test:,} of "
        "the task), which nothing was chosen by. Minutes are those of the processor, both cores counted, over all "
        "rounds.",
        found,
    )


def add_options(parser):
    """Adds what the command line asks for this experiment."""
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--images", type=int, default=10_000, help="training images of all classes (default: 10000)")
    parser.add_argument("--validation", type=int, default=5_000, help="held-out images of all classes (default: 5000)")
    parser.add_argument("--test", type=int, default=10_000, help="test images of all classes (default: 10000)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tune-epochs", type=int, default=2, help="epochs after each cut (default: 2)")
    parser.add_argument("--search-epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--file-test", type=int, default=2_000, help="test images to judge files by (default: 2000)")
    parser.add_argument("--seeds", type=int, default=2)

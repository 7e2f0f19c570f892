"""EfficientNet-Lite0 with ImageNet weights, put to CIFAR-10 and to cat against dog, and pruned, searched, in int8."""

import math
import time

import images
import keras
import numpy as np
import pretrained
import proof_files
import transfer
from cells import cell, network_path
from results_file import mean_and_range, write

import keras_slim as slim

LEFT = (0.5, 0.3)
FILE_SAMPLES = 200
MAX_DROP, SEARCH_RATE, LONGER = 0.01, 1e-4, 4
DENSE, AS_SEARCHED, LONG = "dense", "dense, trained as the search", f"dense, trained on {LONGER} times as long"
GLOBAL, BY_LAYER, SEARCH = "taylor, global", "taylor, layer by layer", "search, 1 point"
TAUGHT = f"taylor, global, taught, {LONGER} times as long"
HOW = {
    GLOBAL: ("taylor", "rms"),
    TAUGHT: ("taylor", "rms"),
    "mean_activation, global": ("mean_activation", "rms"),
    "l2, global": ("l2", "rms"),
    "random, global": ("random", "rms"),
    "taylor, equal proportions": ("taylor", "rank"),
    BY_LAYER: ("taylor", "rank"),
}
WAYS = (DENSE, LONG, *HOW, AS_SEARCHED, SEARCH)
CONTROLS = {TAUGHT: LONG, SEARCH: AS_SEARCHED}
"""Which dense network was trained as long as a way, if not the one that most are held against."""
TASKS = {"CIFAR-10": (DENSE, GLOBAL, LONG, TAUGHT), "cat against dog": WAYS}


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
        self.seen = self.enlarged(x), y

    def dense(self, seed):
        """Returns the network before any cut, with a loss."""
        asked = self.train, self._options.epochs, self._options.data_dir
        return pretrained.compiled(pretrained.fine_tuned(seed, *asked), 0.0)

    @staticmethod
    def enlarged(x):
        """Returns images as an array that the network reads."""
        return np.asarray(pretrained.enlarged(x))

    def measured(self, model):
        """Returns test accuracy in per cent, multiply-accumulates and parameters."""
        size = slim.profile(model)
        accuracy = pretrained.accuracy(model, self.test)
        return {"accuracy": accuracy, "macs": size.macs, "parameters": size.parameters}


# ways -----------------------------------------------------------------------------------------------------------------


def examine(task, way, seed, options):
    """Returns what is measured of each network that a way leads to, which are kept, and the seconds it took."""
    model = task.dense(seed)
    keras.utils.set_random_seed(100 + seed)
    found, start = [], time.process_time()
    for number, small in enumerate(networks(task, way, model, seed, options)):
        seconds = time.process_time() - start
        small.save(kept(task, way, number, seed, options))
        found.append({**task.measured(small), "seconds": seconds})
        start = time.process_time()
    return found


def networks(task, way, model, seed, options):
    """Yields the networks that a way leads to, the smallest last."""
    if way in (AS_SEARCHED, SEARCH):
        yield searched(task, model, seed, options, is_pruned=way == SEARCH)
        return
    whole = slim.profile(model).macs
    epochs = options.tune_epochs * (LONGER if way in (TAUGHT, LONG) else 1)
    teacher = task.dense(seed) if way == TAUGHT else None
    for number, left in enumerate(LEFT):
        if way not in (DENSE, LONG):
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
        pretrained.fine_tune(model, task.train, epochs, 100 + seed, teacher=teacher)
        yield model


def by_layer(task, model, plan, seed, options):
    """Cuts one layer at a time; the samples and the falling rate of a round's epochs are shared by its cuts."""
    cuts = sum(len(group.kept_channels) < group.size for group in plan.groups)
    order = np.tile(np.arange(len(task.train[0])), options.tune_epochs)
    parts = iter(range(cuts))

    def tune(network):
        part = next(parts)
        rate = pretrained.PEAK * (1 + math.cos(math.pi * (part + 0.5) / cuts)) / 2
        samples = tuple(each[order[part::cuts]] for each in task.train)
        pretrained.compiled(network, rate).fit(pretrained.batches(samples, 100 + seed), verbose=0)

    return slim.pruning.prune_layer_by_layer(model, plan, tune, criterion="taylor", data=task.seen)


def searched(task, model, seed, options, is_pruned):
    """Returns the smallest network that a search finds within a point of validation accuracy, or the dense one."""
    how = {"of": "macs", "criterion": "taylor", "debias": "rms", "data": task.seen}
    search = slim.callbacks.ProgressiveGlobalPruning(max_drop=MAX_DROP, **how, patience=1, window=(0, 0.99), verbose=0)
    pretrained.compiled(model, SEARCH_RATE).fit(
        pretrained.batches(task.train, 100 + seed),
        epochs=options.search_epochs,
        validation_data=pretrained.batches(task.validation),
        callbacks=[search] if is_pruned else [],
        verbose=0,
    )
    return model


def kept(task, way, number, seed, options):
    """Returns where a network of a way lies."""
    given = options.images, options.epochs, options.tune_epochs, options.search_epochs, options.samples
    return network_path(f"proof transfer {task.name} {way} {number} {given} {seed}")


def measure(options):
    """Measures what is not finished, and writes the tables of all that is, after each network."""
    names = ("images", "validation", "test", "epochs", "tune_epochs", "search_epochs", "samples")
    settings = {name: getattr(options, name) for name in names}
    settings |= {"left": LEFT, "rates": [pretrained.PEAK, SEARCH_RATE], "drop": MAX_DROP}
    asked = {DENSE, *options.ways, *(CONTROLS[way] for way in options.ways if way in CONTROLS)}
    found = {}
    for name in options.tasks:
        task = Task(name, options)
        found[name] = []
        for seed in range(options.seeds):

            def before(seed=seed, task=task):
                return task.measured(task.dense(seed))

            run = {"before": cell("proof", f"transfer {name} before {seed}", settings, before), "ways": {}}
            found[name].append(run)
            for way in (way for way in TASKS[name] if way in asked):
                arguments = task, way, seed, options
                run["ways"][way] = cell("proof", f"transfer {name} {way} {seed}", settings, examine, *arguments)
                report(found, options)
            paths = {
                named(way, number): kept(task, way, number, seed, options)
                for way in (DENSE, GLOBAL, TAUGHT, SEARCH)
                for number in range(len(run["ways"].get(way, ())))
            }
            test = tuple(each[: options.file_test] for each in task.test)
            arguments = paths, task.enlarged(task.train[0][:FILE_SAMPLES]), (task.enlarged(test[0]), test[1])
            given = {**settings, "file_test": options.file_test, "of": [*paths]}
            run["files"] = cell("proof", f"transfer {name} files {seed}", given, proof_files.measured, *arguments)
            report(found, options)


# tables ---------------------------------------------------------------------------------------------------------------


def named(way, number):
    """Returns what a row is called."""
    if way in (AS_SEARCHED, SEARCH):
        return way
    words = "dense, trained on" if way == DENSE else way
    return f"{words}, round {number + 1}" if way in (DENSE, LONG) else f"{words}, {LEFT[number]:.0%}"


def rows(runs):
    """Yields a row for each way and round: accuracies, points to the dense network of as many epochs, and the cost."""
    before = mean_and_range([run["before"]["accuracy"] for run in runs], 1)
    yield ["fine-tuned", len(runs), before, "", "", "1", "1", ""]
    for way in WAYS:
        some = [run for run in runs if way in run["ways"]]
        for number in range(len(some[0]["ways"][way]) if some else 0):
            after = [run["ways"][way][number] for run in some]
            control = CONTROLS.get(way, DENSE)
            gaps = [
                [now["accuracy"] - other["accuracy"] for now, other in zip(after, others, strict=True)]
                for others in ([run["before"] for run in some], [run["ways"][control][number] for run in some])
            ]
            shares = [
                [now[key] / run["before"][key] for now, run in zip(after, some, strict=True)]
                for key in ("macs", "parameters")
            ]
            spent = [sum(each["seconds"] for each in run["ways"][way][: number + 1]) / 60 for run in some]
            yield [
                named(way, number),
                len(some),
                mean_and_range([now["accuracy"] for now in after], 1),
                mean_and_range(gaps[0], 1),
                "" if way in (DENSE, *CONTROLS.values()) else mean_and_range(gaps[1], 1),
                *map(mean_and_range, shares),
                mean_and_range(spent, 0),
            ]


def file_rows(runs):
    """Yields a row for each network with files."""
    runs = [run["files"] for run in runs if "files" in run]
    for name in runs[0] if runs else ():
        whole = named(DENSE, 0 if name == SEARCH else len(LEFT) - 1)
        yield [name, *proof_files.cells([(run[name], run[whole]) for run in runs])]


def report(found, options):
    """Writes the tables."""
    tables = []
    columns = ["way", "seeds", "accuracy", "points to fine-tuned", "points to dense"]
    columns += ["multiply-accumulates left", "parameters left", "processor minutes"]
    for name, runs in found.items():
        tables.append((f"{name}: test accuracy, %", columns, list(rows(runs))))
        if of_files := list(file_rows(runs)):
            words = f"{name}: LiteRT files, one thread; beside the time how many times faster than dense"
            tables.append((words, ["network", *proof_files.COLUMNS], of_files))
    write(
        "proof_transfer",
        "EfficientNet-Lite0, from ImageNet to a task of one's own",
        tables,
        f"ImageNet weights, images of CIFAR-10 enlarged to {pretrained.SIZE} pixels, {options.images:,} of them (*cat "
        f"against dog*: those two classes of them), fine-tuned for {options.epochs} epochs (AdamW up to "
        f"{pretrained.PEAK}), half of them mirrored, moved by up to 4 pixels. Then cut to "
        f"{' and '.join(f'{left:.0%}' for left in LEFT)} of the multiply-accumulates, one round after the other, each "
        f"followed by {options.tune_epochs} epochs, which *dense, trained on* has too. Scores and compensation from "
        f"{options.samples} training images; *global* with the de-biasing `rms`; *equal proportions* is `rank`; *layer "
        "by layer* cuts as many of each layer, one after the other, with an equal part of the epochs' images after "
        "each and a new optimizer; *taught*: half of the loss is Keras's `LogitsDistillation` from the fine-tuned "
        f"network. *Search*: `ProgressiveGlobalPruning(max_drop={MAX_DROP})`, judged on held-out images, "
        f"{options.search_epochs} epochs at {SEARCH_RATE}. *Points to dense*: to the dense network trained as long. "
        f"{options.test:,} test images of all classes (of files the first {options.file_test:,} of the task), which "
        "nothing was chosen by. Mean (range) over seeds. Minutes are those of the processor, both cores counted, over "
        "all rounds.",
        found,
    )


def add_options(parser):
    """Adds what the command line asks for this experiment."""
    parser.add_argument("--data-dir", required=True, help="folder with cifar10.npz and efficientnet_lite0.npz")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="a part of them, beside dense")
    parser.add_argument("--images", type=int, default=10_000, help="training images of all classes (default: 10000)")
    parser.add_argument("--validation", type=int, default=5_000, help="held-out images of all classes (default: 5000)")
    parser.add_argument("--test", type=int, default=10_000, help="test images of all classes (default: 10000)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--tune-epochs", type=int, default=2, help="epochs after each cut (default: 2)")
    parser.add_argument("--search-epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=512, help="training images to score with (default: 512)")
    parser.add_argument("--file-test", type=int, default=2_000, help="test images to judge files by (default: 2000)")
    parser.add_argument("--seeds", type=int, default=2)

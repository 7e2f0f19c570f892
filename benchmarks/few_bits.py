"""Few bits: accuracy, bytes and speed of integers, ternary and binary weights, rounded after training or trained so."""

import argparse
import dataclasses
import functools
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import warnings

import charts
import few_bits_tasks as tasks
import keras
import networks
import numpy as np
import tensorflow as tf
from cells import cell, kept_network, measured_before
from few_bits_tasks import SETTINGS, TASKS
from few_bits_ways import BITS, PAPERS, WAYS, twin, watch, without_relu
from matplotlib import pyplot
from peers_keras import named_weights
from results_file import FOLDER, mean_and_range, write

import keras_slim as slim
from keras_slim.export.latency import relative_time
from keras_slim.export.tflite_file import TfliteFile

NAME = "few_bits"
FLOAT, TFMOT = "float", "TFMOT, 8 bits"
RANGES = 512  # training images from which ranges are taken after training
ANY = -100.0  # decibels: a network that two bits have ruined is a result, too
AIM = 1.5  # how long a step may take, as a share of the time of the float network
COLUMNS = [
    *("", "seeds (with a file)", "test accuracy, %", "against float", "file: accuracy, %", "as the model, %"),
    *("bytes of the file", "gzip", "`save_compressed`", "LiteRT time, share", "step, share"),
]
NOTE = (
    "LeNet sees MNIST, the others CIFAR-10. All but *XNOR* start from the same float network and are trained for "
    "some epochs more, *float* too; what is rounded *after training* is that. Adam along a cosine "
    "from {task.rate:g}, then from {task.tuning_rate:g}, batch {task.batch}. {validation:,} validation images "
    "choose the epoch, nothing else was chosen; 10,000 test images were looked at once. Mean (range) over the "
    'seeds. *N bits*: `slim.quantize(model, Int(N), "int", skip=())`, every weight of N bits, activations of 8; '
    "*after training* takes the ranges of {ranges} training images. *Learned step*: weights and activations of so "
    "many bits, first and last layer 8. Of the others the first and the last layer are real, activations too. "
    "*XNOR*: scaled binary weights and signs, trained from fresh weights for as many epochs in all, without ReLUs, "
    "in the order batch norm, sign, convolution (LeNet pools behind the convolution; shortcuts of ResNet-20 are "
    "real). The file is int8 for integers; else float32, of `slim.dequantize` where weights alone are rounded. Its "
    "accuracy is that on {task.file_samples:,} test images, the model's on these in brackets; *as the model* is the "
    "share that both put in the same class. *LiteRT time* is against the float file, in turns, one thread, seed 0; "
    "*step* is the processor's time of a training step against float, in turns, median. *TFMOT* is TensorFlow Model "
    "Optimization's quantization-aware training in legacy Keras, from the same weights with the same images and "
    "epochs, its *step* against its own float network."
)


def label(network, way, seed):
    return f"{network}-{way}-{seed}"


def file_of(network, way, seed):
    """Returns where the LiteRT file of a way lies."""
    return FOLDER / NAME / f"{label(network, way, seed).replace(' ', '-')}.tflite"


def start(network, seed, task, data):
    """Returns the trained float network that all begin with."""

    def make():
        keras.utils.set_random_seed(seed)
        model = task.build(task.width)
        tasks.fit(model, data, task.epochs, task.rate, seed, task)
        return model

    return _kept("start", network, seed, task, make)


def longer(network, seed, task, data):
    """Returns the float network, trained as much longer as the others."""

    def make():
        model = start(network, seed, task, data)
        tasks.fit(model, data, task.tuning_epochs, task.tuning_rate, seed, task)
        return model

    return _kept("longer", network, seed, task, make)


def _kept(stage, network, seed, task, make):
    return kept_network("-".join(map(str, [NAME, stage, network, *task.settings.values(), seed])), make)


def made(network, way, seed, task, data):
    """Returns the network of a way, trained."""
    if way == FLOAT:
        return longer(network, seed, task, data)
    how = WAYS[way]
    if not how.is_trained:
        model = twin(longer(network, seed, task, data), how)
        watch(model, data[0][0][:RANGES])
    elif how.is_fresh:
        model = twin(fresh(task, seed), how)
        tasks.fit(model, data, task.epochs + task.tuning_epochs, task.rate, seed, task)
    else:
        model = twin(start(network, seed, task, data), how)
        tasks.fit(model, data, task.tuning_epochs, task.tuning_rate, seed, task)
    return model


def fresh(task, seed):
    """Returns a network with fresh weights, in the order of layers for signs."""
    keras.utils.set_random_seed(seed)
    return without_relu((task.in_order or task.build)(task.width))


def answers(path, x):
    """Returns what a LiteRT file answers."""
    file = TfliteFile(path)
    (name,) = file.inputs
    return np.concatenate([next(iter(file.answer({name: x[n : n + 1]}).values())) for n in range(len(x))])


def examine(network, way, seed, task, data):
    """Returns accuracies and bytes of a network in one way, and of its file."""
    model = made(network, way, seed, task, data)
    validation, scores = (scores_of(model, x) for x, _ in data[1:])
    plain = model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", slim.errors.SlimWarning)  # the table says what it would
        if way in WAYS:
            plain = slim.dequantize(model)
        exported = exports(model, plain, network, way, seed, data[0][0]) if task.file_samples else {}
    return {
        "validation": tasks.accuracy(validation, data[1][1]),
        "test": tasks.accuracy(scores, data[2][1]),
        "compressed": compressed_bytes(plain),
        **exported,
        **(of_file(file_of(network, way, seed), scores, task, data) if exported else {}),
    }


def scores_of(model, x, batch=500):
    """Returns what a model answers, without compiling it: that would take longer than to run a small one."""
    batches = (x[first : first + batch] for first in range(0, len(x), batch))
    return np.concatenate([keras.ops.convert_to_numpy(model(each, training=False)) for each in batches])


def exports(model, plain, network, way, seed, x):
    """Writes the LiteRT file of a model, and returns its operations."""
    path, how = file_of(network, way, seed), WAYS.get(way)
    path.parent.mkdir(parents=True, exist_ok=True)
    given = plain if how is None or how.is_plain else model
    precision = how.quantize if how else None
    report = slim.export_tflite(given, path, precision, data=x[:RANGES], tolerance=ANY, verbose=0)
    return {"operations": report.agreement.operations}


def compressed_bytes(model):
    """Returns what a model's compressed file weighs."""
    with tempfile.TemporaryDirectory() as folder:
        return slim.save_compressed(model, f"{folder}/model.h5").file_bytes


def of_file(path, scores, task, data):
    """Returns the accuracy of a LiteRT file, how often it puts an image where the model does, and its bytes."""
    x, y = (part[: task.file_samples] for part in data[2])
    scores, of_file = scores[: len(x)], answers(path, x)
    return {
        "file": tasks.accuracy(of_file, y),
        "model on these": tasks.accuracy(scores, y),
        "same": 100 * float((of_file.argmax(axis=1) == scores.argmax(axis=1)).mean()),
        "bytes": path.stat().st_size,
        "gzip": len(gzip.compress(path.read_bytes(), 9)),
    }


def examine_tfmot(network, seed, task, data, options):
    """Returns the same of TensorFlow Model Optimization, under its own interpreter, from the same float weights."""
    model = start(network, seed, task, data)
    path = file_of(network, TFMOT, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        given, file = pathlib.Path(folder) / "given.npz", pathlib.Path(folder) / "made.tflite"
        inputs = data[1][0][:256]
        np.savez(given, inputs=inputs, outputs=model.predict(inputs, verbose=0), **named_weights(model))
        script = pathlib.Path(__file__).with_name("few_bits_tfmot.py")
        command = [options.tfmot_python, script, given, file, network, seed, json.dumps(task.settings_of_numbers)]
        if options.data_dir:
            command += ["--data-dir", options.data_dir]
        if options.threads:
            command += ["--threads", options.threads]
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
        done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, env=environment)
        path.write_bytes(file.read_bytes())
        scores = np.load(file.with_suffix(".npy"))
    return {**json.loads(done.stdout.splitlines()[-1]), **of_file(path, scores, task, data)}


def step_ratios(way, task, data):
    """Returns how long a training step takes, as a share of the time of the float network, for each turn."""
    keras.utils.set_random_seed(0)
    plain, how = task.build(task.width), WAYS[way]
    few = twin(fresh(task, 0) if how.is_fresh else plain, how)
    few, plain = (networks.compiled(model, 1e-3) for model in (few, plain))
    return tasks.step_ratios(few, plain, [part[: task.batch] for part in data[0]])


def time_ratio(network, way, seed):
    """Returns how long a LiteRT file takes, as a share of the time of the float file, in turns."""
    return relative_time(*(TfliteFile(file_of(network, each, seed)) for each in (way, FLOAT)))


def measure(network, task, options):
    """Returns what was found: for each way, what it came to for each seed, the cost of steps, and the file's time."""
    held = {}

    def data():
        if not held:
            held["data"] = task.data(options.data_dir)
        return held["data"]

    def found(name, make, task=task):
        if options.as_is:
            either = task, dataclasses.replace(task, file_samples=0)
            return next(filter(None, (measured_before(NAME, name, each.settings_of_numbers) for each in either)), None)
        return cell(NAME, name, task.settings_of_numbers, make)

    def one(way, seed, task):
        if way == TFMOT:
            return examine_tfmot(network, seed, task, data(), options)
        return examine(network, way, seed, task, data())

    measured = {}
    for seed in range(options.seeds):
        for way in [FLOAT, *options.ways]:
            has_file = seed < options.file_seeds or way == TFMOT
            this = task if has_file else dataclasses.replace(task, file_samples=0)
            run = found(label(network, way, seed), functools.partial(one, way, seed, this), this)
            keras.backend.clear_session()
            if run:
                measured.setdefault(way, {"runs": []})["runs"].append({"seed": seed, **run})
    for way, of_way in measured.items():
        if way in WAYS and WAYS[way].is_trained:
            of_way["steps"] = found(f"{network}-{way}-steps", lambda way=way: step_ratios(way, task, data()))
        elif way == TFMOT:
            of_way["steps"] = [ratio for run in of_way["runs"] for ratio in run["steps"]]
        if way != FLOAT and options.file_seeds:
            of_way["time"] = found(f"{network}-{way}-time", lambda way=way: time_ratio(network, way, 0))
    return measured


def rows(measured):
    """Yields a row for each way."""
    for way, of_way in measured.items():
        runs = of_way["runs"]

        def mean(key, form, runs=runs):
            values = [run[key] for run in runs if key in run]
            return format(np.mean(values), form) if values else ""

        yield [
            way,
            f"{len(runs)} ({sum('file' in run for run in runs)})",
            mean_and_range([run["test"] for run in runs], 1),
            "" if way == FLOAT else f"{0 - round(lost(measured, way), 1):+.1f}",
            f"{mean('file', '.1f')} ({mean('model on these', '.1f')})" if mean("file", ".1f") else "",
            mean("same", ".1f"),
            *(mean(key, ",.0f") for key in ("bytes", "gzip", "compressed")),
            f"{of_way['time']:.2f}" if of_way.get("time") else "",
            f"{statistics.median(of_way['steps']):.2f}" if of_way.get("steps") else "",
        ]


def lost(measured, way):
    """Returns how many points of test accuracy a way loses against the float network, mean over the seeds."""
    plain = {run["seed"]: run["test"] for run in measured[FLOAT]["runs"]}
    return np.mean([plain[run["seed"]] - run["test"] for run in measured[way]["runs"]])


def verdict(network, measured):
    """Returns in words what is won, and what is lost."""
    told = []
    for bits in BITS:
        after, trained = f"{bits} bits, after training", f"{bits} bits, trained"
        if after in measured and trained in measured:
            told.append(f"{lost(measured, after):.1f} and {lost(measured, trained):.1f} at {bits} bits")
    text = f"{network}: points lost after training, and trained: {'; '.join(told)}. " if told else f"{network}: "
    others = [way for way in measured if way in WAYS and WAYS[way].quantize is None]
    if others:
        text += "Points lost by " + ", ".join(f"{way} {lost(measured, way):.1f}" for way in others) + ". "
    costs = {way: statistics.median(each["steps"]) for way, each in measured.items() if each.get("steps")}
    costs.pop(TFMOT, None)
    if costs:
        over = [f"{way} {ratio:.2f}" for way, ratio in costs.items() if ratio > AIM]
        text += f"A step may take {AIM} times as long: " + (
            f"missed by {', '.join(over)}. " if over else "met by all. "
        )
    return text


def papers():
    """Returns rows of what the papers have."""
    return [
        [way, where, "" if plain is None else f"{plain:.2f}", f"{few:.2f}"]
        for way, (where, plain, few) in PAPERS.items()
    ]


def draw(found):
    """Draws test accuracy over bits, and that of networks with two or three values at their bits of a weight."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(3.2 * len(found), 3), squeeze=False)
    series = {"after training": "{} bits, after training", "trained": "{} bits, trained", "learned step": None}
    series["learned step"] = "learned step, {} bits"
    few = {"ternary": 1.58, "trained ternary": 1.58, "binary": 1, "binary, scaled": 1, "XNOR": 1}
    lines = {}
    for axes, (network, measured) in zip(panels[0], found.items(), strict=True):
        runs = {way: each["runs"] for way, each in measured.items()}
        for index, (name, way) in enumerate(series.items()):
            points = [
                [(bits, run["test"]) for run in runs[way.format(bits)]] for bits in BITS if way.format(bits) in runs
            ]
            if points:
                charts.curve(axes, points, name, color=f"C{index}")
        for index, (way, bits) in enumerate(few.items(), start=len(series)):
            if way in runs:
                axes.plot(bits, np.median([run["test"] for run in runs[way]]), "s", color=f"C{index}", label=way)
        axes.axhline(np.median([run["test"] for run in runs[FLOAT]]), color="0.5", linestyle="--", label=FLOAT)
        axes.set(title=network, xlabel="bits of a weight")
        lines |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    panels[0, 0].set_ylabel("test accuracy, %")
    places = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.02)}
    figure.legend(lines.values(), lines, frameon=False, fontsize=7, ncols=5, **places)
    charts.save(figure, f"{NAME}.svg")


def trained(network, task):
    return (
        f"{network}: width {task.width}, {task.build(task.width).count_params():,} parameters, {task.images:,} images, "
        f"{task.epochs} epochs float, {task.tuning_epochs} more. "
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz and cifar10.npz; without it Keras downloads them")
    for key in ("images", "epochs", "tuning_epochs", "width", "file_samples"):
        parser.add_argument(f"--{key.replace('_', '-')}", type=int, help="instead of the network's own")
    parser.add_argument("--networks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--ways", nargs="+", choices=[*WAYS, TFMOT], default=list(WAYS))
    parser.add_argument("--tfmot-python", help="interpreter that has tensorflow-model-optimization and tf_keras")
    parser.add_argument("--threads", type=int, help="threads of an operation; by default TensorFlow's own choice")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--file-seeds", type=int, default=3, help="seeds with LiteRT files; TFMOT has one for each")
    parser.add_argument("--as-is", action="store_true", help="measure nothing more, and write what there is")
    options = parser.parse_args()
    options.ways = list(dict.fromkeys([*options.ways, *([TFMOT] if options.tfmot_python or options.as_is else [])]))
    if TFMOT in options.ways and not (options.tfmot_python or options.as_is):
        parser.error(f"{TFMOT!r} needs --tfmot-python")
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    changes = {
        key: getattr(options, key) for key in (*SETTINGS, "file_samples") if getattr(options, key, None) is not None
    }
    chosen = {name: dataclasses.replace(TASKS[name], **changes) for name in options.networks}
    found = {network: measure(network, task, options) for network, task in chosen.items()}
    found = {network: each for network, each in found.items() if FLOAT in each}
    draw(found)
    tables = [(network, COLUMNS, list(rows(measured))) for network, measured in found.items()]
    tables.append(("In the papers", ["", "network", "float, %", "so, %"], papers()))
    write(
        NAME,
        "Few bits",
        tables,
        "".join(verdict(network, measured) for network, measured in found.items())
        + "\n\n"
        + "".join(trained(network, chosen[network]) for network in found)
        + NOTE.format(task=next(iter(chosen.values())), validation=tasks.VALIDATION, ranges=RANGES),
        found,
    )


if __name__ == "__main__":
    main()

"""LiteRT files of the networks that a proof leads to: bytes, milliseconds, and what they answer."""

import itertools
import pathlib
import tempfile

import keras
import numpy as np
from results_file import mean_and_range

import keras_slim as slim

KINDS = ("float32", "int8")
ROUNDS = 5
COLUMNS = [f"{kind}, {unit}" for kind in KINDS for unit in ("MB", "ms", "%")]


def measured(paths, samples, test):
    """Returns bytes, milliseconds and accuracies of the files of kept networks, timed in turn.

    Args:
        paths: Paths of kept networks by name.
        samples: What int8 takes its ranges from.
        test: `(x, y)` to judge files by.

    Returns:
        Dictionary by name, then by kind of file.
    """
    found, files = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for (name, path), kind in itertools.product(paths.items(), KINDS):
            file = files[name, kind] = pathlib.Path(folder) / f"{len(files)}.tflite"
            model = keras.models.load_model(path, compile=False)
            slim.export_tflite(model, file, None if kind == "float32" else kind, samples, verbose=0)
            answers = slim.evaluate_tflite(file, test, verbose=0)
            size = {"bytes": file.stat().st_size, "accuracy": 100 * answers.metrics["accuracy"], "all": []}
            found.setdefault(name, {})[kind] = size
        for _, ((name, kind), file) in itertools.product(range(ROUNDS), files.items()):
            found[name][kind]["all"].append(slim.benchmark_tflite(file, threads=1).median_ms)
    for each in itertools.chain.from_iterable(kinds.values() for kinds in found.values()):
        each["ms"] = float(np.median(each["all"]))
    return found


def cells(pairs):
    """Returns `COLUMNS` of a row.

    Args:
        pairs: For each seed the files of a network, and those of the dense one beside.
    """
    for kind in KINDS:
        pair = [(each[kind], whole[kind]) for each, whole in pairs]
        times = np.mean([each["ms"] for each, _ in pair]), np.mean([whole["ms"] / each["ms"] for each, whole in pair])
        yield f"{np.mean([each['bytes'] for each, _ in pair]) / 1e6:.2f}"
        yield "{:.2f} ({:.2f}x)".format(*times)
        yield mean_and_range([each["accuracy"] for each, _ in pair])

"""What every benchmark does with what it measured: the surroundings, a table, and two files."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
import statistics
import sys

import keras
import numpy as np

import keras_slim

FOLDER = pathlib.Path(__file__).parent / "results"
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse4_2": "SSE4.2"}  # widest first, by Linux's names


def surroundings():
    """Returns the machine, the versions, the command, and what ratios of times depend on, as a dictionary."""
    backend = keras.backend.backend()
    on = "" if backend == "tensorflow" else f"KERAS_BACKEND={backend} "
    return {
        "command": f"{on}python " + shlex.join([f"benchmarks/{pathlib.Path(sys.argv[0]).name}", *_shown(sys.argv[1:])]),
        "date": datetime.date.today().isoformat(),
        "processor": _accelerator() or _processor(),
        **({} if _accelerator() else _vectors()),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        backend: importlib.metadata.version(backend),
        **({"oneDNN": _onednn()} if backend == "tensorflow" else {}),
        "numpy": np.__version__,
        "keras_slim": keras_slim.__version__,
    }


def write(name, title, tables, note, measured):
    """Writes `results/NAME.json` and `results/NAME.md`, and prints the latter.

    Args:
        name: Name of the benchmark.
        title: What it measures, one line.
        tables: List of `(heading, column names, rows)`.
        note: What a reader must know, Markdown.
        measured: Every number, for the JSON file.
    """
    around = surroundings()
    lines = [f"## {title}", "", note, ""]
    for heading, columns, rows in tables:
        lines += [f"**{heading}**", "", _row(columns), _row(["---"] * len(columns)), *map(_row, rows), ""]
    lines += [f"`{around['command']}`, " + ", ".join(f"{k} {v}" for k, v in around.items() if k != "command") + "."]
    text = "\n".join(lines) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"surroundings": around, "measured": measured}, indent=1) + "\n")
    (FOLDER / f"{name}.md").write_text(text)
    print(text)


def spread(values, digits=3):
    """Returns "median (lowest to highest)"."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def mean_and_range(values, digits=2):
    """Returns "mean (lowest to highest)", or a single value as it is."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def _shown(arguments):
    """Returns the arguments with folders and programs of this machine left out of sight."""
    hidden = {"--data-dir": "DIR", "--torch-python": "PYTHON", "--jax-python": "PYTHON", "--tfmot-python": "PYTHON"}
    return [hidden.get(before, each) for before, each in zip(["", *arguments], arguments, strict=False)]


def _accelerator():
    """Returns the name of the graphics processor that JAX computes on, if it does."""
    if keras.backend.backend() != "jax":
        return None
    import jax

    return jax.devices()[0].device_kind if jax.default_backend() == "gpu" else None


def _processor():
    return _of_processor("model name") or platform.processor()


def _vectors():
    """Returns the widest vector instructions of the processor, if the system tells; arithmetic goes by them."""
    flags = (_of_processor("flags") or "").split()
    widest = next((name for flag, name in VECTORS.items() if flag in flags), None)
    return {"vector instructions": widest} if widest else {}


def _of_processor(key):
    """Returns what Linux tells of the processor, or `None`."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith(key))
    except (OSError, StopIteration):
        return None


def _onednn():
    """Returns whether TensorFlow computes with oneDNN on the CPU: "on" or "off".

    TensorFlow has no question for it. But only with oneDNN is there a convolution of channels-first images on the CPU.
    """
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            tf.nn.conv2d(tf.zeros((1, 1, 1, 1)), tf.zeros((1, 1, 1, 1)), 1, "VALID", data_format="NCHW")
    except tf.errors.UnimplementedError:
        return "off"
    return "on"

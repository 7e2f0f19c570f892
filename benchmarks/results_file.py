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


def surroundings():
    """Returns the machine, the versions and the command, as a dictionary."""
    backend = keras.backend.backend()
    return {
        "command": "python " + shlex.join([f"benchmarks/{pathlib.Path(sys.argv[0]).name}", *_shown(sys.argv[1:])]),
        "date": datetime.date.today().isoformat(),
        "processor": _accelerator() or _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        backend: importlib.metadata.version(backend),
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
    """Returns "mean (lowest to highest)"."""
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


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
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()

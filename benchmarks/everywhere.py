"""What holds on which backend and under which strategy, and what an epoch and the callbacks take on each backend."""

import argparse
import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
from cells import cell
from everywhere_checks import IN_FIT, OUTSIDE
from results_file import spread, write

import keras_slim as slim

HERE = pathlib.Path(__file__).parent
PLACES = {
    "TensorFlow": ("tensorflow", "alone"),
    "JAX": ("jax", "alone"),
    "PyTorch": ("torch", "alone"),
    "TensorFlow, `MirroredStrategy`": ("tensorflow", "mirrored"),
    "JAX, `DataParallel`": ("jax", "parallel"),
}
SECONDS = {
    "plain": "`fit`",
    "idle": "with an idle callback",
    "ratio": "ratio",
    "cut": "a cut",
    "first": "first epoch after it",
    "others": "other epochs after it",
}


def run(python, backend, script, *arguments, **variables):
    """Yields what a script prints on a backend, line by line, read as JSON.

    Args:
        python: The interpreter that has the backend.
        backend: Its name.
        script: The script.
        *arguments: Its arguments.
        **variables: Of its environment.
    """
    environment = {
        **os.environ,
        **variables,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2" if "parallel" in arguments else "",
    }
    command = [python, HERE / script, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise RuntimeError(f"{script} ended with {process.returncode} on {backend}.")


def times_of(python, backend, *arguments):
    """Returns what is measured of each fit on a backend."""
    return list(run(python, backend, "everywhere_times.py", *arguments))


def times_of_two_workers(python, *arguments):
    """Returns what the first of two processes measures that train together on JAX."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    together = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    call = python, "jax", "everywhere_times.py", *arguments
    with concurrent.futures.ThreadPoolExecutor() as pool:
        both = [
            pool.submit(lambda rank: list(run(*call, **together, KERAS_DISTRIBUTION_PROCESS_ID=str(rank))), rank)
            for rank in range(2)
        ]
        first, _ = (each.result() for each in both)
        return first


def checked(python, backend, strategy):
    """Returns what each check says on a backend and under a strategy: `None` if all is well, else why not."""
    found = {}
    for each in run(python, backend, "everywhere_checks.py", strategy):
        print(f"{backend}, {strategy}: {each['name']}: {each['why'] or 'yes'} ({each['seconds']:.0f} s)", flush=True)
        found[each["name"]] = each["why"]
    return found


def rows_of(found):
    """Returns the table of what holds, with a number for each reason, and the reasons."""
    names = dict.fromkeys(name for checks in found.values() for name in checks)
    reasons = []
    rows = []
    for name in names:
        row = [name]
        for checks in found.values():
            why = checks.get(name)
            if name not in checks:
                row.append("")
            elif why is None:
                row.append("yes")
            else:
                if why not in reasons:
                    reasons.append(why)
                row.append(f"no ({reasons.index(why) + 1})")
        rows.append(row)
    return rows, reasons


def how_many(found):
    """Yields how many of the checks in `fit`, and of those of a model, hold in each place."""
    for label, names in {"in `fit`": IN_FIT, "verbs": OUTSIDE}.items():
        row = [label]
        for checks in found.values():
            whys = [why for name, why in checks.items() if name in names]
            row.append(f"{whys.count(None)} of {len(whys)}" if whys else "")
        yield row


def seconds_rows(times):
    for backend, fits in times.items():
        yield [backend, *(spread([each[name] for each in fits], 2) for name in SECONDS)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10.npz")
    parser.add_argument("--jax-python", help="interpreter that has JAX beside what this one has")
    parser.add_argument("--torch-python", help="interpreter that has PyTorch beside what this one has")
    parser.add_argument("--images", type=int, default=1000, help="images of an epoch (default: 1000)")
    parser.add_argument("--fits", type=int, default=3, help="fits with and without a callback (default: 3)")
    options = parser.parse_args()
    pythons = {"tensorflow": sys.executable, "jax": options.jax_python, "torch": options.torch_python}
    pythons = {backend: python for backend, python in pythons.items() if python}
    arguments = options.data_dir, str(options.images), str(options.fits)
    listed = {"checks": [*IN_FIT, *OUTSIDE], "keras": keras.__version__, "keras_slim": slim.__version__}
    found = {
        place: cell("everywhere", f"checks {backend} {strategy}", listed, checked, pythons[backend], backend, strategy)
        for place, (backend, strategy) in PLACES.items()
        if backend in pythons
    }
    size = {"images": options.images, "fits": options.fits}
    times = {
        backend: cell("everywhere", f"times {backend}", size, times_of, python, backend, *arguments)
        for backend, python in pythons.items()
    }
    if "jax" in pythons:
        times["jax, two processes"] = cell(
            "everywhere", "times jax two processes", size, times_of_two_workers, pythons["jax"], *arguments
        )
    rows, reasons = rows_of(found)
    write(
        "everywhere",
        "What holds where",
        [
            ("How many hold", ["", *found], list(how_many(found))),
            ("What holds", ["", *found], rows),
            *([("Why not", ["", ""], [[number, why] for number, why in enumerate(reasons, 1)])] if reasons else []),
            ("Seconds of an epoch and of a cut", ["backend", *SECONDS.values()], list(seconds_rows(times))),
        ],
        "Each verb and callback is run on a small network for the digits that come with the library, and has to leave "
        "a network that is smaller, or trains, or answers as before; under a strategy, on two devices of a processor. "
        f"*Seconds*: the network of five convolutions of the cost of callbacks, {options.images:,} images of CIFAR-10, "
        "batch 64, TensorFlow in graph mode, the others as Keras compiles them. An epoch is the fastest but the "
        "first of a fit; a cut is one round of `ProgressiveGlobalPruning` with Taylor scores from 512 images, "
        "compensated; *two processes* share the cores, and each has half of every batch and of these images. "
        f"Median (lowest to highest) of {options.fits} fits.",
        {"holds": found, "seconds": times},
    )


if __name__ == "__main__":
    main()

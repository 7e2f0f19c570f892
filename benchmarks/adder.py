"""What convolution by L1 distance costs beside ordinary convolution: by shape and backend, and a whole ResNet-20."""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import adder_shapes
import adder_training
import keras
from results_file import spread, write

HERE = pathlib.Path(__file__).parent
BACKEND = keras.backend.backend()
OTHERS = "adder", "published", "cdist"
AVX2 = {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
MODES = {
    "oneDNN on": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "oneDNN on, AVX2 at most": {"TF_ENABLE_ONEDNN_OPTS": "1", **AVX2},
    "oneDNN off, AVX2 at most": {"TF_ENABLE_ONEDNN_OPTS": "0", **AVX2},
}
"""What TensorFlow's convolutions and XLA compute with, each in a process of its own."""
XLA = (
    "A maximum and an addition stand where a convolution has one fused instruction, and for the gradient of the inputs "
    "a minimum, a maximum and that instruction."
)
COSTS = {
    "tensorflow": f"{XLA} *AVX2 at most* forbids XLA and oneDNN wider vectors, as on a processor that has none.",
    "jax": XLA,
    "torch": "A subtraction, an absolute value and an addition stand where a convolution has one fused instruction, "
    "and for the gradient of the inputs a subtraction, a minimum, a maximum, a product and an addition. One thread: "
    "threads that wait would count as well.",
}


def asked(python, script, *arguments, backend="tensorflow", mode=()):
    """Returns what a script prints, under an interpreter, with a backend and with more of the environment."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path, **dict(mode)}
    command = [python, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def train(batch, steps):
    """Returns seconds of training steps in turns; memory and the first step are of processes of their own."""
    found = {"seconds": {"convolution": [], "adder": []}}
    models = {kind: adder_training.residual(kind) for kind in found["seconds"]}
    data = adder_training.samples(batch)
    for number in range(steps + 1):
        for kind, model in models.items():
            seconds = adder_training.timed_step(model, data)
            if number:
                found["seconds"][kind].append(seconds)
    with tempfile.TemporaryDirectory() as empty:
        fresh = {"TORCHINDUCTOR_CACHE_DIR": empty}  # PyTorch keeps there what it has compiled
        found["alone"] = {
            kind: asked(sys.executable, "adder_training.py", kind, batch, 3, backend=BACKEND, mode=fresh)
            for kind in models
        }
    return found


def shape_rows(measured):
    """Yields a row for each shape: milliseconds of the convolution, and of how many of these everything else is."""
    for (shape, filters, size, stride), found in zip(adder_shapes.SHAPES, measured, strict=True):
        row = [f"{shape} -> {filters}", f"{size}x{size}, stride {stride}"]
        for direction, ways in found.items():
            row.append(spread(ways["convolution"]["milliseconds"], 1))
            row += [f"{adder_shapes.ratio(ways, name):.2f}" for name in OTHERS if name in ways]
            row += [f"{ways['adder']['first']:.1f}"] if direction == "forward and backward" else []
        yield row


def training_rows(found):
    """Yields a row for each network."""
    plain = found["alone"]["convolution"]
    for kind, seconds in found["seconds"].items():
        alone = found["alone"][kind]
        pairs = [one / two for one, two in zip(seconds, found["seconds"]["convolution"], strict=True)]
        yield [
            kind,
            spread([1000 * each for each in seconds], 0),
            spread(pairs, 2),
            f"{alone['peak']:.0f} ({alone['before']:.0f} before the first step)",
            f"{alone['peak'] / plain['peak']:.2f}",
            f"{alone['first']:.1f}",
        ]


def range_of(found, direction):
    """Returns "lowest to highest (median)" of what the shapes take, in times of a convolution."""
    ratios = [adder_shapes.ratio(ways[direction], "adder") for ways in found]
    return f"{min(ratios):.1f} to {max(ratios):.1f} ({statistics.median(ratios):.1f})"


def shapes_by_mode(options):
    """Returns what every shape takes: on TensorFlow in each mode, and where else is asked for; or on our backend."""
    if BACKEND != "tensorflow":
        return {BACKEND: adder_shapes.measured(options.runs)}
    found = {}
    for mode, environment in MODES.items():
        print(f"adder: {mode} ...", flush=True)
        found[f"tensorflow, {mode}"] = asked(sys.executable, "adder_shapes.py", options.runs, mode=environment)
    for backend, python in {"jax": options.jax_python, "torch": options.torch_python}.items():
        if python:
            print(f"adder: {backend} ...", flush=True)
            found[backend] = asked(python, "adder_shapes.py", options.runs, backend=backend)
    return found


def columns(backend):
    others = OTHERS if backend == "torch" else OTHERS[:2]
    both = [name for name in others if name != "published"]
    return [
        *("images and filters", "kernel", "forward, ms", *others),
        *("forward and backward, ms", *both, "first step of adder, s"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jax-python", help="interpreter that has keras and jax")
    parser.add_argument("--torch-python", help="interpreter that has keras and torch")
    parser.add_argument("--runs", type=int, default=15, help="runs of each shape (default: 15)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=15, help="training steps of each network (default: 15)")
    options = parser.parse_args()
    shapes = shapes_by_mode(options)
    print("adder: ResNet-20 ...", flush=True)
    training = train(options.batch, options.steps)
    tables = [
        (f"Times as long as a convolution, {backend}", columns(backend), list(shape_rows(found)))
        for backend, found in shapes.items()
    ]
    heading = ["ResNet-20 of", "ms a step", "of the other, pair by pair", "peak memory, MiB", "of the other's"]
    tables.append((f"Training, {BACKEND}", [*heading, "first step, s"], list(training_rows(training))))
    ranges = [
        f"{mode}: {range_of(found, 'forward')} forward, {range_of(found, 'forward and backward')} both ways"
        for mode, found in shapes.items()
    ]
    write(
        "adder" if BACKEND == "tensorflow" else f"adder_{BACKEND}",
        f"Convolution by L1 distance, {BACKEND}",
        tables,
        f"Medians of processor time, of runs in turns in one process. {COSTS[BACKEND]} Times as long as a convolution "
        f"(median), {'; '.join(ranges)}. *published* is the formulation of the paper's own code, all differences of "
        "patches and filters at once, forward only and in three runs; *cdist* is `torch.cdist` of patches and filters. "
        "The training steps of both networks are taken in turns in one process, batch "
        f"{options.batch}; memory is that of a process that does nothing else, {BACKEND} itself included.",
        {"shapes": shapes, "training": training},
    )


if __name__ == "__main__":
    main()

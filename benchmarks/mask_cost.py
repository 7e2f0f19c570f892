"""What it costs to hold zeros while a network trains: seconds of an epoch beside a plain one, in turns."""

import argparse
import json
import os
import pathlib
import subprocess

import mask_steps
from results_file import spread, write

import keras_slim as slim

WAYS = {
    "plain": lambda model: [],
    "zeros held": lambda model: [slim.callbacks.HoldMasks(_half(model))],
    "gradual pruning": lambda model: [slim.callbacks.GradualPruning(0.5, frequency=100, verbose=0)],
}


def _half(model):
    return slim.sparsity.magnitude_masks(slim.sparsity.kernels(model), 0.5)


def examine(name, pairs):
    """Returns the seconds of the fastest epoch, plain and in each way, in turns."""
    samples = mask_steps.data(name)
    found = {way: [] for way in WAYS}
    for _ in range(pairs):
        for way, callbacks in WAYS.items():
            model = mask_steps.compiled(name)
            found[way].append(mask_steps.fastest_epoch(model, name, samples, callbacks(model)))
    return found


def of_tfmot(python, name, pairs):
    """Returns the same of TensorFlow Model Optimization, measured under its own interpreter."""
    command = [python, str(pathlib.Path(__file__).with_name("mask_cost_tfmot.py")), name, str(pairs)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def rows(measured):
    """Yields a row for each network and way: milliseconds of a step, and of how many plain ones it is."""
    for (name, tool), found in measured.items():
        plain = found["plain"]
        for way, seconds in found.items():
            ratios = [one / two for one, two in zip(seconds, plain, strict=True)]
            best = f"{min(seconds) / min(plain):.3f}"
            shown = [spread([1000 * each / mask_steps.STEPS for each in seconds])]
            yield [name, tool, way, *shown, *(["", ""] if way == "plain" else [best, spread(ratios)])]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tfmot-python", help="interpreter that has tensorflow-model-optimization and tf_keras")
    parser.add_argument("--pairs", type=int, default=7, help="fits of each kind (default: 7)")
    options = parser.parse_args()
    measured = {}
    for name in mask_steps.BATCHES:
        print(f"mask_cost: {name} ...", flush=True)
        measured[name, "keras_slim"] = examine(name, options.pairs)
        if options.tfmot_python:
            measured[name, "TFMOT"] = of_tfmot(options.tfmot_python, name, options.pairs)
    epochs = ", ".join(str(each - 1) for each in mask_steps.EPOCHS.values())
    columns = ["network", "tool", "", "ms a step, median (range)", "against plain, best of each", "pair by pair"]
    write(
        "mask_cost",
        "What it costs to hold zeros",
        [("Seconds of training", columns, list(rows(measured)))],
        f"The fastest of {epochs} epochs of {mask_steps.STEPS} steps, after one that compiles; {options.pairs} fits of "
        "each kind in turns, on images of noise, Adam, graph mode, half of the weights zero. "
        "*Plain* is `fit` without callbacks, in Keras 3 for keras_slim and in tf_keras for TFMOT, which cannot prune "
        "Keras 3 models: each tool stands beside its own plain `fit`.",
        {f"{name}, {tool}": found for (name, tool), found in measured.items()},
    )


if __name__ == "__main__":
    main()

"""Whether a target of bytes or latency is reached when the files are exported and measured afterwards."""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

import keras
import networks
import numpy as np
from results_file import FOLDER, spread, write

import keras_slim as slim
from keras_slim.pruning import FileBytes, FileLatency

NETWORKS = {
    "sequential": lambda: networks.sequential(32),
    "residual": lambda: networks.residual(32),
    "depthwise": lambda: networks.depthwise(32),
}
MEASURES = {"bytes": FileBytes, "latency": FileLatency}
QUANTIZATIONS = (None, "int8")
RATIOS = (0.3, 0.5, 0.7)


def examine(name, of, quantize, ratio, turns):
    """Returns what a cut promised, what is left when it is measured on files of its own, and the seconds it took."""
    keras.utils.set_random_seed(0)
    model = NETWORKS[name]()
    start = time.perf_counter()
    plan = slim.plan_pruning(model, ratio, of=MEASURES[of](quantize))
    seconds = time.perf_counter() - start
    samples = np.random.default_rng(0).normal(size=(32, 32, 32, 3)).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / "dense.tflite", pathlib.Path(folder) / "small.tflite"]
        for network, path in zip((model, slim.shrink(model, plan)), paths, strict=True):
            slim.export_tflite(network, path, quantize, samples, verbose=0)
        if of == "bytes":
            left = [paths[1].stat().st_size / paths[0].stat().st_size]
        else:
            left = [_relative(*paths) for _ in range(turns)]
    promised = getattr(plan.after, of) / getattr(plan.before, of)
    return {"before": getattr(plan.before, of), "promised": promised, "left": left, "seconds": seconds}


def _relative(dense, small):
    """Returns the share of the time of one file that another takes, by the fastest of their runs."""
    before, after = (slim.benchmark_tflite(path, runs=50).min_ms for path in (dense, small))
    return after / before


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=11, help="benchmarks of each pair of files (default: 11)")
    options = parser.parse_args()
    folder = FOLDER / "targets"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cells.json"
    cells = json.loads(path.read_text()) if path.exists() else {}
    for name in NETWORKS:
        for of in MEASURES:
            for quantize in QUANTIZATIONS:
                for ratio in RATIOS:
                    key = f"{name} {of} {quantize or 'float32'} {ratio}"
                    if key not in cells:
                        print(key, flush=True)
                        cells[key] = examine(name, of, quantize, ratio, options.turns)
                        path.write_text(json.dumps(cells, indent=1) + "\n")
    rows = []
    for key, cell in cells.items():
        name, of, kind, ratio = key.split()
        target = 1 - float(ratio)
        off = statistics.median(cell["left"]) / target - 1
        shown = f"{target:.2f}", f"{cell['promised']:.3f}", spread(cell["left"]), f"{off:+.1%}"
        rows.append([name, of, kind, *shown, f"{cell['seconds']:.0f}"])
    columns = [
        "network",
        "of",
        "file",
        "target",
        "promised",
        "measured afterwards",
        "off the target",
        "seconds to plan",
    ]
    write(
        "targets",
        "Targets in bytes and milliseconds",
        [("Share that is left of the file's bytes or latency", columns, rows)],
        "Three networks for 32x32 images with random weights, cut by l2 scores, kept units a multiple of 8. Measured "
        "afterwards: both files exported anew; milliseconds by whole benchmarks of both in turns, one thread, the "
        f"fastest run of each, median of {options.turns} (lowest to highest). A cut that is further below its target "
        "than 2 % of bytes or 6 % of time found no widths in between.",
        cells,
    )


if __name__ == "__main__":
    main()

"""How long a cut that is made up for with data takes, beside two plain forward passes over the same data."""

import argparse
import gc
import statistics
import time

import keras
import networks
import numpy as np
from results_file import spread, write

import keras_slim as slim

APPLICATIONS = {
    "MobileNetV2, 96": (lambda: keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None), 8),
    "MobileNetV2, 224": (lambda: keras.applications.MobileNetV2(weights=None), 16),
    "ResNet50, 224": (lambda: keras.applications.ResNet50(weights=None), 16),
}
"""From a name to what builds the network, and what part of the samples it is given."""


def builders():
    """Yields names, functions that build a network, and what part of the samples it is given."""
    for width in (8, 16):
        for depth in (8, 20, 56):
            blocks = (depth - 2) // 6
            yield f"ResNet-{depth}, width {width}", lambda w=width, b=blocks: networks.residual(w, b), 1
    for name, (build, part) in APPLICATIONS.items():
        yield name, build, part


def used(work):
    """Returns the processor seconds and the seconds that something takes."""
    gc.collect()
    begin, start = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - begin, time.perf_counter() - start


def measure(model, samples, rounds):
    """Returns processor seconds and seconds of each kind of work, those of several rounds in turns."""
    x = np.random.default_rng(0).normal(size=(samples, *model.input_shape[1:])).astype("float32")
    plan = slim.plan_pruning(model, 0.5)
    works = {
        "forward": lambda: model.predict(x, batch_size=128, verbose=0),
        "plain": lambda: slim.shrink(model, plan),
        "with data": lambda: slim.shrink(model, plan, x, verbose=0),
    }
    works["forward"]()  # traced once
    found = [{name: used(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: [each[name] for each in found] for name in works}


def row(name, samples, found):
    cpu = {name: [first for first, _ in each] for name, each in found.items()}
    least = min(cpu["forward"])
    return [
        name,
        f"{samples:,}",
        *(spread(cpu[each], 2) for each in ("forward", "plain", "with data")),
        f"{statistics.median(second for _, second in found['with data']):.1f}",
        spread([each / (2 * least) for each in cpu["with data"]], 1),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1024, help="images of 32x32 (default: 1024; others see fewer)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only networks with this in their name")
    options = parser.parse_args()
    rows, measured = [], {}
    for name, build, part in builders():
        if options.only in name:
            keras.backend.clear_session()
            keras.utils.set_random_seed(0)
            samples = max(1, options.samples // part)
            measured[name] = measure(build(), samples, options.rounds)
            rows.append(row(name, samples, measured[name]))
            print(*rows[-1], sep=" | ", flush=True)
    columns = ["network", "samples", "`predict`, s", "plain cut, s", "cut with data, s", "wall time, s"]
    columns.append("times two `predict`")
    note = (
        "Half of the units go, ranked by l2. Processor seconds on all cores, median (range) of "
        f"{options.rounds} rounds in turns; the ratio is to twice the fastest `predict`, which is compiled. A cut with "
        "data holds two plain ones, the twin and the result. Random weights and images, seed 0."
    )
    tables = [("A cut that is made up for with data", columns, rows)]
    write("cut_time", "How long a cut takes", tables, note, measured)


if __name__ == "__main__":
    main()

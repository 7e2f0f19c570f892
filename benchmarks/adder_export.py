"""Size and LiteRT latency of adder layers and of an adder ResNet-20 in each form, beside their convolutional twins."""

import argparse
import pathlib
import tempfile

import keras
import networks
import numpy as np
from results_file import spread, write

import keras_slim as slim

# Height and width, channels, filters of a 3x3 convolution.
SHAPES = ((32, 16, 16), (16, 32, 32), (8, 64, 64), (8, 128, 256))
KERNELS = {"any values": None, "8 values": 8, "4 values": 4}
PRECISIONS = {"float32": None, "dynamic": "dynamic", "int8": "int8"}
RUNS, WARMUP = 50, 5
STEPS = 60


def one_layer(size, channels, filters):
    """Returns a model of one convolution."""
    inputs = keras.Input((size, size, channels))
    return keras.Model(inputs, keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(inputs))


def models():
    """Yields each network's name, and a function that makes it with convolutions."""
    for size, channels, filters in SHAPES:
        yield f"{size}x{size}x{channels} to {filters}", lambda shape=(size, channels, filters): one_layer(*shape)
    yield "ResNet-20, 16 filters", lambda: networks.residual(16, blocks=3)


def written(model, precision, samples, path):
    """Exports a model; returns what the report says of it, or why it was refused."""
    try:
        report = slim.export_tflite(model, path, quantize=PRECISIONS[precision], data=samples, verbose=0)
    except slim.errors.ExportError as error:
        return str(error).split(":")[0]
    return {"bytes": path.stat().st_size, "gzip": report.gzip_bytes, "ms": []}


def examine(build, rounds):
    """Returns bytes and milliseconds by kernel and precision; the files are timed in turns."""
    keras.utils.set_random_seed(0)
    original = build()
    skip = () if len(original.layers) == 2 else ("first", "last")
    made = {"convolution": original}
    for name, number in KERNELS.items():
        made[name] = slim.adderize(original, skip=skip)
        if number:
            slim.sharing.share_kernel_values(made[name], number)
    samples = np.random.default_rng(0).normal(size=(32, *original.input_shape[1:])).astype("float32")
    for model in made.values():  # so that batch normalization knows what distances are like, as after training
        for _ in range(STEPS):
            model(samples, training=True)
    found, files = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for kernel, model in made.items():
            for precision in PRECISIONS:
                path = pathlib.Path(folder) / f"{len(files)}.tflite"
                found[f"{kernel}, {precision}"] = written(model, precision, samples, path)
                files[f"{kernel}, {precision}"] = path
        for _ in range(rounds):
            for name, one in found.items():
                if isinstance(one, dict):
                    timed = slim.benchmark_tflite(files[name], threads=1, runs=RUNS, warmup=WARMUP)
                    one["ms"].append(timed.median_ms)
    return found


def rows(found, precision):
    """Yields a row for each network: its convolution, then each kind of kernel beside it."""
    for network, cells in found.items():
        twin = cells[f"convolution, {precision}"]
        row = [network, f"{np.median(twin['ms']):.3f} ms, {twin['bytes']:,}"]
        for kernel in KERNELS:
            cell = cells[f"{kernel}, {precision}"]
            if isinstance(cell, str):
                row.append("refused")
            else:
                ratios = [ours / theirs for ours, theirs in zip(cell["ms"], twin["ms"], strict=True)]
                row.append(f"{spread(ratios, 2)} times, {cell['bytes']:,} ({cell['gzip']:,})")
        yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="runs of the LiteRT benchmark per file (default: 9)")
    options = parser.parse_args()
    found = {}
    for name, build in models():
        print(f"{name} ...", flush=True)
        found[name] = examine(build, options.rounds)
    columns = ["3x3 convolution, or network", "Conv2D: time, bytes", *(f"adder, {each}" for each in KERNELS)]
    write(
        "adder_export",
        "Adder networks in LiteRT",
        [(precision, columns, list(rows(found, precision))) for precision in PRECISIONS],
        "Time of the file as `export_tflite` writes it, as a multiple of that of its convolutional twin in the same "
        "precision (median, lowest to highest of the rounds, each the median of "
        f"{RUNS} runs on one thread), bytes of the file, and in brackets bytes after gzip. Random weights: time does "
        "not depend on them, but the gain of gzip does. *Any values* is computed one filter at a time. Few shared "
        "values can be computed as one stock convolution over the distances to them; export takes that form where it "
        "was faster. In int8 it is the only one: *refused* means that export raises and says to share values first. "
        "An adder layer in built-in operations is slower than a convolution everywhere; what it saves is energy on a "
        "chip made for it.",
        found,
    )


if __name__ == "__main__":
    main()

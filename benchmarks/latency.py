"""Size and LiteRT latency before and after pruning, beside the ratio of multiply-accumulates."""

import argparse
import pathlib
import statistics
import tempfile

import keras
import numpy as np
from keras import layers
from results_file import write

import keras_slim as slim


def residual_network(width):
    """A ResNet-20 of the CIFAR kind, its stages `width`, twice and four times `width` wide."""
    inputs = x = keras.Input((32, 32, 3))
    x = unit(x, width, 1)
    for stage, factor in enumerate((1, 2, 4)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = unit(x, factor * width, stride)
            y = unit(y, factor * width, 1, active=False)
            if x.shape[-1] != y.shape[-1]:
                x = unit(x, factor * width, stride, kernel=1, active=False)
            x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def unit(x, filters, stride, kernel=3, active=True):
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if active else x


def measure(model, samples, rounds):
    """Returns multiply-accumulates, and per quantisation the bytes and the median milliseconds of several runs."""
    found = {"macs": slim.profile(model).macs}
    with tempfile.TemporaryDirectory() as folder:
        for quantize in (None, "int8"):
            path = pathlib.Path(folder) / "model.tflite"
            slim.export_tflite(model, path, quantize=quantize, data=samples, verbose=0)
            times = [slim.benchmark_tflite(path, threads=1).median_ms for _ in range(rounds)]
            found[quantize or "float32"] = {"bytes": path.stat().st_size, "ms": times}
    return found


def row(name, found, dense):
    cells = [name, f"{found['macs'] / dense['macs']:.3f}"]
    for kind in ("float32", "int8"):
        now, before = found[kind], dense[kind]
        median = statistics.median(now["ms"])
        cells += [
            f"{now['bytes']:,} ({now['bytes'] / before['bytes']:.2f})",
            f"{median:.3f}, {min(now['ms']):.3f} to {max(now['ms']):.3f}",
            f"{median / statistics.median(before['ms']):.2f}",
        ]
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of the LiteRT benchmark per file (default: 5)")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    samples = np.random.default_rng(0).normal(size=(32, 32, 32, 3)).astype("float32")
    dense_model = residual_network(16)
    models = {"dense": dense_model}
    for ratio in (0.3, 0.5, 0.7, 0.85):
        models[f"ratio {ratio}"] = slim.prune(dense_model, ratio, of="macs")
    guards = slim.pruning.Guards(align=1)
    models["ratio 0.5, not aligned"] = slim.prune(dense_model, 0.5, of="macs", guards=guards)
    found = {name: measure(model, samples, options.rounds) for name, model in models.items()}
    columns = ["", "multiply-accumulates, share"]
    for kind in ("float32", "int8"):
        columns += [f"{kind} bytes (share)", f"{kind} ms, lowest to highest", f"{kind} time, share"]
    rows = [row(name, each, found["dense"]) for name, each in found.items()]
    note = (
        "ResNet-20 for 32x32 images with random weights (time does not depend on their values), cut to a share of its "
        f"multiply-accumulates by l2 scores; one thread, batch 1, median of {options.rounds} runs. Seed 0. "
        "Ratios on this processor are not ratios on a phone."
    )
    write("latency", "What a cut wins on LiteRT", [("ResNet-20", columns, rows)], note, found)


if __name__ == "__main__":
    main()

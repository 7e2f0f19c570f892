"""Size, seconds and memory of compressed models, and how far their codes are from the entropy."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
from keras import layers
from results_file import write

import keras_slim as slim
from keras_slim.coding import encode_array, encode_symbols


def lenet_300_100():
    hidden = [layers.Dense(units, "relu") for units in (300, 100)]
    return keras.Sequential([keras.Input((784,)), *hidden, layers.Dense(10, "softmax")])


def lenet_5():
    convolutions = [layers.Conv2D(20, 5), layers.MaxPooling2D(), layers.Conv2D(50, 5), layers.MaxPooling2D()]
    dense = [layers.Flatten(), layers.Dense(500, "relu"), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *convolutions, *dense])


def vgg16():
    return keras.applications.VGG16(weights=None)


# name: builder, share of weights kept, values they share (None: all different)
MODELS = {
    "LeNet-300-100, 2 % kept, 3 bits": (lenet_300_100, 0.02, 8),
    "LeNet-5, 1 % kept, 2 bits": (lenet_5, 0.01, 4),
    "VGG16, dense": (vgg16, 1, None),
    "VGG16, 8 % kept, 5 bits": (vgg16, 0.08, 32),
}


def fill(model, share, number, seed=0):
    """Gives kernels random weights of which a share is kept, and biases random values."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = 0.05 * rng.standard_normal(weight.shape, dtype="float32")
        if len(weight.shape) > 1 and number:
            book = 0.05 * rng.standard_normal(number, dtype="float32")
            value = book[rng.integers(0, number, weight.shape, dtype="uint8")]
            value *= rng.random(weight.shape, dtype="float32") < share
            value += 0  # no negative zeros
        weight.assign(value)
    return model


def watched(run):
    """Returns what a function returns, its seconds, and by how many MiB the memory of this process grew at most."""
    process = pathlib.Path("/proc/self")
    (process / "clear_refs").write_text("5")  # the peak is that of now
    before = peak(process)
    start = time.perf_counter()
    result = run()
    return result, time.perf_counter() - start, peak(process) - before


def peak(process):
    """Returns the most MiB of a process that have been in memory at once."""
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def save(name, folder):
    build, share, number = MODELS[name]
    model = fill(build(), share, number)
    report, seconds, growth = watched(lambda: slim.save_compressed(model, f"{folder}/model.slim.h5"))
    keras.saving.save_model(model, f"{folder}/plain", zipped=False)
    found = {key: value for key, value in report.to_dict().items() if key not in ("layers", "path")}
    return found | {"seconds": seconds, "growth": growth}


def load(name, folder):
    _, seconds, growth = watched(lambda: slim.load_compressed(f"{folder}/model.slim.h5"))
    return {"seconds": seconds, "growth": growth}


def load_plain(name, folder):
    _, seconds, growth = watched(lambda: keras.saving.load_model(f"{folder}/plain", compile=False))
    return {"seconds": seconds, "growth": growth}


STEPS = {step.__name__: step for step in (save, load, load_plain)}


def in_its_own_process(step, name, folder):
    """Returns what a step measures in a process that has done nothing else."""
    command = [sys.executable, __file__, "--step", step, "--model", name, "--folder", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(name):
    with tempfile.TemporaryDirectory() as folder:
        return {step: in_its_own_process(step, name, folder) for step in STEPS}


def streams(rng, number):
    """Returns streams of symbols by name."""
    ranks = 1 / np.arange(1, 33)
    return {
        "uniform, 4 symbols": rng.integers(0, 4, number),
        "uniform, 32 symbols": rng.integers(0, 32, number),
        "by rank, 32 symbols": rng.choice(32, number, p=ranks / ranks.sum()),
        "gaps, 15 % kept": np.minimum(rng.geometric(0.15, number) - 1, 255),
        "gaps, 60 % kept": np.minimum(rng.geometric(0.6, number) - 1, 255),
        "90, 5, 3, 2 %": rng.choice(4, number, p=[0.9, 0.05, 0.03, 0.02]),
    }


def distances():
    """Returns bytes and entropy of streams and of positions, by name."""
    rng, found = np.random.default_rng(0), {}
    for number in (4000, 100_000):
        for name, symbols in streams(rng, number).items():
            symbols = symbols.astype("uint8")
            found[f"{number:,} symbols: {name}"] = (len(encode_symbols(symbols)), entropy_bytes(symbols))
    for share in (0.01, 0.08, 0.3):
        kept = (rng.random((800, 500)) < share).astype("float32")
        found[f"positions in 800 x 500, {share:.0%} kept"] = (len(encode_array(kept)), entropy_bytes(kept))
    return found


def entropy_bytes(symbols):
    shares = np.unique(symbols, return_counts=True)[1] / symbols.size
    return float(-(shares * np.log2(shares)).sum() * symbols.size / 8)


def row(name, found):
    saved = found["save"]
    return [
        name,
        f"{saved['dense_bytes']:,}",
        f"{saved['file_bytes']:,}",
        f"{saved['ratio']:.1f}",
        f"{saved['architecture_bytes']:,}",
        f"{saved['hdf5_bytes']:,}",
        *(f"{found[step]['seconds']:.1f} s, {found[step]['growth']:,.0f} MiB" for step in STEPS),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", choices=STEPS, help="one step, as JSON; used by the script itself")
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.model, options.folder)))
        return
    found = {name: measure(name) for name in MODELS}
    entropies = distances()
    columns = ["model", "bytes in memory", "of the file", "ratio", "architecture", "HDF5 and digest"]
    columns += ["saving", "loading", "Keras loading the plain model"]
    coded = [
        [name, f"{size:,}", f"{entropy:,.0f}", f"{size / entropy - 1:+.1%}"]
        for name, (size, entropy) in entropies.items()
    ]
    note = (
        "Random weights at random places, which no code can shorten below their entropy; biases are not pruned. "
        "Seconds, and by how many MiB the process grew at most, each in a process of its own. Loading ends with "
        "Keras loading a plain folder, which stands beside it. Seed 0."
    )
    tables = [
        ("Files", columns, [row(*each) for each in found.items()]),
        ("Codes", ["", "bytes", "entropy, bytes", "distance"], coded),
    ]
    write("compressed_file", "What a compressed file takes", tables, note, {"files": found, "codes": entropies})


if __name__ == "__main__":
    main()

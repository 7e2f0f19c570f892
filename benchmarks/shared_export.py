"""Size and accuracy of LiteRT files of models with zeros and shared values, with batch norm folded first or not."""

import argparse
import math
import pathlib
import tempfile

import keras
import numpy as np
from cells import cell
from results_file import mean_and_range, write

import keras_slim as slim
from keras_slim.cli.quickstart.measuring import file_accuracy
from keras_slim.cli.quickstart.network import build_network
from keras_slim.export.tflite_file import TfliteFile

BATCH = 32
RATE = 1e-3
SPARSITY = 0.8
PRECISIONS = {"float32": None, "dynamic": "dynamic", "int8": "int8"}
LARGEST = "wide"  # the layer with the largest kernel
# name: of which network it is made, whether that is folded before, what happens in `fit`
NETWORKS = {
    "dense": ("trained", False, None),
    "dense, folded first": ("trained", True, None),
    "80 % zeros": ("trained", False, "prune"),
    "16 values": ("trained", False, 4),
    "16 values, folded first": ("trained", True, 4),
    "8 values": ("trained", False, 3),
    "8 values, folded first": ("trained", True, 3),
    "80 % zeros, 16 values": ("80 % zeros", False, 4),
    "80 % zeros, 16 values, folded first": ("80 % zeros", True, 4),
}
FOLDED = ", folded first"


def train(model, samples, epochs, action=None):
    """Trains a model along a cosine, pruning it or letting its weights share values meanwhile."""
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * math.ceil(len(samples[0]) / BATCH), alpha=0.02)
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    callbacks = []
    if action == "prune":
        callbacks = [slim.callbacks.GradualPruning(SPARSITY, window=(0.0, 0.6), frequency=10, verbose=0)]
    elif action:
        callbacks = [slim.callbacks.WeightSharing(bits=action, verbose=0)]
    model.fit(*samples, batch_size=BATCH, epochs=epochs, callbacks=callbacks, verbose=0)
    return model


def examine(seed, options):
    """Returns bytes, accuracies and numbers of values of all networks of a seed."""
    samples, _, test = slim.datasets.load_digits(seed)
    keras.utils.set_random_seed(seed)
    made = {"trained": train(build_network(1), samples, options.epochs)}
    found = {}
    for name, (source, folds, action) in NETWORKS.items():
        print(f"  {name}", flush=True)
        keras.utils.set_random_seed(100 + seed)
        start = made[source]
        model = slim.fold_batch_normalization(start) if folds else keras.models.clone_model(start)
        if not folds:
            model.set_weights(start.get_weights())
        made[name] = train(model, samples, options.tuning_epochs, action)
        found[name] = measured(made[name], samples[0], test)
    return found


def measured(model, samples, test):
    """Returns accuracies and numbers of values of a network and its files, and bytes of these."""
    kernel = np.asarray(model.get_layer(LARGEST).kernel)
    answers = model.evaluate(*test, verbose=0, return_dict=True)
    found = {"accuracy": 100 * answers["accuracy"], **values_of(np.moveaxis(kernel, -1, 0))}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        for precision, quantize in PRECISIONS.items():
            report = slim.export_tflite(model, path, quantize=quantize, data=samples[:300], verbose=0)
            found[precision] = {
                "bytes": report.bytes,
                "gzip": report.gzip_bytes,
                "accuracy": 100 * file_accuracy(path, *test),
                **values_of(kernel_in(path, kernel.size)),
            }
    return found


def kernel_in(path, size):
    """Returns the kernel of a size in a LiteRT file, as it is stored there."""
    interpreter = TfliteFile(path).interpreter
    (found,) = (
        each for each in interpreter.get_tensor_details() if len(each["shape"]) == 4 and each["shape"].prod() == size
    )
    return interpreter.get_tensor(found["index"])


def values_of(kernel):
    """Returns how many values other than zero there are in a kernel, and in a channel (the first axis) at most."""
    numbers = [np.count_nonzero(np.unique(part)) for part in (kernel, *kernel)]
    return {"values": int(numbers[0]), "values_of_a_channel": int(max(numbers[1:]))}


def tables(found):
    """Returns bytes, accuracies, values, and what folding first changes."""
    runs = {name: [seed[name] for seed in found.values()] for name in NETWORKS}
    sizes, accuracies, values = [], [], []
    for name, each in runs.items():
        files = {precision: [run[precision] for run in each] for precision in PRECISIONS}
        sizes.append([name, *(of([run["gzip"] for run in some]) for some in files.values())])
        accuracies.append(
            [name, *(mean_and_range([run["accuracy"] for run in some], 1) for some in (each, *files.values()))]
        )
        values.append(
            [
                name,
                *(
                    f"{of(key(some, 'values'))}; {of(key(some, 'values_of_a_channel'))}"
                    for some in (each, *files.values())
                ),
            ]
        )
    changes = []
    for name in (name.removesuffix(FOLDED) for name in NETWORKS if name.endswith(FOLDED)):
        pairs = list(zip(runs[name], runs[name + FOLDED], strict=True))
        ratios = [[new[each]["gzip"] / old[each]["gzip"] for old, new in pairs] for each in PRECISIONS]
        points = [new["accuracy"] - old["accuracy"] for old, new in pairs]
        changes.append([name, *(mean_and_range(each, 3) for each in ratios), mean_and_range(points, 1)])
    return [
        ("Bytes of the file after gzip", ["network", *PRECISIONS], sizes),
        (
            "What folding first changes",
            ["network", *(f"{each}, times" for each in PRECISIONS), "points in Keras"],
            changes,
        ),
        ("Test accuracy, %", ["network", "in Keras", *PRECISIONS], accuracies),
        (
            f"Values other than zero in the kernel of `{LARGEST}`; in one of its channels",
            ["network", "in Keras", *PRECISIONS],
            values,
        ),
    ]


def key(runs, name):
    return [run[name] for run in runs]


def of(numbers):
    """Returns "mean (lowest to highest)" of whole numbers, or the one they all are."""
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{np.mean(numbers):,.0f} ({low:,} to {high:,})"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="epochs before anything is done (default: 20)")
    parser.add_argument("--tuning-epochs", type=int, default=5, help="epochs of each network from there (default: 5)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    settings = {"epochs": options.epochs, "tuning_epochs": options.tuning_epochs}
    found = {
        f"{seed}": cell("shared_export", f"{seed}", settings, examine, seed, options) for seed in range(options.seeds)
    }
    raw = [
        f"{of([run[precision]['bytes'] for seed in found.values() for run in seed.values()])} in {precision}"
        for precision in PRECISIONS
    ]
    write(
        "shared_export",
        "Zeros and shared values on the phone",
        tables(found),
        f"The network of the quickstart on the digits of the package, {options.epochs} epochs of Adam, then "
        f"{options.tuning_epochs} more along a cosine in which its weights are pruned, share values, or neither; those "
        "with zeros and shared values are pruned first and then train as long once more. *Folded first*: with "
        "`fold_batch_normalization` before these last epochs; all others are folded by the converter. Before gzip the "
        f"files have {', '.join(raw)}. One test image is 0.33 points. Mean (range) of seeds 0 to {options.seeds - 1}.",
        found,
    )


if __name__ == "__main__":
    main()

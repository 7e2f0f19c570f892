"""The side of TensorFlow Model Optimization in the comparison with its peers. Runs under an interpreter that has it.

    TF_USE_LEGACY_KERAS=1 python peers_tfmot.py FOLDER SEED

It zeroes single weights, which makes no network smaller, but its file after gzip. So the share of zeros is chosen at
which that file is as large as the one of keras_slim.
"""

import json
import pathlib
import sys
import types
from importlib.metadata import version

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from peers_training import Cells, batches, by_creation, gzip_bytes

sys.modules["keras"] = tf_keras  # the lines that make the network for Keras 3 make it here
import networks  # noqa: E402

TOOL, REFERENCE = "TFMOT", "keras_slim"
CLOSE = 0.005  # how far two files may differ and still count as equal


def dense_network(weights, model):
    """Gives a network the weights of the one in Keras 3; returns it, and the largest difference of their outputs."""
    for kind, layers in by_creation(model.layers).items():
        for number, layer in enumerate(layers):
            layer.set_weights([weights[f"{kind}/{number}/{index}"] for index in range(len(layer.weights))])
    difference = float(np.abs(model.predict(weights["inputs"], verbose=0) - weights["outputs"]).max())
    if not difference < 1e-4:
        raise AssertionError(f"The network differs from the one in Keras 3 by {difference}. Expected less than 1e-4.")
    return model, difference


def zeroed(model, sparsity):
    """Returns a copy whose kernels have their smallest weights set to zero, the same share in each layer."""
    copy = tf_keras.models.clone_model(model)
    copy.set_weights([_zeroed(value, sparsity) for value in model.get_weights()])
    return copy


def _zeroed(value, sparsity):
    if value.ndim < 2:
        return value
    threshold = np.sort(np.abs(value), axis=None)[min(round(sparsity * value.size), value.size - 1)]
    return np.where(np.abs(value) < threshold, 0, value)


def write_file(model, path):
    """Writes a LiteRT file for one sample at a time, and returns its size after gzip."""
    call = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((1, 32, 32, 3)))
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([call], model).convert())
    return gzip_bytes(path)


def find_sparsity(model, target, path):
    """Returns the share of zeros at which the file after gzip has a target size, by false position."""
    low, high = 0.0, 0.99
    largest, smallest = (write_file(zeroed(model, share), path) for share in (low, high))
    for _ in range(20):
        middle = low + (high - low) * (largest - target) / (largest - smallest)
        size = write_file(zeroed(model, middle), path)
        if abs(size / target - 1) < CLOSE:
            return middle
        if size > target:
            low, largest = middle, size
        else:
            high, smallest = middle, size
    raise AssertionError(f"No share of zeros gives a file of {target} bytes after gzip.")


def train(model, data, seed, options):
    """Trains a network on the batches that every side gets, with a rate that falls to nothing, and keeps its zeros."""
    x, y = data["x_train"], data["y_train"]
    steps, epochs = len(x) // options.batch, options.fine_tuning_epochs
    compiled(model, tf_keras.optimizers.schedules.CosineDecay(options.fine_tuning_rate, epochs * steps))
    update = tfmot.sparsity.keras.UpdatePruningStep()
    given = batches(x, y, options.batch, epochs, seed)
    model.fit(given, steps_per_epoch=steps, epochs=epochs, verbose=0, callbacks=[update])


def compiled(model, rate):
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model


def accuracies(model, data):
    """Returns the accuracy on validation and on test images."""
    return {
        name: compiled(model, 0.0).evaluate(data[f"x_{name}"], data[f"y_{name}"], 256, verbose=0)[1]
        for name in ("validation", "test")
    }


def examine(dense, target, path, seed, data, options):
    """Returns what the zeros cost, before and after fine-tuning, in which their share grows as in its own guide."""
    sparsity = find_sparsity(dense, target, path)
    steps = options.fine_tuning_epochs * (len(data["x_train"]) // options.batch)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, steps // 2, frequency=1)
    model = tfmot.sparsity.keras.prune_low_magnitude(tf_keras.models.clone_model(dense), pruning_schedule=schedule)
    stripped = tfmot.sparsity.keras.strip_pruning
    for layer, of_dense in zip(stripped(model).layers, dense.layers, strict=True):
        layer.set_weights(of_dense.get_weights())
    train(model, data, 100 + seed, options)
    model = stripped(model)
    model.set_weights([value + 0.0 for value in model.get_weights()])  # its zeros have signs, which gzip badly
    kernels = [value for value in model.get_weights() if value.ndim > 1]
    return {
        "sparsity": 1 - float(sum(map(np.count_nonzero, kernels)) / sum(value.size for value in kernels)),
        "cut": accuracies(zeroed(dense, sparsity), data),
        "fine_tuned": accuracies(model, data),
        "gzip_bytes": write_file(model, path),
        "bytes": path.stat().st_size,
        "file": path.name,
    }


def main(folder, seed):
    options = types.SimpleNamespace(**json.loads((folder / "options.json").read_text()))
    with np.load(folder / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    with np.load(folder / f"dense-{seed}.npz") as file:
        dense, difference = dense_network(dict(file), networks.residual(options.width, blocks=3))
    cells, versions = Cells(folder), {name: version(name) for name in ("tf_keras", "tensorflow-model-optimization")}
    for speed_up in options.speed_ups:
        key = {"tool": TOOL, "variant": "magnitude", "speed_up": speed_up, "seed": seed}
        reference = [cell for cell in cells.find(tool=REFERENCE, speed_up=speed_up, seed=seed) if "gzip_bytes" in cell]
        if reference and not cells.find(**key):
            path = folder / f"{TOOL}-{speed_up}x-{seed}.tflite"
            found = examine(dense, reference[0]["gzip_bytes"], path, seed, data, options)
            cells.add(**key, **found, difference=difference, versions=versions)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))

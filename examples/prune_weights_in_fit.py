"""Set four of five weights to zero while a network trains: one callback, one `fit`.

Run it with `python examples/prune_weights_in_fit.py`. It takes half a minute.
"""

import argparse
import gzip
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Set weights to zero while a network trains.")
parser.add_argument("--output-dir", help="where to write the models (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

# Real data that comes with the package: 8x8 images of handwritten digits.
(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)


def train(callbacks):
    """Returns a network after 16 epochs, from the same beginning whatever the callbacks."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=16, validation_data=validation, callbacks=callbacks, verbose=2)
    return model


def describe(model, name):
    """Returns a line of a table: test accuracy, share of zeros in the kernels, and bytes of the file for a phone."""
    path = os.path.join(folder, f"digits_{name}.tflite")
    slim.export_tflite(model, path, verbose=0)
    with open(path, "rb") as file:
        content = file.read()
    accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    zeros = slim.sparsity.Masks.nonzero(model).sparsity
    return f"{name:8}{accuracy:8.1%}{zeros:8.1%}{len(content):12,}{len(gzip.compress(content)):12,}"


dense = train([])

# Until three quarters of the epochs are over, more and more of the smallest weights of each layer are set to zero: many
# at first, few in the end. They stay zero after every step. The last epochs are fine-tuning.
pruning = slim.callbacks.GradualPruning(sparsity=0.8, schedule="cubic", window=(0.1, 0.75), frequency=30)
sparse = train([pruning])

# The network has the layers it had, and its file the same size; compressed, as a download is, the zeros cost little.
lines = describe(dense, "dense"), describe(sparse, "sparse")
print(f"\n{'':8}{'accuracy':>8}{'zeros':>8}{'bytes':>12}{'gzip':>12}")
print(*lines, sep="\n")
print(f"Saved in {folder}")

"""Prune a network while it trains: one callback, one `fit`.

Run it with `python examples/prune_in_fit.py`. It takes half a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Prune a network while it trains.")
parser.add_argument("--output-dir", help="where to write the model (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

# Real data that comes with the package: 8x8 images of handwritten digits.
(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)

# Any Functional or Sequential model will do. Nothing in it has to know of pruning.
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
before = slim.profile(model)

# The callback scores all units of the network on some samples, and removes those that contribute least to the loss:
# here in four rounds, between a third and two thirds of the epochs, until 60 % of the multiply-accumulates are gone.
pruning = slim.callbacks.ProgressiveGlobalPruning(
    ratio=0.6, of="macs", criterion="taylor", rounds=4, window=(0.35, 0.7), data=(x[:512], y[:512])
)
model.fit(x, y, epochs=24, validation_data=validation, callbacks=[pruning], verbose=2)

# It is the same object as before, now smaller: a plain Keras model, with nothing to strip.
model.summary()
after = slim.profile(model)
accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
path = os.path.join(folder, "digits_pruned_in_fit.keras")
model.save(path)

print(f"Multiply-accumulates: {before.macs:,} -> {after.macs:,} ({after.macs / before.macs - 1:.0%})")
print(f"Parameters:           {before.parameters:,} -> {after.parameters:,}")
print(f"Test accuracy:        {accuracy:.1%}")
print(f"Saved as {path}")

"""Find the smallest network that is good enough, while training: no ratio has to be guessed.

Run it with `python examples/search_in_fit.py`. It takes a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Find the smallest network that is good enough.")
parser.add_argument(
    "--output-dir", help="where to write the model and the trajectory (default: a new temporary folder)"
)
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])

# The network is trained for 16 epochs. Then it is cut, again and again, as long as its accuracy on the validation
# images comes back within a point of what it was. When it does not, the last network that held is put back, and a
# smaller cut is tried. From the first cut on, the network also learns from what the dense one says.
search = slim.callbacks.ProgressiveGlobalPruning(
    max_drop=0.01,
    monitor="val_accuracy",
    of="macs",
    ratio_per_round=(0.3, 0.1),
    window=(0.4, 0.9),
    data=(x[:512], y[:512]),
    distillation=slim.distillation.Distillation(),
)
model.fit(x, y, epochs=40, validation_data=validation, callbacks=[search], verbose=2)

print(search.trajectory.describe())
with open(os.path.join(folder, "trajectory.json"), "w", encoding="utf-8") as file:
    file.write(search.trajectory.to_json())
path = os.path.join(folder, "digits_searched.keras")
model.save(path)

before, after = search.trajectory.points[0].cost, search.trajectory.last_held.cost
print(f"Multiply-accumulates: {before.macs:,} -> {after.macs:,} ({after.macs / before.macs - 1:.0%})")
print(f"Validation accuracy:  {model.evaluate(*validation, verbose=0, return_dict=True)['accuracy']:.1%}")
print(f"Test accuracy:        {model.evaluate(x_test, y_test, verbose=0, return_dict=True)['accuracy']:.1%}")
print(f"Saved as {path}")

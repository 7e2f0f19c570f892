"""Make a trained network smaller: plan, look, cut, fine-tune.

Run it with `python examples/prune_a_trained_model.py`. It takes half a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Make a trained network smaller.")
parser.add_argument("--output-dir", help="where to write the model and the plan (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)


def train(model, epochs):
    """Compiles and trains a model."""
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, validation_data=validation, verbose=0)


def test_accuracy(model):
    """Returns a compiled model's accuracy on the test images."""
    return model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]


# A network with a residual sum stands for the model that you have: keras.saving.load_model("model.keras"), say.
keras.utils.set_random_seed(0)
image = keras.Input((8, 8, 1))
stem = layers.Conv2D(32, 3, padding="same", activation="relu", name="stem")(image)
branch = layers.Conv2D(32, 3, padding="same", activation="relu", name="branch_1")(stem)
branch = layers.Conv2D(32, 3, padding="same", name="branch_2")(branch)
features = layers.MaxPooling2D()(layers.ReLU()(layers.Add()([stem, branch])))
hidden = layers.Dense(64, activation="relu", name="hidden")(layers.Flatten()(features))
model = keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(hidden))
train(model, epochs=12)

# Plan: decides which units to remove, and changes nothing.
plan = slim.plan_pruning(model, ratio=0.5, of="macs", criterion="taylor", data=(x[:512], y[:512]))

# Look: which layers lose what, which are tied to each other, what is left whole and why. A plan is data: keep it.
print(plan.describe())
with open(os.path.join(folder, "plan.json"), "w", encoding="utf-8") as file:
    file.write(plan.to_json())

# Cut: a smaller copy. The model itself is as it was. `slim.prune(model, ratio=0.5, ...)` does all this in one line.
small = slim.shrink(model, plan)
small.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
accuracy_after_the_cut = test_accuracy(small)

# Fine-tune: the units that are left take over the work of those that went.
train(small, epochs=6)
path = os.path.join(folder, "digits_pruned.keras")
small.save(path)

before, after = slim.profile(model), slim.profile(small)
print(f"Multiply-accumulates: {before.macs:,} -> {after.macs:,} ({after.macs / before.macs - 1:.0%})")
print(
    f"Test accuracy:        {test_accuracy(model):.1%} trained, {accuracy_after_the_cut:.1%} right after the cut, "
    f"{test_accuracy(small):.1%} after six more epochs"
)
print(f"Saved as {path}")

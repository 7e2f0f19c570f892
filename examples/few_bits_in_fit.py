"""Train a network with weights of three bits: one callback in `fit`, and a file with integers that needs no samples.

Run it with `python examples/few_bits_in_fit.py`. It takes half a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Train with few bits.")
parser.add_argument("--output-dir", help="where to write the models (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

# Real data that comes with the package: 8x8 images of handwritten digits.
(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)
BITS, BEGIN, EPOCHS = 3, 16, 24


def build():
    """Returns a network, always the same."""
    keras.utils.set_random_seed(0)
    stack = []
    for filters in (16, 16):
        stack += [layers.Conv2D(filters, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
        stack += [layers.DepthwiseConv2D(3, padding="same"), layers.ReLU()]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *stack])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def describe(model, name, quantize="int8"):
    """Returns a line of a table: test accuracy of the model, bytes of its file, and how like the model it answers."""
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    report = slim.export_tflite(model, os.path.join(folder, f"{name}.tflite"), quantize, verbose=0)
    return f"{name:28}{accuracy:9.1%}{report.bytes:9,}{report.agreement.same_class:9.1%}"


def train(callbacks):
    """Returns a network after training, with small steps in the end: few bits swing to and fro in large ones."""
    model = build()
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 3e-3 if epoch < BEGIN else 5e-4)
    model.fit(x, y, epochs=EPOCHS, validation_data=validation, callbacks=[*callbacks, rate], verbose=2)
    return model


# Until rounding begins, this is a training as any other.
few = train([slim.callbacks.QuantizationAwareTraining(bits=BITS, begin=BEGIN, data=validation)])

# As long, with real numbers; then rounded, with ranges from some samples.
real = train([])
rounded = slim.calibrate(slim.quantize(real, slim.quantizers.Int(BITS), "int", skip=()), x[:500])

lines = [
    describe(real, "real", quantize=None),
    describe(rounded, "rounded after training"),
    describe(few, "trained with few bits"),
]
print(f"\n{'':28}{'accuracy':>9}{'bytes':>9}{'the same':>9}")
print(*lines, sep="\n")
print(f"Saved in {folder}")

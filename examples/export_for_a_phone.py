"""Export a network for a phone: float32, float16 and int8 files, each proved to answer like Keras.

Run it with `python examples/export_for_a_phone.py`. It takes half a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Export a network for a phone.")
parser.add_argument("--output-dir", help="where to write the files (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((8, 8, 1), name="image"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=12, validation_data=validation, verbose=2)

# Every export is run beside Keras before it takes its place. A file that lies is deleted, and an error raised.
# int8 needs typical samples to measure the ranges of all activations; the others are checked on them.
reports = {}
for precision in (None, "float16", "int8"):
    path = os.path.join(folder, f"digits_{precision or 'float32'}.tflite")
    reports[path] = slim.export_tflite(model, path, quantize=precision, data=x[:200], verbose=0)

# One report in full: size, latency on this machine, agreement with Keras, and what is in the file.
print(list(reports.values())[-1])

# Any file can be checked and timed on its own, on samples it has not seen.
print(f"\n{'file':<24}{'bytes':>10}{'milliseconds':>14}{'same class as Keras':>21}")
for path, report in reports.items():
    agreement = slim.verify_tflite(model, path, x_test)
    latency = slim.benchmark_tflite(path, threads=1)
    name = os.path.basename(path)
    print(f"{name:<24}{report.bytes:>10,}{latency.median_ms:>14.3f}{agreement.same_class:>21.1%}")
print(f"\nSaved in {folder}. Milliseconds are those of this machine, not of a phone.")

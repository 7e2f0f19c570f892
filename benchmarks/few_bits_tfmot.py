"""The side of TensorFlow Model Optimization in `few_bits.py`. Runs under an interpreter that has it.

    TF_USE_LEGACY_KERAS=1 python few_bits_tfmot.py GIVEN MADE NETWORK SEED SETTINGS

GIVEN has the weights of the float network to begin with, MADE is the int8 file that is written, SETTINGS are those of
the task, as JSON. The last line that is printed is what was measured, as JSON.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
from importlib.metadata import version

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

sys.modules["keras"] = tf_keras  # the lines that make and train the networks of Keras 3 do it here
import few_bits_tasks as tasks  # noqa: E402
import networks  # noqa: E402
from peers_tfmot import dense_network  # noqa: E402


def step_ratios(given, task, data):
    """Returns how long a step takes, as a share of the time of the float network, for each turn."""
    models = task.build(task.width), tfmot.quantization.keras.quantize_model(given)
    plain, few = (networks.compiled(model, 1e-3) for model in models)
    return tasks.step_ratios(few, plain, [part[: task.batch] for part in data[0]])


def write_file(model, path):
    """Writes the file with integers inside, in and out."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    path.write_bytes(converter.convert())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in {"given": pathlib.Path, "made": pathlib.Path, "network": str, "seed": int}.items():
        parser.add_argument(name, type=kind)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--data-dir")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    task = dataclasses.replace(tasks.TASKS[options.network], **options.settings)
    data = task.data(options.data_dir)
    with np.load(options.given) as file:
        given, difference = dense_network(dict(file), task.build(task.width))
    model = tfmot.quantization.keras.quantize_model(given)
    validation = tasks.fit(model, data, task.tuning_epochs, task.tuning_rate, options.seed, task)
    write_file(model, options.made)
    scores = model.predict(data[2][0], batch_size=500, verbose=0)
    np.save(options.made.with_suffix(".npy"), scores)
    found = {
        "validation": 100 * validation,
        "test": tasks.accuracy(scores, data[2][1]),
        "steps": step_ratios(given, task, data),
        "difference": difference,
        "versions": {name: version(name) for name in ("tf_keras", "tensorflow-model-optimization")},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""How long analysing, scoring, planning and shrinking take, against width, depth, and at ResNet50's size."""

import argparse
import os
import statistics
import time

import keras
import numpy as np
from keras import layers
from results_file import spread, write

import keras_slim as slim

STEPS = ("analyse", "plan, l2", "plan, taylor", "shrink")
BATCH = 14  # as many images of ResNet50 as `plan_pruning` takes at once


def network(width, depth):
    """A residual network of `depth` blocks with two convolutions of `width` filters each, on 16x16 images."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(width, 3, padding="same")(inputs)
    for _ in range(depth):
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(x)))
        y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(y))
        x = layers.ReLU()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def seconds(work, repeats):
    """Returns the seconds of several calls."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def processor_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def scoring_against_training(samples, repeats):
    """Returns processor seconds on ResNet50: of the loss and its gradients by the weights, and of Taylor scores.

    Of both the first pass, which compiles, and then passes in turns.
    """
    import tensorflow as tf

    model = keras.applications.ResNet50(weights=None)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy())
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, model.output_shape[-1], samples)

    @tf.function(reduce_retracing=True)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=False), training=False)
        return tape.gradient(loss, [weight.value for weight in model.trainable_weights])

    def gradients():
        for first in range(0, samples, BATCH):
            step(tf.constant(x[first : first + BATCH]), tf.constant(y[first : first + BATCH]))

    def scores():
        slim.plan_pruning(model, 0.5, criterion="taylor", data=(x, y))

    found = {"gradients": [], "taylor": []}
    for _ in range(repeats + 1):
        found["gradients"].append(processor_seconds(gradients))
        found["taylor"].append(processor_seconds(scores))
    return found


def measure(model, samples, repeats):
    """Returns the seconds of each step, several times."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, *model.input_shape[1:])).astype("float32")
    y = rng.integers(0, model.output_shape[-1], samples)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy())
    plan = slim.plan_pruning(model, 0.5)
    return {
        "parameters": model.count_params(),
        "layers": len(model.layers),
        "units": plan.before.units,
        "analyse": seconds(lambda: slim.graph.analyse(model), repeats),
        "plan, l2": seconds(lambda: slim.plan_pruning(model, 0.5), repeats),
        "plan, taylor": seconds(lambda: slim.plan_pruning(model, 0.5, criterion="taylor", data=(x, y)), repeats),
        "shrink": seconds(lambda: slim.shrink(model, plan), repeats),
    }


def row(name, found):
    return [
        name,
        f"{found['parameters']:,}",
        found["layers"],
        f"{found['units']:,}",
        *(f"{statistics.median(found[step]):.3f} ({max(found[step]):.3f})" for step in STEPS),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=64, help="samples for Taylor scores (default: 64)")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    columns = ["network", "parameters", "layers", "units", *(f"{step}, s" for step in STEPS)]
    widths = {f"width {width}, 4 blocks": network(width, 4) for width in (32, 64, 128, 256)}
    depths = {f"width 32, {depth} blocks": network(32, depth) for depth in (4, 8, 16, 32)}
    large = {"ResNet50, 224x224": keras.applications.ResNet50(weights=None)}
    tables, measured = [], {}
    for heading, models in (("Width", widths), ("Depth", depths), ("ResNet50", large)):
        found = {name: measure(model, options.samples, options.repeats) for name, model in models.items()}
        tables.append((heading, columns, [row(*each) for each in found.items()]))
        measured |= found
    passes = scoring_against_training(options.samples, options.repeats)
    ratios = [one / other for one, other in zip(passes["taylor"], passes["gradients"], strict=True)][1:]
    heading = f"ResNet50, 224x224, {options.samples} images, processor seconds"
    columns = ["", "first, which compiles", "again"]
    rows = [[name, f"{taken[0]:.1f}", spread(taken[1:], 1)] for name, taken in passes.items()]
    tables.append((heading, columns, [*rows, ["ratio, pair by pair", "", spread(ratios, 2)]]))
    measured["passes"] = passes
    note = (
        f"Median (slowest) of {options.repeats} runs. `plan` holds analysis, scoring and selection; Taylor scores look "
        f"at {options.samples} samples, and the slowest holds the compilation. `gradients` is one pass of the loss and "
        f"its gradients by all weights in a `tf.function`, in batches of {BATCH}; `taylor` a whole `plan_pruning`. "
        f"oneDNN: TF_ENABLE_ONEDNN_OPTS={os.environ.get('TF_ENABLE_ONEDNN_OPTS', 'as TensorFlow chooses')}. Seed 0."
    )
    write("planning_time", "How long planning takes", tables, note, measured)


if __name__ == "__main__":
    main()

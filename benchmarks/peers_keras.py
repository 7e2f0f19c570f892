"""The side of keras_slim in the comparison with its peers."""

import time

import keras
import networks
import numpy as np
from peers_training import Cells, batches, by_creation, gzip_bytes, multiply_accumulates

import keras_slim as slim

TOOL, MAIN, PLAIN, WITHOUT_DATA = "keras_slim", "Taylor", "Taylor, plain cut", "l2, no data"
GUARDS = slim.pruning.Guards(align=1, max_ratio_per_round=0.9)
VARIANTS = {
    WITHOUT_DATA: {"criterion": "l2", "debias": "rms", "calibration": False},
    "l2": {"criterion": "l2", "debias": "rms"},
    PLAIN: {"criterion": "taylor", "debias": "rms", "calibration": False},
    MAIN: {"criterion": "taylor", "debias": "rms"},
}
FINE_TUNED = (WITHOUT_DATA, MAIN)
TIMED = (WITHOUT_DATA, PLAIN, MAIN)
"""Whose processor time is set against that of a peer."""
# Cut by the callback while fine-tuning, by Taylor scores too. With one round and a window of (0, 0) it makes the cut of
# MAIN, and what differs is what its other options do.
WHILE_FINE_TUNING = {
    "Taylor, distilled": {"rounds": 1, "window": (0.0, 0.0), "distillation": slim.distillation.Distillation()},
}


def run(folder, seed, data, options):
    """Measures every cell of one seed that is not finished."""
    cells, dense = Cells(folder), dense_network(folder, seed, data, options)
    if not cells.find(tool=TOOL, variant="dense", seed=seed):
        found = {"cut": accuracies(dense, data), **counts(dense)}
        if not options.cut_only:
            found.update(file_sizes(dense, folder, f"dense-{seed}", data))
            trained_on = copy_of(dense)
            fine_tune(trained_on, data, seed, options)
            found["fine_tuned"] = accuracies(trained_on, data)
        cells.add(tool=TOOL, variant="dense", seed=seed, **found)
    measures = dict.fromkeys(VARIANTS, cut_and_fine_tune) | dict.fromkeys(WHILE_FINE_TUNING, cut_while_fine_tuning)
    if options.cut_only:
        measures = dict.fromkeys(TIMED, cut_and_fine_tune)
    for speed_up in options.speed_ups:
        for variant, measure in measures.items():
            key = {"tool": TOOL, "variant": variant, "speed_up": speed_up, "seed": seed}
            if not cells.find(**key):
                cells.add(**key, **measure(folder, key, dense, data, options))


def dense_network(folder, seed, data, options):
    """Returns the trained network of a seed, from its file if it is there, and leaves its weights for the peers."""
    path = folder / f"dense-{seed}.keras"
    if not path.exists():
        keras.utils.set_random_seed(seed)
        model = networks.residual(options.width, blocks=3)
        train(model, data, options.rate, options.epochs, seed, options)
        model.save(path)
    model = compiled(keras.saving.load_model(path, compile=False), 0.0)
    inputs = data["x_validation"][:256]
    outputs = model.predict(inputs, verbose=0)
    np.savez(folder / f"dense-{seed}.npz", inputs=inputs, outputs=outputs, **named_weights(model))
    return model


def named_weights(model):
    """Returns the weights by kind and order of creation: `Conv2D/3/0` is the kernel of the fourth convolution."""
    return {
        f"{kind}/{number}/{index}": value
        for kind, layers in by_creation(model.layers).items()
        for number, layer in enumerate(layers)
        for index, value in enumerate(layer.get_weights())
    }


def cut_and_fine_tune(folder, key, dense, data, options):
    """Returns what one cut costs and gives, before and after fine-tuning, or before it alone."""
    how = VARIANTS[key["variant"]]
    samples = None if key["variant"] == WITHOUT_DATA else seen(data, options)
    start, used = time.perf_counter(), time.process_time()
    small = slim.prune(dense, 1 - 1 / key["speed_up"], of="macs", data=samples, guards=GUARDS, **how)
    found = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - used, **counts(small)}
    found["cut"] = accuracies(compiled(small, 0.0), data)
    if options.cut_only:
        return found
    if key["variant"] in FINE_TUNED:
        fine_tune(small, data, key["seed"], options)
        found["fine_tuned"] = accuracies(small, data)
    if key["variant"] == MAIN:
        found.update(file_sizes(small, folder, f"{TOOL}-{key['speed_up']}x-{key['seed']}", data))
    return found


def cut_while_fine_tuning(folder, key, dense, data, options):
    """Returns what the callback costs and gives in the epochs that the others have for fine-tuning."""
    model = copy_of(dense)
    how = {"of": "macs", "debias": "rms", "calibration": slim.pruning.Calibration(), "guards": GUARDS, "verbose": 0}
    how.update(WHILE_FINE_TUNING[key["variant"]])
    ratio = 1 - 1 / key["speed_up"]
    pruning = slim.callbacks.ProgressiveGlobalPruning(ratio, data=seen(data, options), **how)
    fine_tune(model, data, key["seed"], options, [pruning])
    seconds = sum(each["seconds"] for each in pruning.rounds_done)
    return {"seconds": seconds, **counts(model), "fine_tuned": accuracies(model, data)}


def seen(data, options):
    """Returns the samples that a cut may look at."""
    return data["x_train"][: options.samples], data["y_train"][: options.samples]


def file_sizes(model, folder, name, data):
    """Writes the LiteRT file of a network, and returns its name and sizes."""
    path = folder / f"{name}.tflite"
    slim.export_tflite(model, path, data=data["x_validation"][:32], verbose=0)
    return {"file": path.name, "bytes": path.stat().st_size, "gzip_bytes": gzip_bytes(path)}


def copy_of(model):
    """Returns a copy with the same weights, not compiled."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def compiled(model, rate):
    """Compiles a classifier that puts out logits for momentum, in graph mode, and returns it."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"], jit_compile=False)
    return model


def fine_tune(model, data, seed, options, callbacks=()):
    """Trains a cut network for the epochs that every side has."""
    train(model, data, options.fine_tuning_rate, options.fine_tuning_epochs, 100 + seed, options, callbacks)


def train(model, data, rate, epochs, seed, options, callbacks=()):
    """Trains a network on the batches that every side gets, with a rate that falls to nothing."""
    x, y = data["x_train"], data["y_train"]
    steps = len(x) // options.batch
    compiled(model, keras.optimizers.schedules.CosineDecay(rate, epochs * steps))
    given = batches(x, y, options.batch, epochs, seed)
    model.fit(given, steps_per_epoch=steps, epochs=epochs, shuffle=False, callbacks=list(callbacks), verbose=0)


def accuracies(model, data):
    """Returns the accuracy on validation and on test images."""
    return {
        name: model.evaluate(data[f"x_{name}"], data[f"y_{name}"], batch_size=256, verbose=0, return_dict=True)[
            "accuracy"
        ]
        for name in ("validation", "test")
    }


def counts(model):
    """Returns multiply-accumulates and trained parameters, counted as on the other side."""
    work = [
        (np.prod(layer.output.shape[1:-1], dtype=int), np.prod(layer.kernel.shape))
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]
    macs = multiply_accumulates(work)
    if macs != slim.profile(model).macs:
        raise AssertionError(f"Two counts of the same network differ: {macs} and {slim.profile(model).macs}.")
    return {"macs": macs, "parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)}

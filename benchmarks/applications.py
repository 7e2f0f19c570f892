"""Prunes every model of `keras.applications` and checks that the shrunken model answers as its masked twin.

Each model runs in a process of its own. What is done already is kept in `results/applications/` and not done again.
"""

import argparse
import gc
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from results_file import FOLDER, write

SIZES = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96, "NASNetLarge": 96, "NASNetMobile": 96}
RATIOS = (0.3, 0.5)
# With random statistics its answers grow to 1e5, and float32 keeps no digit of them (float64: error 2e-9). Batch
# normalization is set to what it sees of random images instead.
ESTIMATED = {"EfficientNetV2M"}


def names():
    """Returns the names of all builders, those of the smallest models first."""
    import keras

    builders = {name: each for name, each in vars(keras.applications).items() if callable(each)}
    return sorted(builders)


def build(name):
    """Returns a model with random weights in which nothing is trivially zero, without the last softmax."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    size = SIZES.get(name, 64)
    builder = getattr(keras.applications, name)
    model = builder(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in {"gamma", "moving_variance"} or "layer_scale" in variable.path:
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
        elif variable.name in {"beta", "bias", "moving_mean"}:
            variable.assign(rng.normal(0, 0.1, variable.shape))
    if name in ESTIMATED:
        images = rng.normal(size=(16, size, size, 3)).astype("float32")
        norms = [layer for layer in _leaves(model) if isinstance(layer, keras.layers.BatchNormalization)]
        for norm in norms:
            norm.momentum = 0.0
        model(images, training=True)
    return model


def prunable_share(graph, model):
    """Returns the share of the units of convolutions and dense layers, the model's outputs apart, that can be cut."""
    outputs = {name for whole in graph.whole if "model output" in whole.reasons[0] for name in whole.layers}
    cut = {id(slot.variable): (slot.units >= 0).sum() for slot in graph.slots if slot.role == "produces"}
    total = found = 0
    for layer in _leaves(model):
        config = layer.get_config()
        width = config.get("filters", config.get("units"))
        if width and layer.name not in outputs and getattr(layer, "groups", 1) != width:
            total += width
            found += max((cut.get(id(variable), 0) for variable in layer.weights), default=0)
    return found / total


def _leaves(model):
    for layer in model.layers:
        yield from _leaves(layer) if hasattr(layer, "layers") else [layer]


def peak():
    """Returns the most memory the process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def examine(name):
    """Returns what was found of one model."""
    import keras
    import numpy as np

    import keras_slim as slim

    model = build(name)
    own_bytes = sum(int(np.prod(variable.shape)) * 4 for variable in model.weights)
    x = np.random.default_rng(1).normal(size=(2, *model.input_shape[1:])).astype("float32")
    start = time.perf_counter()
    graph = slim.graph.analyse(model)
    found = {
        "model": name,
        "input": model.input_shape[1],
        "bytes": own_bytes,
        "groups": len(graph.groups),
        "prunable": float(prunable_share(graph, model)),
        "whole": [str(whole) for whole in graph.whole],
        "analyse": time.perf_counter() - start,
        "cuts": {},
    }
    for ratio in RATIOS:
        found["cuts"][str(ratio)] = cut(slim, keras, np, model, x, ratio)
        gc.collect()
    return found


def cut(slim, keras, np, model, x, ratio):
    """Returns what one cut of a model gave."""
    plan = slim.plan_pruning(model, ratio)
    before, start = peak(), time.perf_counter()
    small = slim.shrink(model, plan)
    seconds, memory = time.perf_counter() - start, peak() - before
    answer = np.asarray(small(x, training=False))
    masked = np.asarray(slim.mask(model, plan)(x, training=False))
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "small.keras"
        small.save(path)
        # The layers that Keras keeps to itself (ConvNeXt's) are found once the application is imported.
        loaded = keras.saving.load_model(path, custom_objects=own_layers(keras, small))
        reloaded = float(np.abs(np.asarray(loaded(x, training=False)) - answer).max())
        del loaded
    small.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    loss = float(small.train_on_batch(x, np.array([0, 1])))
    return {
        "params": [plan.before.params, plan.after.params, small.count_params()],
        "macs": [plan.before.macs, plan.after.macs, slim.profile(small).macs],
        "shrink": seconds,
        "extra_bytes": memory,
        "error": float(np.abs(answer - masked).max() / np.abs(masked).max()),
        "reloaded": reloaded,
        "loss": loss,
    }


def own_layers(keras, model):
    """Returns the classes of layers that Keras has but does not register."""
    classes = {type(layer) for layer in _leaves(model)}
    return {cls.__name__: cls for cls in classes if not hasattr(keras.layers, cls.__name__)}


def verdict(found):
    """Returns what a model fails, as a list of phrases."""
    failures = []
    if found["prunable"] < 0.9:
        failures.append(f"only {found['prunable']:.0%} prunable")
    for ratio, each in found["cuts"].items():
        if not each["error"] <= 1e-4:
            failures.append(f"error {each['error']:.1e} at {ratio}")
        if each["reloaded"] > 1e-5:
            failures.append(f"reloaded differs by {each['reloaded']:.1e}")
        if each["params"][1] != each["params"][2] or each["macs"][1] != each["macs"][2]:
            failures.append("counts differ from the plan")
        if not each["loss"] < float("inf"):
            failures.append("does not train")
    return failures


def row(found):
    first, second = (found["cuts"][str(ratio)] for ratio in RATIOS)
    half = second["params"], second["macs"]
    return [
        found["model"],
        f"{found['prunable']:.1%}",
        found["groups"],
        *(f"{before / 1e6:,.1f} -> {after / 1e6:,.1f} M" for before, after, _ in half),
        f"{max(first['error'], second['error']):.0e}",
        f"{found['analyse']:.2f}",
        f"{max(first['shrink'], second['shrink']):.1f}",
        f"{1 + max(first['extra_bytes'], second['extra_bytes']) / found['bytes']:.2f}",
        "; ".join(verdict(found)) or "holds",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of models (default: all)")
    parser.add_argument("--examine", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = FOLDER / "applications"
    folder.mkdir(parents=True, exist_ok=True)
    if options.examine:
        found = examine(options.examine)
        (folder / f"{options.examine}.json").write_text(json.dumps(found, indent=1) + "\n")
        return
    rows, measured = [], []
    for name in options.only or names():
        path = folder / f"{name}.json"
        if not path.exists():
            print(f"{name} ...", flush=True)
            subprocess.run([sys.executable, __file__, "--examine", name], check=False)
        if path.exists():
            measured.append(json.loads(path.read_text()))
            rows.append(row(measured[-1]))
        else:
            rows.append([name, *["-"] * 8, "failed"])
    columns = ["model", "prunable", "groups", "parameters at 0.5", "multiply-accumulates at 0.5", "error", "analyse, s"]
    columns += ["shrink, s", "memory, of the model's own", "law"]
    held = sum(row[-1] == "holds" for row in rows)
    note = (
        f"{held} of {len(rows)} hold. Each model with random weights, pruned by 0.3 and by 0.5 of its units (l2, "
        "aligned to 8); 64x64 inputs (96x96 where the model needs more). *error* is the largest difference between the "
        "shrunken model and its masked twin before the softmax, as a share of the largest answer; *memory* is the peak "
        "with both models held while shrinking, as a multiple of the model's weights. Each shrunken model was saved, "
        "reloaded (same answers) and trained for a step. Seed 0."
    )
    write("applications", "Every model of keras.applications", [("Both ratios", columns, rows)], note, measured)


if __name__ == "__main__":
    main()

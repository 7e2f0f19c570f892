"""Proof on all of CIFAR-10: ResNet-20 at full accuracy, cut while it trains, at once, made anew, and by torch-pruning.

python proof.py resnet20 --data-dir DIR [--torch-python PYTHON]
"""

import argparse
import json
import pathlib
import time

import images
import keras
import networks
import numpy as np
import peers_keras
import tensorflow as tf
from cells import cell, kept_network
from peers import run_peer
from peers_training import batches, moved, one_cycle
from results_file import FOLDER, mean_and_range, write

import keras_slim as slim

BATCH, PEAK, TUNING_PEAK, DECAY = 64, 0.1, 0.02, 5e-3
SAMPLES = 1_024
WAYS = {
    "dense": "trained on as long",
    "in fit": "`ProgressiveGlobalPruning` in the first half of these epochs",
    "at once": "`prune` with compensation, then these epochs",
    "from scratch": "the network of *at once*, weights drawn anew, all epochs",
    "torch-pruning": "its global Taylor importance, then these epochs",
}


class OneCycle(keras.callbacks.Callback):
    """Sets the learning rate of each step, as every side does."""

    def __init__(self, steps, peak):
        super().__init__()
        self._steps, self._peak, self._step = steps, peak, 0

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the rate."""
        self.model.optimizer.learning_rate = one_cycle(self._step, self._steps, self._peak)
        self._step += 1


def train(model, data, epochs, peak, seed, callbacks=()):
    """Trains a network on the batches that every side gets."""
    x, y = data["x_train"], data["y_train"]
    steps = len(x) // BATCH
    optimizer = keras.optimizers.SGD(peak, momentum=0.9, nesterov=True, weight_decay=DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    given = moved(batches(x, y, BATCH, epochs, seed), seed)
    schedule = OneCycle(epochs * steps, peak)
    with fast_sums():
        model.fit(
            given, steps_per_epoch=steps, epochs=epochs, shuffle=False, callbacks=[schedule, *callbacks], verbose=2
        )
    return model


class fast_sums:  # noqa: N801
    """Lets convolutions and matrix products of a training step run in bfloat16, where oneDNN has instructions for it.

    Weights, sums of batch normalization, gradients' steps, and everything outside stay float32.
    """

    def __enter__(self):
        _set_bfloat16(True)

    def __exit__(self, *error):
        _set_bfloat16(False)


def _set_bfloat16(is_on):
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": is_on})


def load(options):
    """Returns the folder of the runs, and the data, which torch-pruning reads from a file in it."""
    folder = FOLDER / "proof" / "resnet20"
    folder.mkdir(parents=True, exist_ok=True)
    # what is validated on is a part of the training images: nothing is chosen by it
    train, validation, test = images.load_cifar10(options.data_dir, options.images, 1_000, 10_000)
    names = zip(("train", "validation", "test"), (train, validation, test), strict=True)
    data = {f"{kind}_{part}": each for part, pair in names for kind, each in zip("xy", pair, strict=True)}
    given = {"samples": SAMPLES, "batch": BATCH, "tuning_peak": TUNING_PEAK, "decay": DECAY}
    given |= {"tune_epochs": options.tune_epochs, "speed_ups": options.speed_ups}
    (folder / "options.json").write_text(json.dumps(given, indent=1) + "\n")
    return folder, data


def dense_network(seed, data, options):
    """Returns the network, trained once and kept."""

    def make():
        keras.utils.set_random_seed(seed)
        return train(networks.residual(16, blocks=3), data, options.epochs, PEAK, seed)

    return kept_network(f"proof-resnet20-{options.images}-{options.epochs}-{seed}", make)


def examine(way, speed_up, seed, data, options):
    """Returns the accuracies, the multiply-accumulates, and the seconds of one way to a network."""
    model = dense_network(seed, data, options)
    ratio = 1 - 1 / speed_up
    seen = data["x_train"][:SAMPLES], data["y_train"][:SAMPLES]
    how = {"of": "macs", "criterion": "taylor", "debias": "rms", "verbose": 0}
    callbacks, found = [], {}
    start = time.perf_counter()
    epochs, peak = options.tune_epochs, TUNING_PEAK
    if way == "in fit":
        how |= {"rounds": min(5, max(1, epochs // 2)), "window": (0.0, 0.5), "calibration": slim.pruning.Calibration()}
        callbacks = [slim.callbacks.ProgressiveGlobalPruning(ratio, data=seen, **how)]
    elif way in ("at once", "from scratch"):
        peers_keras.compiled(model, 0.0)
        model = slim.prune(model, ratio, data=seen, **how)
        found["straight"] = accuracy(model, data)
    if way == "from scratch":
        model = slim.pruning.reinitialized(model, seed=100 + seed)
        epochs, peak = options.epochs + options.tune_epochs, PEAK
    train(model, data, epochs, peak, 100 + seed, callbacks)
    seconds = time.perf_counter() - start
    return {**found, "tuned": accuracy(model, data), "seconds": seconds, "macs": slim.profile(model).macs}


def accuracy(model, data):
    """Returns the test accuracy in per cent, computed in float32."""
    answers = [model.predict_on_batch(batch) for batch in np.array_split(data["x_test"], 20)]
    return 100 * float(np.mean(np.concatenate(answers).argmax(-1) == data["y_test"]))


def torch_pruning(seed, data, options, folder):
    """Returns what torch-pruning makes of the same trained network, by speed-up."""
    model = dense_network(seed, data, options)
    inputs = data["x_validation"][:256]
    outputs = model.predict(inputs, verbose=0)
    np.savez(folder / "data.npz", **data)
    np.savez(folder / f"dense-{seed}.npz", inputs=inputs, outputs=outputs, **peers_keras.named_weights(model))
    run_peer(options.torch_python, "proof_torch.py", folder, seed)
    return json.loads((folder / f"torch-{seed}.json").read_text())


def rows(found, speed_ups):
    """Yields a row for each speed-up and way: accuracies, and points to the dense network trained as long."""
    dense = [run["dense"]["tuned"] for run in found]
    yield ["1x", "dense", mean_and_range(dense), "", "1", minutes([run["dense"] for run in found])]
    for speed_up in speed_ups:
        for way in WAYS:
            pairs = [(run[key], run["dense"]) for run in found if (key := f"{way} {speed_up}x") in run]
            if pairs:
                gaps = [each["tuned"] - whole["tuned"] for each, whole in pairs]
                share = np.mean([each["macs"] / whole["macs"] for each, whole in pairs])
                shown = mean_and_range([each["tuned"] for each, _ in pairs]), mean_and_range(gaps), f"{share:.3f}"
                yield [f"{speed_up}x", way, *shown, minutes([each for each, _ in pairs])]


def minutes(cells):
    return mean_and_range([each["seconds"] / 60 for each in cells], 0)


def resnet20(options):
    """Measures what is not finished, and writes the table of all that is."""
    folder, data = load(options)
    settings = {name: getattr(options, name) for name in ("images", "epochs", "tune_epochs")}
    found = []
    for seed in range(options.seeds):

        def measure(way, speed_up=1, seed=seed):
            name = f"resnet20 {way} {speed_up}x {seed}"
            return cell("proof", name, settings, examine, way, speed_up, seed, data, options)

        found.append({"dense": measure("dense")})
        for speed_up in options.speed_ups:
            for way in ("in fit", "at once", "from scratch"):
                found[-1][f"{way} {speed_up}x"] = measure(way, speed_up)
        if options.torch_python:
            asked = {**settings, "speed_ups": options.speed_ups}
            peer = cell("proof", f"resnet20 torch {seed}", asked, torch_pruning, seed, data, options, folder)
            found[-1] |= {f"torch-pruning {speed_up}": each for speed_up, each in peer.items()}
        report(found, options)


def report(found, options):
    """Writes the table."""
    write(
        "proof_resnet20",
        "ResNet-20 on all of CIFAR-10",
        [
            (
                "Test accuracy, %",
                ["aim", "way", "accuracy", "points to the dense network", "multiply-accumulates left", "minutes"],
                list(rows(found, options.speed_ups)),
            )
        ],
        f"ResNet-20 (projection shortcuts), {options.images:,} training images moved by up to 4 pixels and "
        f"mirrored, batches of {BATCH}, SGD with Nesterov momentum 0.9 and a one-cycle rate: "
        f"{options.epochs} epochs up to {PEAK} for the dense network, then {options.tune_epochs} "
        f"up to {TUNING_PEAK} for every way. "
        + " ".join(f"*{way}*: {words}." for way, words in WAYS.items())
        + " Training steps run in bfloat16 where oneDNN does so, accuracies are computed in float32. Mean (range) of "
        f"{len(found)} seeds, 10,000 test images, which nothing was chosen by.",
        found,
    )


EXPERIMENTS = {"resnet20": resnet20}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--torch-python", type=pathlib.Path, help="interpreter that has torch-pruning; optional")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tune-epochs", type=int, default=10)
    parser.add_argument("--speed-ups", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    EXPERIMENTS[options.experiment](options)


if __name__ == "__main__":
    main()

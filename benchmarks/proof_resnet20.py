"""ResNet-20 on all of CIFAR-10 at full accuracy: cut while it trains, at once, made anew, and by torch-pruning."""

import itertools
import json
import time
from pathlib import Path

import images
import keras
import networks
import numpy as np
import peers_keras
import proof_files
import tensorflow as tf
from cells import cell, kept_network, network_path
from peers import run_peer
from peers_training import batches, moved, one_cycle
from results_file import FOLDER, mean_and_range, write

import keras_slim as slim

BATCH, PEAK, TUNING_PEAK, DECAY = 64, 0.1, 0.02, 5e-3
SAMPLES, SPARSITY = 1_024, 0.3
GUARDS = slim.pruning.Guards(align=1)
DENSE, DSD, IN_FIT, TAUGHT, AT_ONCE, TORCH, SCRATCH = WAYS = (
    "dense",
    "dense, sparse, dense",
    "in fit",
    "in fit, taught",
    "at once",
    "torch-pruning",
    "from scratch",
)
EXPORTED = (DENSE, IN_FIT, AT_ONCE)
WORDS = {
    DENSE: "trained on as long",
    DSD: f"`DenseSparseDense`, {SPARSITY:.0%} zeros in the first half of these epochs",
    IN_FIT: "`ProgressiveGlobalPruning` in the first half of these epochs",
    TAUGHT: "the same with `Distillation()`: from the first cut on it learns from the dense network too",
    AT_ONCE: "`prune` with compensation, then these epochs",
    TORCH: "its global Taylor importance, then these epochs",
    SCRATCH: "the network of *at once*, weights drawn anew, all epochs",
}


# training -------------------------------------------------------------------------------------------------------------


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
    """Lets convolutions and matrix products of `fit` run in bfloat16, where oneDNN has instructions for it.

    Weights, batch normalization, the optimizer's steps, and everything outside of `fit` stay float32.
    """

    def __enter__(self):
        _set_bfloat16(True)

    def __exit__(self, *error):
        _set_bfloat16(False)


def _set_bfloat16(is_on):
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": is_on})


def dense_network(seed, data, options):
    """Returns the network, trained once and kept."""

    def make():
        keras.utils.set_random_seed(seed)
        return train(networks.residual(16, blocks=3), data, options.epochs, PEAK, seed)

    return kept_network(f"proof-resnet20-{options.images}-{options.epochs}-{seed}", make)


# measuring ------------------------------------------------------------------------------------------------------------


def load(options):
    """Returns training, validation and test images by name."""
    # what is validated on is a part of the training images: nothing is chosen by it
    train, validation, test = images.load_cifar10(options.data_dir, options.images, 1_000, 10_000)
    names = zip(("train", "validation", "test"), (train, validation, test), strict=True)
    return {f"{kind}_{part}": each for part, pair in names for kind, each in zip("xy", pair, strict=True)}


def examine(way, speed_up, seed, data, options):
    """Returns the accuracies, the size, and the seconds of one way to a network, which is kept."""
    if way == TORCH:
        return torch_pruning(speed_up, seed, data, options)
    model = dense_network(seed, data, options)
    seen = data["x_train"][:SAMPLES], data["y_train"][:SAMPLES]
    how = {"ratio": 1 - 1 / speed_up, "of": "macs", "criterion": "taylor", "debias": "rms"}
    how |= {"data": seen, "guards": GUARDS, "verbose": 0}
    callbacks, found = [], {}
    start = time.process_time()
    epochs, peak, half = options.tune_epochs, TUNING_PEAK, max(1, options.tune_epochs // 2)
    if way in (IN_FIT, TAUGHT):
        how |= {"distillation": slim.distillation.Distillation() if way == TAUGHT else None}
        how |= {"rounds": min(5, half), "window": (0.0, 0.5), "calibration": slim.pruning.Calibration()}
        callbacks = [slim.callbacks.ProgressiveGlobalPruning(**how)]
    elif way == DSD:
        phases = {"sparse_epochs": half, "redense_epochs": epochs - half, "redense_rate": 1.0}
        callbacks = [slim.callbacks.DenseSparseDense(SPARSITY, **phases, verbose=0)]
    elif way == AT_ONCE:
        model = slim.prune(peers_keras.compiled(model, 0.0), **how)
        found["straight"] = accuracy(model, data)
    elif way == SCRATCH:
        model = keras.models.load_model(kept(AT_ONCE, speed_up, seed, options), compile=False)
        model = slim.pruning.reinitialized(model, seed=100 + seed)
        epochs, peak = options.epochs + options.tune_epochs, PEAK
    train(model, data, epochs, peak, 100 + seed, callbacks)
    found["seconds"] = time.process_time() - start
    model.save(kept(way, speed_up, seed, options))
    return {**found, "tuned": accuracy(model, data), **peers_keras.counts(model)}


def accuracy(model, data):
    """Returns the test accuracy in per cent, computed in float32."""
    answers = [model.predict_on_batch(batch) for batch in np.array_split(data["x_test"], 20)]
    return 100 * float(np.mean(np.concatenate(answers).argmax(-1) == data["y_test"]))


def torch_pruning(speed_up, seed, data, options):
    """Returns what torch-pruning makes of the same trained network."""
    folder = FOLDER / "proof" / "resnet20"
    folder.mkdir(parents=True, exist_ok=True)
    model = dense_network(seed, data, options)
    inputs = data["x_validation"][:256]
    outputs = model.predict(inputs, verbose=0)
    given = {"samples": SAMPLES, "batch": BATCH, "tuning_peak": TUNING_PEAK, "decay": DECAY, "speed_up": speed_up}
    (folder / "options.json").write_text(json.dumps({**given, "tune_epochs": options.tune_epochs}, indent=1) + "\n")
    np.savez(folder / "data.npz", **data)
    np.savez(folder / f"dense-{seed}.npz", inputs=inputs, outputs=outputs, **peers_keras.named_weights(model))
    run_peer(options.torch_python, "proof_torch.py", folder, seed)
    return json.loads((folder / f"torch-{seed}.json").read_text())


def kept(way, speed_up, seed, options):
    """Returns where the network of a way lies."""
    name = f"proof resnet20 {way} {speed_up}x {options.images} {options.epochs} {options.tune_epochs} {seed}"
    return network_path(name)


def measure(options):
    """Measures what is not finished, and writes the table of all that is, after each network."""
    data, found = load(options), []
    settings = {name: getattr(options, name) for name in ("images", "epochs", "tune_epochs")}
    settings |= {"batch": BATCH, "rates": [PEAK, TUNING_PEAK], "decay": DECAY, "samples": SAMPLES, "zeros": SPARSITY}
    keys = [(way, 1) for way in (DENSE, DSD)]
    keys += [(way, speed_up) for speed_up in options.speed_ups for way in (IN_FIT, TAUGHT, AT_ONCE, TORCH, SCRATCH)]
    keys = [key for key in keys if key[0] in (DENSE, *options.ways) and (key[0] != TORCH or options.torch_python)]
    for seed in range(options.seeds):
        found.append({})
        for way, speed_up in keys:
            name = f"{way} {speed_up}x"
            arguments = way, speed_up, seed, data, options
            found[-1][name] = cell("proof", f"resnet20 {name} {seed}", settings, examine, *arguments)
            report(found, options)
        exported = [key for key in keys if key[0] in EXPORTED]
        paths = {f"{way} {speed_up}x": kept(way, speed_up, seed, options) for way, speed_up in exported}
        arguments = paths, data["x_train"][:SAMPLES], (data["x_test"], data["y_test"])
        given = {**settings, "of": [*paths]}
        files = cell("proof", f"resnet20 files {seed}", given, proof_files.measured, *arguments)
        for name, each in files.items():
            found[-1][name]["files"] = each
        report(found, options)


# tables ---------------------------------------------------------------------------------------------------------------


def each_way(found, options):
    """Yields the aim, the way, and its measurements beside those of the dense network of the same seed."""
    for speed_up, way in itertools.product((1, *options.speed_ups), WAYS):
        pairs = [(run[name], run[f"{DENSE} 1x"]) for run in found if (name := f"{way} {speed_up}x") in run]
        if pairs:
            yield speed_up, way, pairs


def rows(found, options):
    """Yields a row for each way: accuracies, and points to the dense network trained as long."""
    for speed_up, way, pairs in each_way(found, options):
        straight = [each["straight"] for each, _ in pairs if "straight" in each]
        gaps = [each["tuned"] - whole["tuned"] for each, whole in pairs]
        yield [
            f"{speed_up}x",
            way,
            len(pairs),
            mean_and_range(straight) if straight else "",
            mean_and_range([each["tuned"] for each, _ in pairs]),
            "" if way == DENSE else mean_and_range(gaps),
            f"{np.mean([each['macs'] / whole['macs'] for each, whole in pairs]):.3f}",
            f"{np.mean([each['parameters'] / whole['parameters'] for each, whole in pairs]):.3f}",
            mean_and_range([each["seconds"] / 60 for each, _ in pairs], 0),
        ]


def file_rows(found, options):
    """Yields a row for each way with files."""
    for speed_up, way, pairs in each_way(found, options):
        pairs = [(each["files"], whole["files"]) for each, whole in pairs if "files" in each]
        if pairs:
            yield [f"{speed_up}x", way, *proof_files.cells(pairs)]


def report(found, options):
    """Writes the tables."""
    columns = ["aim", "way", "seeds", "straight after", "accuracy", "points to dense"]
    columns += ["multiply-accumulates left", "parameters left", "processor minutes"]
    tables = [("Test accuracy, %", columns, list(rows(found, options)))]
    if of_files := list(file_rows(found, options)):
        words = "LiteRT files, one thread; beside the time how many times faster than dense"
        tables.append((words, ["aim", "way", *proof_files.COLUMNS], of_files))
    write(
        "proof_resnet20",
        "ResNet-20 on all of CIFAR-10",
        tables,
        f"ResNet-20 (projection shortcuts), {options.images:,} training images moved by up to 4 pixels and "
        f"mirrored, batches of {BATCH}, SGD with Nesterov momentum 0.9 and a one-cycle rate: "
        f"{options.epochs} epochs up to {PEAK} for the dense network, then {options.tune_epochs} "
        f"up to {TUNING_PEAK} for every way. "
        + " ".join(f"*{way}*: {words}." for way, words in WORDS.items())
        + " Single filters go, as with torch-pruning. In training all sides let convolutions and matrix products run "
        "in bfloat16; accuracies are computed in float32. Mean (range) over seeds, 10,000 test images, which nothing "
        f"was chosen by. Minutes are those of the processor, both cores counted, without the {options.epochs} epochs "
        "of the dense network.",
        found,
    )


def add_options(parser):
    """Adds what the command line asks for this experiment."""
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--torch-python", type=Path, help="interpreter that has torch-pruning; optional")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tune-epochs", type=int, default=10)
    parser.add_argument("--speed-ups", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="a part of them, beside dense")
    parser.add_argument("--seeds", type=int, default=3)

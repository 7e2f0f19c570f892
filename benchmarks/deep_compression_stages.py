"""The stages of Deep Compression for each network: training, fewer neurons, fewer weights, shared values, the file."""

import dataclasses
import functools
import gzip
import math
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable

import images
import keras
import networks
import numpy as np
from cells import kept_network
from results_file import FOLDER

import keras_slim as slim

RATE, SHARING_RATE = 1e-3, 3e-4
BITS, BIAS_BITS = (3, 2), 4
SETTINGS = ("images", "dense_epochs", "epochs", "sharing_epochs", "batch")


@dataclasses.dataclass(frozen=True)
class Task:
    """A network, its images, and how long it is trained.

    Args:
        build: Makes the network.
        load: Loads the images.
        images: Number of training images.
        dense_epochs: Epochs of the dense network.
        epochs: Epochs of each level of pruning.
        sharing_epochs: Epochs with shared values.
        levels: Shares of all weights that are left, one after the other, each from where the one before has come to.
        moved: Pixels by which images are moved at most, and whether half of them are mirrored.
        paper: Shares of zeros and bits of the codes in the paper. Optional.
        goal: How many times smaller the file is to be, at no more than which error in percent. Optional.
        batch: Images of a batch.
    """

    build: Callable
    load: Callable
    images: int
    dense_epochs: int
    epochs: int
    sharing_epochs: int
    levels: tuple
    moved: tuple = (2, False)
    paper: tuple | None = None
    goal: tuple | None = None
    batch: int = 128

    @property
    def settings(self):
        """What the numbers depend on."""
        return {key: getattr(self, key) for key in SETTINGS}

    @functools.cached_property
    def weights(self):
        """Number of weights in the kernels of the dense network."""
        return sum(math.prod(kernel.shape) for kernel in slim.sparsity.kernels(self.build()).values())

    @functools.cached_property
    def dense_bytes(self):
        """Bytes of all weights of the dense network in float32: what every ratio is counted against."""
        return 4 * self.build().count_params()


# Settings, ratios and errors of the paper: Han et al. 2016, tables 1 to 3.
TASKS = {
    "LeNet-300-100": Task(
        networks.lenet_300_100,
        images.load_mnist,
        images=55_000,
        dense_epochs=20,
        epochs=15,
        sharing_epochs=5,
        levels=(0.08, 0.05, 0.035, 0.025, 0.018),
        paper=({"first": 0.92, "second": 0.91, "head": 0.74}, 6),
        goal=(100, 1.64),
    ),
    "LeNet-5": Task(
        networks.lenet_5,
        images.load_mnist,
        images=55_000,
        dense_epochs=20,
        epochs=8,
        sharing_epochs=3,
        levels=(0.05, 0.03, 0.02, 0.014, 0.01),
        paper=(
            {"first": 0.34, "second": 0.88, "third": 0.92, "head": 0.81},
            {"first": 8, "second": 8, "third": 5, "head": 5},
        ),
        goal=(200, 0.80),
    ),
    "VGG": Task(
        networks.sequential,
        images.load_cifar10,
        images=10_000,
        dense_epochs=20,
        epochs=6,
        sharing_epochs=2,
        levels=(0.3, 0.15, 0.08),
        moved=(4, True),
    ),
}


def fit(model, samples, epochs, rate, seed, task, callbacks=()):
    """Trains a network with a rate that falls along a cosine, on images that are moved."""
    keras.utils.set_random_seed(seed)
    steps = epochs * math.ceil(len(samples[0]) / task.batch)
    networks.compiled(model, keras.optimizers.schedules.CosineDecay(rate, steps))
    moved = images.Shifted(*samples, task.batch, seed, *task.moved)
    model.fit(moved, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def kept_on_disk(make):
    """Makes a function that returns a model look for its file first."""

    @functools.wraps(make)
    def wrapper(name, *arguments, train, task):
        label = "-".join(map(str, ["deep", make.__name__, name, *arguments, *task.settings.values()]))
        return kept_network(label, lambda: make(name, *arguments, train=train, task=task))

    return wrapper


@kept_on_disk
def start(name, kind, seed, *, train, task):
    """Returns the dense network, or one with fewer neurons made from it."""
    if kind == "dense":
        keras.utils.set_random_seed(seed)
        return fit(task.build(), train, task.dense_epochs, RATE, seed, task)
    dense = start(name, "dense", seed, train=train, task=task)
    sample = train[0][:512], train[1][:512]
    networks.compiled(dense, RATE)
    smaller = slim.prune(dense, ratio=0.4, of="params", criterion="taylor", data=sample, verbose=0)
    return fit(smaller, train, task.epochs, RATE, seed, task)


@kept_on_disk
def sparse(name, kind, seed, level, *, train, task):
    """Returns the network of a level, pruned from that of the level before."""
    if level == "paper":
        model = start(name, kind, seed, train=train, task=task)
        callback = slim.callbacks.GradualPruning(task.paper[0], window=(0.0, 0.5), verbose=0)
        return fit(model, train, task.epochs, RATE, seed, task, [callback])
    if level:
        model = sparse(name, kind, seed, level - 1, train=train, task=task)
    else:
        model = start(name, kind, seed, train=train, task=task)
    weights = sum(math.prod(kernel.shape) for kernel in slim.sparsity.kernels(model).values())
    callback = slim.callbacks.GradualPruning(
        1 - task.levels[level] * task.weights / weights,
        scope="global",
        initial_sparsity=slim.sparsity.Masks.nonzero(model).sparsity,
        window=(0.0, 0.5),
        verbose=0,
    )
    return fit(model, train, task.epochs, RATE, seed, task, [callback])


def weigh(model, test, validation):
    """Returns errors in percent and bytes of a model's file: of itself, and of its weights by gzip."""
    with tempfile.TemporaryDirectory() as folder:
        report = slim.save_compressed(model, f"{folder}/model.h5", float16=True)
        loaded = networks.compiled(slim.load_compressed(f"{folder}/model.h5"), RATE)
    raw = b"".join(weight.astype("float32").tobytes() for weight in model.get_weights())
    return {
        "bytes": report.file_bytes,
        "gzip": len(gzip.compress(raw, 9)),
        "test": 100 - 100 * loaded.evaluate(*test, batch_size=500, verbose=0, return_dict=True)["accuracy"],
        "validation": 100 - 100 * loaded.evaluate(*validation, batch_size=500, verbose=0, return_dict=True)["accuracy"],
    }


def examine(name, kind, seed, level, data, task, biases=False):
    """Returns what each stage of a level weighs, and how often it errs; or those in which biases share values too."""
    train, validation, test = data
    if level == "dense":
        return {"dense": weigh(start(name, "dense", seed, train=train, task=task), test, validation)}
    pruned = sparse(name, kind, seed, level, train=train, task=task)
    if level == "paper":
        stages = {"paper": task.paper[1]}
    else:
        stages = {f"{bits} bits{' and biases' if biases else ''}": bits for bits in BITS}
    found = {} if biases else {"pruned": weigh(pruned, test, validation)}
    for stage, bits in stages.items():
        model = sparse(name, kind, seed, level, train=train, task=task)
        sharing = slim.callbacks.WeightSharing(bits, bias_bits=BIAS_BITS if biases else None, verbose=0)
        fit(model, train, task.sharing_epochs, SHARING_RATE, seed, task, [sharing])
        found[stage] = weigh(model, test, validation)
    return found


def uncoded_bytes(model, bits_of=None):
    """Returns the bytes of a sparse model in the paper's format before Huffman coding.

    Each weight that is left has its distance from the one before, of 8 bits in convolutions and 5 elsewhere, with a
    zero put in where that is not enough; and itself, or a code and the kernel's codebook. All else takes 16 bits.

    Args:
        model: The model.
        bits_of: Function that returns the bits of a layer's codes by its name; `None` for weights of 32 bits.
    """
    bits, kernels = 0, slim.sparsity.kernels(model)
    for path, kernel in kernels.items():
        index_bits = 8 if len(kernel.shape) > 2 else 5
        gaps = np.diff(np.flatnonzero(np.asarray(kernel)), prepend=-1)
        entries = int(np.sum(-(-gaps // 2**index_bits)))
        code_bits = bits_of(path.split("/")[-2]) if bits_of else 32
        bits += entries * (index_bits + code_bits) + (32 * 2**code_bits if bits_of else 0)
    others = model.count_params() - sum(math.prod(kernel.shape) for kernel in kernels.values())
    return math.ceil(bits / 8) + 2 * others


def examine_tfmot(python, name, seed, level, data, task, data_dir):
    """Returns the same of TensorFlow Model Optimization, trained under its own interpreter with legacy Keras.

    Pruned to the same share of weights, layer by layer, from the level before; then clustered, zeros apart.
    """
    train, validation, test = data
    made = _made_by_tfmot(name, seed, level, task)
    if not made.exists():
        if level:
            before, weights = task.levels[level - 1], _stage(_made_by_tfmot(name, seed, level - 1, task), "pruned")
        else:
            before, weights = 1.0, start(name, "dense", seed, train=train, task=task).get_weights()
        shares = 1 - before, 1 - task.levels[level]
        _run_tfmot(python, weights, made, name, *shares, seed=seed, task=task, data_dir=data_dir)
    found = {}
    for stage in ["pruned", *(f"{bits} bits" for bits in BITS)]:
        model = task.build()
        model.set_weights([weight + 0.0 for weight in _stage(made, stage)])  # not -0.0, whose sign costs a bit each
        found[stage] = weigh(model, test, validation)
    return found


def _run_tfmot(python, weights, made, name, *shares, seed, task, data_dir):
    with tempfile.TemporaryDirectory() as scratch:
        given = pathlib.Path(scratch) / "given.npz"
        np.savez(given, **{f"given/{index}": weight for index, weight in enumerate(weights)})
        script = pathlib.Path(__file__).with_name("deep_compression_tfmot.py")
        numbers = [*shares, task.images, task.batch, task.epochs, task.sharing_epochs, seed, *BITS]
        command = [python, str(script), str(given), str(made), name, *map(str, numbers)]
        environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
        subprocess.run([*command, "--data-dir", str(data_dir)] if data_dir else command, check=True, env=environment)


def _made_by_tfmot(name, seed, level, task):
    label = "-".join(map(str, [name, seed, level, *task.settings.values()]))
    return FOLDER / "networks" / f"deep-tfmot-{label}.npz"


def _stage(path, stage):
    """Returns the weights of a stage in a file of TensorFlow Model Optimization's."""
    with np.load(path, allow_pickle=False) as file:
        return [file[f"{stage}/{index}"] for index in range(sum(key.startswith(f"{stage}/") for key in file.files))]

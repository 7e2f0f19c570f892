"""Rounding a trained network to few bits: as it is, with ranges evened out, with biases corrected, and with both."""

import argparse
import pathlib
import tempfile

import images
import keras
import networks
import numpy as np
from cells import cell, kept_network
from keras import layers
from results_file import mean_and_range, write

import keras_slim as slim
from keras_slim.export.tflite_file import TfliteFile

SAMPLES = 512  # to correct biases with
RANGE_SAMPLES = 300  # to take ranges of activations from
TEST = 2_000
DIGITS_EPOCHS = 30
BITS = (8, 6, 5, 4)
SCALES = {"per channel": True, "per tensor": False}
VARIANTS = ("as it is", "equalized", "corrected", "both")
FILE = "int8 file"


def digits_network():
    """Depthwise and pointwise convolutions in turn, for images of 8 by 8 pixels."""
    inputs = x = keras.Input((8, 8, 1))
    x = networks.block(x, 16)
    for width, strides in ((32, 2), (32, 1), (64, 2)):
        x = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = networks.block(x, width, kernel_size=1)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = {
    "depthwise, digits": ("digits", digits_network),
    "depthwise, CIFAR-10": ("cifar10", lambda: networks.depthwise(16)),
    "sequential, CIFAR-10": ("cifar10", lambda: networks.sequential(12)),
}


def trained(build, seed, samples, epochs):
    """Returns a network trained with a learning rate that falls to nothing."""
    keras.utils.set_random_seed(seed)
    x, y = samples
    model = networks.compiled(build(), keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(x) // 64)))
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


def examine(name, seed, data, epochs):
    """Returns accuracies and signal-to-noise ratios of a network, rounded in all ways."""
    _, build = NETWORKS[name]
    (x, y), _, test = data
    kept = f"after-training-{name.replace(', ', '-')}-{len(x)}-{epochs}-{seed}"
    model = kept_network(kept, lambda: trained(build, seed, (x, y), epochs))
    real = answers(model, test[0])
    starts = {"as it is": slim.fold_batch_normalization(model), "equalized": slim.equalize(model)}
    found = {"real": {"accuracy": accuracy(real, test[1])}, "rounded": []}

    def note(bits, scales, variant, received):
        row = {"bits": bits, "scales": scales, "variant": variant}
        found["rounded"].append({**row, "accuracy": accuracy(received, test[1]), "db": decibels(real, received)})

    for bits in BITS:
        for scales, per_channel in SCALES.items():
            quantizer = slim.quantizers.Int(bits, per_channel=per_channel)
            for (variant, start), corrected in zip(starts.items(), VARIANTS[2:], strict=True):
                twin = slim.quantize(start, quantizer, skip=())
                note(bits, scales, variant, answers(twin, test[0]))
                note(bits, scales, corrected, answers(slim.correct_biases(twin, x[:SAMPLES]), test[0]))
    for (variant, start), corrected in zip(starts.items(), VARIANTS[2:], strict=True):
        note(8, FILE, variant, file_answers(start, x, test[0]))
        note(8, FILE, corrected, file_answers(slim.correct_biases(start, x[:SAMPLES]), x, test[0]))
    return found


def answers(model, x):
    return np.concatenate([np.asarray(model(batch, training=False)) for batch in np.array_split(x, -(-len(x) // 250))])


def file_answers(model, x, test):
    """Returns what the int8 file of a model answers."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        slim.export_tflite(model, path, quantize="int8", data=x[:RANGE_SAMPLES], tolerance=-100, verbose=0)
        file = TfliteFile(path)
        (name,) = file.inputs
        found = (next(iter(file.answer({name: test[index : index + 1]}).values())) for index in range(len(test)))
        return np.concatenate(list(found))


def accuracy(received, y):
    return 100 * float(np.mean(received.argmax(axis=-1) == y))


def decibels(expected, received):
    """Returns the ratio of the answers' power to that of their error."""
    return float(10 * np.log10(np.square(expected).sum() / np.square(expected - received).sum()))


def rows(found):
    """Yields a row for each network and way to round: signal-to-noise ratios and accuracies of the variants."""
    for network, runs in found.items():
        ways = dict.fromkeys((each["bits"], each["scales"]) for run in runs.values() for each in run["rounded"])
        for bits, scales in ways:
            chosen = [
                [each for run in runs.values() for each in run["rounded"] if key(each) == (bits, scales, variant)]
                for variant in VARIANTS
            ]
            cells = [
                mean_and_range([each[measure] for each in some], 1) for measure in ("db", "accuracy") for some in chosen
            ]
            yield [network, bits, scales, *cells]


def key(row):
    return row["bits"], row["scales"], row["variant"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=6_000, help="training images of CIFAR-10 (default: 6000)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs on CIFAR-10 (default: 8)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    cifar10 = images.load_cifar10(options.data_dir, train=options.images, test=TEST)
    found = {}
    for name in options.networks:
        is_digits = NETWORKS[name][0] == "digits"
        epochs = DIGITS_EPOCHS if is_digits else options.epochs
        settings = {"images": options.images, "epochs": epochs}
        found[name] = {}
        for seed in range(options.seeds):
            data = slim.datasets.load_digits(seed) if is_digits else cifar10
            found[name][f"{seed}"] = cell(
                "after_training", f"{name} {seed}", settings, examine, name, seed, data, epochs
            )
    table = list(rows(found))
    real = "; ".join(
        f"{name} {mean_and_range([run['real']['accuracy'] for run in runs.values()], 1)}"
        for name, runs in found.items()
    )
    columns = ["network", "bits", "scales of weights", *VARIANTS]
    split = 3 + len(VARIANTS)
    write(
        "after_training",
        "Few bits without training",
        [
            ("Signal-to-noise ratio of the answers, decibels", columns, [row[:split] for row in table]),
            ("Test accuracy, %", columns, [[*row[:3], *row[split:]] for row in table]),
        ],
        f"Networks with batch normalization, trained with real numbers ({options.epochs} epochs on {options.images:,} "
        f"images of CIFAR-10; {DIGITS_EPOCHS} epochs on the digits of the package), then folded and rounded. Weights "
        f"alone are rounded, by `slim.quantize`; *{FILE}*: by `export_tflite`, weights per channel and activations. "
        f"*Equalized*: by `slim.equalize`; *corrected*: by `slim.correct_biases` on {SAMPLES} training images. "
        f"Accuracy with real numbers: {real}. Mean (range) of seeds 0 to {options.seeds - 1}; "
        f"{TEST:,} test images of CIFAR-10.",
        found,
    )


if __name__ == "__main__":
    main()

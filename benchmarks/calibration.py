"""Accuracy straight after a cut, before any fine-tuning: plain, and made up for with data."""

import argparse
import json
import statistics
import time

import images
import keras
import networks
from results_file import FOLDER, spread, write

import keras_slim as slim
from keras_slim.pruning import Calibration, Guards

RATIOS = (0.3, 0.5, 0.7)
VARIANTS = {
    "plain": False,
    "recalibrated": Calibration(compensate=False, recalibrate=True),
    "compensated": Calibration(),
    "both": Calibration(recalibrate=True),
}


def train(name, seed, samples, epochs):
    """Returns a network trained with a learning rate that falls to nothing."""
    keras.utils.set_random_seed(seed)
    x, y = samples
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * (len(x) // 64))
    model = networks.compiled(networks.ALL[name](), rate)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


def examine(name, seed, data, epochs, samples):
    """Returns the accuracies of one trained network and of all its cuts."""
    (x, y), validation, test = data
    model = train(name, seed, (x, y), epochs)
    found = {"network": name, "seed": seed, "dense": accuracies(model, validation, test), "cuts": []}
    for ratio in RATIOS:
        scored = x[:samples], y[:samples]
        plan = slim.plan_pruning(
            model, ratio, of="macs", criterion="taylor", debias="rms", data=scored, guards=Guards(align=4)
        )
        for variant, calibration in VARIANTS.items():
            start = time.perf_counter()
            small = slim.shrink(model, plan, x[:samples], calibration=calibration)
            seconds = time.perf_counter() - start
            found["cuts"].append(
                {"ratio": ratio, "variant": variant, "seconds": seconds, **accuracies(small, validation, test)}
            )
    return found


def accuracies(model, validation, test):
    networks.compiled(model, 0.0) if not model.compiled else None
    return {
        name: model.evaluate(*samples, batch_size=256, verbose=0, return_dict=True)["accuracy"]
        for name, samples in (("validation", validation), ("test", test))
    }


def rows(results):
    """Yields a table row for each network and ratio: accuracies of the variants, and the share of the drop undone."""
    for name in networks.NETWORKS:
        runs = [each for each in results if each["network"] == name]
        for ratio in RATIOS if runs else ():
            accuracy = {
                variant: [
                    cut["test"]
                    for run in runs
                    for cut in run["cuts"]
                    if (cut["ratio"], cut["variant"]) == (ratio, variant)
                ]
                for variant in VARIANTS
            }
            dense = [run["dense"]["test"] for run in runs]
            undone = [
                (compensated - plain) / (whole - plain)
                for compensated, plain, whole in zip(accuracy["compensated"], accuracy["plain"], dense, strict=True)
            ]
            shown = [f"{statistics.median(values):.1%}" for values in (dense, *accuracy.values())]
            yield [name, f"{ratio:.0%}", *shown, spread([100 * each for each in undone], 0)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=10_000, help="training images (default: 10000)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--samples", type=int, default=1024, help="images to calibrate with (default: 1024)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = images.load_cifar10(options.data_dir, train=options.images, test=5_000)
    folder = FOLDER / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in range(options.seeds):
        for name in networks.NETWORKS:
            path = folder / f"{name}-{seed}.json"
            if not path.exists():
                print(f"{name}, seed {seed} ...", flush=True)
                found = examine(name, seed, data, options.epochs, options.samples)
                path.write_text(json.dumps(found, indent=1) + "\n")
            results.append(json.loads(path.read_text()))
    columns = [
        "network",
        "fewer multiply-accumulates",
        "dense",
        *VARIANTS,
        "drop undone by compensation, % (lowest to highest)",
    ]
    seconds = [cut["seconds"] for run in results for cut in run["cuts"] if cut["variant"] == "compensated"]
    write(
        "calibration",
        "Accuracy straight after a cut",
        [("Test accuracy without any fine-tuning, median", columns, list(rows(results)))],
        f"Three small networks trained on {options.images:,} images of CIFAR-10 for {options.epochs} epochs, cut once "
        f"by Taylor scores (rms, aligned to 4), {options.seeds} seeds, 5,000 test images. *Recalibrated*: batch "
        "normalization estimates its statistics anew. *Compensated*: kept units stand in for the removed ones, in "
        f"{spread(seconds, 1)} s. Each looks at {options.samples:,} training images without labels. De-biasing, "
        "alignment and the default were chosen by validation accuracy of seed 0, nothing by test accuracy.",
        results,
    )


if __name__ == "__main__":
    main()

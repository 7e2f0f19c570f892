"""Whether a unit's score should be weighed against what its removal saves: accuracy with and without."""

import argparse
import json

import images
import keras
import networks
from keras import layers
from results_file import FOLDER, spread, write

import keras_slim as slim
from keras_slim.pruning import Guards, Macs, Params

MEASURES = {"params": Params, "macs": Macs}
RATIOS = (0.5, 0.75)
POWERS = (0.0, 0.5, 1.0)


def digits_network():
    """Two convolutions and a dense layer that holds most parameters, for 8x8 images."""
    stack = layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"), layers.Flatten()
    return keras.Sequential([keras.Input((8, 8, 1)), *stack, layers.Dense(64, activation="relu"), layers.Dense(10)])


NETWORKS = {"digits": digits_network, "sequential": networks.sequential, "residual": networks.residual}


def trained(name, seed, samples, epochs, path):
    """Returns a network trained with a learning rate that falls to nothing; a second time, the same from its file."""
    if path.exists():
        return networks.compiled(keras.saving.load_model(path, compile=False), 1e-3)
    keras.utils.set_random_seed(seed)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * (len(samples[0]) // 64))
    model = networks.compiled(NETWORKS[name](), rate)
    model.fit(*samples, batch_size=64, epochs=epochs, verbose=0)
    model.save(path)
    return model


def examine(model, seed, of, ratio, power, data, samples, epochs):
    """Returns validation loss and accuracy of one cut: plain, made up for with data, and fine-tuned."""
    (x, y), validation = data
    measure, scored = MEASURES[of](weigh=power), (x[:samples], y[:samples])
    plan = slim.plan_pruning(model, ratio, of=measure, criterion="taylor", data=scored, guards=Guards(align=4))
    found = {"of": of, "ratio": ratio, "power": power, "units": [len(group.kept_channels) for group in plan.groups]}
    found["plain"] = judged(networks.compiled(slim.shrink(model, plan), 1e-3), validation)
    small = networks.compiled(slim.shrink(model, plan, scored[0]), 1e-3)
    found["compensated"] = judged(small, validation)
    keras.utils.set_random_seed(seed)
    small.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return found | {"fine-tuned": judged(small, validation)}


def judged(model, samples):
    return model.evaluate(*samples, batch_size=256, verbose=0, return_dict=True)


def run(name, seed, data, options, folder):
    """Returns all cuts of one network; each is kept in a file as soon as it is made."""
    path = folder / f"{name}-{seed}.json"
    done = json.loads(path.read_text()) if path.exists() else []
    cells = [(of, ratio, power) for of in MEASURES for ratio in RATIOS for power in POWERS]
    if len(done) < len(cells):
        model = trained(name, seed, data[0], options.epochs, path.with_suffix(".keras"))
        for cell in cells[len(done) :]:
            print(name, seed, *cell, flush=True)
            done.append(examine(model, seed, *cell, data, options.samples, options.fine_tuning))
            path.write_text(json.dumps(done, indent=1) + "\n")
    return [{"network": name, "seed": seed, **each} for each in done]


def rows(results):
    """Yields a row for each network, measure, ratio and power: the three accuracies, and the loss at the end."""
    for name in NETWORKS:
        for of in MEASURES:
            for ratio in RATIOS:
                for power in POWERS:
                    key = name, of, ratio, power
                    cuts = [cut for cut in results if (cut["network"], cut["of"], cut["ratio"], cut["power"]) == key]
                    stages = ("plain", "compensated", "fine-tuned")
                    accuracies = [spread([100 * cut[stage]["accuracy"] for cut in cuts], 1) for stage in stages]
                    losses = spread([cut["fine-tuned"]["loss"] for cut in cuts])
                    yield [name, f"{ratio:.0%} of {of}", power, *accuracies, losses]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=10_000, help="training images of CIFAR-10 (default: 10000)")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fine-tuning", type=int, default=1, help="epochs after the cut (default: 1)")
    parser.add_argument("--samples", type=int, default=512, help="images to score and to calibrate with (default: 512)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    cifar = images.load_cifar10(options.data_dir, train=options.images)[:2]
    folder = FOLDER / "weighing"
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in range(options.seeds):
        for name in NETWORKS:
            data = slim.datasets.load_digits()[:2] if name == "digits" else cifar
            results += run(name, seed, data, options, folder)
    columns = ["network", "removed", "power", "plain cut, %", "compensated, %", "fine-tuned, %", "loss, fine-tuned"]
    write(
        "weighing",
        "Scores weighed against what a unit costs",
        [("Validation accuracy and loss, median (lowest to highest)", columns, list(rows(results)))],
        f"Networks trained for {options.epochs} epochs on the digits and on {options.images:,} images of CIFAR-10, cut "
        "once by Taylor scores (l2, aligned to 4) divided by a power of the parameters or multiply-accumulates that "
        f"the removal of a unit saves; then {options.fine_tuning} epoch of training. {options.seeds} seeds. The "
        "validation samples are held out of training, and no test sample is looked at, since the default of `weigh` is "
        "chosen by this table.",
        results,
    )


if __name__ == "__main__":
    main()

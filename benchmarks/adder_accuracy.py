"""Adder networks beside their convolutional twin: with and without local learning rate, and taught in two ways."""

import argparse
import functools
import time

import charts
import images
import keras
import networks
import numpy as np
from cells import cell
from matplotlib import pyplot
from results_file import FOLDER, mean_and_range, write

import keras_slim as slim

# What each way is; the order is that of the paper's table, from what it says is worst to what is best.
WAYS = {
    "adder, no local learning rate": "the optimizer's learning rate alone",
    "adder": "with the local learning rate, eta 0.2",
    "adder, logits": "the same, taught by the trained convolutional network of the same seed (Keras's `Distiller`)",
    "adder, PKKD": "the same, beside a convolutional teacher that trains along, layer by layer",
    "convolution": "the network that the others are made of",
}
NETWORKS = {"ResNet-20": functools.partial(networks.residual, blocks=3), "VGG": networks.sequential}
SETTINGS = ("images", "augment", "width", "epochs", "batch", "rate")


def made(network, way, options):
    """Returns a network with fresh weights."""
    model = NETWORKS[network](options.width)
    if way == "convolution":
        return model
    rate = None if "no local" in way else 0.2
    return slim.adderize(model, local_learning_rate=rate)


def compiled(model, options):
    """Compiles a model for SGD with a rate that falls along a cosine, as in the papers."""
    steps = options.epochs * -(-options.images // options.batch)
    rate = keras.optimizers.schedules.CosineDecay(options.rate, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
    compiler = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=compiler)
    return model


def teacher_file(network, seed, options):
    """Returns where the trained convolutional network of a seed lies."""
    name = f"adder-{network}-{'-'.join(str(getattr(options, key)) for key in SETTINGS)}-{seed}.keras"
    return FOLDER / "networks" / name


def trained_by(model, network, way, seed, options):
    """Returns the model to be fitted so that a network learns in some way."""
    if way == "adder, PKKD":
        return slim.distillation.ProgressiveKernelDistillation(model)
    if way == "adder, logits":
        teacher = keras.models.load_model(teacher_file(network, seed, options), compile=False)
        teacher.trainable = False
        distillation = slim.distillation.Distillation()
        return keras.distillation.Distiller(teacher, model, distillation.loss, student_loss_weight=0.5)
    return model


class EpochTimes(keras.callbacks.Callback):
    """Keeps and prints how long each epoch took, validation included."""

    def on_train_begin(self, logs=None):
        self.seconds, self._last = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(round(now - self._last, 2))
        self._last = now
        print(f"epoch {epoch + 1}: {self.seconds[-1]} s, {logs['val_accuracy']:.3f}", flush=True)


def examine(network, way, seed, data, options):
    """Returns the validation accuracy of each epoch, and the test accuracy in the end."""
    train, validation, test = data
    keras.utils.set_random_seed(seed)
    model = made(network, way, options)
    fitted = compiled(trained_by(model, network, way, seed, options), options)
    if options.augment:
        samples = {"x": images.Shifted(*train, options.batch, seed)}
    else:
        samples = {"x": train[0], "y": train[1], "batch_size": options.batch}
    clock = EpochTimes()
    history = fitted.fit(**samples, epochs=options.epochs, validation_data=validation, callbacks=[clock], verbose=0)
    if way == "convolution":
        path = teacher_file(network, seed, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    answers = model.predict(test[0], batch_size=500, verbose=0).argmax(axis=1)
    return {
        "test": 100 * float((answers == test[1]).mean()),
        "validation": [100 * each for each in history.history["val_accuracy"]],
        "seconds per epoch": clock.seconds,
    }


def rows(found):
    """Yields a row for each network and way: test accuracy, and how far it is above the plain adder network."""
    for network, ways in found.items():
        for way in WAYS:
            gains = [
                " / ".join(
                    f"{run['test'] - other['test']:+.1f}" for run, other in zip(ways[way], ways[of], strict=True)
                )
                if way != of
                else ""
                for of in ("adder", "convolution")
            ]
            yield [network, way, mean_and_range([run["test"] for run in ways[way]]), *gains]


def draw(found, name):
    """Draws validation accuracy by epoch."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(7.5, 3.2), sharey=True, squeeze=False)
    for axes, (network, ways) in zip(panels[0], found.items(), strict=True):
        for way, runs in ways.items():
            curves = [enumerate(run["validation"], start=1) for run in runs]
            charts.curve(axes, list(zip(*curves, strict=True)), way)
        axes.set(title=network, xlabel="epoch")
    panels[0, 0].set_ylabel("validation accuracy, %")
    panels[0, 0].legend(frameon=False, fontsize=7)
    charts.save(figure, f"{name}.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--augment", action="store_true", help="move and mirror the images")
    parser.add_argument(
        "--width", type=int, default=8, help="filters of the first stage (default: 8; the paper has 16)"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="train in these ways only, and write no table")
    parser.add_argument("--output", default="adder_accuracy", help="name of what it writes (default: adder_accuracy)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = images.load_cifar10(options.data_dir, train=options.images)
    settings = {key: getattr(options, key) for key in SETTINGS}

    def measure(network, way, seed):
        return examine(network, way, seed, data, options)

    order = ["convolution", *(way for way in WAYS if way != "convolution")]  # it teaches one of the others
    order = [way for way in order if way in (options.ways or order)]
    cells = {
        (network, way, seed): cell(options.output, f"{network}-{way}-{seed}", settings, measure, network, way, seed)
        for seed in range(options.seeds)
        for network in options.networks
        for way in order
    }
    if options.ways:
        return
    found = {
        network: {way: [cells[network, way, seed] for seed in range(options.seeds)] for way in WAYS}
        for network in options.networks
    }
    draw(found, options.output)
    columns = ["network", "way", "test accuracy, %, mean (range)", "against adder, by seed", "against convolution"]
    gap = np.mean([run["test"] for ways in found.values() for run in ways["convolution"]]) - np.mean(
        [run["test"] for ways in found.values() for run in ways["adder"]]
    )
    write(
        options.output,
        f"Adder networks on CIFAR-10{', augmented' * options.augment}: {', '.join(found)}",
        [("After the same schedule", columns, list(rows(found)))],
        f"{options.images:,} images of CIFAR-10, "
        + ("moved by up to 4 pixels and mirrored" if options.augment else "not augmented")
        + f", {options.epochs} epochs of SGD (momentum 0.9, weight decay 5e-4, batch {options.batch}) along a cosine "
        f"from {options.rate:g}, first stage {options.width} filters wide, seeds 0 to {options.seeds - 1}, 10,000 test "
        "images looked at once. "
        + "; ".join(f"*{way}*: {words}" for way, words in WAYS.items())
        + ". First and last layer are ordinary. In the papers, with 50,000 augmented images, 16 filters and 400 "
        "epochs, ResNet-20 has 92.25 % with convolutions, 91.84 % as an adder network (Chen et al. 2020) and 92.96 % "
        f"with PKKD (Xu et al. 2020); here plain adder networks are {gap:.1f} points below convolutions on average. "
        "Nothing was chosen by these figures; the default weight of PKKD's comparison of layers, by validation "
        "accuracy of another seed.",
        found,
    )


if __name__ == "__main__":
    main()

"""Lottery tickets against fresh weights and random masks: when they stop improving, and how good they are by then."""

import argparse
import functools
import time

import charts
import images
import keras
import networks
import numpy as np
import results_file
from cells import cell
from matplotlib import pyplot
from results_file import spread, write

import keras_slim as slim

ARMS = "ticket", "random_reinit", "random_mask"
NETWORKS = {
    # name: (network, loader, learning rate, share that a round removes of each layer)
    "lenet": (networks.lenet_300_100, images.load_mnist, 1.2e-3, {"first": 0.2, "second": 0.2, "head": 0.1}),
    "conv2": (
        functools.partial(slim.models.ConvTwo, classifier_activation=None),
        images.load_cifar10,
        2e-4,
        {"conv1": 0.1, "conv2": 0.1, "dense1": 0.2, "dense2": 0.2, "predictions": 0.1},
    ),
}
PAPER = {
    "lenet": "In the paper (Frankle & Carbin 2019, 50,000 steps) tickets of this network learn faster and are better "
    "down to 21 % of the weights, 0.3 points better at 13.5 %, and as good as the dense network again at 3.6 %; with "
    "random re-initialisation they are worse from 21 % on",
    "conv2": "In the paper (Frankle & Carbin 2019, 20,000 steps) tickets of this network are best at 8.8 % of the "
    "weights: they stop improving 3.5 times sooner, and are 3.4 points better",
}
SETTINGS = ("network", "rounds", "steps", "every", "batch", "images")


class Test(keras.callbacks.Callback):
    """Looks at test images once in each stretch: with the weights of lowest validation loss, and with the last ones."""

    def __init__(self, x, y, epochs):
        super().__init__()
        self.x, self.y, self.epochs = x, y, epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch % self.epochs == 0:
            self.lowest = np.inf

    def on_epoch_end(self, epoch, logs=None):
        if logs["val_loss"] < self.lowest:
            self.lowest, self.best = logs["val_loss"], self.model.get_weights()
        if (epoch + 1) % self.epochs == 0:
            last = self.model.get_weights()
            logs["final"] = self.accuracy()
            self.model.set_weights(self.best)
            logs["stopped"] = self.accuracy()
            self.model.set_weights(last)

    def accuracy(self):
        answers = self.model.predict(self.x, batch_size=1000, verbose=0).argmax(axis=1)
        return float((answers == self.y).mean())


def compiled(seed, options):
    """Returns the network with the first weights of a seed."""
    make, _, rate, _ = NETWORKS[options.network]
    keras.utils.set_random_seed(seed)
    model = make()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        keras.optimizers.Adam(rate), loss, metrics=["accuracy"], jit_compile=False, steps_per_execution=options.every
    )
    return model


def fit(model, stretches, data, callbacks, options):
    """Trains a network for some stretches, and returns the values of each metric by epoch."""
    train, validation, test = data
    epochs = options.steps // options.every
    return model.fit(
        *train,
        batch_size=options.batch,
        steps_per_epoch=options.every,
        epochs=stretches * epochs,
        validation_data=validation,
        validation_batch_size=1000,
        verbose=0,
        callbacks=[Test(*test, epochs), *callbacks],
    ).history


def search(arm, seed, data, options):
    """Returns what was measured in each stretch of a `fit` that looks for tickets, or removes weights at random."""
    control = None if arm == "ticket" else arm
    lottery = slim.callbacks.LotteryTicket(options.rounds, removed(options), control=control, seed=seed)
    fit(compiled(seed, options), options.rounds + 1, data, [lottery], options)
    if arm == "ticket":
        path_of(seed, 0, options).parent.mkdir(parents=True, exist_ok=True)
        for number, ticket in enumerate(lottery.tickets):
            ticket.save(path_of(seed, number, options))
    return [_summary(each["density"], each["history"], options.every) for each in lottery.rounds_done]


def reinitialize(seed, data, options):
    """Returns what was measured when the masks of the tickets are given fresh weights."""
    found = []
    for number in range(options.rounds + 1):
        model = compiled(seed, options)
        ticket = slim.sparsity.Ticket.load(path_of(seed, number, options))
        if number:
            ticket = ticket.random_reinit(model, 1000 * (seed + 1) + number)
        ticket.apply(model)
        history = fit(model, 1, data, [slim.callbacks.HoldMasks(ticket.masks)], options)
        found.append(_summary(ticket.density, history, options.every))
    return found


def removed(options):
    """Returns which share of the weights left a round removes of each layer."""
    return {name: round(1 - (1 - ratio) ** options.at_once, 9) for name, ratio in NETWORKS[options.network][3].items()}


def path_of(seed, number, options):
    """Returns where the ticket of a round lies."""
    asked = [getattr(options, key) for key in (*SETTINGS, "at_once")]
    name = "-".join(map(str, [*asked, seed, number])) + ".npz"
    return results_file.FOLDER / "lottery" / name


def examine(arm, seed, data, options):
    """Returns the stretches of an arm, and the processor's seconds."""
    start = time.process_time()
    stretches = reinitialize(seed, data, options) if arm == "random_reinit" else search(arm, seed, data, options)
    return {"stretches": stretches, "seconds": time.process_time() - start}


def _summary(density, history, every):
    """Returns when the validation loss was lowest, and the accuracies then and in the end."""
    best = int(np.argmin(history["val_loss"]))
    return {
        "density": density,
        "step": (best + 1) * every,
        "validation_loss": history["val_loss"],
        "stopped": history["stopped"][-1],
        "final": history["final"][-1],
        "train": history["accuracy"][-1],
    }


def rows(found, arm):
    """Yields a table row for each density of an arm."""
    for number in range(len(found[0][arm]["stretches"])):
        runs = [run[arm]["stretches"][number] for run in found]
        yield [
            f"{100 * runs[0]['density']:.1f}",
            spread([each["step"] for each in runs], 0),
            spread([100 * each["stopped"] for each in runs], 2),
            spread([100 * each["final"] for each in runs], 2),
            spread([100 * each["train"] for each in runs], 2),
        ]


def verdict(found, arm):
    """Returns, in words, how an arm compares with the dense network: the best and the smallest that is as good."""
    stretches = np.array(
        [[(each["stopped"], each["step"], each["density"]) for each in run[arm]["stretches"]] for run in found]
    )
    accuracy, step, density = np.moveaxis(stretches.mean(axis=0), -1, 0)
    gains = 100 * (accuracy - accuracy[0])
    best = int(np.argmax(gains[1:])) + 1
    as_good = [number for number in range(1, len(gains)) if gains[number] >= 0]
    smallest = f"as good as dense down to {density[as_good[-1]]:.1%}" if as_good else "never as good as dense"
    return (
        f"*{arm}*: at best {gains[best]:+.2f} points at {density[best]:.1%}, after {step[best] / step[0]:.2f} times "
        f"the steps of the dense network; {smallest} of the weights"
    )


def draw(found, name):
    """Draws the step of lowest validation loss, and the test accuracy at that step, over the density."""
    figure, panels = pyplot.subplots(1, 2, figsize=(7.5, 3.2), layout="constrained")
    sides = (("step", 1, "steps to the lowest validation loss"), ("stopped", 100, "test accuracy at that step, %"))
    for axes, (key, factor, label) in zip(panels, sides, strict=True):
        for arm in found[0]:
            points = [[(100 * at["density"], factor * at[key]) for at in run[arm]["stretches"]] for run in found]
            charts.curve(axes, list(zip(*points, strict=True)), arm)
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_xlabel("weights left, %")
        axes.set_ylabel(label)
    panels[0].legend(frameon=False, fontsize=7)
    charts.save(figure, f"{name}.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz or cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--network", choices=NETWORKS, default="lenet", help="lenet on MNIST, conv2 on CIFAR-10")
    parser.add_argument("--images", type=int, help="training images (default: all but 5000)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--at-once", type=int, default=1, help="rounds of the paper that one round stands for")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--steps", type=int, default=8_000, help="steps of each stretch (default: 8000)")
    parser.add_argument("--every", type=int, default=200, help="steps between two validations (default: 200)")
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.arms[0] != ARMS[0]:
        parser.error(f"--arms must begin with {ARMS[0]}, whose masks the others take. Received: {options.arms}")
    if options.steps % options.every:
        parser.error(f"--steps must be a multiple of --every. Received: {options.steps} and {options.every}")
    _, load, rate, _ = NETWORKS[options.network]
    limit = {} if options.images is None else {"train": options.images}
    data = load(options.data_dir, **limit)
    settings = {**{key: getattr(options, key) for key in SETTINGS}, "rate": rate, "ratios": removed(options)}

    def measure(arm, seed):
        return examine(arm, seed, data, options)

    found = [
        {arm: cell("lottery", f"{options.network}-{arm}-{seed}", settings, measure, arm, seed) for arm in options.arms}
        for seed in range(options.seeds)
    ]
    name = "lottery" if options.network == "lenet" else f"lottery_{options.network}"
    draw(found, name)
    columns = ["weights left, %", "step of lowest validation loss", "test accuracy at that step, %"]
    columns += ["test accuracy in the end, %", "training accuracy in the end, %"]
    gone = ", ".join(f"{100 * ratio:.3g} % of *{name}*" for name, ratio in removed(options).items())
    minutes = sum(run[arm]["seconds"] for run in found for arm in options.arms) / 60
    write(
        name,
        "Lottery tickets against fresh weights and random masks",
        [(arm, columns, list(rows(found, arm))) for arm in options.arms],
        f"The network *{options.network}* is trained with Adam at {rate:g}, {options.steps:,} steps of {options.batch}"
        f" images, from the same weights, {options.rounds + 1} times in one `fit` under `LotteryTicket`; each round "
        f"removes {gone} of the weights left. *ticket* goes back to the first weights; *random_reinit* gives fresh "
        "weights to the masks of the tickets; *random_mask* goes back to the first weights and removes at random. It "
        f"is validated every {options.every} steps on {len(data[1][0]):,} images, the last of the training "
        "set; the step of lowest validation loss is the only choice made. "
        f"{len(data[2][0]):,} test images are looked at once in each of the {options.rounds + 1} times. Median of "
        f"{options.seeds} seeds (lowest to highest). {PAPER[options.network]}. "
        "Here, mean over the seeds, test accuracy at the step of lowest validation loss: "
        f"{'; '.join(verdict(found, arm) for arm in options.arms)}. {minutes:.0f} processor minutes.",
        found,
    )


if __name__ == "__main__":
    main()

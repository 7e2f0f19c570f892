"""Vectors in place of single values: LeNet-300-100 on MNIST with its dense layers 16 and 24 times smaller."""

import argparse

import images
import keras
import networks
from cells import cell
from results_file import mean_and_range, write

import keras_slim as slim
from keras_slim.coding import encode_array

LAYERS = ("first", "second", "head")
# Of each layer the bits of a code and the weights that it is for.
WAYS = {
    "vectors, 16x": ((7, 6, 4), (4, 4, 4)),
    "vectors, 24x": ((7, 5, 4), (6, 4, 4)),
    "single values, 4 each": ((2, 2, 2), (1, 1, 1)),
}
STEPS = ("without data", "with data", "1 epoch", "2 epochs")
RATE = 5e-4


def trained(seed, samples, epochs):
    """Returns a network trained with a learning rate that falls to nothing."""
    keras.utils.set_random_seed(seed)
    x, y = samples
    rate = keras.optimizers.schedules.CosineDecay(2e-3, epochs * (len(x) // 100))
    model = networks.compiled(networks.lenet_300_100(), rate)
    model.fit(x, y, batch_size=100, epochs=epochs, verbose=0)
    return model


def accuracy(model, test):
    return 100 * model.evaluate(*test, batch_size=1000, verbose=0, return_dict=True)["accuracy"]


def ratio(model):
    """Returns how many times smaller the kernels are, codebooks counted."""
    kernels = [each.numpy() for each in slim.sparsity.kernels(model).values()]
    return sum(each.nbytes for each in kernels) / sum(len(encode_array(each)) for each in kernels)


def examine(weights, way, data, test, options):
    """Returns test accuracy and ratio after each step, of a network of some weights."""
    bits, block = (dict(zip(LAYERS, each, strict=True)) for each in WAYS[way])
    found = {}

    def note(step):
        found[step] = {"accuracy": accuracy(model, test), "ratio": ratio(model)}

    for step, look in (("without data", None), ("with data", data[0])):
        model = networks.compiled(networks.lenet_300_100(), RATE)
        model.set_weights(weights)
        slim.share_weights(model, bits, block=block, data=look, samples=options.samples, verbose=0)
        note(step)
    after = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: note(STEPS[2 + epoch]))
    sharing = slim.callbacks.WeightSharing(bits, block=block, verbose=0)
    model.fit(*data, batch_size=100, epochs=2, verbose=0, callbacks=[sharing, after])
    return found


def measured(seed, options):
    """Returns what became of one network: its accuracy, and accuracy and ratio by way and step."""
    data, _, test = images.load_mnist(options.data_dir)
    model = trained(seed, data, options.epochs)
    found = {"seed": seed, "dense": accuracy(model, test)}
    return found | {way: examine(model.get_weights(), way, data, test, options) for way in WAYS}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz (default: download)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the dense network (default: 5)")
    parser.add_argument("--samples", type=int, default=10_000, help="images to fit vectors to (default: 10000)")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    settings = {"epochs": options.epochs, "samples": options.samples, "ways": WAYS, "rate": RATE}
    runs = [cell("vectors", f"seed {seed}", settings, measured, seed, options) for seed in range(options.seeds)]
    rows = [
        [way, mean_and_range([run[way]["with data"]["ratio"] for run in runs], 1)]
        + [mean_and_range([run[way][step]["accuracy"] - run["dense"] for run in runs]) for step in STEPS]
        for way in WAYS
    ]
    dense = mean_and_range([run["dense"] for run in runs])
    columns = ["kernels", "times smaller", *(f"{step}, points" for step in STEPS)]
    note = (
        f"LeNet-300-100 on MNIST, {options.epochs} epochs; test accuracy {dense} %. `share_weights` rounds the three "
        f"dense kernels, without data and with {options.samples:,} training images (no labels); then `WeightSharing` "
        "trains the shared values. Vectors: a code for four inputs of an output, for six in the first layer at 24x. "
        "Single values: a code for each weight. Times smaller: float32 kernels against their bytes in a compressed "
        f"file, codebooks counted. Points of accuracy against the dense network, test set, mean of {len(runs)} seeds "
        "(range). Gong et al. (2014) lose less than one point of top-5 at 16x to 24x, without training, on larger "
        "dense layers."
    )
    found = {"settings": settings, "runs": runs}
    write("vectors", "Dense layers 16 and 24 times smaller", [("Accuracy", columns, rows)], note, found)


if __name__ == "__main__":
    main()

"""What well-known networks for ImageNet cost: size, multiply-accumulates and parameters, counted layer by layer."""

import functools

import keras
from results_file import write

import keras_slim as slim

APPLICATIONS, MODELS = keras.applications, slim.models

# Each network, and what its users quote: megabytes, millions of multiply-adds and of parameters.
NETWORKS = {
    "AlexNet": (MODELS.AlexNet, "> 200 MB, 720 M, 60 M"),
    "VGG-16": (APPLICATIONS.VGG16, "> 500 MB, 15,300 M, 138 M"),
    "GoogLeNet": (MODELS.GoogLeNet, "~50 MB, 1,550 M, 6.8 M"),
    "Inception-v3": (APPLICATIONS.InceptionV3, "90-100 MB, 5,000 M, 23.2 M"),
    "ResNet-50": (APPLICATIONS.ResNet50, ""),
    "SqueezeNet 1.0": (functools.partial(MODELS.SqueezeNet, "1.0"), "4.8 MB"),
    "SqueezeNet 1.1": (functools.partial(MODELS.SqueezeNet, "1.1"), ""),
    "MobileNet": (APPLICATIONS.MobileNet, ""),
    "MobileNetV2": (APPLICATIONS.MobileNetV2, ""),
    "MobileNetV3 small": (APPLICATIONS.MobileNetV3Small, ""),
    "MobileNetV3 large": (APPLICATIONS.MobileNetV3Large, ""),
    "ShuffleNet 1x, 3 groups": (functools.partial(MODELS.ShuffleNet, 3), ""),
    "ShuffleNet 1x, 8 groups": (functools.partial(MODELS.ShuffleNet, 8), ""),
    "ShuffleNet v2 0.5x": (functools.partial(MODELS.ShuffleNetV2, 0.5), ""),
    "ShuffleNet v2 1x": (functools.partial(MODELS.ShuffleNetV2, 1), ""),
    "EfficientNet-Lite0": (MODELS.EfficientNetLite0, ""),
}

CHANNELS = 3
SIZES = {"AlexNet": 227, "Inception-v3": 299}
"""Rows and columns of an image, where they are not 224."""


def measured(build, size):
    """Returns what a network costs for images of a size. Its weights are never drawn: they would fill much memory."""
    with keras.StatelessScope():
        model = build(weights=None, input_shape=(size, size, CHANNELS))
        profile = slim.profile(model)
    return {
        "input": size,
        "bytes": profile.bytes,
        "macs": profile.macs,
        "parameters": profile.parameters,
        "unknown": list(profile.unknown),
    }


def main():
    found = {name: measured(build, SIZES.get(name, 224)) for name, (build, _) in NETWORKS.items()}
    rows = [
        [
            name,
            each["input"],
            f"{each['bytes'] / 1e6:,.1f}",
            f"{each['macs'] / 1e6:,.0f}",
            f"{each['parameters']:,}",
            NETWORKS[name][1],
        ]
        for name, each in found.items()
    ]
    columns = ["network", "input", "MB, float32", "multiply-adds, M", "parameters", "as users quote it"]
    note = (
        "Counted by `slim.profile` from the layers, whole networks of 1,000 classes: MB are 10^6 bytes of weights, a "
        "multiply-add is one multiplication with one addition, without biases, for one image; parameters include the "
        "moving statistics of batch normalization. VGG, Inception, ResNet and the MobileNets are those of "
        "`keras.applications`, the others of `slim.models`. AlexNet has two groups, as in 2012; GoogLeNet is without "
        "the two classifiers on its side."
    )
    write("survey_table", "Networks for ImageNet", [("Before anything is made smaller", columns, rows)], note, found)


if __name__ == "__main__":
    main()

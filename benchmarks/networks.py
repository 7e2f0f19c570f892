"""Small networks for CIFAR-10 and MNIST that the benchmarks share.

They are built of Keras alone: `tf_keras` builds them too, for the side of TFMOT. `tests/test_benchmarks.py` holds those
of papers to their likes in `slim.models`.
"""

import keras
from keras import layers


def block(x, filters, strides=1, kernel_size=3):
    """A convolution with batch norm and ReLU."""
    x = layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def sequential(width=24):
    """Six convolutions, pooled twice."""
    inputs = x = keras.Input((32, 32, 3))
    for factor, strides in ((1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 1)):
        x = block(x, factor * width, strides)
    return _classified(inputs, x)


def residual(width=16, blocks=2):
    """A ResNet of three stages for small images (He et al. 2016, section 4.2), `6 * blocks + 2` layers deep."""
    inputs = keras.Input((32, 32, 3))
    x = block(inputs, width)
    for stage in range(3):
        for index in range(blocks):
            strides = 2 if stage and not index else 1
            y = layers.Conv2D(width << stage, 3, padding="same", use_bias=False)(block(x, width << stage, strides))
            y = layers.BatchNormalization(momentum=0.9)(y)
            if x.shape[-1] != y.shape[-1]:
                x = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(y.shape[-1], 1, strides, use_bias=False)(x))
            x = layers.ReLU()(layers.Add()([x, y]))
    return _classified(inputs, x)


def depthwise(width=24):
    """Depthwise and pointwise convolutions in turn, as in MobileNet (Howard et al. 2017)."""
    inputs = keras.Input((32, 32, 3))
    x = block(inputs, width)
    for factor, strides in ((2, 2), (2, 1), (4, 2), (4, 1), (8, 1)):
        x = layers.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(x)
        x = block(layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x)), factor * width, kernel_size=1)
    return _classified(inputs, x)


def digits(width=12):
    """Four convolutions and two dense layers, for images of 28 by 28 pixels."""
    inputs = x = keras.Input((28, 28, 1))
    for factor, strides in ((1, 1), (2, 2), (3, 1), (4, 2)):
        x = block(x, factor * width, strides)
    x = layers.Dense(5 * width, "relu")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def lenet_300_100():
    """LeNet-300-100 (LeCun et al. 1998), 266,610 parameters."""
    dense = _dense(("first", 300), ("second", 100))
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *dense], name="lenet_300_100")


def _dense(*sizes):
    hidden = [layers.Dense(units, "relu", kernel_initializer="glorot_normal", name=name) for name, units in sizes]
    return [*hidden, layers.Dense(10, kernel_initializer="glorot_normal", name="head")]


def lenet_5():
    """LeNet-5 as in Caffe, 431,080 parameters."""
    stack = []
    for filters, name in ((20, "first"), (50, "second")):
        stack += [layers.Conv2D(filters, 5, name=name), layers.MaxPooling2D()]
    dense = layers.Flatten(), layers.Dense(500, "relu", name="third"), layers.Dense(10, name="head")
    return keras.Sequential([keras.Input((28, 28, 1)), *stack, *dense], name="lenet_5")


def convolutional_lenet(width=16, pool_first=False):
    """LeNet-5 with its third layer a convolution, as LeCun et al. (1998) have it, and with batch norm.

    Args:
        width: Filters of the first layer; the second has twice, the third eight times as many.
        pool_first: Whether to pool before batch norm, as networks with signs have it.
    """
    inputs = x = keras.Input((28, 28, 1))
    for filters, size in ((width, 5), (2 * width, 5), (8 * width, 4)):
        is_pooled = filters < 8 * width
        x = layers.Conv2D(filters, size, use_bias=False)(x)
        x = layers.MaxPooling2D()(x) if is_pooled and pool_first else x
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D()(x) if is_pooled and not pool_first else x
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


def _classified(inputs, x):
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


NETWORKS = {"sequential": sequential, "residual": residual, "depthwise": depthwise}
ALL = {**NETWORKS, "digits": digits}


def compiled(model, learning_rate):
    """Compiles a classifier that puts out logits, in graph mode, and returns it."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"], jit_compile=False)
    return model

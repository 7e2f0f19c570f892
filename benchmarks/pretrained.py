"""EfficientNet-Lite0 with ImageNet weights, fine-tuned to CIFAR-10 at 96 pixels: the network people start from."""

import pathlib

import keras
import numpy as np
import tensorflow as tf
from cells import kept_network
from keras import layers

import keras_slim as slim

SIZE = 96
BATCH, HEAD_EPOCHS, PEAK, DECAY = 64, 5, 5e-4, 1e-2


def enlarged(x):
    """Returns images as the network reads them: about -1 to 1, 96 by 96."""
    return tf.image.resize((tf.cast(x, "float32") - 127) / 128, (SIZE, SIZE))


def batches(samples, seed=None):
    """Returns enlarged batches; with a seed in random order, half of them mirrored, and moved by up to 4 pixels."""
    x, y = samples
    found = tf.data.Dataset.from_tensor_slices((x, y))
    if seed is not None:

        def moved(image, label):
            image = tf.pad(tf.image.random_flip_left_right(image), [[4, 4], [4, 4], [0, 0]], "REFLECT")
            return tf.image.random_crop(image, x.shape[1:]), label

        found = found.shuffle(len(x), seed=seed).map(moved)
    return found.batch(BATCH).map(lambda x, y: (enlarged(x), y)).prefetch(2)


def compiled(model, rate):
    """Compiles a classifier that puts out logits, in graph mode, and returns it."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=DECAY), loss, metrics=["accuracy"], jit_compile=False)
    return model


def fine_tune(model, samples, epochs, seed, peak=PEAK, callbacks=(), teacher=None):
    """Trains all weights for some epochs, with a rate that rises for a quarter of an epoch and falls to nothing.

    With a teacher, half of the loss is the distance from what that says of the same images.
    """
    steps = -(-len(samples[0]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(0.0, epochs * steps, warmup_target=peak, warmup_steps=steps // 4)
    pupil = model
    if teacher:
        pupil = keras.distillation.Distiller(teacher, model, slim.distillation.Distillation().loss)
    compiled(pupil, rate).fit(batches(samples, seed), epochs=epochs, callbacks=list(callbacks), verbose=0)
    compiled(model, 0.0)


def fine_tuned(seed, samples, epochs, data_dir):
    """Returns the network with a head for the classes of `samples`, trained once and kept.

    The head is trained first, on what the pretrained network makes of the images; then all weights are.

    Args:
        seed: Seed of the head's weights and of the order of the samples.
        samples: `(x, y)`, images as `load_cifar10(as_pixels=True)` returns them.
        epochs: Epochs of all weights.
        data_dir: Folder with `efficientnet_lite0.npz`, the ImageNet weights.
    """
    x, y = samples
    classes = len(np.unique(y))

    def train():
        keras.utils.set_random_seed(seed)
        base = slim.models.EfficientNetLite0(
            include_top=False,
            weights=pathlib.Path(data_dir) / "efficientnet_lite0.npz",
            input_shape=(SIZE, SIZE, 3),
            pooling="avg",
        )
        outputs = layers.Dense(classes, name="classes")(layers.Dropout(0.2)(base.output))
        model = keras.Model(base.inputs, outputs)
        features = base.predict(batches(samples), verbose=0)
        head = compiled(keras.Sequential([keras.Input(features.shape[1:]), layers.Dense(classes)]), 1e-3)
        head.fit(features, y, batch_size=BATCH, epochs=HEAD_EPOCHS, verbose=0)
        model.get_layer("classes").set_weights(head.layers[-1].get_weights())
        fine_tune(model, samples, epochs, seed)
        return model

    return kept_network(f"efficientnet-lite0-{classes}-{len(x)}-{epochs}-{seed}", train)


def accuracy(model, samples):
    """Returns the share of images that are told right, in per cent."""
    return 100 * compiled(model, 0.0).evaluate(batches(samples), verbose=0, return_dict=True)["accuracy"]

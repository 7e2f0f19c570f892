"""Prune a model of your own class in its own `fit`, then one part of another.

Run it with `python examples/own_model_in_fit.py`. It takes half a minute.
"""

import argparse
import os
import tempfile

import keras
from keras import layers

import keras_slim as slim

parser = argparse.ArgumentParser(description="Prune models of your own class in their own `fit`.")
parser.add_argument("--output-dir", help="where to write the models (default: a new temporary folder)")
folder = parser.parse_args().output_dir or tempfile.mkdtemp(prefix="keras_slim_")
os.makedirs(folder, exist_ok=True)

(x, y), validation, (x_test, y_test) = slim.datasets.load_digits(seed=0)
keras.utils.set_random_seed(0)


class ResidualBlock(layers.Layer):
    """A block of layers, as models are made of."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Conv2D(filters, 3, padding="same", activation="relu", name="first")
        self.second = layers.Conv2D(filters, 3, padding="same", name="second")

    def call(self, inputs):
        return keras.ops.relu(inputs + self.second(self.first(inputs)))


class Digits(keras.Model):
    """A network that is known by its code alone."""

    def __init__(self):
        super().__init__(name="digits")
        self.stem = layers.Conv2D(32, 3, padding="same", activation="relu", name="stem")
        self.blocks = [ResidualBlock(32, name="block_1"), ResidualBlock(32, name="block_2")]
        self.head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")], name="head")

    def call(self, inputs):
        features = self.stem(inputs)
        for block in self.blocks:
            features = block(features)
        return self.head(features)


# The whole: the object stays, and so do its blocks; the layers in their attributes become smaller.
model = Digits()
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
pruning = slim.callbacks.ProgressiveGlobalPruning(ratio=0.5, of="macs", rounds=2, data=(x[:512], y[:512]))
model.fit(x, y, epochs=8, validation_data=validation, verbose=0, callbacks=[pruning])
print([(block.name, block.first.filters, block.second.filters) for block in model.blocks])
print(f"test accuracy {model.evaluate(x_test, y_test, verbose=0, return_dict=True)['accuracy']:.3f}")

# A file that needs none of the classes above: the functional twin, of the same layers.
path = os.path.join(folder, "digits.keras")
slim.functional(model).save(path)
print(f"{path} holds {keras.saving.load_model(path).count_params():,} parameters")


class Autoencoder(keras.Model):
    """Two parts, of which the decoder alone goes to the phone."""

    def __init__(self):
        super().__init__(name="autoencoder")
        self.encoder = keras.Sequential([layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(8)], name="encoder")
        self.decoder = keras.Sequential(
            [layers.Dense(64, "relu"), layers.Dense(64, "sigmoid"), layers.Reshape((8, 8, 1))], name="decoder"
        )

    def call(self, inputs):
        return self.decoder(self.encoder(inputs))


# A part: only its units go, and they are ranked by the loss of the whole.
model = Autoencoder()
model.compile("adam", "mse")
pruning = slim.callbacks.ProgressiveGlobalPruning(ratio=0.5, rounds=2, part="decoder", data=(x[:512], x[:512]))
model.fit(x, x, epochs=8, verbose=0, callbacks=[pruning])
print({part.name: [layer.units for layer in part.layers if layer.weights] for part in (model.encoder, model.decoder)})
model.decoder.save(os.path.join(folder, "decoder.keras"))

"""Trains models with TFMOT, and saves them: run in a process of its own, as TFMOT takes the whole of it.

    python old_models.py FOLDER

Beside each model lies what it, as it was in memory, answered to `x.npy`: `NAME.npy`.
"""

import os
import sys


def main(folder):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import numpy as np
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras as keras
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster  # as its guide has it

    layers, sparsity = keras.layers, tfmot.sparsity.keras
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    np.save(f"{folder}/x.npy", x)

    def network():
        inputs = keras.Input((6, 6, 2), name="image")
        y = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
        y = layers.BatchNormalization(name="norm")(y)
        y = layers.ReLU(name="relu")(y)
        y = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(y)
        y = layers.Flatten(name="flat")(y)
        return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(y), name="net")

    def save(name, model, callbacks=(), samples=x, endings=(".h5",)):
        model.compile("adam", "mse")
        model.fit(samples, np.eye(3)[np.arange(16) % 3], 8, 2, verbose=0, callbacks=list(callbacks))
        np.save(f"{folder}/{name}.npy", model.predict(samples, verbose=0))
        for ending in endings:
            model.save(f"{folder}/{name}{ending}")
        return model

    schedule = sparsity.ConstantSparsity(0.5, 0, frequency=1)
    pruned = sparsity.prune_low_magnitude(network(), schedule)
    pruned = save("pruned", pruned, [sparsity.UpdatePruningStep()], endings=(".h5", ".keras", "_saved"))
    stripped = sparsity.strip_pruning(pruned)
    stripped.save(f"{folder}/stripped.h5")
    start = tfmot.clustering.keras.CentroidInitialization.LINEAR
    save("clustered", cluster.cluster_weights(stripped, 5, start, preserve_sparsity=True))
    save("quantized", tfmot.quantization.keras.quantize_model(network()))

    words = keras.Input((5,), dtype="int32", name="words")
    y = layers.Embedding(12, 4, mask_zero=True, name="table")(words)
    y = layers.LSTM(4, return_sequences=True, name="lstm")(y)
    y = layers.GRU(3, name="gru")(y)
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, "swish", name="dense")], name="inner")
    recurrent = keras.Model(words, layers.Add(name="add")([inner(y), inner(inner(y))]), name="words_net")
    text = np.random.default_rng(0).integers(0, 12, (16, 5)).astype("int32")
    recurrent = sparsity.prune_low_magnitude(recurrent, schedule)
    save("recurrent", recurrent, [sparsity.UpdatePruningStep()], text, endings=("_saved",))

    image = keras.Input((6, 6, 2), name="image")
    y = layers.SeparableConv2D(3, 3, name="separable")(image)
    y = tf.nn.relu6(y + 1.5) * 0.5
    y = layers.Concatenate(name="both")([y, layers.Conv2DTranspose(2, 1, name="up")(image)[:, 1:5, 1:5]])
    keras.Model(image, [layers.LeakyReLU(name="leaky")(y), y], name="mixed").save(f"{folder}/mixed.h5")


if __name__ == "__main__":
    main(sys.argv[1])

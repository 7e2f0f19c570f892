"""Prune a network that several processes train together, each on its part of the data.

Run it with `python examples/prune_in_two_processes.py`: it starts itself twice on this machine. On a cluster, start it
on each machine with the variables that `start_both` sets. It takes a minute, and needs `pip install jax`.
"""

import os
import socket
import subprocess
import sys
import tempfile

NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"


def start_both():
    """Starts two processes, which find each other at an address of the first."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    both = {
        "KERAS_BACKEND": "jax",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",  # how processors, unlike GPUs, have to be told to sum
    }
    command = [sys.executable, __file__]
    processes = [subprocess.Popen(command, env={**os.environ, **both, NUMBER: str(number)}) for number in range(2)]
    return max(process.wait() for process in processes)


def train():
    """Trains and prunes, together with the other processes."""
    import keras

    keras.distribution.initialize()  # before anything is computed; it reads the variables
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    rank, processes = int(os.environ[NUMBER]), distribution.num_processes

    import keras_slim as slim

    # Each process has its part of the data, and as many samples as the others.
    (x, y), *_, (x_test, y_test) = slim.datasets.load_digits(seed=0)
    size = len(x) // processes
    x, y = x[rank::processes][:size], y[rank::processes][:size]

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])

    # Units are scored by what all processes see: the cut is the same in each.
    pruning = slim.callbacks.ProgressiveGlobalPruning(ratio=0.6, of="macs", rounds=3, data=(x, y), verbose=rank == 0)
    model.fit(x, y, batch_size=32, epochs=10, callbacks=[pruning], verbose=2 if rank == 0 else 0)

    shares = slice(len(x_test) % processes, None)  # as many samples for each
    x_test, y_test = x_test[shares][rank::processes], y_test[shares][rank::processes]
    accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    # All hold the same network, and all save it: Keras waits for the others meanwhile.
    path = os.path.join(tempfile.mkdtemp(prefix="keras_slim_"), "digits.keras")
    model.save(path)
    print(
        f"Process {rank} of {processes}: filters {filters}, test accuracy {accuracy:.1%}, saved as {path}", flush=True
    )


if __name__ == "__main__":
    sys.exit(train() if NUMBER in os.environ else start_both())

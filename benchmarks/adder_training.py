"""The side of one network in `adder.py`: seconds of training steps, and the memory that they take at most.

python adder_training.py NETWORK BATCH STEPS
"""

import json
import pathlib
import sys

import keras
import networks
import numpy as np
from adder_shapes import processor_time

import keras_slim as slim


def residual(kind):
    """Returns a ResNet-20, compiled, of convolutions or of adder layers."""
    model = networks.residual(blocks=3)
    if kind == "adder":
        model = slim.adderize(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
    return model


def samples(batch):
    """Returns a batch of noise with labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, 32, 32, 3)).astype("float32"), rng.integers(0, 10, batch)


def timed_step(model, batch):
    """Returns the seconds of the processor, of all its cores, that one training step takes."""
    start = processor_time()
    model.train_on_batch(*batch)
    return processor_time() - start


def most_memory():
    """Returns the most MiB that the process has held, as Linux counts it; `getrusage` would count its parent's too."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main(kind, batch, steps):
    model, batch = residual(kind), samples(batch)
    before = most_memory()
    seconds = [timed_step(model, batch) for _ in range(steps + 1)]
    print(json.dumps({"first": seconds[0], "before": before, "peak": most_memory()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

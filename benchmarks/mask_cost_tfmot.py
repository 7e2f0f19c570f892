"""The side of TensorFlow Model Optimization in `mask_cost.py`. Runs under an interpreter that has it.

TF_USE_LEGACY_KERAS=1 python mask_cost_tfmot.py NETWORK PAIRS
"""

import json
import sys

import tensorflow_model_optimization as tfmot
import tf_keras

sys.modules["keras"] = tf_keras  # the lines that make and time the networks of Keras 3 do it here
import mask_steps  # noqa: E402
import networks  # noqa: E402


def pruned(name):
    """Returns a network whose layers are wrapped, half of the weights zero."""
    schedule = tfmot.sparsity.keras.ConstantSparsity(0.5, begin_step=0, frequency=100)
    wrapped = tfmot.sparsity.keras.prune_low_magnitude(mask_steps.compiled(name), pruning_schedule=schedule)
    return networks.compiled(wrapped, 1e-3)


def main(name, pairs):
    samples = mask_steps.data(name)
    found = {"plain": [], "prune_low_magnitude": []}
    for _ in range(pairs):
        found["plain"].append(mask_steps.fastest_epoch(mask_steps.compiled(name), name, samples))
        callbacks = [tfmot.sparsity.keras.UpdatePruningStep()]
        found["prune_low_magnitude"].append(mask_steps.fastest_epoch(pruned(name), name, samples, callbacks))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

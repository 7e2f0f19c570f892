"""Seconds of an epoch on one backend: plain, beside a callback that waits, and around a cut; one line for each fit.

`everywhere.py` starts it, with `KERAS_BACKEND` set; twice, with Keras's variables for several processes, to train with
two workers, each on its half of every batch.
"""

import json
import os
import sys

import callback_cost
import images
import keras

EPOCHS, CUT_AFTER = 6, 3
BATCH_SIZE, SAMPLES = 64, 512


def joined():
    """Returns which process this is and how many there are, after they have met."""
    if "KERAS_DISTRIBUTION_PROCESS_ID" not in os.environ:
        return 0, 1
    keras.distribution.initialize()
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"]), distribution.num_processes


def main():
    data_dir, count, fits = sys.argv[1:]
    rank, processes = joined()
    keras.utils.set_random_seed(0)
    train, *_ = images.load_cifar10(data_dir, train=int(count))
    train = [each[rank::processes][: int(count) // processes] for each in train]

    def seconds_of(callbacks):
        return callback_cost.seconds_of(
            callback_cost.network(), train, EPOCHS, callbacks, batch_size=BATCH_SIZE // processes
        )

    def pruning(ratio, after):
        window = (after / EPOCHS,) * 2
        return callback_cost.pruning(train, SAMPLES // processes, ratio=ratio, rounds=1, window=window)

    for _ in range(int(fits)):
        plain = min(seconds_of([])[1:])
        idle = min(seconds_of([pruning(0.3, EPOCHS - 1)])[1:-1])
        cutting = pruning(0.5, CUT_AFTER)
        seconds = seconds_of([cutting])
        (done,) = cutting.rounds_done
        found = {"plain": plain, "idle": idle, "ratio": idle / plain, "cut": done["seconds"]}
        found |= {"first": seconds[CUT_AFTER], "others": min(seconds[CUT_AFTER + 1 :])}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

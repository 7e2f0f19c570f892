"""Seconds of an epoch on one backend: plain, beside a callback that waits, and around a cut; one line for each fit.

`everywhere.py` starts it, with `KERAS_BACKEND` set.
"""

import json
import sys

import callback_cost
import images
import keras

EPOCHS, CUT_AFTER = 6, 3


def main():
    data_dir, count, fits = sys.argv[1:]
    keras.utils.set_random_seed(0)
    train, *_ = images.load_cifar10(data_dir, train=int(count))
    for _ in range(int(fits)):
        plain = min(callback_cost.seconds_of(callback_cost.network(), train, EPOCHS, [])[1:])
        waiting = callback_cost.pruning(train, ratio=0.3, rounds=1, window=((EPOCHS - 1) / EPOCHS,) * 2)
        idle = min(callback_cost.seconds_of(callback_cost.network(), train, EPOCHS, [waiting])[1:-1])
        cutting = callback_cost.pruning(train, ratio=0.5, rounds=1, window=(CUT_AFTER / EPOCHS,) * 2)
        seconds = callback_cost.seconds_of(callback_cost.network(), train, EPOCHS, [cutting])
        (done,) = cutting.rounds_done
        found = {"plain": plain, "idle": idle, "ratio": idle / plain, "cut": done["seconds"]}
        found |= {"first": seconds[CUT_AFTER], "others": min(seconds[CUT_AFTER + 1 :])}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

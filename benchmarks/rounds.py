"""Cutting and fine-tuning in turn, with a measurement after each: what the comparisons of ways to prune share."""

import math
import time

import keras
import networks

import keras_slim as slim

BATCH = 64
GUARDS = slim.pruning.Guards(align=1)


def left_after(share, rounds):
    """Returns the share of units that is left after each round, `share ** (round / rounds)`."""
    return [share ** (number / rounds) for number in range(1, rounds + 1)]


def cut(model, left, original, samples, *, ignore=(), **scoring):
    """Returns a smaller model, as it is straight after a plain cut.

    Args:
        model: The model, with a loss.
        left: Share of its original units that shall be left.
        original: How many there were before the first cut, without those of `ignore`.
        samples: What to score with.
        ignore: Names of layers to leave alone.
        **scoring: Criterion and de-biasing.
    """
    ratio = max(0.0, 1 - left * original / slim.graph.analyse(model, ignore).num_units)
    plan = slim.plan_pruning(model, ratio, data=samples, guards=GUARDS, ignore=ignore, **scoring)
    return slim.shrink(model, plan)


def prepare(model, num_samples, epochs, rate=1e-3):
    """Compiles a model for fine-tuning with a learning rate that falls to nothing, and returns it."""
    steps = epochs * math.ceil(num_samples / BATCH)
    return networks.compiled(model, keras.optimizers.schedules.CosineDecay(rate, steps))


def judge(model, test):
    """Returns accuracy and loss; of `None` nothing is known."""
    if test is None:
        return None
    found = model.evaluate(*test, batch_size=500, verbose=0, return_dict=True)
    return {"accuracy": found["accuracy"], "loss": found["loss"]}


def cut_and_tune(model, left, original, train, scored, epochs, test, **options):
    """Makes one round: returns the tuned smaller model, and the accuracy and loss straight after the cut and tuned."""
    start = time.perf_counter()
    model = prepare(cut(model, left, original, scored, **options), len(train[0]), epochs)
    seconds = time.perf_counter() - start
    straight = judge(model, test)
    start = time.perf_counter()
    model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=0)
    seconds += time.perf_counter() - start
    return model, {"straight": straight, "tuned": judge(model, test), "seconds": seconds}

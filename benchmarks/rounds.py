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


def plan_down_to(model, left, original, samples, **scoring):
    """Returns the plan that leaves a share of the original number of units.

    Args:
        model: The model, with a loss.
        left: Share of its original units that shall be left.
        original: How many there were before the first cut.
        samples: What to score with.
        **scoring: Criterion and de-biasing.
    """
    ratio = max(0.0, 1 - left * original / slim.graph.analyse(model).num_units)
    return slim.plan_pruning(model, ratio, data=samples, guards=GUARDS, **scoring)


def prepare(model, num_samples, epochs, rate=1e-3):
    """Compiles a model for training with a learning rate that falls to nothing, and returns it."""
    steps = epochs * math.ceil(num_samples / BATCH)
    return networks.compiled(model, keras.optimizers.schedules.CosineDecay(rate, steps))


def fine_tune(model, samples, epochs, **options):
    """Trains a model for some epochs, compiled anew."""
    prepare(model, len(samples[0]), epochs, **options).fit(*samples, batch_size=BATCH, epochs=epochs, verbose=0)


def judge(model, samples):
    """Returns accuracy and loss."""
    found = model.evaluate(*samples, batch_size=500, verbose=0, return_dict=True)
    return {"accuracy": found["accuracy"], "loss": found["loss"]}


def cut_and_tune(model, left, original, train, scored, epochs, test, **scoring):
    """Makes one round: a plain cut and fine-tuning.

    Returns:
        The smaller model, and its accuracy and loss straight after the cut and tuned, and the processor's seconds for
        planning, cutting and fine-tuning. These do not grow when the machine is shared.
    """
    start = time.process_time()
    model = slim.shrink(model, plan_down_to(model, left, original, scored, **scoring))
    prepare(model, len(train[0]), epochs)
    seconds = time.process_time() - start
    straight = judge(model, test)
    start = time.process_time()
    model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=0)
    seconds += time.process_time() - start
    return model, {"straight": straight, "tuned": judge(model, test), "seconds": seconds}

"""Which way a metric is better."""

import keras

from keras_slim.errors import invalid_argument


def infer_mode(monitor, model, owner):
    """Returns `"max"` or `"min"`, whichever is the better direction of a metric, as Keras infers it.

    Asks a callback of Keras's which of two values it takes for the better.

    Raises:
        ValueError: If Keras cannot tell.
    """
    judge = keras.callbacks.EarlyStopping(monitor, patience=3)
    judge.set_model(model)
    judge.on_train_begin()
    try:
        for value in (0.0, 1.0):
            judge.on_epoch_end(0, {monitor: value})
    except ValueError as error:
        expected = f"'max' or 'min', since Keras cannot tell which way {monitor!r} is better"
        raise ValueError(invalid_argument("mode", owner, expected=expected, received="auto")) from error
    return "max" if judge.best == 1 else "min"

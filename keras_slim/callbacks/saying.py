"""What callbacks say while training goes on."""

import warnings

from keras_slim.errors import SlimWarning


def say(verbose: int, message: str) -> None:
    """Prints a message below the progress bar of Keras, unless nothing is to be said."""
    if verbose:
        print(f"\n{message}")


def warn(message: str) -> None:
    """Warns, in the name of whoever called the function that calls this one."""
    warnings.warn(message, SlimWarning, stacklevel=3)

"""Callbacks of ours that cannot share a `fit`."""

from keras_slim.callbacks.announcing import Announcing
from keras_slim.callbacks.companions import beside, swap_back


class Alone(Announcing):
    """Cuts or holds what is trained, so that no other callback may do so in the same `fit`."""

    def on_epoch_begin(self, epoch, logs=None):
        swap_back(self, epoch)

    def _check_alone(self) -> None:
        """Raises `ValueError` if there is another one, in the `fit` that is calling this one."""
        all_of_us = [each for each in beside(self) if isinstance(each, Alone)]
        if len(all_of_us) > 1:
            names = ", ".join(type(each).__name__ for each in all_of_us)
            raise ValueError(
                "Callbacks that cut a model or hold its weights cannot share a `fit`. Expected one of them. Received: "
                f"{names}. Call `fit` once for each, one after the other."
            )

"""The seconds of epochs, in either Keras."""

import time

import keras


class EpochTimer(keras.callbacks.Callback):
    """Keeps the seconds of each epoch's training and validation."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._start)

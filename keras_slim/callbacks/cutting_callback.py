"""What a callback that cuts the model needs to go on where a `fit` that was killed has been."""

import keras

from keras_slim.callbacks.alone import Alone
from keras_slim.callbacks.backup import Backup
from keras_slim.callbacks.progress import Kept
from keras_slim.callbacks.resuming import Record, find_record, is_in_fit, restore
from keras_slim.distribution import scope_of
from keras_slim.pruning.snapshot import Snapshot


class CuttingCallback(Alone):
    """Cuts the model as it was cut, before `BackupAndRestore` loads its weights.

    Keras calls `set_params` of all callbacks before `on_train_begin` of any, so the order of the two does not matter.

    A class that derives from it checks the model and measures it in `begin`, says in `record` where it stands, and
    takes that in `take_up`.
    """

    ignore: tuple[str, ...] = ()
    _is_taken_up = False

    def begin(self) -> None:
        """Called with the model as it was before the first cut."""

    def asked(self) -> dict:
        """Returns, as plain values, the arguments that must be the same when a `fit` that was killed is taken up."""
        return {}

    def record(self) -> Record:
        """Returns where the callback stands."""
        raise NotImplementedError

    def take_up(self, record: Record, teacher: keras.Model | None, kept: Kept | None) -> None:
        """Takes what `record` has returned, in a `fit` that was killed; the model has been cut.

        Args:
            record: The record.
            teacher: The dense network, if it teaches.
            kept: The network that a search goes back to, if there is one.
        """
        raise NotImplementedError

    def back_up(self, epoch: int) -> None:
        """Notes where the callback stands when an epoch begins, if `BackupAndRestore` is beside it."""
        if self._backup.is_needed:
            self._backup.write(epoch, self.record().to_arrays())

    def back_up_part(self, number: int, part: str, arrays: dict) -> None:
        """Notes what would be too much to write with each record."""
        if self._backup.is_needed:
            self._backup.write(number, arrays, part)

    def set_params(self, params):
        super().set_params(params)
        self._is_taken_up = False
        if is_in_fit(self):
            self._go_on()

    def on_train_begin(self, logs=None):
        self.check_alone()
        self._backup = Backup(self)
        if not self._is_taken_up:
            self.begin()

    def _go_on(self):
        backup = Backup(self)
        with scope_of(self.model):
            found = find_record(backup, self.model, self.ignore, self.asked(), type(self).__name__)
        if found is None:
            return
        record, networks = found
        self.begin()
        before = Snapshot(self.model)
        try:
            with scope_of(self.model):
                self.take_up(record, *restore(self.model, record, networks, backup))
        except BaseException:
            before.restore()
            raise
        self._is_taken_up = True

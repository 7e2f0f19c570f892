"""What a callback that cuts does all along a `fit`, and what it needs to go on where one that was killed has been."""

import functools
from typing import Any

import numpy as np

from keras_slim.callbacks.alone import Alone
from keras_slim.callbacks.backup import Backup
from keras_slim.callbacks.companions import beside, forget_epochs, measures_averages
from keras_slim.callbacks.cutter import Cutter, build
from keras_slim.callbacks.dense_teacher import DenseTeacher
from keras_slim.callbacks.epochs import cutting_epochs
from keras_slim.callbacks.moves import Move
from keras_slim.callbacks.progress import Kept, Progress
from keras_slim.callbacks.resuming import KEPT, TEACHER, Record, find_records, is_in_fit, packed, restore
from keras_slim.callbacks.saying import say
from keras_slim.distillation import Distillation
from keras_slim.distribution import scope_of


class CuttingCallback(Alone):
    """Carries out what its course says, `Rounds` or `Search`, and notes where it stands beside `BackupAndRestore`.

    If `fit` was killed, it cuts the model as it was cut, before `BackupAndRestore` loads its weights. Keras calls
    `set_params` of all callbacks before `on_train_begin` of any, so the order of the two does not matter.

    A class that derives from it looks at the model in `_prepare`, and sets `_cutter`, `_progress` and `_course` there;
    makes a cut in `_cut`; and says in `_asked` what must stay the same. Its constructor ends with `_begin_anew`.
    """

    ignore: tuple[str, ...]
    window: tuple[float, float]
    distillation: Distillation | None
    verbose: int
    _cutter: Cutter
    _course: Any
    _is_taken_up = False

    def _prepare(self) -> None:
        """Called with the model as it was before the first cut."""
        raise NotImplementedError

    def _cut(self, epoch: int) -> None:
        """Called when it is time for a cut."""
        raise NotImplementedError

    def _asked(self) -> dict:
        """Returns, as plain values, the arguments that must be the same when a `fit` that was killed is taken up."""
        raise NotImplementedError

    def set_params(self, params):
        super().set_params(params)
        self._is_taken_up = False
        if is_in_fit(self):
            self._take_up()

    def on_train_begin(self, logs=None):
        self._check_alone()
        self._backup = Backup(self)
        if not self._is_taken_up:
            self._begin()
        self._teacher.go_on(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self._progress.epochs is None:  # only now is it known with which epoch `fit` begins
            self._progress.epochs = cutting_epochs(self._course.rounds, self.window, epoch, self.params["epochs"])
            self._back_up(epoch)
        try:
            with self._cutter.freeing():
                self._carry_out(self._course.moves(epoch, self._progress), epoch)
            self._back_up(epoch + 1)
            self._teacher.look_on(self.model)
        except BaseException:
            self._teacher.end()  # nobody else will: `fit` ends here
            raise

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._teacher.look_away()
        self._course.judge(epoch, logs or {}, self._progress, self.model)
        forget_epochs(beside(self), self._course.is_outdone)
        self._back_up(epoch + 1)

    def _known(self, epoch):
        return {name: value for name, value in self._progress.cost.to_dict().items() if value is not None}

    def _scores(self):
        return self._cutter.scores

    def on_train_end(self, logs=None):
        self._teacher.end()
        self._carry_out(self._course.last_moves(self._progress))

    def _begin_anew(self):
        self._progress = Progress()
        self._course = None
        self._teacher = DenseTeacher(self.distillation, functools.partial(self._back_up_part, 0, TEACHER))

    def _begin(self):
        self._teacher.end()  # in a `fit` that was interrupted
        self._begin_anew()
        self._prepare()
        self._teacher.check(self._cutter.subject, type(self).__name__)

    def _carry_out(self, moves, epoch=None):
        go_back, cut = (functools.partial(each, epoch) for each in (self._go_back, self._cut))
        do = {Move.KEEP: self._keep, Move.GO_BACK: go_back, Move.CUT: cut}
        for move in moves:
            do[move]()

    def _keep(self):
        """Remembers the network, which has held the metric."""
        number = self._course.kept.number + 1 if self._course.kept else 0
        kept = Kept(number, len(self._progress.path), self._progress.cost, self._cutter.snapshot())
        self._course.keep(kept)
        self._back_up_part(number, KEPT, kept.snapshot.values)

    def _go_back(self, epoch):
        """Puts back the last network that held the metric; when training has ended, the averages that held it."""
        kept = self._course.kept
        self._cutter.go_back(kept.snapshot)
        if epoch is None and measures_averages(self):
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        self._progress.go_back(kept)
        say(self.verbose, f"Pruning: {self._course.describe()}, back to {kept.cost.describe()}")

    def _back_up(self, epoch):
        """Notes where the callback stands when an epoch begins, if `BackupAndRestore` is beside it."""
        if self._backup.is_needed:
            record = Record.of(self.model, self._asked(), self._progress, self._course, self._teacher.is_teaching)
            self._backup.write(epoch, record.to_arrays())

    def _back_up_part(self, number: int, part: str, values: list[np.ndarray]) -> None:
        """Notes what would be too much to write with each record."""
        if self._backup.is_needed:
            self._backup.write(number, packed(values), part)

    def _take_up(self):
        """Goes on where a `fit` was killed, if it was."""
        backup = Backup(self)
        backup.check_alike()
        with scope_of(self.model):
            if backup.weights:
                build(self)
            records = find_records(backup, self.model, self._asked(), type(self).__name__)
        if not records:
            return
        self._begin()
        subject = self._cutter.subject
        before = subject.snapshot()
        try:
            with scope_of(self.model):
                record, teacher, kept = restore(subject, records, backup, type(self).__name__)
                self._progress = Progress.from_dict(record.progress, self._progress.of)
                self._course.take_up(record.search, kept)
                self._teacher.take_up(self.model, teacher)
        except BaseException:
            before.restore()
            raise
        done, cost = len(self._progress.rounds_done), self._progress.cost
        say(self.verbose, f"Pruning: goes on after round {done} with {cost.describe()}")
        self._is_taken_up = True

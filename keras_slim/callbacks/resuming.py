"""Taking up a pruning that was killed in the middle of `fit`.

Keras's `BackupAndRestore` loads weights and the optimizer's state, of the shapes they had after the last cut, into the
model that the script has made anew, of the shapes it had before the first. So the cuts are made again, in the fresh
model, before `fit` begins: what units were removed is known from the plans, and the values come from the file.
"""

import json
from dataclasses import dataclass

import keras
import numpy as np

from keras_slim.callbacks import random_states
from keras_slim.callbacks.backup import Backup
from keras_slim.callbacks.companions import beside
from keras_slim.callbacks.progress import Kept, Progress
from keras_slim.callbacks.rounds import Rounds
from keras_slim.callbacks.search import Search
from keras_slim.errors import PlanMismatchError
from keras_slim.pruning.subject import Subject
from keras_slim.pruning.surgery import rebuild

TEACHER, KEPT = "teacher", "kept"
"""Parts of a record: the values of the dense network that teaches, and of the network that a search goes back to."""


@dataclass(frozen=True)
class Record:
    """Where a pruning stands when an epoch begins, as plain data.

    Args:
        asked: The arguments that must be the same when it is taken up.
        progress: `Progress.to_dict()`.
        search: `Search.state()`, if it searches.
        kept: `Kept.to_dict()`, if there is a network to go back to; its values are a part by themselves.
        is_taught: Whether the dense network teaches; its values are a part by themselves.
        states: What random layers stand at, as `random_states.to_arrays` returns it.
    """

    asked: dict
    progress: dict
    search: dict | None
    kept: dict | None
    is_taught: bool
    states: dict[str, np.ndarray]

    @classmethod
    def of(cls, model: keras.Model, asked: dict, progress: Progress, course: Rounds | Search, is_taught: bool):
        """Returns where the pruning of a model stands now."""
        kept = course.kept and course.kept.to_dict()
        return cls(asked, progress.to_dict(), course.state(), kept, is_taught, random_states.to_arrays(model))

    def to_arrays(self) -> dict:
        """Returns the record as `Backup.write` takes it."""
        plain = {name: value for name, value in vars(self).items() if name != "states"}
        return {"record": np.array(json.dumps(plain)), **self.states}

    @classmethod
    def from_arrays(cls, arrays: dict) -> "Record":
        """Returns the record that `Backup.read` has found."""
        return cls(**json.loads(str(arrays["record"])), states=arrays)


def packed(values: list[np.ndarray]) -> dict:
    """Returns a list of arrays as a dictionary of arrays."""
    return {f"value_{place}": value for place, value in enumerate(values)}


def unpacked(arrays: dict) -> list[np.ndarray]:
    """Returns the list that was packed."""
    return [arrays[f"value_{place}"] for place in range(sum(name.startswith("value_") for name in arrays))]


def is_in_fit(callback: keras.callbacks.Callback) -> bool:
    """Tells whether a callback was given to `fit`, not to `evaluate` or `predict`: only `fit` keeps a history."""
    return any(isinstance(each, keras.callbacks.History) for each in beside(callback))


def find_records(backup: Backup, model: keras.Model, asked: dict, owner: str) -> list[Record]:
    """Returns where the pruning may have stood that `BackupAndRestore` is about to take up: nothing if it begins anew.

    First the record of the epoch with which `fit` goes on; the others only matter if the weights do not fit that one's
    network, since they were saved in the middle of an epoch.

    Args:
        backup: The folder.
        model: The model. Its optimizer gets slots.
        asked: Arguments of the callback, to compare.
        owner: Name of the callback, for error messages.

    Raises:
        RuntimeError: If the record is one of another pruning.
    """
    if backup.weights is None:
        return []
    records = [Record.from_arrays(backup.read(epoch) or {}) for epoch in backup.epochs]
    if records:
        _check_asked(records[0].asked, asked, owner)
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    return records


def restore(
    subject: Subject, records: list[Record], backup: Backup, owner: str
) -> tuple[Record, keras.Model | None, Kept | None]:
    """Cuts a model as it was cut, so that the weights of `BackupAndRestore` fit.

    Args:
        subject: The model, as it was before the first cut.
        records: What `find_records` returned.
        backup: The folder, in which the parts of the records are.
        owner: Name of the callback, for error messages.

    Returns:
        The record that the weights belong to, the dense network that teaches, and the network to go back to; each of
        the two is `None` if there is none.

    Raises:
        RuntimeError: If the weights belong to none of them, or the model is another one. It may have been cut then.
    """
    before, plans = subject.snapshot(), [Progress.from_dict(record.progress).plans for record in records]
    for record, cuts in zip(records, plans, strict=True):
        teacher = subject.copy() if record.is_taught else None
        snapshot = _cut_again(subject, cuts, record.kept and record.kept["cuts"], owner)
        if plans.count(cuts) == len(plans) or _suits(subject.model, backup.weights):
            return record, _taught(teacher, backup), _kept(record, snapshot, backup, subject.model)
        before.restore()
    raise RuntimeError(
        f"`{owner}` cannot go on with a `fit` that was killed. Expected weights of one of the networks that it has "
        f"noted beside them. Received {backup.weights}, which fits none of them. Begin anew with an empty folder."
    )


def _cut_again(subject, plans, number, owner):
    """Makes the cuts of some plans; returns a snapshot of what the model was after a number of them, if that is one."""
    snapshot = subject.snapshot() if number == 0 else None
    for done, plan in enumerate(plans, 1):
        graph = subject.analyse()
        try:
            keep = plan.keep(graph)
        except PlanMismatchError as error:
            raise RuntimeError(
                f"`{owner}` cannot go on with a `fit` that was killed. Expected the model as it was before the first "
                f"cut, made anew by the script that was killed. Received another one: {error} Make the model anew, or "
                "begin with an empty folder of `BackupAndRestore`."
            ) from error
        subject.adopt(*rebuild(graph, keep))
        snapshot = subject.snapshot() if done == number else snapshot
    return snapshot


def _taught(teacher, backup):
    """Returns the dense network with the values it had, if there is one."""
    if teacher is not None:
        for variable, value in zip(teacher.variables, _part(backup, 0, TEACHER), strict=True):
            variable.assign(value.view(variable.numpy().dtype))  # a file knows types such as bfloat16 by their size
    return teacher


def _kept(record, snapshot, backup, model):
    """Returns the network to go back to, if there is one; sets what random layers stand at."""
    random_states.put_back(model, record.states)
    if record.kept is None or snapshot is None:
        return None
    snapshot.values = _part(backup, record.kept["number"], KEPT)
    return Kept.from_dict(record.kept, snapshot)


def _part(backup, number, part):
    """Returns the values that are a part of a record."""
    arrays = backup.read(number, part)
    if arrays is None:
        raise RuntimeError(
            f"A part of what was noted of a `fit` that was killed is missing. Expected a file whose name ends in "
            f"'{part}-{number}.npz' beside {backup.weights}. Begin anew with an empty folder of `BackupAndRestore`."
        )
    return unpacked(arrays)


def _check_asked(before, now, owner):
    differing = {name: (before.get(name), now[name]) for name in now if before.get(name) != now[name]}
    if differing:
        raise RuntimeError(
            f"`{owner}` cannot go on with a `fit` that was killed. Expected the arguments it had then. Received others "
            f"(before, now): {differing}. Give it the same, or begin with an empty folder of `BackupAndRestore`."
        )


def _suits(model, path):
    """Tells whether weights in a file have the shapes of a model's."""
    try:
        model.load_weights(path)
    except ValueError:
        return False
    except OSError:
        return True  # the file is broken: it is for `BackupAndRestore` to say so, or to take the one before
    return True

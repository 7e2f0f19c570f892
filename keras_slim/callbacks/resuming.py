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
from keras_slim.callbacks.search import Search
from keras_slim.errors import PlanMismatchError
from keras_slim.graph.analysis import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import Transfer, rebuild

Networks = list[tuple[keras.Model, list[Transfer]]]
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
    def of(cls, model: keras.Model, asked: dict, progress: Progress, search: Search | None, is_taught: bool):
        """Returns where the pruning of a model stands now."""
        kept = search.kept.to_dict() if search and search.kept else None
        states = random_states.to_arrays(model)
        return cls(asked, progress.to_dict(), search.state() if search else None, kept, is_taught, states)

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


def find_record(backup: Backup, model: keras.Model, ignore, asked: dict, owner: str) -> tuple[Record, Networks] | None:
    """Returns where the pruning stood that `BackupAndRestore` is about to take up, and the networks it went through.

    That is the record of the epoch with which `fit` goes on. Only if the weights do not fit that one's network, since
    they were saved in the middle of an epoch, it is another one.

    Args:
        backup: The folder.
        model: The model, as it was before the first cut. It gets an optimizer with slots.
        ignore: Names of layers that are left whole.
        asked: Arguments of the callback, to compare.
        owner: Name of the callback, for error messages.

    Returns:
        The record and what `replay` returns; `None` if there is nothing to take up.

    Raises:
        RuntimeError: If the record is one of another pruning, or of another model.
    """
    if backup.weights is None or not backup.epochs:
        return None
    records = [Record.from_arrays(backup.read(epoch) or {}) for epoch in backup.epochs]
    _check_asked(records[0].asked, asked, owner)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    plans = [Progress.from_dict(record.progress).plans for record in records]
    for record, cuts in zip(records, plans, strict=True):
        networks = replay(model, cuts, ignore, owner)
        network, _ = networks[-1] if networks else (dense_twin(model), None)
        if plans.count(cuts) == len(plans) or _suits(network, backup.weights):
            return record, networks
    raise RuntimeError(
        f"`{owner}` cannot go on with a `fit` that was killed. Expected weights of one of the networks that it has "
        f"noted beside them. Received {backup.weights}, which fits none of them. Begin anew with an empty folder."
    )


def replay(model: keras.Model, plans, ignore, owner: str) -> Networks:
    """Returns the networks to which cuts lead, one after the other, and how their variables come from those before.

    Their weights are those of the model, cut.
    """
    networks: Networks = []
    for plan in plans:
        graph = analyse(model, ignore)
        try:
            keep = plan.keep(graph)
        except PlanMismatchError as error:
            raise RuntimeError(
                f"`{owner}` cannot go on with a `fit` that was killed. Expected the model as it was before the first "
                f"cut, made anew by the script that was killed. Received another one: {error} Make the model anew, or "
                "begin with an empty folder of `BackupAndRestore`."
            ) from error
        model, transfers = rebuild(graph, keep)
        networks.append((model, transfers))
    return networks


def restore(
    model: keras.Model, record: Record, networks: Networks, backup: Backup
) -> tuple[keras.Model | None, Kept | None]:
    """Makes a model the last of its networks, into which the weights of `BackupAndRestore` fit.

    Args:
        model: The model, as it was before the first cut.
        record: What `find_record` returned.
        networks: The same.
        backup: The folder, in which the parts of the record are.

    Returns:
        The dense network that teaches, and the network to go back to, each `None` if there is none.
    """
    teacher = dense_twin(model, _part(backup, 0, TEACHER)) if record.is_taught else None
    snapshot = _adopt_all(model, networks, record.kept and record.kept["cuts"])
    random_states.put_back(model, record.states)
    if record.kept is None or snapshot is None:
        return teacher, None
    snapshot.values = _part(backup, record.kept["number"], KEPT)
    return teacher, Kept.from_dict(record.kept, snapshot)


def _part(backup, number, part):
    """Returns the values that are a part of a record."""
    arrays = backup.read(number, part)
    if arrays is None:
        raise RuntimeError(
            f"A part of what was noted of a `fit` that was killed is missing. Expected a file whose name ends in "
            f"'{part}-{number}.npz' beside {backup.weights}. Begin anew with an empty folder of `BackupAndRestore`."
        )
    return unpacked(arrays)


def _adopt_all(model, networks, cuts):
    """Makes a model the last of some networks; returns a snapshot of what it was after a number of cuts, if any."""
    snapshot = Snapshot(model) if cuts == 0 else None
    for number, network in enumerate(networks, 1):
        adopt(model, *network)
        snapshot = Snapshot(model) if number == cuts else snapshot
    return snapshot


def dense_twin(model: keras.Model, values: list[np.ndarray] | None = None) -> keras.Model:
    """Returns a copy of a model, with its own values or others."""
    graph = analyse(model)
    twin, _ = rebuild(graph, np.ones(graph.num_units, bool))
    if values is not None:
        _assign(twin.variables, values)
    return twin


def _check_asked(before, now, owner):
    differing = {name: (before[name], now[name]) for name in now if before[name] != now[name]}
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


def _assign(variables, values):
    """Sets variables to values out of a file, which knows types such as bfloat16 by their size only."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.view(variable.numpy().dtype))
